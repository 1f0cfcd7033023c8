"""The options of a task as the parameters of an estimator: one truth for the command line and for scikit-learn.

An estimator's constructor is made from the dataclass of its task's options: the same names, the same
defaults, and their documentation as that of the class. Its parameters are checked when it is fitted, as
scikit-learn has it.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
import types
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from rondo.errors import UsageError, nearest
from rondo.tasks.documented import field_helps

T = TypeVar("T", bound=type)

WIDTH = 100
_FLAG = re.compile(r"--([a-z][a-z0-9-]*)")

NOT_FOR_ESTIMATORS = {"seed", "devices", "tensorboard", "checkpoint_minutes", "checkpoint_steps"}
"""Options of every task that are about a training in a folder; ``random_state`` stands in place of ``seed``."""

RANDOM_STATE = (
    "Seed of all random numbers: the same one gives the same model again. None: another each time; a "
    "numpy.random.RandomState gives the seed."
)


@dataclass(frozen=True)
class Parameter:
    """One parameter of an estimator."""

    name: str
    kind: Any
    default: Any
    help: str
    section: str


def parameters_of(options: type, sections: Sequence[str]) -> tuple[Parameter, ...]:
    """The fields of these sections of a task's options, and ``random_state``."""
    found = []
    for section in sections:
        source = get_type_hints(options)[section]
        helps, hints = field_helps(source), get_type_hints(source)
        about = (source.__doc__ or "").strip()
        found += [
            Parameter(field.name, hints[field.name], field.default, helps.get(field.name, ""), about)
            for field in dataclasses.fields(source)
            if field.name not in NOT_FOR_ESTIMATORS
        ]
    return (*found, Parameter("random_state", int | None, 0, RANDOM_STATE, "Random numbers."))


def with_parameters(options: type, *, sections: Sequence[str] = ("data", "model", "training")) -> Callable[[T], T]:
    """Gives an estimator's class its constructor and the documentation of its parameters."""

    def prepare(kind: T) -> T:
        parameters = parameters_of(options, sections)
        own: Any = kind
        own.__init__ = _constructor(own, parameters)
        own.__doc__ = f"{inspect.cleandoc(own.__doc__ or '')}\n\n{_documented(parameters)}\n"
        own.options_class = options
        return kind

    return prepare


def _constructor(kind: type, parameters: Sequence[Parameter]) -> Callable[..., None]:
    defaults = {parameter.name: parameter.default for parameter in parameters}

    def __init__(self: Any, **given: Any) -> None:
        for name in given:
            if name not in defaults:
                raise UsageError(f"{kind.__name__} has no parameter '{name}'{nearest(name, defaults)}")
        for name, default in defaults.items():
            setattr(self, name, given.get(name, default))

    keywords = [inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default) for one in parameters]
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    __init__.__signature__ = inspect.Signature([itself, *keywords])  # type: ignore[attr-defined]
    __init__.__qualname__ = f"{kind.__qualname__}.__init__"
    __init__.__module__ = kind.__module__
    __init__.__doc__ = "Take note of the parameters; they are checked by `fit`."
    return __init__


def _documented(parameters: Sequence[Parameter]) -> str:
    """In the form of numpydoc; a line before the first parameter of each section says what it is about."""
    lines = ["Parameters", "----------"]
    section = ""
    for one in parameters:
        if one.section != section:
            lines += [*([""] if section else []), *textwrap.wrap(one.section, WIDTH), ""]
            section = one.section
        lines.append(f"{one.name} : {_kind(one.kind)}, default {one.default!r}")
        said = in_python(one.help, [parameter.name for parameter in parameters])
        lines += textwrap.wrap(said, WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join(lines)


def in_python(text: str, names: Collection[str]) -> str:
    """A text about flags, with the names that these parameters have in Python."""

    def name(found: re.Match[str]) -> str:
        plain = found[1].replace("-", "_").replace("seed", "random_state")
        return plain if plain in names else found[0]

    return _FLAG.sub(name, text)


def _kind(kind: Any) -> str:
    """A type as people write it: ``int or None``, ``{'mean', 'max'}``."""
    choices = get_args(kind)
    if get_origin(kind) in (types.UnionType, Union):
        return " or ".join(_kind(choice) for choice in choices)
    if get_origin(kind) is Literal:
        return "{" + ", ".join(repr(choice) for choice in choices) + "}"
    if get_origin(kind) is tuple:
        return "(" + ", ".join("..." if choice is ... else _kind(choice) for choice in choices) + ")"
    return "None" if kind is type(None) else kind.__name__
