"""Sentences from columns: which column, what parts them, comments, headers, documents, and back again."""

from __future__ import annotations

import gzip
import io
import itertools
import lzma
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rondo.data.tagging import Sentence, TokenFormat, iter_parts, iter_sentences, read_sentences, write_part
from rondo.errors import DataError, UsageError

CONLL = """-DOCSTART- -X- O O

EU NNP I-NP I-ORG
rejects VBZ I-VP O
German JJ I-NP I-MISC

Peter NNP I-NP I-PER


-DOCSTART- -X- O O

# NN I-NP O
1 CD I-NP O
"""


def read(text: str, tagged: bool | None = True, **options: Any) -> list[Sentence]:
    return list(iter_sentences(io.StringIO(text), TokenFormat(**options), tagged=tagged))


def again(text: str, tagged: bool | None = None, append: bool = False, tag: str | None = None, **options: Any) -> str:
    """What is read, written back: with its own tags, or all with ``tag``."""
    parts = iter_parts(io.StringIO(text), TokenFormat(**options), tagged=tagged)
    return "".join(
        write_part(part, [tag] * len(part.tokens) if tag else part.tags, append=append)
        if isinstance(part, Sentence)
        else write_part(part)
        for part in parts
    )


def pairs(sentences: list[Sentence]) -> list[list[tuple[str, str]]]:
    return [list(zip(sentence.tokens, sentence.tags or (), strict=True)) for sentence in sentences]


def test_the_form_of_the_shared_task() -> None:
    sentences = read(CONLL)
    assert [sentence.tokens for sentence in sentences] == [("EU", "rejects", "German"), ("Peter",), ("#", "1")]
    assert sentences[0].tags == ("I-ORG", "O", "I-MISC")
    assert [sentence.group for sentence in sentences] == [("the input", 1), ("the input", 1), ("the input", 2)]
    assert [str(sentences[2].where(index)) for index in (0, 1)] == ["the input, line 12", "the input, line 13"]
    assert str(sentences[0].origin) == "the input, line 3"
    assert len(sentences[0]) == 3


@pytest.mark.parametrize(
    ("options", "tokens", "tags"),
    [
        ({}, ("EU", "rejects", "German"), ("I-ORG", "O", "I-MISC")),
        ({"tag_column": "3"}, ("EU", "rejects", "German"), ("I-NP", "I-VP", "I-NP")),
        ({"tag_column": "-3"}, ("EU", "rejects", "German"), ("NNP", "VBZ", "JJ")),
        ({"token_column": "4", "tag_column": "1"}, ("I-ORG", "O", "I-MISC"), ("EU", "rejects", "German")),
    ],
)
def test_any_column_by_its_number(options: dict[str, str], tokens: tuple[str, ...], tags: tuple[str, ...]) -> None:
    (first, *_) = read(CONLL, **options)
    assert (first.tokens, first.tags) == (tokens, tags)


def test_columns_by_name() -> None:
    text = "id\tpos\tword\tchunk\n1\tNNP\tEU\tB-NP\n\n1\tJJ\tGerman\tB-NP\n"
    assert pairs(read(text, token_column="word", tag_column="pos")) == [[("EU", "NNP")], [("German", "JJ")]]
    assert pairs(read(text, token_column="3", tag_column="chunk")) == [[("EU", "B-NP")], [("German", "B-NP")]]
    with pytest.raises(DataError, match=r"no column 'wrd' \(--token-column\); did you mean 'word'"):
        read(text, token_column="wrd")
    with pytest.raises(DataError, match="4 columns; --tag-column 5 is not one of them"):
        read(text, tag_column="5", header="yes")


def test_a_header_with_usual_names_is_one() -> None:
    text = "Token\tNER\tpos\nEU\tB-ORG\tNNP\n"
    assert pairs(read(text)) == [[("EU", "B-ORG")]]
    assert pairs(read(text, header="no")) == [[("Token", "pos"), ("EU", "NNP")]]
    assert pairs(read("a b\nEU O\n", header="yes")) == [[("EU", "O")]]
    assert pairs(read("word O\nEU O\n")) == [[("word", "O"), ("EU", "O")]]
    declared = "# global.columns = ID FORM X NER\n# sent_id = 1\n1\tEU\t_\tB-ORG\n"
    assert pairs(read(declared)) == [[("EU", "B-ORG")]]
    assert pairs(read(declared, token_column="X", tag_column="ID")) == [[("_", "1")]]


def test_tabs_and_blanks() -> None:
    assert pairs(read("New York\tB-LOC\n \tO\n")) == [[("New York", "B-LOC"), (" ", "O")]]
    assert pairs(read("EU   NNP O\n EU NNP\t O\n")) == [[("EU", "O"), ("EU", "O")]]
    assert read("EU x\tO y\n")[0].tokens == ("EU x",)
    assert read("EU x\tO y\n", separator="blank")[0].tokens == ("EU",)
    with pytest.raises(DataError, match="one column"):
        read("EU O\n", separator="tab")
    # Ideographic and no-break blanks are tokens like others.
    assert read("\u3000 O\n\xa0 O\n")[0].tokens == ("\u3000", "\xa0")


def test_comments() -> None:
    text = "# id = 1\n#tag\tO\na\tO\n# text\tO\n\n# b c\n# d\nb\tO\n"
    assert [sentence.tokens for sentence in read(text)] == [("#tag", "a", "# text"), ("b",)]
    assert [sentence.tokens for sentence in read(text, comments="yes")] == [("a",), ("b",)]
    with pytest.raises(DataError, match="line 2: 2 columns, where the file has 4"):
        read(text, comments="no")
    # With blanks between the columns, what has as many columns as the others is a token.
    assert [sentence.tokens for sentence in read("# O\na O\n\n# x y\n# O\n")] == [("#", "a"), ("#",)]


def test_empty_lines_one_token_and_no_end() -> None:
    assert pairs(read("\n\n \na O\n\t\n\n\nb O\nc O")) == [[("a", "O")], [("b", "O"), ("c", "O")]]
    assert pairs(read("a O\r\n\r\nb O\r\n")) == [[("a", "O")], [("b", "O")]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a O\nb\n",
            "the input, line 2: 1 column, where the file has 2 at its beginning; a token that is or has a blank",
        ),
        ("a\tO\nb\tX\tO\n", "the input, line 2: 3 columns, where the file has 2 at its beginning$"),
        ("a\tO\n\tO\n", "the input, line 2: there is no token in column 1"),
        ("a\tO\nb\t\n", "the input, line 2: there is no tag in column 2"),
        ("a\nb\n", "one column; expected tokens and their tags"),
        ("\n \n", "no sentences: all of its lines are empty"),
    ],
)
def test_errors_name_the_line(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(text)


def test_one_column_for_both_is_refused() -> None:
    with pytest.raises(DataError, match="both in column 2"):
        read("a O\n", token_column="2")


def test_tags_that_are_not_asked_for() -> None:
    (untagged,) = read("a\nb\n", tagged=None)
    assert untagged.tags is None
    (passed_over,) = read("a X O\n", tagged=False)
    assert passed_over.tags is None
    (found,) = read("a X O\n", tagged=None)
    assert found.tags == ("O",)


@pytest.mark.parametrize(
    "text",
    [
        CONLL,
        "# id\nNew York\tx\tB-LOC\n\n\n# c\n \tx\tO\n",
        "word\ttag\nEU\tO\n",
        "EU   NNP    O  \n x  y\tO\n",
        "-DOCSTART-\n\na O\n\n-DOCSTART-\nb O\n\n",
        "\n\na O\n",
    ],
)
def test_what_is_read_is_written_back(text: str) -> None:
    assert again(text) == text


def test_comments_within_a_sentence_stay_where_they_are() -> None:
    text = "a\tO\n# note\nb\tO\n\n"
    (sentence,) = read(text, comments="yes")
    assert sentence.tokens == ("a", "b")
    assert [sentence.where(index).number for index in (0, 1)] == [1, 3]
    assert again(text, comments="yes") == text
    assert again(text, comments="yes", tag="X") == "a\tX\n# note\nb\tX\n\n"


def test_other_tags_take_the_place_of_the_old_ones_or_stand_beside_them() -> None:
    assert again("a  N  O\nb N O\n", tag="B-X") == "a  N  B-X\nb N B-X\n"
    assert again("a  N  O\nb N O\n", tag="B-X", append=True) == "a  N  O B-X\nb N O B-X\n"
    assert again("a\tN\tO\n", tag="X", tag_column="2") == "a\tX\tO\n"
    assert again("a\tN\tO\n", tag="X", append=True) == "a\tN\tO\tX\n"
    assert again("a\nb\n\nc\n", tag="X") == "a X\nb X\n\nc X\n"
    assert again("a N\n", tag="X", tagged=False) == "a N X\n"
    # A line that begins a document is outside, and gets a column as the others do.
    assert again("-DOCSTART- O\n\na O\n", tag="X", append=True) == "-DOCSTART- O O\n\na O X\n"


def test_tags_must_be_as_many_as_tokens() -> None:
    (part,) = iter_parts(io.StringIO("a O\nb O\n"))
    with pytest.raises(DataError, match="line 1: 2 tokens have 1 tags"):
        write_part(part, ["O"])
    with pytest.raises(DataError, match="2 tokens have 0 tags"):
        write_part(part)


def test_files_of_any_kind(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(CONLL, encoding="utf-16")
    (tmp_path / "b.gz").write_bytes(gzip.compress(CONLL.encode(), mtime=0))
    (tmp_path / "c.conll.xz").write_bytes(lzma.compress("字 O\n".encode() * 30))
    found = read_sentences([tmp_path / "a.txt", tmp_path / "b.gz", tmp_path / "c.conll.xz"])
    assert [sentence.tokens for sentence in found[:3]] == [sentence.tokens for sentence in found[3:6]]
    assert found[0].group != found[3].group
    assert found[6].tokens == ("字",) * 30
    assert found[6].source is None
    (tmp_path / "d.txt").write_bytes("字 O\n".encode("gb18030"))
    (found_d,) = read_sentences(tmp_path / "d.txt", TokenFormat(encoding="gb18030"))
    assert found_d.tokens == ("字",)
    (tmp_path / "e.txt").write_text("-DOCSTART- O\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"e\.txt has no sentences"):
        read_sentences(tmp_path / "e.txt")
    with pytest.raises(UsageError, match="no files"):
        read_sentences([])


def test_a_file_of_any_size_is_streamed() -> None:
    def endless() -> Iterator[str]:
        for number in itertools.count():
            yield from (f"word{number}\tO\n", "and\tB-X\n", "\n")

    parts = iter_parts(endless(), tagged=True)  # type: ignore[arg-type]
    for _ in itertools.islice(parts, 2000):
        pass
    tracemalloc.start()
    for part in itertools.islice(parts, 20_000):
        write_part(part, ["O", "O"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000


def test_a_line_that_begins_a_document_is_written_back_as_it_was() -> None:
    text = "-DOCSTART- -X- O O\n\nEU NNP O O\n"
    assert again(text, tag_column="2", tag="B-X") == "-DOCSTART- -X- O O\n\nEU B-X O O\n"
    assert again(text, tag="B-X", append=True) == "-DOCSTART- -X- O O O\n\nEU NNP O O B-X\n"


def test_a_column_says_what_a_sentence_belongs_to() -> None:
    text = "-DOCSTART- - - -\n\na d1 x O\nb d1 x O\n\nc d2 y O\n"
    for asked, groups in (("2", ["d1", "d2"]), ("3", ["x", "y"])):
        found = list(iter_sentences(io.StringIO(text), TokenFormat(), group_column=asked))
        assert [sentence.group for sentence in found] == groups
        assert [sentence.tags for sentence in found] == [("O", "O"), ("O",)]
    (named,) = iter_sentences(io.StringIO("a doc tag\nb d1 O\n"), TokenFormat(), group_column="doc")
    assert (named.tokens, named.group) == (("b",), "d1")
    with pytest.raises(DataError, match=r"no column 'docs'.*did you mean"):
        list(iter_sentences(io.StringIO("word doc tag\na d O\n"), TokenFormat(), group_column="docs"))
