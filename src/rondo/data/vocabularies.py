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
    """One token a character. Number 0 is ``<unk>``, then come special tokens, then characters in their order.

    Special tokens are for what stands between characters, such as the form of a poem: no text is encoded as
    one, and they leave no trace in decoded text.
    """

    kind = "characters"
    unknown = 0

    def __init__(self, characters: Sequence[str], *, specials: Sequence[str] = ()) -> None:
        self.specials = tuple(specials)
        self.characters = "".join(characters)
        self._tokens = [UNKNOWN, *self.specials, *self.characters]
        if len(set(self._tokens)) != len(self._tokens) or not all(isinstance(name, str) for name in self.specials):
            raise DataError("a vocabulary of characters has no token twice, and names for its special tokens.")
        self._texts = np.array(["\ufffd", *[""] * len(self.specials), *self.characters], dtype=object)
        self._numbers = np.zeros(_CODE_POINTS, _smallest(self.size))
        self._numbers[_code_points(self.characters)] = np.arange(1 + len(self.specials), self.size)

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        *,
        vocabulary_size: int | None = None,
        min_count: int = 1,
        specials: Sequence[str] = (),
    ) -> Self:
        """The characters of a text: those seen ``min_count`` times, the ``vocabulary_size`` most frequent at most.

        The size counts ``<unk>`` and the special tokens as well.
        """
        counts = np.zeros(_CODE_POINTS, np.int64)
        for text in texts:
            seen = np.bincount(_code_points(text), minlength=1)
            counts[: len(seen)] += seen
        counts[0xD800:0xE000] = 0  # halves of UTF-16 pairs are no characters, and no file can hold them
        kept = np.flatnonzero(counts >= max(min_count, 1))
        room = _room(vocabulary_size, 1 + len(specials))
        by_count = kept[np.argsort(-counts[kept], kind="stable")][:room]
        if not len(by_count):
            raise DataError("no characters to make a vocabulary of: the text is empty or all of it is too rare.")
        return cls([chr(point) for point in np.sort(by_count)], specials=specials)

    @property
    def size(self) -> int:
        return len(self._tokens)

    def encode(self, text: str) -> Ids:
        return self._numbers[_code_points(text)]

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(self._texts[_listed(ids)])

    def token(self, index: int) -> str:
        return self._tokens[index]

    def special(self, name: str) -> int:
        """The id of a special token."""
        return 1 + self.specials.index(name)

    def cut(self, text: str) -> int:
        return len(text)

    def stream_decoder(self) -> StreamDecoder:
        return _Characters(self)

    def save(self, folder: str | Path) -> None:
        content = {"kind": self.kind, "specials": list(self.specials), "characters": self.characters}
        write_json(Path(folder) / VOCABULARY_FILE, content)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """The tokenizer that `save` wrote down."""
        return cls(content["characters"], specials=content["specials"])


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
