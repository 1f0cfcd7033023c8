"""Options of a task: documented dataclasses in sections, given flat.

A task's options are a dataclass whose fields are sections (data, model, training), dataclasses
themselves. People give them flat, as flags, as keys of a TOML file or as keyword arguments; a
name stands in one section only, which a test holds.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from rondo.errors import UsageError, nearest

O = TypeVar("O")


def option_names(options: type) -> dict[str, str]:
    """Every option of a task's options class, with the section it stands in."""
    return {
        field.name: section for section, kind in get_type_hints(options).items() for field in dataclasses.fields(kind)
    }


def defaults(options: type[O]) -> O:
    """The options with nothing given."""
    return from_flat(options, {})


def from_flat(options: type[O], given: Mapping[str, Any], *, source: str = "", base: O | None = None) -> O:
    """Options from flat names (``learning_rate`` or ``learning-rate``) on top of ``base``.

    ``source`` names where they come from in messages. A section's name may group its options, as
    TOML tables do. Unknown names, and values of a wrong type, raise `UsageError`.
    """
    base = base if base is not None else options()
    sections = get_type_hints(options)
    names = option_names(options)
    place = f"{source}: " if source else ""
    changed: dict[str, dict[str, Any]] = {section: {} for section in sections}
    for key, value in _flattened(given, sections).items():
        name = key.replace("-", "_")
        if name not in names:
            raise UsageError(f"{place}unknown option '{key}'{nearest(name, names)}")
        section = sections[names[name]]
        changed[names[name]][name] = converted(value, get_type_hints(section)[name], f"{place}{key}")
    parts = {
        section: dataclasses.replace(getattr(base, section), **values) if values else getattr(base, section)
        for section, values in changed.items()
    }
    return options(**parts)


def to_sections(options: Any) -> dict[str, dict[str, Any]]:
    """The resolved options as plain values, by section: what is saved with a model."""
    return {
        field.name: {name: _plain(value) for name, value in dataclasses.asdict(getattr(options, field.name)).items()}
        for field in dataclasses.fields(options)
    }


def converted(value: Any, kind: Any, place: str) -> Any:
    """``value`` as the type of an option, where that loses nothing; else `UsageError`."""
    origin, choices = get_origin(kind), get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in choices:
            return None
        return converted(value, next(choice for choice in choices if choice is not type(None)), place)
    if origin is typing.Literal:
        if value not in choices:
            raise UsageError(f"{place} cannot be {value!r}{nearest(str(value), [str(c) for c in choices])}")
        return value
    if origin is tuple:
        if isinstance(value, list | tuple):
            inner = choices[0]
            if len(choices) == 2 and choices[1] is Ellipsis:
                return tuple(converted(item, inner, place) for item in value)
            if len(value) == len(choices):
                return tuple(converted(item, choice, place) for item, choice in zip(value, choices, strict=True))
        raise UsageError(f"{place} needs {len(choices)} values, not {value!r}")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    raise UsageError(f"{place} needs {words.get(kind, kind)}, not {value!r}")


def _flattened(given: Mapping[str, Any], sections: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in given.items():
        flat.update(value if key in sections and isinstance(value, Mapping) else {key: value})
    return flat


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
