"""Options from documented dataclasses: what is given, what is refused, what the help says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest
from rich.cells import cell_len

from rondo.cli.arguments import Group, Option, options_of, parse
from rondo.errors import UsageError
from rondo.tasks.documented import field_helps


@dataclass
class Plain:
    """Options."""

    count: int = 3
    """How
    many."""
    share: float = 0.0
    """A share."""
    name: str | None = None
    """A name."""
    kind: Literal["first", "second"] = "first"
    """Which."""
    both: tuple[float, float] | None = None
    """Two numbers."""
    flag: bool = False
    """A flag."""
    tied: bool | None = None
    """Three states."""


@dataclass
class Special(Plain):
    count: int = 5
    """How many here."""
    extra: int = 0
    """One more."""


FILES = Option("files", str, "Files.", metavar="FILE ...", many=True)


def given(*arguments: str, **more: Any) -> dict[str, Any]:
    group = Group("plain", "About them.", options_of(Plain))
    return parse(arguments, command="rondo test", about="A test.", examples=["rondo test 1"], positional=[FILES],
                 groups=[group], **more)  # fmt: skip


def test_only_what_was_given_is_in_the_result() -> None:
    assert given() == {}
    assert given("--count", "4") == {"count": 4}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--count=-2", {"count": -2}),
        ("--share 1e-3", {"share": 0.001}),
        ("--share 2", {"share": 2.0}),
        ("--name a --name b", {"name": "b"}),
        ("--kind second", {"kind": "second"}),
        ("--both 1 0.5", {"both": (1.0, 0.5)}),
        ("--flag", {"flag": True}),
        ("--no-flag", {"flag": False}),
        ("--tied a b", {"tied": True, "files": ["a", "b"]}),
        ("--no-tied", {"tied": False}),
        ("a b --count 1", {"files": ["a", "b"], "count": 1}),
        ("--count 1 a b", {"files": ["a", "b"], "count": 1}),
    ],
)
def test_values_have_their_types(words: str, expected: dict[str, Any]) -> None:
    assert given(*words.split()) == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--count many", "--count needs a whole number, not 'many'"),
        ("--count 1.5", "--count needs a whole number, not '1.5'"),
        ("--share big", "--share needs a number, not 'big'"),
        ("--kind secnd", "--kind cannot be 'secnd'; did you mean 'second'?"),
        ("--count", "--count needs a value"),
        ("--both 1", "--both needs 2 values"),
        ("--both 1 x", "--both needs a number, not 'x'"),
        ("--conut 3", "unknown option '--conut'; did you mean '--count'?"),
        ("--shar=3", "unknown option '--shar'; did you mean '--share'?"),
        ("--no-tide", "unknown option '--no-tide'; did you mean '--no-tied'?"),
        ("a --zzzzzz", "unknown option '--zzzzzz' (see rondo test --help)"),
        ("-x", "unknown option '-x'"),
        ("a --flag b", "'b' belongs to no option"),
    ],
)
def test_what_cannot_be_understood_is_said(words: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        given(*words.split())
    message = str(caught.value).replace(" (see rondo test --help)", "")
    assert message.startswith(said.removesuffix(" (see rondo test --help)"))
    assert "Error parsing" not in message


def test_a_required_value_is_asked_for_by_name() -> None:
    out = Option("out", str, "where it goes.", metavar="DIR", required=True)
    with pytest.raises(UsageError, match=r"^test needs --out DIR: where it goes \(see rondo test --help\)"):
        parse([], command="rondo test", about="", examples=[], groups=[Group("out", "", (out,))])


def test_a_flag_without_a_pair_has_no_opposite() -> None:
    alone = Group("alone", "", options_of(Plain, pair=False))
    with pytest.raises(UsageError, match="unknown option '--no-flag'"):
        parse(["--no-flag"], command="rondo test", about="", examples=[], groups=[alone])


def test_help_is_complete(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        given("--help")
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.endswith("\nexamples\n  rondo test 1\n")
    for said in ("How many. (default: 3)", "(default: 0)", "{first,second}", "NUMBER NUMBER", "--flag, --no-flag",
                 "\nplain: About them.\n", "A test.", "usage: rondo test [FILE ...] [OPTIONS]\n"):  # fmt: skip
        assert said in text
    assert "None" not in text


def test_no_line_of_the_help_is_wider_than_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    wide = (
        Option("form", str, "五言绝句，七言绝句，五言律诗，七言律诗，" * 5),
        Option("a_name_that_is_long", int, "x " * 90),
    )
    with pytest.raises(SystemExit):
        parse(["--help"], command="rondo test", about="", examples=[], groups=[Group("wide", "", wide)])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(cell_len, lines)) <= 60
    assert len(lines) > 10


def test_the_text_of_a_subclass_counts() -> None:
    helps = field_helps(Special)
    assert helps["count"] == "How many here."
    assert helps["share"] == "A share."
    assert {option.name: option.default for option in options_of(Special)}["count"] == 5


def test_an_option_of_any_number_of_values() -> None:
    option = Option("levels", tuple[float, ...], "Levels.")
    groups = [Group("g", "", (option, Option("names", tuple[str, ...], "Names.")))]

    def parsed(*words: str) -> dict[str, Any]:
        return parse(words, command="rondo x", about="", examples=(), groups=groups)

    assert parsed("--levels", "0.1", "0.9", "--names", "a b") == {"levels": (0.1, 0.9), "names": ("a b",)}
    assert option.shown_metavar == "NUMBER ..."
    with pytest.raises(UsageError, match="--levels needs a number, not 'x'"):
        parsed("--levels", "0.1", "x")
