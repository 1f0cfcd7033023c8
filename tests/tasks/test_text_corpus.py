"""Text is split before anything is learned from it, and every option of reading it counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rondo.data.tokenizers import CharacterTokenizer, WordTokenizer, train_tokenizer
from rondo.errors import DataError, UsageError
from rondo.tasks.text.corpus import TextCorpus, read_corpus, rows_that_fit, start_token
from rondo.tasks.text.options import TextData


def written(folder: Path, content: str | bytes, name: str = "a.txt") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path, *more: Path, **options: Any) -> TextCorpus:
    return read_corpus([path, *more], TextData(**options))


def test_the_end_is_held_out_and_gives_no_tokens_to_the_vocabulary(tmp_path: Path) -> None:
    corpus = read(written(tmp_path, "ab" * 45 + "xyz" + "abababa"))

    assert corpus.tokenizer.decode(corpus.train) == "ab" * 45
    assert corpus.tokenizer.decode(corpus.valid) == "\ufffd" * 3 + "abababa"
    assert corpus.tokenizer.size == 3
    assert corpus.test is None
    assert list(corpus.parts) == ["training", "validation"]


@pytest.mark.parametrize("level", ["characters", "words", "pieces"])
@pytest.mark.parametrize("fraction", [0.1, 0.37])
def test_parts_make_up_the_text_at_every_level(tmp_path: Path, level: str, fraction: float) -> None:
    lines = "".join(f"line {i % 7} of {'many' * (i % 3)} words\n" for i in range(200))
    dense = "a b c d e f g h\n" * 100  # tokens are much denser here than before
    path = written(tmp_path, lines + dense)
    options = {"vocabulary_size": 300} if level == "pieces" else {}

    corpus = read(path, level=level, valid_fraction=fraction, **options)

    boundary = int(len(lines + dense) * (1 - fraction))
    trained = train_tokenizer(level, [(lines + dense)[:boundary]], **options)
    assert trained.size == corpus.tokenizer.size
    np.testing.assert_array_equal(corpus.train, trained.encode((lines + dense)[:boundary]))
    np.testing.assert_array_equal(corpus.valid, trained.encode((lines + dense)[boundary:]))


def test_files_are_held_out_whole(tmp_path: Path) -> None:
    train, more = written(tmp_path, "abcabc\n"), written(tmp_path, "abd", "more.txt")
    valid, test = written(tmp_path, "abx", "v.txt"), written(tmp_path, "cay", "t.txt")

    corpus = read(train, more, valid=str(valid), test=str(test))

    decode = corpus.tokenizer.decode
    assert decode(corpus.train) == "abcabc\nabd"
    assert decode(corpus.valid) == "ab\ufffd"
    assert corpus.test is not None
    assert decode(corpus.test) == "ca\ufffd"
    assert corpus.files == (train, more, valid, test)


def test_vocabulary_and_encoding_are_as_asked(tmp_path: Path) -> None:
    path = written(tmp_path, "é è é è é a\n".encode("latin-1") * 20)
    assert read(path, encoding="latin-1").tokenizer.size == 1 + len("éèa \n")
    assert read(path, encoding="latin-1", vocabulary_size=3).tokenizer.size == 3
    assert read(path, encoding="cp437").tokenizer.number("é") is None
    assert read(path, encoding="latin-1", level="words").unit == "word"


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, 1.5])
def test_a_fraction_is_a_fraction(tmp_path: Path, fraction: float) -> None:
    path = written(tmp_path, "abc" * 9)
    with pytest.raises(UsageError, match=f"--valid-fraction is between 0 and 1, not {fraction}"):
        read(path, valid_fraction=fraction)
    assert len(read(path, valid_fraction=fraction, valid=str(path)).valid) == 27


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("abcdefgh", "the validation part has 1 characters"), ("abc", "the validation part has 1"),
        ("", "is empty"), (b"\x00\x01\x02\xff\xfe" * 50, "."),
    ],
)  # fmt: skip
def test_too_little_text_is_said(tmp_path: Path, content: str | bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(written(tmp_path, content))


def test_a_window_must_fit() -> None:
    tokens = np.zeros(101, dtype=np.uint8)
    assert rows_that_fit(tokens, 10, None) == 5
    assert rows_that_fit(tokens, 10, 10) == 10
    assert rows_that_fit(tokens, 100, None) == 1
    assert rows_that_fit(np.zeros(100_001), 10, None) == 64
    with pytest.raises(DataError, match="shorter than one window of --bptt-length 101"):
        rows_that_fit(tokens, 101, None)
    with pytest.raises(DataError, match="too few for --batch-size 11; at most 10 fit"):
        rows_that_fit(tokens, 10, 11)
    for bptt_length, rows in ((0, None), (-3, None), (10, 0)):
        with pytest.raises(UsageError, match="is at least 1"):
            rows_that_fit(tokens, bptt_length, rows)


def test_a_text_begins_after_an_end_of_line_that_it_has() -> None:
    letters, words = CharacterTokenizer("\nab"), WordTokenizer(["on", "off"])
    assert start_token(letters, np.array([2, 3, 1, 2])) == 1
    assert start_token(letters, np.array([2, 3, 3, 2, 3])) == 3
    assert start_token(words, np.array([2, 3, 1])) == 1
    assert start_token(words, np.array([2, 3, 3])) == 3
