"""Arguments from documented dataclasses: each field is an option, the text below it its help.

tyro reads the arguments. It is not told the defaults, so that what it gives back is what was given, and a
file of options can stand between the two; and it leaves the values as words, so that a wrong one is answered
in Rondo's own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from rondo.cli.help import print_help
from rondo.errors import UsageError, nearest
from rondo.tasks.documented import field_helps
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

    @property
    def opposite(self) -> str:
        """What switches a flag off."""
        return "--no-" + self.name.replace("_", "-")

    @property
    def plain_kind(self) -> Any:
        """The type of a value that is given: without None."""
        if get_origin(self.kind) in (types.UnionType, Union):
            return next(choice for choice in get_args(self.kind) if choice is not type(None))
        return self.kind

    @property
    def any_number(self) -> bool:
        """Whether it is a tuple of any length."""
        return get_args(self.plain_kind)[1:] == (...,)

    @property
    def is_flag(self) -> bool:
        return self.plain_kind is bool

    @property
    def shown_metavar(self) -> str:
        kind = self.plain_kind
        if self.metavar:
            return self.metavar
        if get_origin(kind) is Literal:
            return "{" + ",".join(map(str, get_args(kind))) + "}"
        if self.any_number:
            return f"{_METAVARS[get_args(kind)[0]]} ..."
        if get_origin(kind) is tuple:
            return " ".join(_METAVARS[part] for part in get_args(kind))
        return _METAVARS[kind]


@dataclass(frozen=True)
class Group:
    """Options that stand together in the help."""

    title: str
    about: str
    options: tuple[Option, ...]


OUTPUT = (
    Option("json", bool, "Print one JSON object on standard output, as its last line, and nothing else.", pair=False),
    Option("quiet", bool, "Show no progress and no notes.", pair=False),
)  # fmt: skip
THREADS = Option("threads", int, "Threads for computations on the CPU; default: as torch chooses.")
DEVICE = Option("device", str, "cpu, cuda, cuda:1, mps; auto: a GPU if there is one.", default="auto", metavar="DEVICE")


def options_of(source: type, *, metavars: Mapping[str, str] | None = None, pair: bool = True) -> tuple[Option, ...]:
    """The fields of a documented dataclass as options."""
    helps = field_helps(source)
    hints = get_type_hints(source)
    return tuple(
        Option(
            field.name, hints[field.name], helps.get(field.name, ""), default=field.default,
            metavar=(metavars or {}).get(field.name, ""), pair=pair and not field.name.startswith("no_"),
        )
        for field in dataclasses.fields(source)
    )  # fmt: skip


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
    if "--help" in arguments or "-h" in arguments:
        print_help(command, about, positional, groups, examples)
        raise SystemExit(0)
    said, refused = io.StringIO(), list[UsageError]()
    form = _form(positional, groups, refused)
    try:
        with contextlib.redirect_stderr(said):
            result, unknown = tyro.cli(
                form, prog=command, args=list(arguments), return_unknown_args=True, add_help=False,
                config=(tyro.conf.DisallowNone,),
            )  # fmt: skip
    except SystemExit:
        why = str(refused[0]) if refused else _in_one_line(said.getvalue())
        raise UsageError(f"{why} (see {command} --help)") from None
    options = [option for group in groups for option in group.options]
    values = {option.name: getattr(result, option.name) for option in (*positional, *options)}
    given = {name: value for name, value in values.items() if value is not None}
    _refuse_unknown(unknown, command, options, takes_words=bool(positional))
    for option in (*positional, *options):
        if option.required and not given.get(option.name):
            what = option.metavar if option in positional else f"{option.flag} {option.metavar}"
            verb = command.removeprefix("rondo ")
            raise UsageError(f"{verb} needs {what}: {option.help.rstrip('.')} (see {command} --help)")
    return given


def _form(positional: Sequence[Option], groups: Sequence[Group], refused: list[UsageError]) -> Any:
    """The dataclass that tyro reads: positional arguments and options, each None if it is not given.

    What is wrong with a value is put into ``refused``: tyro says it in a box, among other things.
    """
    options = [option for group in groups for option in group.options]
    kinds = [(option.name, _POSITIONAL[_annotated(option, refused)]) for option in positional]
    kinds += [(option.name, _annotated(option, refused)) for option in options]
    fields = [(name, kind, dataclasses.field(default=None)) for name, kind in kinds]
    return dataclasses.make_dataclass("arguments", fields)


def _annotated(option: Option, refused: list[UsageError]) -> Any:
    """The type under which tyro knows an option: a flag, or words that `_value` converts."""
    if option.is_flag:
        return bool | None if option.pair else _WITHOUT_PAIR[bool | None]
    kind = option.plain_kind

    def read(words: list[str]) -> Any:
        try:
            return _value(option, kind, words)
        except UsageError as error:
            refused.append(error)
            raise

    spec = PrimitiveConstructorSpec(
        nargs="*" if option.many or option.any_number else len(get_args(kind)) if get_origin(kind) is tuple else 1,
        metavar=option.shown_metavar,
        instance_from_str=read,
        is_instance=lambda value: True,
        str_from_instance=lambda value: [str(value)],
    )
    return Annotated[Any, spec]


def _value(option: Option, kind: Any, words: list[str]) -> Any:
    """The value that the words of the command line say."""
    if option.many or not words:
        return list(words) or None
    if option.any_number:
        return tuple(_number(option.flag, word, get_args(kind)[0]) for word in words)
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


def _refuse_unknown(unknown: Sequence[str], command: str, options: Sequence[Option], *, takes_words: bool) -> None:
    if not unknown:
        return
    flags = [word.partition("=")[0] for word in unknown if word.startswith("-") and len(word) > 1]
    if not flags and not takes_words:
        verb = command.removeprefix("rondo ")
        raise UsageError(f"{verb} takes no files, but '{unknown[0]}' was given (see {command} --help)")
    if not flags:
        raise UsageError(
            f"'{unknown[0]}' belongs to no option: names of files come first, the options after them "
            f"(see {command} --help)"
        )
    known = [option.flag for option in options]
    known += [option.opposite for option in options if option.is_flag and option.pair]
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
    found = nearest(flag, known, cutoff=0.55)
    return found if "did you mean" in found else ""
