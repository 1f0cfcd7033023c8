"""Texts as tokens: words, characters, pieces; what is cut; what is written down."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rondo.errors import DataError, ModelError
from rondo.tasks.classify.encoder import TextEncoder
from rondo.tasks.classify.options import ClassifyData

TEXTS = ["A good film, isn't it? A well-made one!<br />Good's the word.", "it's not 'bad' n't 's ok ok", "", "  "]


def made(texts: list[str] = TEXTS, **options: Any) -> TextEncoder:
    return TextEncoder.train(texts, ClassifyData(**{"min_count": 1, **options}))


def shown(encoder: TextEncoder, text: str) -> list[str]:
    return [encoder.tokenizer.token(number) for number in encoder.encode(text).tolist()]


def test_words_and_marks_are_tokens() -> None:
    encoder = made()
    assert encoder.level == "words"
    expected = "a good film , isn't it ? a well-made one ! good's the word .".split()  # noqa: SIM905
    assert shown(encoder, TEXTS[0]) == expected
    assert shown(encoder, TEXTS[1]) == ["it's", "not", "'bad", "'", "n't", "'s", "ok", "ok"]
    assert shown(made(lowercase=False), TEXTS[0])[:2] == ["A", "good"]
    assert shown(encoder, "GOOD!") == ["good", "!"]
    assert shown(encoder, "never seen") == ["<unk>", "<unk>"]
    assert len(encoder.encode("")) == len(encoder.encode(" \n")) == 0


def test_texts_without_blanks_are_read_by_characters() -> None:
    texts = ["这个酒店很好，早餐也不错。 Good", "房间太小了"]
    assert made(texts).level == "characters"
    assert shown(made(texts), "酒店 好") == list("酒店 好")
    assert made(texts, level="words").level == "words"
    assert made(TEXTS, level="characters").level == "characters"


def test_pieces_leave_nothing_unknown() -> None:
    encoder = made(TEXTS * 20, level="pieces", vocabulary_size=300)
    assert encoder.tokenizer.decode(encoder.encode("zebra 好")) == "zebra 好"


def test_rare_and_too_many_words_are_unknown() -> None:
    texts = ["a a a b b c"]
    assert shown(made(texts, min_count=2), "a b c") == ["a", "b", "<unk>"]
    assert shown(made(texts, vocabulary_size=3), "a b c") == ["a", "<unk>", "<unk>"]
    with pytest.raises(DataError, match=r"give no vocabulary: .*all of its words are too rare.*--min-count 9"):
        made(texts, min_count=9)
    with pytest.raises(DataError, match="give no vocabulary"):
        made(["", " "])


@pytest.mark.parametrize(
    ("keep", "expected"),
    [("start", list(range(8))), ("end", list(range(12, 20))), ("both", [0, 1, *range(14, 20)])],
)
def test_long_texts_are_cut(keep: str, expected: list[int]) -> None:
    text = " ".join(f"w{n}" for n in range(20))
    encoder = made([text], max_tokens=8, keep_tokens=keep)
    assert shown(encoder, text) == [f"w{n}" for n in expected]
    read = encoder.read(text.upper())
    assert read.tokens == [f"W{n}" for n in expected]
    assert read.cut == 12
    np.testing.assert_array_equal(read.ids, encoder.encode(text))
    assert shown(encoder, "w1 w2") == ["w1", "w2"]
    assert encoder.read("w1 w2").cut == 0


@pytest.mark.parametrize("level", ["words", "characters", "pieces"])
def test_what_is_read_is_shown_as_it_stands(level: str) -> None:
    encoder = made(TEXTS * 9, level=level)
    for text in (*TEXTS, "ÜBER İstanbul", "unseen 好"):
        read = encoder.read(text)
        assert len(read.tokens) == len(read.ids)
        np.testing.assert_array_equal(read.ids, encoder.encode(text))
    assert "".join(encoder.read("An Odd one").tokens) == ("AnOddone" if level == "words" else "An Odd one").lower() or (
        level != "pieces"
    )


def test_pairs_are_those_of_the_texts_as_they_are_read() -> None:
    texts = ["a b a b", "c a b", "x y"]
    options = ClassifyData(min_count=2, min_pair_count=2)
    encoder = TextEncoder.train(texts, options, pairs=True)
    a, b, unknown = encoder.encode("a b x").tolist()
    start = encoder.input_size
    assert encoder.pairs is not None
    assert encoder.pairs.tolist() == [[a, b], [start, unknown]]  # three times, twice; b before a only once
    few = TextEncoder.train(texts, replace(options, pairs_at_most=1), pairs=True)
    assert few.pairs is not None
    assert few.pairs.tolist() == [[a, b]]
    assert made().pairs is None


def test_pairs_are_the_same_again_from_their_folder(tmp_path: Path) -> None:
    encoder = TextEncoder.train(TEXTS, ClassifyData(min_count=1, min_pair_count=1), pairs=True)
    encoder.save(tmp_path)
    again = TextEncoder.load(tmp_path, encoder.to_json())
    assert encoder.pairs is not None
    np.testing.assert_array_equal(again.pairs, encoder.pairs)
    made().tidy(tmp_path)
    assert not (tmp_path / "pairs.json").exists()


@pytest.mark.parametrize(
    "content", ["[[1, 2, 3]]", "[[1, 99]]", "[[-1, 0]]", "[[0, 1], [0, 1]]", "{}", "[[1.5, null]]", "[[1e99, 1]]"]
)
def test_pairs_that_cannot_be(content: str, tmp_path: Path) -> None:
    encoder = TextEncoder.train(TEXTS, ClassifyData(min_count=1), pairs=True)
    encoder.save(tmp_path)
    (tmp_path / "pairs.json").write_text(content)
    with pytest.raises(ModelError, match="pairs"):
        TextEncoder.load(tmp_path, encoder.to_json())


@pytest.mark.parametrize("level", ["words", "characters", "pieces"])
def test_it_is_the_same_again_from_its_folder(level: str, tmp_path: Path) -> None:
    encoder = made(TEXTS * 9, level=level, max_tokens=7, keep_tokens="end", lowercase=False)
    encoder.save(tmp_path)
    again = TextEncoder.load(tmp_path, json.loads(json.dumps(encoder.to_json())))
    for text in TEXTS:
        np.testing.assert_array_equal(again.encode(text), encoder.encode(text))
    assert again.to_json() == encoder.to_json()


@pytest.mark.parametrize(
    "change",
    [
        {"max_tokens": 0},
        {"max_tokens": "9"},
        {"lowercase": 1},
        {"pairs": 1},
        {"keep_tokens": "middle"},
        {"level": None},
        None,
        5,
    ],
    ids=str,
)
def test_a_description_that_is_none(change: Any, tmp_path: Path) -> None:
    encoder = made()
    encoder.save(tmp_path)
    saved: Any = {**encoder.to_json(), **change} if isinstance(change, dict) else change
    if change == {"level": None}:
        (tmp_path / "vocabulary.json").unlink()
    with pytest.raises(ModelError):
        TextEncoder.load(tmp_path, saved)
