"""Pretrained word vectors: of a file of any size only the words of a vocabulary come into memory.

    word2vec, binary   ``COUNT WIDTH``, then for each word its bytes, a blank, and 4-byte floats
    word2vec, fastText ``COUNT WIDTH``, then a line for each word: the word and its numbers (.vec)
    GloVe              the same lines, without the first
    fastText, binary   a whole model (.bin), see `rondo.data.fasttext`

Which one it is, is told by the content. Binary files are mapped into memory, of which only what is looked at is read;
lines and packed files are read as a stream. A word of the vocabulary takes the vector of the same word, else that
of its lower-case form, else that of the first word in the file which is the same but for case.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rondo.data.fasttext import MAGIC, WIDEST, Found, vectors_in
from rondo.data.files import CHUNK, open_binary
from rondo.errors import DataError

Floats = npt.NDArray[np.float32]

_LONGEST_WORD = 1 << 16
_AHEAD = 64
_SAME, _LOWER, _FOLDED, _NOT = range(4)
"""How well a word of the vocabulary is served: better is less."""


@dataclass(frozen=True)
class WordVectors:
    """Vectors for the words of a vocabulary."""

    rows: Floats
    """(words, width); zeros where the file has no vector."""
    found: npt.NDArray[np.bool_]
    """(words,): whose vector was in the file."""
    words_in_file: int

    @property
    def width(self) -> int:
        """How many numbers a vector has."""
        return self.rows.shape[1]

    def coverage(self, counts: npt.ArrayLike | None = None) -> float:
        """The share of the words that have a vector; with ``counts`` a word counts as often as it occurs."""
        weights = np.ones(len(self.found)) if counts is None else np.asarray(counts, np.float64)
        return float(weights[self.found].sum() / max(weights.sum(), 1e-300))


def read_vectors(path: str | Path, words: Sequence[str]) -> WordVectors:
    """The vectors of ``words`` in a file, plain or compressed."""
    wanted = _Wanted(words)
    with open_binary(path) as content:
        mapped = _mapped(path, content)
        if content.peek(len(MAGIC))[: len(MAGIC)] == MAGIC:
            return _of_model(vectors_in(content, mapped, str(path), wanted), wanted, str(path))
        form = _recognised(content, str(path))
        rows = np.zeros((len(words), form.width), np.float32)
        name = str(path)
        lines = not form.binary
        entries = _lines(content, name, form, wanted) if lines else _binary(content, mapped, name, form, wanted)
        count = 0
        for count, (word, vector) in enumerate(entries, 1):
            if vector is None:
                continue
            if not np.isfinite(vector).all():
                raise DataError(f"{path}, word {count} ({word[:40]!r}): its vector holds numbers that are not finite.")
            rows[wanted.taken(word)] = vector
    if form.words is not None and count < form.words:
        raise DataError(f"{path} says that it has {form.words:,} words and ends after {count:,}: its end is missing.")
    return wanted.served_by(rows, count, str(path))


def _of_model(model: Found, wanted: _Wanted, name: str) -> WordVectors:
    """The vectors that a fastText model has."""
    rows = np.zeros((len(wanted.served), model.rows.shape[1]), np.float32)
    for word, vector in zip(model.words, model.rows, strict=True):
        if not np.isfinite(vector).all():
            raise DataError(f"{name}, word {word[:40]!r}: its vector holds numbers that are not finite.")
        rows[wanted.taken(word)] = vector
    return wanted.served_by(rows, model.words_in_file, name)


def _mapped(path: str | Path, content: io.BufferedReader) -> mmap.mmap | None:
    """The file in memory, of which only those parts are read that are looked at; None if it is packed."""
    ahead = content.peek(_AHEAD)[:_AHEAD]
    if not ahead or not Path(path).is_file():
        return None
    with Path(path).open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if file.read(len(ahead)) == ahead else None


class _Wanted:
    """The words whose vectors are kept, and how well each is served so far."""

    def __init__(self, words: Sequence[str]) -> None:
        self.served = np.full(len(words), _NOT, np.int8)
        self._forms: dict[str, list[tuple[int, int]]] = {}
        for number, word in enumerate(words):
            for form, how in {word.casefold(): _FOLDED, word.lower(): _LOWER, word: _SAME}.items():
                self._forms.setdefault(form, []).append((number, how))

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and (word in self._forms or word.casefold() in self._forms)

    def taken(self, word: str) -> list[int]:
        """The words of the vocabulary that this one serves better than any before it."""
        folded = [(number, _FOLDED) for number, _ in self._forms.get(word.casefold(), ())]
        numbers = []
        for number, how in (*self._forms.get(word, ()), *folded):
            if how < self.served[number]:
                self.served[number] = how
                numbers.append(number)
        return numbers

    def served_by(self, rows: Floats, count: int, name: str) -> WordVectors:
        """The vectors that were found, in a file of ``count`` words."""
        found = self.served < _NOT
        if not found.any():
            raise DataError(f"{name} has vectors of {count:,} words; none of them is in the vocabulary.")
        return WordVectors(rows, found, count)


class _Form(NamedTuple):
    """How a file is written."""

    width: int
    words: int | None
    """How many its first line says there are, if it says so."""
    binary: bool


Entry = tuple[str, Floats | None]
"""A word, and its vector if it is wanted."""


def _recognised(content: io.BufferedReader, name: str) -> _Form:
    """The form of a file, whose first line is read if it is a header."""
    ahead = content.peek(CHUNK)
    head, _, rest = ahead.partition(b"\n")
    if len(cells := head.split()) == 2 and all(cell.isdigit() for cell in cells):
        words, width = map(int, cells)
        if not 1 <= width <= WIDEST:
            raise DataError(f"{name} says that its vectors have {width} numbers.")
        content.readline()
        line = rest.partition(b"\n")[0]
        return _Form(width, words, binary=not _is_entry(line, width))
    width = len(head.split()) - 1
    if not 1 <= width <= WIDEST or not _is_entry(head, width):
        raise DataError(
            f"{name} holds no word vectors: its first line is neither COUNT WIDTH (word2vec, fastText) nor a word "
            "and its numbers (GloVe), and it is no fastText model (.bin)."
        )
    return _Form(width, None, binary=False)


def _is_entry(line: bytes, width: int) -> bool:
    cells = line.rstrip().rsplit(b" ", width)
    try:
        np.array(cells[1:]).astype(np.float32)
    except ValueError:
        return False
    return len(cells) == width + 1


def _lines(content: io.BufferedReader, name: str, form: _Form, wanted: _Wanted) -> Iterator[Entry]:
    for number, line in enumerate(content, 1 if form.words is None else 2):
        if not line.strip():
            continue
        word = line[: line.find(b" ")].decode("utf-8", "replace")
        if word not in wanted:
            yield word, None
            continue
        first, *cells = line.rstrip().rsplit(b" ", form.width)  # a word of GloVe's may hold blanks
        word = first.decode("utf-8", "replace")
        try:
            vector = np.array(cells).astype(np.float32)
        except ValueError:
            raise DataError(f"{name}, line {number}: the vector of {word[:40]!r} holds what is no number.") from None
        if len(vector) != form.width:
            raise DataError(
                f"{name}, line {number}: {word[:40]!r} has {len(vector)} numbers; the vectors have {form.width}."
            )
        yield word, vector if word in wanted else None


def _binary(
    content: io.BufferedReader, mapped: mmap.mmap | None, name: str, form: _Form, wanted: _Wanted
) -> Iterator[Entry]:
    """Words and vectors of a mapped file, or of what is read of it piece by piece."""
    size = 4 * form.width
    held: bytes | mmap.mmap = b"" if mapped is None else mapped
    at = 0 if mapped is None else mapped.find(b"\n") + 1
    for number in range(1, (form.words or 0) + 1):
        blank = held.find(b" ", at, at + _LONGEST_WORD + 1)
        while blank < 0 or len(held) < blank + 1 + size:
            if blank < 0 and len(held) - at > _LONGEST_WORD:
                raise DataError(f"{name}, word {number}: there is no blank behind a word; the file is damaged.")
            more = content.read(CHUNK) if mapped is None else b""
            if not more:
                return
            held, at = held[at:] + more, 0
            blank = held.find(b" ", 0, _LONGEST_WORD + 1)
        word = held[at:blank].lstrip(b"\n").decode("utf-8", "replace")
        at = blank + 1 + size
        yield word, np.frombuffer(held, "<f4", form.width, blank + 1) if word in wanted else None
