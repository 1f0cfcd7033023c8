"""From tokens to rows of numbers: words, shapes, pairs and characters, and what is written down of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rondo.errors import ModelError
from rondo.models.spelling import PADDING
from rondo.models.spelling import UNKNOWN as UNKNOWN_CHARACTER
from rondo.models.token_features import CHARACTERS, KEY, LEFT, RIGHT, SHAPE, WORD
from rondo.tasks.tag.encoder import TokenEncoder
from rondo.tasks.tag.options import TagData

SENTENCES = [["The", "cat", "saw", "1999", "cats"], ["the", "cat", "Saw", "2001"], [], ["Cat"]]


def made(*, pairs: bool = True, spelling: bool = True, **options: Any) -> TokenEncoder:
    return TokenEncoder.train(SENTENCES, TagData(**options), pairs=pairs, spelling=spelling)


def test_words_are_looked_up_without_case_and_digits() -> None:
    rows = made().encode(["the", "THE", "1234", "5678", "dog"])
    assert rows[0, WORD] == rows[1, WORD] != 0
    assert rows[2, WORD] == rows[3, WORD] != 0
    assert rows[4, WORD] == 0
    assert made(lowercase=False).encode(["saw"])[0, WORD] != made(lowercase=False).encode(["Saw"])[0, WORD]
    assert made(digits=True).encode(["1234"])[0, WORD] == 0
    assert made(digits=True).encode(["1999"])[0, WORD] != 0


def test_shapes_tell_capitals_from_small_letters_and_digits() -> None:
    shapes = made().encode(["the", "dog", "The", "1234", "A1"])[:, SHAPE].tolist()
    assert shapes[0] == shapes[1] != shapes[2]
    assert shapes[3] not in (0, shapes[0], shapes[2])
    assert shapes[4] == 0


def test_pairs_are_those_of_neighbours_and_of_the_ends() -> None:
    encoder = made()
    rows = encoder.encode(["the", "cat", "saw"])
    assert (rows[1:, LEFT] == rows[:-1, RIGHT]).all()
    known = [encoder.pairs[number - 1] if number else None for number in rows[:, RIGHT].tolist()]
    assert known == ["the\ncat", "cat\nsaw", None]
    assert encoder.pairs[rows[0, LEFT] - 1] == "\n\nthe"
    assert (made(pairs=False).encode(["the", "cat"])[:, [LEFT, RIGHT]] == 0).all()
    assert made(min_pair_count=1).sizes.pairs > encoder.sizes.pairs > made(pairs_at_most=1).sizes.pairs == 2


def test_characters_are_the_words_own() -> None:
    encoder = made()
    rows = encoder.encode(["cat", "Cat", "zebra", "cat"])
    assert encoder.characters is not None
    spelled = ["".join(_character(encoder, number) for number in row[CHARACTERS:] if number != PADDING) for row in rows]
    # Of these letters the sentences have e and a often enough, and C, which begins Cat, only once.
    assert spelled == ["cat", "?at", "?e??a", "cat"]
    keys = rows[:, KEY].tolist()
    assert keys[0] == keys[3]
    assert len(set(keys)) == 3
    assert made(spelling=False).encode(["cat"]).shape == (1, KEY)


def _character(encoder: TokenEncoder, number: int) -> str:
    return "?" if number == UNKNOWN_CHARACTER else (encoder.characters or "")[number - UNKNOWN_CHARACTER - 1]


def test_of_long_words_both_ends_are_read() -> None:
    encoder = made(longest_word=4)
    row = encoder.encode(["catssaw"])[0, CHARACTERS:]
    assert [_character(encoder, number) for number in row] == ["c", "a", "a", "w"]


def test_single_characters_keep_their_digits() -> None:
    encoder = TokenEncoder.train([list("1甲乙"), list("2甲丙")], TagData(), pairs=True, spelling=False)
    assert len(set(encoder.encode(["1", "2", "甲"])[:, WORD].tolist()) - {0}) == 3


@pytest.mark.parametrize(("option", "words"), [({"min_count": 2}, 5), ({"vocabulary_size": 2}, 3), ({}, 6)])
def test_the_vocabulary_has_what_is_frequent(option: dict[str, int], words: int) -> None:
    # the, cat, saw and 0000 occur twice or more, cats once; and there is the unknown one.
    assert made(**option).sizes.words == words


def test_frequencies_count_the_training_part() -> None:
    encoder = made()
    found = encoder.frequencies(SENTENCES)
    by_word = dict(zip(["", *encoder.words], found.words.tolist(), strict=True))
    assert by_word == {"": 0, "the": 2, "cat": 3, "saw": 2, "0000": 2, "cats": 1}
    by_pair = dict(zip(["", *encoder.pairs], found.pairs.tolist(), strict=True))
    assert by_pair["\n\nthe"] == 2
    assert by_pair["the\ncat"] == 2


def test_many_tokens_are_forgotten_and_read_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rondo.tasks.tag.encoder.REMEMBERED", 50)
    encoder = made()
    first = encoder.encode(SENTENCES[0])
    for number in range(3000):
        encoder.encode([f"w{number}"])
    assert len(encoder._places) <= 52
    np.testing.assert_array_equal(encoder.encode(SENTENCES[0]), first)
    assert encoder.encode([]).shape == (0, first.shape[1])


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    encoder = made(longest_word=9, lowercase=False)
    encoder.save(tmp_path)
    again = TokenEncoder.load(tmp_path, json.loads(json.dumps(encoder.to_json())))
    for sentence in (*SENTENCES, ["new", "words"]):
        np.testing.assert_array_equal(again.encode(sentence), encoder.encode(sentence))
    assert again.sizes == encoder.sizes


@pytest.mark.parametrize("change", [
    {"words": [1]}, {"words": "abc"}, {"pairs": None}, {"characters": 5}, {"shapes": {}},
], ids=str)  # fmt: skip
def test_damage_is_said(change: dict[str, Any], tmp_path: Path) -> None:
    encoder = made()
    encoder.save(tmp_path)
    path = tmp_path / "vocabulary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=r"vocabulary\.json or config\.json is damaged"):
        TokenEncoder.load(tmp_path, encoder.to_json())
    encoder.save(tmp_path)
    for saved in (None, {}, {**encoder.to_json(), "longest_word": "9"}, {**encoder.to_json(), "digits": 1}):
        with pytest.raises(ModelError, match="damaged"):
            TokenEncoder.load(tmp_path, saved)
