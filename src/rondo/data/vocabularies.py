"""Tokenizers with a fixed set of tokens: the characters, or the words, of the text they were made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from rondo.data.protocol import Ids, StreamDecoder, cut_before_blank, whole_pieces
from rondo.errors import DataError, UsageError
from rondo.storage import write_json

UNKNOWN = "<unk>"
LINE_END = "<eos>"
VOCABULARY_FILE = "vocabulary.json"

_CODE_POINTS = 0x110000


class CharacterTokenizer:
    """One token a character; number 0 is ``<unk>``, the characters follow in the order of their code points."""

    kind = "characters"
    unknown = 0

    def __init__(self, characters: str) -> None:
        self.characters = characters
        if not isinstance(characters, str) or len(set(characters)) != len(characters):
            raise DataError("a vocabulary of characters is a text that has no character twice.")
        self._texts = np.array(["\ufffd", *characters], dtype=object)
        self._numbers = np.zeros(_CODE_POINTS, _smallest(self.size))
        self._numbers[_code_points(characters)] = np.arange(1, self.size)

    @classmethod
    def train(cls, texts: Iterable[str], *, vocabulary_size: int | None = None, min_count: int = 1) -> Self:
        """The characters of a text: those seen ``min_count`` times, the ``vocabulary_size`` most frequent at most.

        The size counts ``<unk>`` as well.
        """
        counts = np.zeros(_CODE_POINTS, np.int64)
        for text in texts:
            seen = np.bincount(_code_points(text), minlength=1)
            counts[: len(seen)] += seen
        counts[0xD800:0xE000] = 0  # halves of UTF-16 pairs are no characters, and no file can hold them
        kept = np.flatnonzero(counts >= max(min_count, 1))
        by_count = kept[np.argsort(-counts[kept], kind="stable")][: _room(vocabulary_size, 1)]
        if not len(by_count):
            raise DataError("no characters to make a vocabulary of: the text is empty or all of it is too rare.")
        return cls("".join(chr(point) for point in np.sort(by_count)))

    @property
    def size(self) -> int:
        return 1 + len(self.characters)

    def encode(self, text: str) -> Ids:
        return self._numbers[_code_points(text)]

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(self._texts[_listed(ids)])

    def token(self, index: int) -> str:
        return self.characters[index - 1] if index else UNKNOWN

    def number(self, token: str) -> int | None:
        place = self.characters.find(token) if len(token) == 1 else -1
        return None if place < 0 else place + 1

    def count_characters(self, ids: Iterable[int]) -> int:
        return len(_listed(ids))

    def cut(self, text: str) -> int:
        return len(text)

    def stream_decoder(self) -> StreamDecoder:
        return _Characters(self)

    def save(self, folder: str | Path) -> None:
        write_json(Path(folder) / VOCABULARY_FILE, {"kind": self.kind, "characters": self.characters})

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """The tokenizer that `save` wrote down."""
        return cls(content["characters"])


class WordTokenizer:
    """One token a word, split at blanks; ``<unk>`` is number 0 and ``<eos>``, the end of a line, number 1."""

    kind = "words"
    unknown = 0

    def __init__(self, words: Sequence[str]) -> None:
        self.words = (UNKNOWN, LINE_END, *words)
        self._numbers = {word: number for number, word in enumerate(self.words)}
        if len(self._numbers) != len(self.words) or any(word.split() != [word] for word in self.words):
            raise DataError("a vocabulary of words has no word twice, and no blanks in a word.")
        self._dtype = _smallest(self.size)

    @classmethod
    def train(cls, texts: Iterable[str], *, vocabulary_size: int | None = None, min_count: int = 1) -> Self:
        """The words of a text, most frequent first: those seen ``min_count`` times, ``vocabulary_size`` at most.

        The size counts ``<unk>`` and ``<eos>`` as well.
        """
        counts: Counter[str] = Counter()
        for text in whole_pieces(texts, cut_before_blank):
            counts.update(text.split())
        counts.pop(UNKNOWN, None)
        counts.pop(LINE_END, None)
        kept = sorted((word for word, n in counts.items() if n >= min_count), key=lambda word: (-counts[word], word))
        if not kept:
            raise DataError("no words to make a vocabulary of: the text is blank or all of its words are too rare.")
        return cls(kept[: _room(vocabulary_size, 2)])

    @property
    def size(self) -> int:
        return len(self.words)

    def encode(self, text: str) -> Ids:
        number = self._numbers.get
        return np.array([number(word, 0) for word in text.replace("\n", f" {LINE_END} ").split()], self._dtype)

    def decode(self, ids: Iterable[int]) -> str:
        decoder = self.stream_decoder()
        return "".join([decoder.feed(index) for index in _listed(ids)])

    def token(self, index: int) -> str:
        return self.words[index]

    def number(self, token: str) -> int | None:
        return self._numbers.get(token)

    def count_characters(self, ids: Iterable[int]) -> int:
        return len(self.decode(ids))

    def cut(self, text: str) -> int:
        return cut_before_blank(text)

    def stream_decoder(self) -> StreamDecoder:
        return _Words(self)

    def save(self, folder: str | Path) -> None:
        write_json(Path(folder) / VOCABULARY_FILE, {"kind": self.kind, "words": list(self.words[2:])})

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """The tokenizer that `save` wrote down."""
        return cls(content["words"])


class _Characters:
    def __init__(self, tokenizer: CharacterTokenizer) -> None:
        self._tokenizer = tokenizer

    def feed(self, token: int) -> str:
        return self._tokenizer.decode([token])

    def flush(self) -> str:
        return ""


class _Words:
    """Words with one blank between them and none at the start of a line."""

    def __init__(self, tokenizer: WordTokenizer) -> None:
        self._words = tokenizer.words
        self._blank = ""

    def feed(self, token: int) -> str:
        if token == 1:
            self._blank = ""
            return "\n"
        text = self._blank + self._words[token]
        self._blank = " "
        return text

    def flush(self) -> str:
        return ""


def _code_points(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _listed(ids: Iterable[int]) -> list[int]:
    """Plain numbers, from a list, an array or a tensor."""
    return ids.tolist() if hasattr(ids, "tolist") else list(ids)


def _smallest(size: int) -> np.dtype[Any]:
    return np.min_scalar_type(size - 1)


def _room(vocabulary_size: int | None, reserved: int) -> int | None:
    if vocabulary_size is None:
        return None
    if vocabulary_size <= reserved:
        raise UsageError(f"a vocabulary of {vocabulary_size} is too small: {reserved} are taken by special tokens.")
    return vocabulary_size - reserved
