from __future__ import annotations

from pathlib import Path

import pytest

from rondo.errors import ModelError
from rondo.storage import read_json, write_json
from rondo.tasks.poetry.corpus import Poem
from rondo.tasks.poetry.forms import OTHER, WUJUE
from rondo.tasks.poetry.vocabulary import FILE_NAME, PoemVocabulary

POEM = Poem(title="", author="", text="白日依山盡，黃河入海流。欲窮千里目，更上一層樓。")
SHORT = Poem(title="", author="", text="白日白山，山月。")


def test_characters_come_by_frequency_and_rare_ones_are_left_out() -> None:
    every = PoemVocabulary.build([POEM, SHORT], min_count=1)
    assert every.tokens[every.first_character : every.first_character + 3] == ("山", "白", "日")
    assert every.size == every.first_character + 21
    assert every.unknown == 0
    common = PoemVocabulary.build([POEM, SHORT], min_count=2)
    assert common.tokens[common.first_character :] == ("山", "白", "日")
    assert common.id("月") == common.unknown
    assert "月" in every
    assert "月" not in common


def test_a_poem_comes_back() -> None:
    vocabulary = PoemVocabulary.build([POEM, SHORT], min_count=1)
    ids = vocabulary.encode_poem(POEM)
    assert ids[0] == vocabulary.form_token(WUJUE)
    assert ids[-1] == vocabulary.end
    assert len(ids) == WUJUE.length + 2
    assert vocabulary.decode_poem(ids) == (WUJUE, POEM.text)
    assert vocabulary.decode_poem(vocabulary.encode_poem(SHORT)) == (OTHER, SHORT.text)
    assert vocabulary.decode_poem(ids[1:]) == (None, POEM.text)


def test_an_unknown_character_is_counted_and_shown() -> None:
    vocabulary = PoemVocabulary.build([SHORT], min_count=1)
    ids = vocabulary.encode_poem(POEM)
    assert (ids == vocabulary.unknown).sum() == 17
    assert vocabulary.decode_poem(ids)[1].startswith("白日□山□，□")


def test_unknown_and_forms_are_never_generated() -> None:
    vocabulary = PoemVocabulary.build([POEM], min_count=1)
    allowed = {vocabulary.tokens[index] for index in vocabulary.generable().nonzero()[0]}
    assert allowed == {"<end>", "，", "。", *"白日依山盡黃河入海流欲窮千里目更上一層樓"}


def test_save_and_load(tmp_path: Path) -> None:
    vocabulary = PoemVocabulary.build([POEM, SHORT], min_count=1)
    vocabulary.save(tmp_path)
    assert PoemVocabulary.load(tmp_path).tokens == vocabulary.tokens
    good = read_json(tmp_path / FILE_NAME)
    for damage in (
        {"special": []},
        {"characters": "山山"},
        {"characters": "山，"},
        {"characters": 3},
        {"kind": "text"},
    ):
        write_json(tmp_path / FILE_NAME, good | damage)
        with pytest.raises(ModelError, match=FILE_NAME):
            PoemVocabulary.load(tmp_path)
