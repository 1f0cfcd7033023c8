"""fastText's own models (``.bin``): the vectors of some words, while those of all others stay in the file.

    int32 magic, int32 version
    12 x int32     dim ws epoch minCount neg wordNgrams loss model bucket minn maxn lrUpdateRate
    float64        t
    3 x int32      entries, words, labels of the dictionary
    2 x int64      tokens, entries of the pruning (-1: not pruned)
    each entry     its bytes, a zero byte, int64 how often, int8 0 (a word) or 1 (a label); words come first
    bool           whether the matrix is quantised
    2 x int64      rows, columns of the input matrix, then its values as 4-byte floats

All is little-endian. The first rows are those of the words, the others (``bucket`` of them) of parts of words, which
share rows by their hash. The vector of a word is the mean of its own row and of those of its parts, as fastText
prints it: Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information" (1607.04606).
"""

from __future__ import annotations

import io
import mmap
import struct
from collections.abc import Container, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rondo.data.files import CHUNK
from rondo.errors import DataError

Floats = npt.NDArray[np.float32]

MAGIC = struct.pack("<i", 793712314)
VERSIONS = (11, 12)
WIDEST = 1 << 16
_HEAD = struct.Struct("<ii12id")
_COUNTS = struct.Struct("<iiiqq")
_AFTER_WORD = struct.Struct("<qb")
_SHAPE = struct.Struct("<?qq")
_LONGEST_WORD = 1 << 16
_END = b"</s>"
_SUPERVISED = 3
_AT_ONCE = 1 << 12
"""Rows that are in memory at a time."""


class Found(NamedTuple):
    """What a model says of the words that are wanted."""

    words: list[str]
    rows: Floats
    """(len(words), width): their vectors."""
    words_in_file: int


class _Parts(NamedTuple):
    """How words are taken apart."""

    shortest: int
    longest: int
    buckets: int


def vectors_in(content: io.BufferedReader, mapped: mmap.mmap | None, name: str, wanted: Container[str]) -> Found:
    """The words of a model that are ``wanted``, with their vectors, in the order of the file.

    ``mapped`` is the file in memory, where it is not packed: then only the rows that are needed are read.
    """
    source = _Source(content, mapped, name)
    _, version, width, *_, model, bucket, shortest, longest, _, _ = _HEAD.unpack(source.take(_HEAD.size))
    if version not in VERSIONS:
        raise DataError(f"{name} is a fastText model of version {version}; read are {VERSIONS[0]} and {VERSIONS[1]}.")
    if version == VERSIONS[0] and model == _SUPERVISED:
        longest = 0  # classifiers of that version did not take words apart
    entries, words, _, _, pruned = _COUNTS.unpack(source.take(_COUNTS.size))
    if not (1 <= width <= WIDEST and 0 <= words <= entries and bucket >= 0):
        raise DataError(f"{name} is damaged: a fastText model of {words} words, {width} numbers each, cannot be.")
    if pruned >= 0:
        raise DataError(f"{name} is a pruned fastText model (.ftz); give the .bin file from which it was made.")
    chosen = [entry for entry in _entries(source, entries, words) if entry[1].decode("utf-8", "replace") in wanted]
    quantised, rows, columns = _SHAPE.unpack(source.take(_SHAPE.size))
    if quantised:
        raise DataError(f"{name} is a quantised fastText model (.ftz); give the .bin file from which it was made.")
    if (rows, columns) != (words + bucket, width):
        raise DataError(f"{name} is damaged: it says that its matrix is {rows} x {columns}.")
    parts = _Parts(shortest, longest, bucket)
    needed = [[number, *(words + part for part in _hashes(word, parts))] for number, word in chosen]
    sums = np.zeros((len(needed), width), np.float32)
    which = np.repeat(np.arange(len(needed)), [len(one) for one in needed])
    places = np.array([place for one in needed for place in one], np.int64)
    order = np.argsort(places, kind="stable")
    for block, at in source.matrix(rows, width, places[order]):
        np.add.at(sums, which[order[at]], block)
    sums /= np.array([len(one) for one in needed], np.float32)[:, None]
    return Found([word.decode("utf-8", "replace") for _, word in chosen], sums, words)


class _Source:
    """The bytes of a file, one after another, and the rows of the matrix behind them."""

    def __init__(self, content: io.BufferedReader, mapped: mmap.mmap | None, name: str) -> None:
        self.content, self.mapped, self.name = content, mapped, name
        self.held, self.at, self.before = b"", 0, 0

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        while len(self.held) - self.at < count:
            self._more()
        self.at += count
        return self.held[self.at - count : self.at]

    def word(self) -> bytes:
        """The bytes before the next zero."""
        while (end := self.held.find(b"\0", self.at)) < 0:
            if len(self.held) - self.at > _LONGEST_WORD:
                raise DataError(f"{self.name} is damaged: there is no end to a word of its dictionary.")
            self._more()
        found, self.at = self.held[self.at : end], end + 1
        return found

    def matrix(self, rows: int, width: int, needed: npt.NDArray[np.int64]) -> Iterator[tuple[Floats, slice]]:
        """Some of the rows at a time, in order, each with its places in ``needed``, which is sorted."""
        if self.mapped is not None:
            start = self.before + self.at
            if len(self.mapped) < start + 4 * rows * width:
                raise self._cut()
            whole = np.ndarray((rows, width), "<f4", self.mapped, start)
            for first in range(0, len(needed), _AT_ONCE):
                at = slice(first, first + _AT_ONCE)
                yield whole[needed[at]], at
            return
        step = max(1, CHUNK // (4 * width))
        for first in range(0, rows, step):
            count = min(step, rows - first)
            block = np.frombuffer(self.take(4 * count * width), "<f4").reshape(count, width)
            begin, end = np.searchsorted(needed, (first, first + count)).tolist()
            for start in range(begin, end, _AT_ONCE):
                at = slice(start, min(end, start + _AT_ONCE))
                yield block[needed[at] - first], at

    def _more(self) -> None:
        more = self.content.read(CHUNK)
        if not more:
            raise self._cut()
        self.before += self.at
        self.held, self.at = self.held[self.at :] + more, 0

    def _cut(self) -> DataError:
        return DataError(f"{self.name} is a fastText model whose end is missing.")


def _entries(source: _Source, entries: int, words: int) -> Iterator[tuple[int, bytes]]:
    """The words of the dictionary with their numbers; labels, which come last, are gone over."""
    for number in range(entries):
        word = source.word()
        _, kind = _AFTER_WORD.unpack(source.take(_AFTER_WORD.size))
        if kind != int(number >= words):
            raise DataError(f"{source.name} is damaged: entry {number + 1} of its dictionary is of kind {kind}.")
        if number < words:
            yield number, word


def _hashes(word: bytes, parts: _Parts) -> Iterator[int]:
    """The buckets of a word's parts: of ``shortest`` to ``longest`` characters, with < and > around the word."""
    if word == _END or not parts.buckets:
        return
    marked = b"<" + word + b">"
    starts = [place for place, byte in enumerate(marked) if byte & 0xC0 != 0x80]  # of characters in UTF-8
    ends = [*starts[1:], len(marked)]
    for first in range(len(starts)):
        value = 2166136261
        for last in range(first, min(first + parts.longest, len(starts))):
            value = fnv(marked[starts[last] : ends[last]], value)
            alone = first == last and first in (0, len(starts) - 1)  # the marks themselves are no parts
            if last - first + 1 >= parts.shortest and not alone:
                yield value % parts.buckets


def fnv(data: bytes, value: int = 2166136261) -> int:
    """The hash FNV-1a of 32 bits, in which fastText reads bytes as signed numbers."""
    for byte in data:
        value = ((value ^ (byte | 0xFFFFFF00 if byte > 127 else byte)) * 16777619) & 0xFFFFFFFF
    return value
