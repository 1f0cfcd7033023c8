"""fastText's binary models, written here byte by byte: a word is the mean of its own row and of its parts'."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rondo.data.fasttext import fnv
from rondo.data.vectors import read_vectors
from rondo.errors import DataError

WORDS = ("</s>", "the", "Berlin", "naïve", "北京", "zebra")
WIDTH = 7


def write_model(
    path: Path, *, words: tuple[str, ...] = WORDS, shortest: int = 2, longest: int = 4, bucket: int = 50,
    version: int = 12, model: int = 2, pruned: int = -1, quantised: bool = False, width: int = WIDTH,
    magic: int = 793712314,
    rows: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """A model with random rows, or with a hole in the file where they would be."""
    head = struct.pack("<ii12id", magic, version, width, 5, 5, 1, 5, 1, 2, model, bucket, shortest, longest, 100, 1e-4)
    entries = [word.encode() + b"\0" + struct.pack("<qb", 9, 0) for word in words]
    entries.append(b"__label__x" + b"\0" + struct.pack("<qb", 3, 1))
    counts = struct.pack("<iiiqq", len(words) + 1, len(words), 1, 1000, pruned)
    shape = struct.pack("<?qq", quantised, len(words) + bucket, width)
    if rows is None:
        rows = np.random.default_rng(0).normal(size=(len(words) + bucket, width)).astype("<f4")
    path.write_bytes(head + counts + b"".join(entries) + shape + rows.tobytes() + struct.pack("<?qq", False, 1, width))
    return rows


def parts(word: str, shortest: int, longest: int) -> list[str]:
    marked = f"<{word}>"
    found = [marked[i : i + n] for i in range(len(marked)) for n in range(shortest, longest + 1)]
    complete = {(i, n) for i in range(len(marked)) for n in range(shortest, longest + 1) if i + n <= len(marked)}
    places = [(i, n) for i in range(len(marked)) for n in range(shortest, longest + 1)]
    return [one for one, place in zip(found, places, strict=True) if place in complete and one not in ("<", ">")]


def bucket_of(part: str, buckets: int) -> int:
    """FNV-1a in 32 bits, over bytes with a sign."""
    with np.errstate(over="ignore"):
        value = np.uint32(2166136261)
        for byte in np.frombuffer(part.encode(), np.int8):
            value = (value ^ byte.astype(np.uint32)) * np.uint32(16777619)
    return int(value) % buckets


def expected(word: str, rows: np.ndarray, shortest: int = 2, longest: int = 4, buckets: int = 50) -> np.ndarray:
    own = [WORDS.index(word)]
    if word != "</s>":
        own += [len(WORDS) + bucket_of(part, buckets) for part in parts(word, shortest, longest)]
    return rows[own].mean(0)


def test_the_hash_is_fnv_1a() -> None:
    assert [fnv(data) for data in (b"", b"a", b"foobar")] == [0x811C9DC5, 0xE40C292C, 0xBF9CF968]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize(("shortest", "longest"), [(2, 4), (1, 2), (3, 6), (0, 0)])
def test_a_word_is_the_mean_of_its_row_and_those_of_its_parts(
    shortest: int, longest: int, packed: bool, tmp_path: Path
) -> None:
    rows = write_model(tmp_path / "m.bin", shortest=shortest, longest=longest)
    if packed:
        (tmp_path / "m.bin").write_bytes(gzip.compress((tmp_path / "m.bin").read_bytes()))
    found = read_vectors(tmp_path / "m.bin", ["berlin", "missing", "naïve", "北京", "</s>", "__label__x"])
    assert found.found.tolist() == [True, False, True, True, True, False]
    assert (found.width, found.words_in_file) == (WIDTH, len(WORDS))
    for place, word in {0: "Berlin", 2: "naïve", 3: "北京", 4: "</s>"}.items():
        wanted = expected(word, rows, shortest, longest) if longest else rows[WORDS.index(word)]
        np.testing.assert_allclose(found.rows[place], wanted, rtol=1e-5, atol=1e-6)
    assert not found.rows[1].any()


@pytest.mark.parametrize(("version", "model", "whole"), [(11, 3, True), (11, 2, False), (12, 3, False)])
def test_old_classifiers_take_no_words_apart(version: int, model: int, whole: bool, tmp_path: Path) -> None:
    rows = write_model(tmp_path / "m.bin", version=version, model=model)
    found = read_vectors(tmp_path / "m.bin", ["the"]).rows[0]
    np.testing.assert_allclose(found, rows[1] if whole else expected("the", rows), rtol=1e-5, atol=1e-6)


def test_rows_that_are_not_needed_stay_in_the_file(tmp_path: Path) -> None:
    """Eight gigabytes, all but some kilobytes of which are a hole: nobody could read them here one after another."""
    bucket, width = 2_000_000, 1000
    rows = np.random.default_rng(0).normal(size=(len(WORDS), width)).astype("<f4")
    write_model(tmp_path / "m.bin", bucket=bucket, width=width, rows=rows)
    whole = 4 * width * (len(WORDS) + bucket)
    with (tmp_path / "m.bin").open("r+b") as file:
        file.truncate((tmp_path / "m.bin").stat().st_size - 17 - rows.nbytes + whole)
    tracemalloc.start()
    found = read_vectors(tmp_path / "m.bin", ["the", "zebra"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4e6
    for place, word in enumerate(("the", "zebra")):
        own = [place for place in parts(word, 2, 4) if bucket_of(place, bucket) >= 1]
        np.testing.assert_allclose(found.rows[place], rows[WORDS.index(word)] / (1 + len(own)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"quantised": True}, "is a quantised fastText model"),
        ({"pruned": 4}, "is a pruned fastText model"),
        ({"version": 13}, "of version 13"),
        ({"width": 0}, "cannot be"),
        ({"magic": 1}, "holds no word vectors"),
        ({"words": ("lion", "tiger")}, "vectors of 2 words; none of them is in the vocabulary"),
        ({"rows": np.zeros((3, WIDTH), "<f4")}, "whose end is missing"),
        ({"rows": np.full((len(WORDS) + 50, WIDTH), np.inf, "<f4")}, "not finite"),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_what_cannot_be_read_is_said(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    write_model(tmp_path / "m.bin", **options)
    with pytest.raises(DataError, match=said) as error:
        read_vectors(tmp_path / "m.bin", ["the"])
    assert str(tmp_path / "m.bin") in str(error.value)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_a_file_that_is_cut_anywhere_is_refused(packed: bool, tmp_path: Path) -> None:
    write_model(tmp_path / "m.bin")
    content = (tmp_path / "m.bin").read_bytes()
    for length in (6, 40, 70, 100, 190, 400, len(content) - 30):
        (tmp_path / "cut.bin").write_bytes(gzip.compress(content[:length]) if packed else content[:length])
        with pytest.raises(DataError, match="whose end is missing"):
            read_vectors(tmp_path / "cut.bin", ["the"])
