"""Plain text and columns told apart, where what is to be tagged may be either."""

from __future__ import annotations

import io
from typing import Any

import pytest

from rondo.data.tagging import Expected, Sentence, TokenFormat, Verbatim, iter_parts
from rondo.errors import DataError


def tokens(text: str, *, characters: bool = False, lines: int = 2, **options: Any) -> list[tuple[str, ...]]:
    expected = Expected(characters, lambda word: word in ("O", "B-PER", "I-PER"), lines=lines)
    parts = iter_parts(io.StringIO(text), TokenFormat(**options), expected=expected)
    return [part.tokens for part in parts if isinstance(part, Sentence) and not part.marker]


@pytest.mark.parametrize(
    ("text", "characters", "expected"),
    [
        ("John lives in Paris.\n", False, [("John", "lives", "in", "Paris", ".")]),
        ("John lives here\nSo do I\n", False, None),
        ("John lives\nAnd so do I\n\n", False, [("John", "lives"), ("And", "so", "do", "I"), ()]),
        ("John x B-PER\nlives y O\n", False, [("John", "lives")]),
        ("John _\nlives _\n", False, [("John", "lives")]),
        ("John\nlives\n\nhere\n", False, [("John", "lives"), ("here",)]),
        ("John\tNNP\nlives\tVB\n", False, [("John", "lives")]),
        ("word tag\nJohn NNP\nlives VB\n", False, [("John", "lives")]),
        ("-DOCSTART- -X-\n\nJohn NNP\nlives VB\n", False, [("John", "lives")]),
        ("EU NNP\n\nrejects VB\n", False, None),
        ("张三,北大。\n", True, [tuple("张三,北大。")]),
        ("张三\n李四\n", True, [tuple("张三"), tuple("李四")]),
        ("是\n我来到北京\n", True, [("是",), tuple("我来到北京")]),
        ("2001\n年\n", True, [("2001", "年")]),
        ("张\n三\n\n李\n", True, [("张", "三"), ("李",)]),
        ("张 B-PER\n三 I-PER\n", True, [("张", "三")]),
        ("张三 去\n", True, [("张", "三", "去")]),
    ],
)
def test_what_is_to_be_tagged(text: str, characters: bool, expected: list[tuple[str, ...]] | None) -> None:
    unit = {"unit": "characters"} if characters else {}
    if expected is None:
        with pytest.raises(DataError, match=r"line 1: .*--format lines.*--format columns"):
            tokens(text, characters=characters, **unit)
    else:
        assert tokens(text, characters=characters, **unit) == expected


def test_what_is_said_counts() -> None:
    said = "John lives in\nOslo he says\n"
    assert tokens(said, format="columns") == [("John", "Oslo")]
    assert tokens(said, format="lines") == [("John", "lives", "in"), ("Oslo", "he", "says")]
    assert tokens("B-PER x\nO y\n", tag_column="1", token_column="2") == [("x", "y")]
    assert tokens("so B-PER it\nwas O then\n", tag_column="2") == [("so", "was")]


def test_no_more_lines_are_read_than_may_be() -> None:
    def lines() -> Any:
        yield "John lives here\n"
        raise AssertionError("the second line was asked for")

    expected = Expected(False, lambda word: False, lines=1)
    assert next(iter_parts(lines(), expected=expected)).tokens == ("John", "lives", "here")  # type: ignore[union-attr]


def test_files_that_a_reader_of_columns_refuses_name_the_other_way() -> None:
    with pytest.raises(DataError, match=r"line 2: 3 columns.*--format lines"):
        list(iter_parts(io.StringIO("so it\nwas then too\n")))
    parts = list(iter_parts(io.StringIO("# a note\n\nso it\n"), expected=Expected(False, lambda word: word == "it")))
    assert isinstance(parts[0], Verbatim)
