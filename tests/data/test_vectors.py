"""Word vectors in every usual format: the same words get the same vectors, and what is wrong is said with its place."""

from __future__ import annotations

import gzip
import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from rondo.data import files
from rondo.data.vectors import read_vectors
from rondo.errors import DataError

WORDS = ("the", "Berlin", "nasa", "北京", "naïve", "missing", "Good")
IN_FILE = ("the", ",", "berlin", "good", "NASA", "Nasa", "北京", "naïve", ". . .", "zebra")
VECTORS = np.random.default_rng(0).normal(size=(len(IN_FILE), 5)).astype(np.float32)


def lines(*, blank_at_end: bool = False) -> str:
    end = " \n" if blank_at_end else "\n"
    return "".join(
        word + " " + " ".join(f"{value:.9g}" for value in vector) + end
        for word, vector in zip(IN_FILE, VECTORS, strict=True)
    )


def binary(*, line_ends: bool) -> bytes:
    entries = [
        word.encode() + b" " + vector.tobytes() + (b"\n" if line_ends else b"")
        for word, vector in zip(IN_FILE, VECTORS, strict=True)
        if word != ". . ."
    ]
    return f"{len(entries)} 5\n".encode() + b"".join(entries)


FORMS: dict[str, bytes] = {
    "glove": lines().encode(),
    "word2vec text": f"{len(IN_FILE)} 5\n{lines()}".encode(),
    "fastText": f"{len(IN_FILE)} 5\n{lines(blank_at_end=True)}".encode(),
    "word2vec binary": binary(line_ends=False),
    "word2vec binary with line ends": binary(line_ends=True),
}


def written(folder: Path, content: bytes) -> Path:
    (folder / "v").write_bytes(content)
    return folder / "v"


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_words_their_vectors(form: str, packed: bool, tmp_path: Path) -> None:
    content = gzip.compress(FORMS[form]) if packed else FORMS[form]
    found = read_vectors(written(tmp_path, content), WORDS)
    expected = {
        "the": "the", "Berlin": "berlin", "nasa": "NASA", "北京": "北京", "naïve": "naïve", "Good": "good",
    }  # fmt: skip
    assert found.width == 5
    assert found.found.tolist() == [word in expected for word in WORDS]
    for word, row in zip(WORDS, found.rows, strict=True):
        np.testing.assert_array_equal(row, VECTORS[IN_FILE.index(expected[word])] if word in expected else 0)


def test_the_same_word_comes_before_a_like_one(tmp_path: Path) -> None:
    text = "GOOD 1 2\nGood 3 4\ngood 5 6\nGOOD 7 8\n"
    found = read_vectors(written(tmp_path, text.encode()), ["good", "Good", "GooD"])
    assert found.rows.tolist() == [[5, 6], [3, 4], [5, 6]]  # the word itself, and before any other its lower case
    assert read_vectors(written(tmp_path, b"gOOD 1 2\nGOOD 3 4\n"), ["good"]).rows.tolist() == [[1, 2]]


def test_coverage_is_of_words_or_of_their_occurrences(tmp_path: Path) -> None:
    found = read_vectors(written(tmp_path, FORMS["glove"]), WORDS)
    assert found.coverage() == pytest.approx(6 / 7)
    assert found.coverage([10, 0, 0, 0, 0, 30, 0]) == pytest.approx(0.25)
    assert found.words_in_file == len(IN_FILE)


@pytest.mark.parametrize("form", ["text", "binary"])
def test_a_large_file_needs_little_memory(form: str, tmp_path: Path) -> None:
    count, width = 30_000, 200
    vectors = np.random.default_rng(0).normal(size=(count, width)).astype("<f4")
    with (tmp_path / "v").open("wb") as file:
        file.write(f"{count} {width}\n".encode())
        for number, vector in enumerate(vectors):
            body = vector.tobytes() if form == "binary" else b"0.125 " * width + b"\n"
            file.write(f"w{number} ".encode() + body)
    tracemalloc.start()
    found = read_vectors(tmp_path / "v", [f"w{number}" for number in range(0, count, 1000)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.found.all()
    assert (tmp_path / "v").stat().st_size > 20e6
    assert peak < 8e6
    if form == "binary":
        np.testing.assert_array_equal(found.rows, vectors[::1000])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\n\n", "holds no word vectors"),
        (b"just a text of words\nand more\n", "holds no word vectors"),
        (b"3 2\nthe 1 2\nof 3 4\n", "says that it has 3 words and ends after 2"),
        (b"the 1 2 3\nof 1 2 3\nnasa 1 2\n", "line 3: 'nasa' has 2 numbers; the vectors have 3"),
        (b"the 1 2 3\nnasa 1 x 2\n", "line 2: the vector of 'nasa' holds what is no number"),
        (b"the 1 2 3\nnasa 1 nan 2\n", "word 2 ('nasa'): its vector holds numbers that are not finite"),
        (b"zebra 1 2 3\nlion 1 2 3\n", "vectors of 2 words; none of them is in the vocabulary"),
        (binary(line_ends=False)[:-8], "says that it has 9 words and ends after 8"),
        (b"4 0\nthe\n", "says that its vectors have 0 numbers"),
        (b"2 2\n" + b"\xff" * 200_000, "there is no blank behind a word"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read_vectors(written(tmp_path, content), WORDS)
    assert said in str(error.value)
    assert str(tmp_path / "v") in str(error.value)


def test_plain_binary_files_are_mapped_and_packed_ones_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a plain file no more than its beginning passes through `read`."""
    count, width = 3000, 200
    vectors = np.random.default_rng(0).normal(size=(count, width)).astype("<f4")
    words = b"".join(f"w{number} ".encode() + vector.tobytes() for number, vector in enumerate(vectors))
    content = f"{count} {width}\n".encode() + words
    read: list[int] = []

    class Counting(io.BufferedReader):
        def read(self, size: int | None = -1) -> bytes:
            read.append(1)
            return super().read(size)

    opened = files.open_binary
    monkeypatch.setattr("rondo.data.vectors.open_binary", lambda path: Counting(opened(path).detach(), 1 << 16))
    found = {}
    for name, packed in (("plain", content), ("packed", gzip.compress(content, 1))):
        (tmp_path / name).write_bytes(packed)
        read.clear()
        found[name] = read_vectors(tmp_path / name, ["w7", "w2999"]).rows
        assert bool(read) is (name == "packed")
    np.testing.assert_array_equal(found["plain"], vectors[[7, 2999]])
    np.testing.assert_array_equal(found["packed"], found["plain"])
