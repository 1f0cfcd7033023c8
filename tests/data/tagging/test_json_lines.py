"""Sentences from JSON lines, plain lines and lists: tokens with tags, texts with spans, and back again."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rondo.data.tagging import (
    SCHEMES,
    Sentence,
    TokenFormat,
    as_sentences,
    cut,
    iter_parts,
    iter_sentences,
    read_sentences,
    spans_with_text,
    write_part,
)
from rondo.errors import DataError, UsageError

TEXT = "Ada Lovelace met Mr. Babbage."
SPANS = [{"start": 0, "end": 12, "label": "PER"}, {"start": 21, "end": 28, "label": "PER"}]


def read(*objects: Any, tagged: bool | None = True, **options: Any) -> list[Sentence]:
    text = "".join((item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)) + "\n" for item in objects)
    return list(iter_sentences(io.StringIO(text), TokenFormat(format="jsonl", **options), tagged=tagged))


def test_tokens_and_tags() -> None:
    (first, second) = read({"tokens": ["a", "b"], "tags": ["O", "B-X"]}, "", {"tokens": [], "tags": [], "id": 7})
    assert (first.tokens, first.tags) == (("a", "b"), ("O", "B-X"))
    assert (second.tokens, second.tags, str(second.origin)) == ((), (), "the input, line 3")
    (named,) = read({"w": ["a"], "tags": ["O"], "pos": ["N"]}, token_column="w", tag_column="pos")
    assert named.tags == ("N",)
    (untagged,) = read({"words": ["a"]}, tagged=None)
    assert untagged.tags is None
    (passed_over,) = read({"words": ["a"], "ner_tags": [3]}, tagged=False)
    assert passed_over.tags is None


@pytest.mark.parametrize("as_list", [False, True])
def test_texts_and_spans(as_list: bool) -> None:
    spans: list[Any] = [[span["start"], span["end"], span["label"]] for span in SPANS] if as_list else SPANS
    (sentence,) = read({"text": TEXT, "spans": spans[::-1]})
    assert sentence.tokens == ("Ada", "Lovelace", "met", "Mr", ".", "Babbage", ".")
    assert sentence.tags == ("B-PER", "I-PER", "O", "O", "O", "B-PER", "O")
    (characters,) = read({"text": TEXT, "label": spans}, unit="characters")
    assert len(characters) == 25
    assert (characters.tags or ())[:12] == ("B-PER",) + ("I-PER",) * 10 + ("O",)
    assert spans_with_text(characters, characters.tags or ())[0] == {**SPANS[0], "text": "Ada Lovelace"}


def test_spans_that_do_not_fit_the_tokens() -> None:
    item = {"text": "Lovelaces", "spans": [[0, 8, "PER"]]}
    with pytest.raises(
        DataError, match=r"line 1: the span from 0 to 8 \(PER\), 'Lovelace', begins or ends within a token"
    ):
        read(item)
    assert read(item, misaligned="widen")[0].tags == ("B-PER",)
    assert read(item, misaligned="drop")[0].tags == ("O",)
    assert read(item, unit="characters")[0].tags == ("B-PER",) + ("I-PER",) * 7 + ("O",)
    blank = {"text": "a  b", "spans": [[1, 3, "X"]]}
    assert read(blank, misaligned="widen")[0].tags == ("O", "O")
    with pytest.raises(DataError, match="begins or ends within a token"):
        read(blank)
    with pytest.raises(DataError, match="overlaps the one before it"):
        read({"text": "a b c", "spans": [[0, 3, "X"], [2, 5, "Y"]]})
    with pytest.raises(DataError, match="not within the text, which has 3 characters"):
        read({"text": "a b", "spans": [[2, 4, "X"]]})


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("{nonsense", "line 1: this is not JSON"),
        ("[1, 2]", "line 1: expected an object"),
        ("[" * 100_000, "not JSON|nested too deeply"),
        ({"word": 1, "tags": []}, "'word' is a list, not 1"),
        ({"sentences": ["a"]}, 'line 1: expected "tokens", a list of texts, or "text"'),
        ({"tokens": ["a"]}, 'expected "tags", a list of names, or "spans"'),
        ({"tokens": ["a", "b"], "tags": ["O"]}, "line 1: 2 tokens have 1 tags"),
        ({"tokens": ["a"], "tags": [3]}, "not of 3; tags are names: write those the numbers stand for"),
        ({"tokens": ["a", ""], "tags": ["O", "O"]}, "texts that are not empty"),
        ({"text": "a", "spans": [{"start": 0, "label": "X"}]}, 'a span is {"start"'),
        ({"text": "a", "spans": [[0, 1]]}, 'a span is {"start"'),
        ({"text": "a", "spans": {"X": 1}}, "'spans' is a list"),
    ],
)
def test_errors_name_the_line(item: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(item)


def test_asked_for_names_must_be_there() -> None:
    with pytest.raises(DataError, match=r"no 'tag' \(--tag-column\); did you mean 'tags'"):
        read({"tokens": ["a"], "tags": ["O"]}, tag_column="tag")


@pytest.mark.parametrize(
    "item",
    [
        {"id": 3, "tokens": ["a", "天"], "tags": ["O", "B-X"], "more": {"x": None}},
        {"text": TEXT, "spans": [[0, 12, "PER"]], "id": "z"},
        {"text": TEXT, "entities": [{**SPANS[0], "text": "Ada Lovelace"}]},
        {"words": [], "ner": []},
    ],
)
def test_what_is_read_is_written_back(item: dict[str, Any]) -> None:
    lines = json.dumps(item, ensure_ascii=False) + "\n\n"
    parts = iter_parts(io.StringIO(lines), TokenFormat(format="jsonl"))
    assert "".join(write_part(part, getattr(part, "tags", None)) for part in parts) == lines


def test_other_tags_are_written_in_the_place_of_the_old_ones() -> None:
    def written(item: dict[str, Any], tags: list[str], **options: Any) -> dict[str, Any]:
        (part,) = iter_parts(
            io.StringIO(json.dumps(item)), TokenFormat(format="jsonl"), tagged=options.pop("tagged", None)
        )
        return json.loads(write_part(part, tags, **options))

    assert written({"tokens": ["a"], "ner": ["O"]}, ["B-X"]) == {"tokens": ["a"], "ner": ["B-X"]}
    assert written({"tokens": ["a"]}, ["B-X"]) == {"tokens": ["a"], "tags": ["B-X"]}
    spans = [{"start": 2, "end": 3, "label": "X", "text": "b"}]
    assert written({"text": "a b"}, ["O", "S-X"], scheme=SCHEMES["BIOES"]) == {"text": "a b", "spans": spans}
    assert written({"text": "a b", "label": [[0, 1, "Y"]]}, ["O", "B-X"]) == {"text": "a b", "label": [[2, 3, "X"]]}


def test_lines_of_text() -> None:
    options = TokenFormat(format="lines")
    parts = list(iter_parts(io.StringIO("Ada came.\n\n她来了 OK\n"), options, tagged=False))
    sentences = [part for part in parts if isinstance(part, Sentence)]
    assert [sentence.tokens for sentence in sentences] == [("Ada", "came", "."), (), ("她", "来", "了", "OK")]
    assert "".join(write_part(s, ["O"] * len(s)) for s in sentences) == "O O O\n\nO O O O\n"
    (only, *_) = iter_sentences(io.StringIO("Ada came.\n"), TokenFormat(format="lines", unit="blanks"), tagged=None)
    assert only.tokens == ("Ada", "came.")
    with pytest.raises(UsageError, match="lines of text have no tags"):
        list(iter_sentences(io.StringIO("a\n"), options))


def test_a_file_of_tags_beside_a_file_of_lines(tmp_path: Path) -> None:
    texts, tags = tmp_path / "texts.txt", tmp_path / "tags.txt"
    texts.write_text("Ada came.\n\nShe left\n", encoding="utf-8")
    tags.write_text("B-PER O\n\nO O\n", encoding="utf-8")
    found = read_sentences(texts, labels=tags)
    assert [(s.tokens, s.tags, s.origin.number) for s in found] == [
        (("Ada", "came."), ("B-PER", "O"), 1),
        (("She", "left"), ("O", "O"), 3),
    ]
    tags.write_text("B-PER O O\n\nO O\n", encoding="utf-8")
    assert len(read_sentences(texts, TokenFormat(unit="words"), labels=tags)[0]) == 3
    with pytest.raises(DataError, match=r"texts\.txt, line 1 and .*tags\.txt: 2 tokens have 3 tags"):
        read_sentences(texts, labels=tags)
    tags.write_text("B-PER O\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"tags\.txt ends after 1 lines, .*texts\.txt does not"):
        read_sentences(texts, labels=tags)
    tags.write_text("B-PER O\n\nO O\nO\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"texts\.txt ends after 3 lines, .*tags\.txt does not"):
        read_sentences(texts, labels=tags)
    tags.write_text("B-PER O\n\nO O\n\n\n", encoding="utf-8")
    assert len(read_sentences(texts, labels=tags)) == 2
    with pytest.raises(UsageError, match="not with several"):
        read_sentences([texts, texts], labels=tags)


def test_the_kind_of_a_file_is_found(tmp_path: Path) -> None:
    line = json.dumps({"tokens": ["a"], "tags": ["O"]}) + "\n"
    for name, text in (("a.txt", line), ("b.jsonl", "\n" + line), ("c.txt", "a O\n"), ("d.conll", "{ O\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert len(read_sentences(tmp_path / name)[0]) == 1
    assert read_sentences(tmp_path / "a.txt", TokenFormat(format="columns", separator="blank"), tagged=False)[0].tokens
    with pytest.raises(DataError, match="this is not JSON"):
        read_sentences(tmp_path / "c.txt", TokenFormat(format="jsonl"))


def test_lists() -> None:
    found = as_sentences([["a", "b"], ("c",), []], [["O", "B-X"], np.array(["O"]), []], groups=[1, 1, 2])
    assert [(s.tokens, s.tags, s.group) for s in found] == [
        (("a", "b"), ("O", "B-X"), 1),
        (("c",), ("O",), 1),
        ((), (), 2),
    ]
    assert type((found[1].tags or ())[0]) is str
    assert str(found[1].where(0)) == "sentence 2"
    (text,) = as_sentences(["张三在"], [["B-PER", "I-PER", "O"]], unit="characters")
    assert text.tokens == ("张", "三", "在")
    assert spans_with_text(text, text.tags or ()) == [{"start": 0, "end": 2, "label": "PER", "text": "张三"}]


@pytest.mark.parametrize(
    ("tokens", "tags", "error", "message"),
    [
        ("text", None, UsageError, "tokens come as a list of sentences"),
        ([["a"]], [["O"], ["O"]], DataError, "1 sentences have 2 lists of tags"),
        ([["a"], ["b", "c"]], [["O"], ["O"]], DataError, "sentence 2: 2 tokens have 1 tags"),
        (["a b"], None, DataError, "sentence 1 is a text"),
        ([["a"]], ["O"], DataError, "sentence 1: expected a list of tags, not 'O'"),
        ([["a", 3]], None, DataError, "sentence 1: a token is a text that is not empty, not 3"),
        ([["a", ""]], None, DataError, "not ''"),
        ([["a", None]], None, DataError, "not None"),
    ],
)
def test_lists_that_do_not_match(tokens: Any, tags: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        as_sentences(tokens, tags)


def test_groups_must_be_as_many_as_sentences() -> None:
    with pytest.raises(DataError, match="1 sentences have 2 groups"):
        as_sentences([["a"]], groups=[1, 2])


def test_what_texts_are_cut_into() -> None:
    text = "Don't pay 3.5€ 給他們！"
    assert cut(text, "words")[0] == ("Don", "'", "t", "pay", "3", ".", "5", "€", "給", "他", "們", "！")
    assert cut(text, "blanks")[0] == ("Don't", "pay", "3.5€", "給他們！")
    assert "".join(cut(text, "characters")[0]) == text.replace(" ", "")
    for unit in ("words", "blanks", "characters"):
        tokens, places = cut(text, unit)
        assert tuple(text[start:stop] for start, stop in places) == tokens
    with pytest.raises(UsageError, match="not 'pieces'"):
        cut(text, "pieces")  # type: ignore[arg-type]


def test_places_without_a_text() -> None:
    (sentence,) = as_sentences([["Ada", "L", "came"]])
    assert sentence.laid_out() == ("Ada L came", ((0, 3), (4, 5), (6, 10)))
    assert sentence.laid_out(joint="") == ("AdaLcame", ((0, 3), (3, 4), (4, 8)))
    found = spans_with_text(sentence, ["B-PER", "I-PER", "O"], joint="_")
    assert found == [{"start": 0, "end": 5, "label": "PER", "text": "Ada_L"}]
    (empty,) = as_sentences([[]])
    assert empty.laid_out() == ("", ())


def test_a_key_says_what_a_sentence_belongs_to() -> None:
    lines = ['{"tokens": ["a"], "tags": ["O"], "doc": "x"}', '{"tokens": ["b"], "tags": ["O"], "doc": 7}']
    options = TokenFormat(format="jsonl")
    found = list(iter_sentences(io.StringIO("\n".join(lines)), options, group_column="doc"))
    assert [sentence.group for sentence in found] == ["x", 7]
    with pytest.raises(DataError, match=r"line 1: there is no 'docs' \(--group-column\).*did you mean 'doc'"):
        list(iter_sentences(io.StringIO(lines[0]), options, group_column="docs"))
    with pytest.raises(DataError, match=r"'tags' .--group-column. is a name or a number"):
        list(iter_sentences(io.StringIO(lines[0]), options, group_column="tags"))
