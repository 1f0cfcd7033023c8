"""Text to ids and back, the same however the text is cut; vocabularies kept in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from rondo.data.protocol import cut_before_blank, whole_pieces
from rondo.data.tokenizers import (
    KINDS,
    BytePairTokenizer,
    CharacterTokenizer,
    Tokenizer,
    WordTokenizer,
    encode_files,
    encode_stream,
    load_tokenizer,
    save_tokenizer,
    train_tokenizer,
)
from rondo.errors import DataError, ModelError, RondoError, UsageError

TEXT = (
    "The theme returns, and then the theme returns again.\n"
    "  A rondo's theme keeps coming back;\tso does a cell.\n\n"
    "床前明月光，疑是地上霜。 Größe 🎵 naïve\n"
) * 30


def made(kind: str) -> Tokenizer:
    return train_tokenizer(kind, [TEXT], vocabulary_size=300 if kind == "pieces" else None)


@pytest.mark.parametrize("kind", ["characters", "pieces"])
def test_text_comes_back(kind: str) -> None:
    tokenizer = made(kind)
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT


@settings(deadline=None, max_examples=80)
@given(st.text())
def test_pieces_know_every_text(text: str) -> None:
    tokenizer = PIECES
    assert tokenizer.decode(tokenizer.encode(text)) == text


PIECES = BytePairTokenizer.train([TEXT], vocabulary_size=300)


def test_words_come_back_with_single_blanks() -> None:
    tokenizer = made("words")
    lines = [" ".join(line.split()) for line in TEXT.split("\n")]
    assert tokenizer.decode(tokenizer.encode(TEXT)) == "\n".join(lines)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
def test_the_same_ids_however_the_text_is_cut(kind: str, size: int) -> None:
    tokenizer = made(kind)
    chunks = [TEXT[start : start + size] for start in range(0, len(TEXT), size)]
    np.testing.assert_array_equal(encode_stream(chunks, tokenizer), tokenizer.encode(TEXT))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_vocabulary_however_the_text_is_cut(kind: str) -> None:
    chunked = train_tokenizer(kind, [TEXT[i : i + 11] for i in range(0, len(TEXT), 11)])
    whole = train_tokenizer(kind, [TEXT])
    assert [chunked.token(i) for i in range(chunked.size)] == [whole.token(i) for i in range(whole.size)]


@settings(deadline=None, max_examples=100)
@given(st.text("ab' \n\t1!é月"), st.integers(0, 30))
def test_pieces_are_parted_only_where_it_changes_nothing(text: str, start: int) -> None:
    place = cut_before_blank(text[start:]) + min(start, len(text))
    if cut_before_blank(text[start:]):
        parted = [*PIECES.encode(text[:place]), *PIECES.encode(text[place:])]
        assert parted == PIECES.encode(text).tolist()


def test_a_text_without_blanks_is_parted_in_the_end() -> None:
    pieces = list(whole_pieces(["月" * 10] * 7, cut_before_blank, longest=25))
    assert [len(piece) for piece in pieces] == [30, 30, 10]


@pytest.mark.parametrize("kind", KINDS)
def test_save_and_load(tmp_path: Path, kind: str) -> None:
    tokenizer = made(kind)
    tokenizer.save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert (loaded.kind, loaded.size, loaded.unknown) == (kind, tokenizer.size, tokenizer.unknown)
    np.testing.assert_array_equal(loaded.encode(TEXT + "ﬁ new"), tokenizer.encode(TEXT + "ﬁ new"))
    assert [loaded.token(i) for i in range(loaded.size)] == [tokenizer.token(i) for i in range(tokenizer.size)]


@pytest.mark.parametrize("kind", KINDS)
def test_text_made_token_by_token(kind: str) -> None:
    tokenizer = made(kind)
    ids = tokenizer.encode(TEXT).tolist()
    decoder = tokenizer.stream_decoder()
    assert "".join([decoder.feed(i) for i in ids]) + decoder.flush() == tokenizer.decode(ids)


def test_a_character_in_several_pieces_waits_to_be_whole() -> None:
    tokenizer = BytePairTokenizer.train(["ab"], vocabulary_size=257)
    decoder = tokenizer.stream_decoder()
    assert [decoder.feed(i) for i in tokenizer.encode("é月")] == ["", "é", "", "", "月"]
    assert decoder.feed(tokenizer.encode("月")[0]) == ""
    assert decoder.flush() == "\ufffd"


@pytest.mark.parametrize(
    ("distinct", "dtype"), [(200, np.uint8), (255, np.uint8), (256, np.uint16), (70_000, np.uint32)]
)
def test_ids_take_the_smallest_type(distinct: int, dtype: type) -> None:
    characters = [chr(0x10000 + i) for i in range(distinct)]
    tokenizer = CharacterTokenizer.train(["".join(characters)])
    ids = tokenizer.encode("".join(characters))
    assert ids.dtype == dtype
    np.testing.assert_array_equal(ids, np.arange(1, distinct + 1))
    words = WordTokenizer([f"w{i}" for i in range(distinct - 1)])
    assert words.encode("w0").dtype == dtype
    assert words.encode(f"w{distinct - 2}") == [distinct]


def test_characters_outside_the_vocabulary_are_unknown() -> None:
    tokenizer = CharacterTokenizer.train(["cabbage"])
    assert tokenizer.characters == "abceg"
    assert tokenizer.encode("a\ud800zb\U0010ffff").tolist() == [1, 0, 0, 2, 0]
    assert tokenizer.decode([1, 0, 2]) == "a\ufffdb"
    assert tokenizer.token(0) == "<unk>"
    assert tokenizer.unknown == 0


def test_half_characters_get_no_place_in_the_vocabulary() -> None:
    assert CharacterTokenizer.train(["a\ud800\udfff"]).size == 2


def test_words_and_lines() -> None:
    tokenizer = WordTokenizer.train(["b a b\n<unk> b a <eos>", " c\n"])
    assert tokenizer.words == ("<unk>", "<eos>", "b", "a", "c")
    assert tokenizer.encode("b zebra\n\n a").tolist() == [2, 0, 1, 1, 3]
    assert tokenizer.decode([2, 0, 1, 1, 3, 4]) == "b <unk>\n\na c"


@pytest.mark.parametrize("kind", ["characters", "words"])
def test_vocabulary_size_and_min_count_leave_out_what_is_rare(kind: str) -> None:
    text = " ".join("aaaa bbb cc d".replace(" ", ""))
    full = train_tokenizer(kind, [text])
    small = train_tokenizer(kind, [text], vocabulary_size=full.size - 1)
    frequent = train_tokenizer(kind, [text], min_count=3)
    tokens = [[t.token(i) for i in range(t.size)] for t in (full, small, frequent)]
    assert small.size == full.size - 1
    assert set(tokens[0]) - set(tokens[1]) == {"d"}
    assert set(tokens[0]) - set(tokens[2]) == {"c", "d"}


def test_vocabulary_size_and_min_count_of_pieces() -> None:
    sizes = [BytePairTokenizer.train([TEXT], vocabulary_size=size).size for size in (260, 280)]
    assert sizes == [260, 280]
    assert BytePairTokenizer.train([TEXT], min_count=1000).size < BytePairTokenizer.train([TEXT]).size


def test_pieces_are_in_the_library_s_own_format(tmp_path: Path) -> None:
    PIECES.save(tmp_path)
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert theirs.encode(TEXT).ids == PIECES.encode(TEXT).tolist()
    assert theirs.decode(theirs.encode(TEXT).ids) == TEXT


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_tokens(kind: str) -> None:
    tokenizer = made(kind)
    shown = [tokenizer.token(i) for i in range(tokenizer.size)]
    known = [i for i in range(1, tokenizer.size) if "\ufffd" not in shown[i]]
    assert len(known) > 20
    assert [tokenizer.number(shown[i]) for i in known] == known
    assert tokenizer.number("no such token") is None


def test_line_ends_have_a_number_where_there_are_lines() -> None:
    assert CharacterTokenizer("\nab").number("\n") == 1
    assert made("words").number("<eos>") == 1
    assert CharacterTokenizer("ab").number("\n") is None
    assert CharacterTokenizer("ab").number("") is None


@pytest.mark.parametrize("kind", KINDS)
def test_characters_are_counted(kind: str) -> None:
    tokenizer = made(kind)
    ids = tokenizer.encode(TEXT)
    assert tokenizer.count_characters(ids) == len(tokenizer.decode(ids))
    assert tokenizer.count_characters(ids[:9]) == len(tokenizer.decode(ids[:9]))


def test_files_are_encoded_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes("月光".encode("utf-16"))
    (tmp_path / "2").write_bytes(b"x\n")
    tokenizer = CharacterTokenizer.train(["\nx光月"])
    ids = encode_files([tmp_path / "1", tmp_path / "2"], tokenizer)
    assert tokenizer.decode(ids) == "月光\nx\n"
    assert tokenizer.decode(encode_files(tmp_path / "2", tokenizer, encoding="utf-16-le")) == "\ufffd"


def test_big_files_lie_on_disk(tmp_path: Path) -> None:
    (tmp_path / "text").write_text(TEXT * 100, encoding="utf-8")
    tokenizer = made("words")
    in_memory = encode_files(tmp_path / "text", tokenizer)
    on_disk = encode_files(tmp_path / "text", tokenizer, memory=10_000)
    assert isinstance(on_disk, np.memmap)
    assert not isinstance(in_memory, np.memmap)
    np.testing.assert_array_equal(on_disk, in_memory)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_learn_from(kind: str) -> None:
    if kind == "pieces":
        with pytest.raises(UsageError, match="256"):
            train_tokenizer(kind, [TEXT], vocabulary_size=256)
    else:
        with pytest.raises(DataError, match=r"empty|blank"):
            train_tokenizer(kind, ["", ""])
        with pytest.raises(DataError, match="too rare"):
            train_tokenizer(kind, ["a b c"], min_count=9)
        with pytest.raises(UsageError, match="too small"):
            train_tokenizer(kind, [TEXT], vocabulary_size=1)


def test_a_blank_file_has_no_words(tmp_path: Path) -> None:
    (tmp_path / "blank").write_text(" \t ")
    with pytest.raises(DataError, match=r"nothing but blanks in .*blank"):
        encode_files(tmp_path / "blank", made("words"))


def test_unknown_kind_of_token() -> None:
    with pytest.raises(UsageError, match="did you mean 'characters'"):
        train_tokenizer("character", [TEXT])


HOSTILE = {
    "vocabulary.json": [
        {},
        [],
        {"kind": "runes"},
        {"kind": "characters"},
        {"kind": "characters", "characters": "aa"},
        {"kind": "characters", "characters": 7},
        {"kind": "characters", "characters": ["ab"]},
        {"kind": "words", "words": ["a", "a"]},
        {"kind": "words", "words": ["a b"]},
        {"kind": "words", "words": [3]},
    ],
    "tokenizer.json": [
        {},
        [],
        {"model": {"type": "WordPiece"}, "pre_tokenizer": {"type": "ByteLevel"}, "normalizer": None},
        {"model": {"type": "BPE"}, "pre_tokenizer": {"type": "ByteLevel"}, "normalizer": None},
        {"model": {"type": "BPE"}, "pre_tokenizer": None, "normalizer": None},
    ],
}


@pytest.mark.parametrize(("name", "content"), [(name, c) for name, cases in HOSTILE.items() for c in cases])
def test_damaged_vocabularies_are_refused(tmp_path: Path, name: str, content: object) -> None:
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(ModelError, match=name):
        load_tokenizer(tmp_path)


def test_pieces_with_gaps_or_foreign_characters_are_refused(tmp_path: Path) -> None:
    PIECES.save(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    for change in ({"a": 10_000}, {"月": 300}):
        vocab = content["model"]["vocab"] | change
        (tmp_path / "tokenizer.json").write_text(json.dumps(content | {"model": content["model"] | {"vocab": vocab}}))
        with pytest.raises(ModelError, match=r"tokenizer\.json"):
            load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"continuing_subword_prefix": "x"},
        {"end_of_word_suffix": "x"},
        {"dropout": 0.5},
        {"unk_token": "a"},
        {"ignore_merges": True},
        {"merges": [["a", "b"]]},
        {"merges": ["a b"]},
        {"merges": [["a", 3]]},
        {"merges": 7},
        {"vocab": []},
        {"vocab": {"a": 0}},
        {"vocab": {"a": True}},
        {"new_in_the_library": 1},
    ],
    ids=str,
)
def test_pieces_reach_the_library_only_as_they_were_made(tmp_path: Path, change: dict[str, object]) -> None:
    """It ends the whole process on some of these."""
    PIECES.save(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    content["model"] |= change
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("name", ["added_tokens", "truncation", "padding", "post_processor", "normalizer", "decoder"])
def test_pieces_with_further_stages_are_refused(tmp_path: Path, name: str) -> None:
    PIECES.save(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    (tmp_path / "tokenizer.json").write_text(json.dumps(content | {name: {"type": "Lowercase"}}))
    with pytest.raises(ModelError, match=f"its {name} is"):
        load_tokenizer(tmp_path)


def test_missing_vocabulary(tmp_path: Path) -> None:
    with pytest.raises(RondoError, match=r"vocabulary\.json"):
        load_tokenizer(tmp_path)


def test_a_folder_keeps_the_vocabulary_that_was_saved_last(tmp_path: Path) -> None:
    for kind in ("characters", "pieces", "words"):
        save_tokenizer(made(kind), tmp_path)

        assert load_tokenizer(tmp_path).kind == kind
