"""From the tokens of a sentence to the rows of numbers that a tagger reads."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from rondo.errors import ModelError
from rondo.evaluation.tag_features import are_characters, shape
from rondo.models.spelling import UNKNOWN as UNKNOWN_CHARACTER
from rondo.models.token_features import CHARACTERS, KEY, LEFT, RIGHT, SHAPE, WORD, Frequencies, Sizes
from rondo.storage import read_json, write_json
from rondo.tasks.tag.options import TagData

VOCABULARY = "vocabulary.json"
EDGE = "\n"
"""Stands before the first and behind the last token; it is in none."""
SHAPES_AT_MOST = 200
REMEMBERED = 1 << 16
"""Different tokens whose rows are kept."""

_DIGIT = re.compile(r"\d")

Rows = npt.NDArray[np.int64]
Sentences = Iterable[Sequence[str]]


class TokenEncoder:
    """The rows of tokens, (T, columns): see `rondo.models.token_features`.

    Number 0 of words, shapes and pairs is the unknown one; ``characters`` begin at 2.
    """

    def __init__(
        self,
        words: Sequence[str],
        shapes: Sequence[str],
        pairs: Sequence[str],
        characters: str | None,
        *,
        lowercase: bool,
        digits: bool,
        longest_word: int,
    ) -> None:
        self.words, self.shapes, self.pairs, self.characters = tuple(words), tuple(shapes), tuple(pairs), characters
        self.lowercase, self.digits, self.longest_word = lowercase, digits, longest_word
        self._words = _numbered(self.words, 1)
        self._shapes = _numbered(self.shapes, 1)
        self._pairs = _numbered(self.pairs, 1)
        self._characters = None if characters is None else _numbered(characters, UNKNOWN_CHARACTER + 1)
        self._columns = KEY if characters is None else CHARACTERS + longest_word
        self._forget()

    @classmethod
    def train(cls, sentences: Sequence[Sequence[str]], options: TagData, *, pairs: bool, spelling: bool) -> Self:
        """With what the training part has often enough."""
        single = are_characters(sentences)
        made = cls(
            (), (), (), None, lowercase=options.lowercase, digits=options.digits or single,
            longest_word=options.longest_word,
        )  # fmt: skip
        tokens = Counter(token for tokens in sentences for token in tokens)
        letters: Counter[str] = Counter()
        for token, count in tokens.items() if spelling else ():
            letters.update(dict.fromkeys(token, count))
        return cls(
            _frequent(made._word_counts(tokens), options.min_count, options.vocabulary_size),
            _frequent(_summed(tokens, shape), 2, SHAPES_AT_MOST),
            _frequent(made._pair_counts(sentences), options.min_pair_count, options.pairs_at_most) if pairs else (),
            "".join(_frequent(letters, 2, None)) if spelling else None,
            lowercase=made.lowercase,
            digits=made.digits,
            longest_word=options.longest_word,
        )

    @property
    def sizes(self) -> Sizes:
        """How many there are of each, the unknown ones included."""
        characters = UNKNOWN_CHARACTER + 1 + len(self.characters or "")
        return Sizes(1 + len(self.words), 1 + len(self.shapes), 1 + len(self.pairs), characters)

    def frequencies(self, sentences: Sequence[Sequence[str]]) -> Frequencies:
        """How often sentences have each word and pair."""
        sizes = self.sizes
        words, pairs = np.zeros(sizes.words), np.zeros(sizes.pairs)
        for row in map(self.encode, sentences):
            np.add.at(words, row[:, WORD], 1)
            np.add.at(pairs, [*row[:1, LEFT], *row[:, RIGHT]], 1)
        words[0] = pairs[0] = 0
        return Frequencies(torch.from_numpy(words), torch.from_numpy(pairs))

    def known(self, token: str) -> bool:
        """Whether a token is in the vocabulary."""
        return self._plain(token) in self._words

    def encode(self, tokens: Sequence[str]) -> Rows:
        """The rows of a sentence."""
        if len(self._places) > REMEMBERED:
            self._forget()
        places = [self._places.get(token) or self._row(token) for token in tokens]
        rows: Rows = self._table[places]
        if self.pairs and len(tokens):
            plain = [EDGE, *map(self._plain, tokens), EDGE]
            pairs = [self._pairs.get(one + EDGE + other, 0) for one, other in itertools.pairwise(plain)]
            rows[:, LEFT], rows[:, RIGHT] = pairs[:-1], pairs[1:]
        return rows

    def to_json(self) -> dict[str, Any]:
        """What stands in the configuration."""
        return {"lowercase": self.lowercase, "digits": self.digits, "longest_word": self.longest_word}

    def save(self, folder: str | Path) -> None:
        """Write the vocabulary."""
        content = {
            "kind": "tokens", "words": self.words, "shapes": self.shapes, "pairs": self.pairs,
            "characters": self.characters,
        }  # fmt: skip
        write_json(Path(folder) / VOCABULARY, content)

    @classmethod
    def load(cls, folder: str | Path, saved: Any) -> Self:
        """What `save` and `to_json` wrote down; `ModelError` for what cannot be."""
        path = Path(folder) / VOCABULARY
        content = read_json(path)
        try:
            lists = [content[name] for name in ("words", "shapes", "pairs")]
            characters, longest = content["characters"], saved["longest_word"]
            flags = {name: saved[name] for name in ("lowercase", "digits")}
            texts = all(isinstance(each, list) and all(type(one) is str for one in each) for each in lists)
            if not texts or not (characters is None or isinstance(characters, str)) or type(longest) is not int:
                raise ValueError("words are texts")
            if not 1 < longest < 1 << 12 or any(type(flag) is not bool for flag in flags.values()):
                raise ValueError("it does not say how words are read")
            return cls(lists[0], lists[1], lists[2], characters, longest_word=longest, **flags)
        except (TypeError, KeyError, ValueError) as error:
            raise ModelError(f"{path} or config.json is damaged: tokens cannot be read ({error})") from None

    def _forget(self) -> None:
        """The rows of tokens begin with that of none: place 0 is of no token."""
        self._places: dict[str, int] = {}
        self._table: Rows = np.zeros((1024, self._columns), np.int64)

    def _row(self, token: str) -> int:
        place = len(self._places) + 1
        if place == len(self._table):
            self._table = np.concatenate([self._table, np.zeros_like(self._table)])
        row = self._table[place]
        row[WORD] = self._words.get(self._plain(token), 0)
        row[SHAPE] = self._shapes.get(shape(token), 0)
        if self._characters is not None:
            row[KEY] = int.from_bytes(hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=7).digest())
            read = self._cut(token)
            row[CHARACTERS : CHARACTERS + len(read)] = [self._characters.get(c, UNKNOWN_CHARACTER) for c in read]
        self._places[token] = place
        return place

    def _cut(self, token: str) -> str:
        """The characters that are read."""
        most = self.longest_word
        return token if len(token) <= most else token[: most - most // 2] + token[-(most // 2) :]

    def _plain(self, token: str) -> str:
        """A word as it is looked up."""
        if self.lowercase:
            token = token.lower()
        return token if self.digits else _DIGIT.sub("0", token)

    def _word_counts(self, tokens: Mapping[str, int]) -> Counter[str]:
        return _summed(tokens, self._plain)

    def _pair_counts(self, sentences: Sentences) -> Counter[str]:
        counts: Counter[str] = Counter()
        for tokens in sentences:
            plain = [EDGE, *map(self._plain, tokens), EDGE] if tokens else []
            counts.update(one + EDGE + other for one, other in itertools.pairwise(plain))
        return counts


def _numbered(names: Iterable[str], start: int) -> dict[str, int]:
    return {name: number for number, name in enumerate(names, start)}


def _summed(counts: Mapping[str, int], form: Any) -> Counter[str]:
    """Counts of the forms of tokens."""
    summed: Counter[str] = Counter()
    for token, count in counts.items():
        summed[form(token)] += count
    return summed


def _frequent(counts: Mapping[str, int], least: int, most: int | None) -> list[str]:
    """Those that are frequent enough, the most frequent first."""
    kept = [name for name, count in counts.items() if count >= least]
    return sorted(kept, key=lambda name: (-counts[name], name))[:most]
