"""Arguments from documented dataclasses: each field is an option, the text below it its help.

tyro reads the arguments and draws the help. It is handed what was given only, nothing of the defaults, so
that a file of options can stand between the two; and it leaves the values as text, so that a wrong one is
answered in Rondo's words.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import docstring_parser
import tyro
from tyro.constructors import PrimitiveConstructorSpec

from rondo.errors import UsageError, nearest
from rondo.tasks.options import converted

_POSITIONAL: Any = tyro.conf.Positional
_WITHOUT_PAIR: Any = tyro.conf.FlagCreatePairsOff
_METAVARS = {int: "N", float: "NUMBER", str: "TEXT"}
_WORDS = {int: "a whole number", float: "a number"}


@dataclass(frozen=True)
class Option:
    """One option or positional argument."""

    name: str
    """As in Python, with underscores."""
    kind: Any
    """Its type: bool, int, float, str, a Literal, a tuple of fixed length, or one of these or None."""
    help: str
    default: Any = None
    metavar: str = ""
    """What stands for the value in the help; made from the type if empty."""
    required: bool = False
    many: bool = False
    """Any number of values, for the last positional argument."""
    pair: bool = True
    """Whether a flag can also be switched off, as --no-NAME."""

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


@dataclass(frozen=True)
class Group:
    """Options that stand together in the help."""

    title: str
    about: str
    options: tuple[Option, ...]


OUTPUT = (
    Option("json", bool, "Print one JSON object on standard output, as its last line, and nothing else.", pair=False),
    Option("quiet", bool, "Show no progress.", pair=False),
)  # fmt: skip
THREADS = Option("threads", int, "Threads for computations on the CPU; default: as torch chooses.")
DEVICE = Option("device", str, "cpu, cuda, cuda:1 or mps.", default="cpu")


def options_of(source: type, *, metavars: Mapping[str, str] | None = None, pair: bool = True) -> tuple[Option, ...]:
    """The fields of a documented dataclass as options."""
    helps = field_helps(source)
    hints = get_type_hints(source)
    return tuple(
        Option(
            field.name, hints[field.name], helps.get(field.name, ""), default=field.default,
            metavar=(metavars or {}).get(field.name, ""), pair=pair,
        )
        for field in dataclasses.fields(source)
    )  # fmt: skip


def field_helps(source: type) -> dict[str, str]:
    """The text below each field of a dataclass, on one line; a subclass's own text counts."""
    helps: dict[str, str] = {}
    for parent in reversed(source.__mro__):
        if dataclasses.is_dataclass(parent):
            parsed = docstring_parser.parse_from_object(parent)
            helps |= {item.args[1]: " ".join((item.description or "").split()) for item in parsed.params}
    return helps


def parse(
    arguments: Sequence[str],
    *,
    command: str,
    about: str,
    examples: Sequence[str],
    positional: Sequence[Option] = (),
    groups: Sequence[Group] = (),
) -> dict[str, Any]:
    """The values that were given, by name. Options that were not given are not in the result.

    Prints the help and exits where it is asked for; raises `UsageError` for what cannot be understood.
    """
    said, form = io.StringIO(), _form(positional, groups)
    try:
        with contextlib.redirect_stderr(said):
            result, unknown = tyro.cli(
                form,
                prog=command,
                description=about,
                args=list(arguments),
                return_unknown_args=True,
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.HelptextFromCommentsOff, tyro.conf.DisallowNone),
            )
    except SystemExit as ended:
        if ended.code in (0, None):
            sys.stdout.write("\nexamples:\n" + "".join(f"  {example}\n" for example in examples))
            raise
        raise UsageError(f"{_in_one_line(said.getvalue())} (see {command} --help)") from None
    options = [option for group in groups for option in group.options]
    sections = [(group, getattr(result, _attribute(group))) for group in groups]
    values = {option.name: getattr(result, option.name) for option in positional}
    values |= {option.name: getattr(section, option.name) for group, section in sections for option in group.options}
    given = {name: value for name, value in values.items() if value is not None}
    _refuse_unknown(unknown, command, options)
    for option in (*positional, *options):
        if option.required and not given.get(option.name):
            what = option.metavar if option in positional else f"{option.flag} {option.metavar}"
            verb = command.removeprefix("rondo ")
            raise UsageError(f"{verb} needs {what}: {option.help.rstrip('.')} (see {command} --help)")
    return given


def _form(positional: Sequence[Option], groups: Sequence[Group]) -> Any:
    """The dataclass that tyro reads: positional arguments, and a section for each group."""
    fields: list[Any] = [
        (option.name, _POSITIONAL[_annotated(option)], dataclasses.field(default=None)) for option in positional
    ]
    for group in groups:
        section: Any = dataclasses.make_dataclass(
            _attribute(group),
            [(option.name, _annotated(option), dataclasses.field(default=None)) for option in group.options],
            namespace={"__doc__": group.about},
        )
        titled = Annotated[section, tyro.conf.arg(name=group.title)]
        fields.append((_attribute(group), titled, dataclasses.field(default_factory=section)))
    return dataclasses.make_dataclass("arguments", fields, namespace={"__doc__": ""})


def _attribute(group: Group) -> str:
    return "section_" + "".join(c if c.isalnum() else "_" for c in group.title)


def _annotated(option: Option) -> Any:
    """The type under which tyro knows an option: text that `_value` converts, or a flag."""
    told = not (option.default is None or option.default is False or option.default == "")
    hint = "(required)" if option.required else f"(default: {_shown(option.default)})" if told else ""
    described = tyro.conf.arg(help=option.help, help_behavior_hint=hint)
    plain = _without_none(option.kind)
    if plain is bool:
        flag: Any = Annotated[bool | None, described]
        return flag if option.pair else _WITHOUT_PAIR[flag]
    width: Any = "*" if option.many else len(get_args(plain)) if get_origin(plain) is tuple else 1
    spec = PrimitiveConstructorSpec(
        nargs=width,
        metavar=_metavar(option, plain),
        instance_from_str=lambda words: _value(option, plain, words),
        is_instance=lambda value: True,
        str_from_instance=lambda value: [str(value)],
    )
    return Annotated[Any, spec, described]


def _metavar(option: Option, kind: Any) -> str:
    if option.metavar:
        return option.metavar
    if get_origin(kind) is Literal:
        return "{" + ",".join(map(str, get_args(kind))) + "}"
    if get_origin(kind) is tuple:
        return " ".join(_METAVARS[part] for part in get_args(kind))
    return _METAVARS[kind]


def _value(option: Option, kind: Any, words: list[str]) -> Any:
    """The value that the words of the command line say."""
    if option.many or not words:
        return list(words) or None
    if get_origin(kind) is tuple:
        parts = zip(words, get_args(kind), strict=True)
        return tuple(_number(option.flag, word, part) for word, part in parts)
    return converted(_number(option.flag, words[0], kind), kind, option.flag)


def _number(flag: str, word: str, kind: Any) -> Any:
    if kind not in _WORDS:
        return word
    try:
        return kind(word)
    except ValueError:
        raise UsageError(f"{flag} needs {_WORDS[kind]}, not '{word}'") from None


def _refuse_unknown(unknown: Sequence[str], command: str, options: Sequence[Option]) -> None:
    if not unknown:
        return
    flags = [word.partition("=")[0] for word in unknown if word.startswith("-") and len(word) > 1]
    if not flags:
        raise UsageError(
            f"'{unknown[0]}' belongs to no option: names of files come first, the options after them "
            f"(see {command} --help)"
        )
    known = [option.flag for option in options]
    known += ["--no-" + option.name.replace("_", "-") for option in options if _is_pair(option)]
    raise UsageError(f"unknown option '{flags[0]}'{_nearest_flag(flags[0], known)} (see {command} --help)")


def _in_one_line(box: str) -> str:
    """What tyro says in its box. It is left with one thing to complain of: an option without its value."""
    missing = re.search(r"Missing value for argument '([^']+)'. Expected (\d+)", box)
    if missing:
        return f"{missing[1]} needs {'a value' if missing[2] == '1' else missing[2] + ' values'}"
    words = re.sub(r"[\u2500-\u257f]", " ", re.sub(r"\x1b\[[0-9;]*m", "", box))
    return " ".join(words.split())


def _nearest_flag(flag: str, known: Sequence[str]) -> str:
    """The option that was probably meant; nothing where none is near, since all would be too many."""
    begun = [name for name in known if name.startswith(flag) and flag.startswith("--") and len(flag) > 3]
    if len(begun) == 1:
        return f"; did you mean '{begun[0]}'?"
    found = nearest(flag, known)
    return found if "did you mean" in found else ""


def _is_pair(option: Option) -> bool:
    return option.pair and _without_none(option.kind) is bool


def _without_none(kind: Any) -> Any:
    if get_origin(kind) in (types.UnionType, Union):
        return next(choice for choice in get_args(kind) if choice is not type(None))
    return kind


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
