"""From a text to the tokens that a classifier reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from rondo.data.protocol import Tokenizer
from rondo.data.tokenizers import load_tokenizer, remove_other_tokenizer, train_tokenizer
from rondo.errors import DataError, ModelError
from rondo.evaluation.bag_of_words import by_characters
from rondo.models.token_pairs import Pairs, frequent_pairs
from rondo.storage import read_json, write_json
from rondo.tasks.classify.options import WORDS_AT_MOST, ClassifyData

Keep = Literal["start", "end", "both"]

_WORD = re.compile(r"\w+(?:['’\-]\w+)*|['’]\w+|[^\w\s]")
"""Words, also such as don't and well-known; the endings of tokenised text, such as 's; any other mark by itself."""
_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
PAIRS = "pairs.json"
"""The file of the pairs of neighbours that have a vector of their own."""
START_SHARE = 4
"""Of a long text, a quarter of what is kept is its start, if both ends are."""


class Read(NamedTuple):
    """A text as it is read."""

    tokens: list[str]
    """As they stand in the text."""
    ids: npt.NDArray[Any]
    cut: int
    """How many tokens were left out."""


class TextEncoder:
    """Token ids of texts; what is longer than ``max_tokens`` is cut."""

    def __init__(
        self, tokenizer: Tokenizer, *, lowercase: bool = True, max_tokens: int = 400, keep_tokens: Keep = "both",
        pairs: Pairs | None = None,
    ) -> None:  # fmt: skip
        self.tokenizer = tokenizer
        self.lowercase = lowercase
        self.max_tokens = max_tokens
        self.keep_tokens: Keep = keep_tokens
        self.pairs = pairs
        """(P, 2): the pairs of neighbours that have a vector of their own, if pairs have any."""

    @classmethod
    def train(
        cls, texts: Sequence[str], options: ClassifyData, *, further: Iterable[str] = (), pairs: bool = False
    ) -> Self:
        """With the vocabulary of these texts, and of ``further`` ones without labels; with ``pairs`` of these texts."""
        level = options.level
        if level == "auto":
            level = "characters" if by_characters(texts) else "words"
        size = options.vocabulary_size
        if size is None and level == "words":
            size = WORDS_AT_MOST
        plain = (_plain(text, level, options.lowercase) + "\n" for text in chain(texts, further))
        count = options.min_count if level != "pieces" else None
        try:
            tokenizer = train_tokenizer(level, plain, vocabulary_size=size, min_count=count)
        except DataError as error:
            raise DataError(
                f"the training texts give no vocabulary: {error} (--min-count {options.min_count})"
            ) from None
        made = cls(
            tokenizer, lowercase=options.lowercase, max_tokens=options.max_tokens, keep_tokens=options.keep_tokens
        )
        if pairs:
            read = (made.encode(text) for text in texts)
            least, most = options.min_pair_count, options.pairs_at_most
            made.pairs = frequent_pairs(read, tokenizer.size, least=least, most=most)
        return made

    @property
    def level(self) -> str:
        """``words``, ``characters`` or ``pieces``."""
        return self.tokenizer.kind

    @property
    def input_size(self) -> int:
        """The size of the vocabulary."""
        return self.tokenizer.size

    def check(self, item: str, where: str) -> None:
        """Any text can be read."""

    def encode(self, item: str) -> npt.NDArray[Any]:
        """The ids of a text."""
        ids = self._ids(item)
        return ids if len(ids) <= self.max_tokens else ids[self._kept(len(ids))]

    def chunks(self, texts: Iterable[str]) -> Iterator[str]:
        """Texts one after the other, a line each, as they are encoded for a language model."""
        return (_plain(text, self.level, self.lowercase) + "\n" for text in texts)

    def read(self, text: str) -> Read:
        """A text with its tokens as they stand in it, for people to look at."""
        ids = self._ids(text)
        plain = _plain(text, self.level, lowercase=False)
        if self.level == "words":
            tokens = plain.split()
        elif self.level == "characters":
            tokens = list(plain)
        else:
            tokens = [self.tokenizer.token(number) for number in ids.tolist()]
        kept = self._kept(len(ids))
        # Lower case may be longer by a character than upper case; then tokens are shown as they are read.
        shown = tokens if len(tokens) == len(ids) else [self.tokenizer.token(number) for number in ids.tolist()]
        return Read([shown[i] for i in kept], ids[kept], len(ids) - len(kept))

    def to_json(self) -> dict[str, Any]:
        """What stands in the configuration."""
        return {
            "level": self.level, "lowercase": self.lowercase, "max_tokens": self.max_tokens,
            "keep_tokens": self.keep_tokens, "pairs": self.pairs is not None,
        }  # fmt: skip

    def save(self, folder: str | Path) -> None:
        """Write the vocabulary."""
        self.tokenizer.save(folder)
        if self.pairs is not None:
            write_json(Path(folder) / PAIRS, self.pairs.tolist())

    def tidy(self, folder: str | Path) -> None:
        """Remove the vocabulary of another kind that an earlier model left."""
        remove_other_tokenizer(self.tokenizer, folder)
        if self.pairs is None:
            (Path(folder) / PAIRS).unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: str | Path, saved: Any) -> Self:
        """What `save` and `to_json` wrote down."""
        try:
            level, lowercase = saved["level"], saved["lowercase"]
            most, keep, pairs = saved["max_tokens"], saved["keep_tokens"], saved["pairs"]
        except (TypeError, KeyError) as error:
            raise ModelError("config.json is damaged: it does not say how texts are read") from error
        flags = type(lowercase) is bool and type(pairs) is bool
        if type(most) is not int or most < 1 or not flags or keep not in ("start", "end", "both"):
            raise ModelError("config.json is damaged: it does not say how texts are read")
        tokenizer = load_tokenizer(folder, kind=level if isinstance(level, str) else None)
        known = _saved_pairs(Path(folder) / PAIRS, tokenizer.size) if pairs else None
        return cls(tokenizer, lowercase=lowercase, max_tokens=most, keep_tokens=keep, pairs=known)

    def _ids(self, text: str) -> npt.NDArray[Any]:
        return self.tokenizer.encode(_plain(text, self.level, self.lowercase))

    def _kept(self, length: int) -> npt.NDArray[np.int64]:
        """The places of the tokens that are read."""
        most = self.max_tokens
        if length <= most:
            return np.arange(length)
        start = {"start": most, "end": 0, "both": most // START_SHARE}[self.keep_tokens]
        return np.concatenate([np.arange(start), np.arange(length - (most - start), length)])


def _saved_pairs(path: Path, size: int) -> Pairs:
    try:
        pairs = np.array(read_json(path), np.int64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"{path} is damaged: it does not hold pairs of tokens") from error
    if not (((pairs >= 0) & (pairs <= [size, size - 1])).all() and len(np.unique(pairs, axis=0)) == len(pairs)):
        raise ModelError(f"{path} is damaged: it does not hold pairs of tokens")
    return pairs


def _plain(text: str, level: str, lowercase: bool) -> str:
    """A text on one line; words and marks with blanks between them, where words are read."""
    text = _LINE_BREAK.sub(" ", text)
    if lowercase:
        text = text.lower()
    return " ".join(_WORD.findall(text) if level == "words" else text.split())
