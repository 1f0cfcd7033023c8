"""Options of a task: documented dataclasses in sections, given flat.

A task's options are a dataclass whose fields are sections (data, model, training), dataclasses
themselves. People give them flat, as flags, as keys of a TOML file or as keyword arguments; a
name stands in one section only, which a test holds.
"""

from __future__ import annotations

import dataclasses
import numbers
import os
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from rondo.data.filling import Impute, Missing, looks_ahead
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
    values = checked(options, given, source=source)
    names = option_names(options)
    parts = {}
    for section in get_type_hints(options):
        changed = {name: value for name, value in values.items() if names[name] == section}
        own = getattr(base, section)
        parts[section] = dataclasses.replace(own, **changed) if changed else own
    return options(**parts)


def checked(options: type, given: Mapping[str, Any], *, source: str = "") -> dict[str, Any]:
    """``given`` flat and of the right types; how the values go together is not looked at."""
    sections = get_type_hints(options)
    names = option_names(options)
    place = f"{source}: " if source else ""
    values: dict[str, Any] = {}
    for key, value in _flattened(given, sections).items():
        name = key.replace("-", "_")
        if name not in names:
            raise UsageError(f"{place}unknown option '{key}'{nearest(name, names)}")
        values[name] = converted(value, get_type_hints(sections[names[name]])[name], f"{place}{key}")
    return values


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
            if kind in (Missing, Impute) and (why := looks_ahead(value)):
                raise UsageError(f"{place}: {why}")
            raise UsageError(f"{place} cannot be {value!r}{nearest(str(value), [str(c) for c in choices])}")
        return value
    if origin is tuple and choices[1:] == (...,):  # any number of them; one may stand for itself
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(converted(item, choices[0], place) for item in items)
    if origin is tuple:
        if isinstance(value, list | tuple) and len(value) == len(choices):
            return tuple(converted(item, choice, place) for item, choice in zip(value, choices, strict=True))
        raise UsageError(f"{place} needs {len(choices)} values, not {value!r}")
    if kind is str and isinstance(value, os.PathLike):
        return os.fspath(value)
    accepted = {int: numbers.Integral, float: numbers.Real}.get(kind, kind)  # numpy's numbers too
    if isinstance(value, accepted) and (kind is bool or not isinstance(value, bool)):
        return kind(value)
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    raise UsageError(f"{place} needs {words.get(kind, kind)}, not {value!r}")


def check_baseline_order(order: int) -> None:
    """Longer n-grams than of eight tokens cost memory and tell nothing more."""
    if not 0 <= order <= 8:
        raise UsageError(f"--baseline-order is from 0 (no baseline) to 8, not {order}")


def _flattened(given: Mapping[str, Any], sections: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in given.items():
        flat.update(value if key in sections and isinstance(value, Mapping) else {key: value})
    return flat


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
