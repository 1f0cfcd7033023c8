"""The counts under `KneserNey`: n-grams as a trie of arrays, and what each is worth in its context.

Level n of the trie holds the n-grams of length n in sorted order. An n-gram's number is its rank in its
level; "n-gram m followed by token w" is found by bisection in the sorted keys ``m * vocabulary_size + w``.
Counting and looking up take a whole text at once, a level at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Level:
    """The n-grams of one length, as children of those that are one token shorter: their contexts."""

    tokens: Integers
    """The last token of each n-gram."""
    starts: Integers
    """The children of context m are the n-grams from ``starts[m]`` up to ``starts[m + 1]``."""
    keys: npt.NDArray[np.int64]
    """What the n-grams are sorted by: ``context * vocabulary_size + token``."""
    vocabulary_size: int

    @classmethod
    def of(cls, tokens: Integers, starts: Integers, vocabulary_size: int) -> Level:
        contexts = np.repeat(np.arange(len(starts) - 1, dtype=np.int64), np.diff(starts))
        return cls(tokens, starts, contexts * vocabulary_size + tokens, vocabulary_size)

    def find(self, contexts: Integers, tokens: Integers) -> npt.NDArray[np.int64]:
        """The number of each context followed by its token; -1 where that, or the context, is unknown."""
        wanted = np.where(contexts < 0, -1, contexts.astype(np.int64) * self.vocabulary_size + tokens)
        if not len(self.keys):
            return np.full(len(wanted), -1)
        found = np.searchsorted(self.keys, wanted)
        found[found == len(self.keys)] = 0
        return np.where(self.keys[found] == wanted, found, -1)


@dataclass(frozen=True)
class Counts:
    """The levels of a text's n-grams, shortest first, counted in two ways."""

    levels: list[Level]
    seen: list[Integers]
    """How often each n-gram occurs: this counts for the longest n-grams."""
    continued: list[Integers]
    """Behind how many different tokens each n-gram occurs: this counts for all but the longest."""


def count(text: Integers, order: int, vocabulary_size: int) -> Counts:
    """The n-grams of a text, up to ``order`` tokens long. Takes about 40 bytes a token while it runs."""
    levels: list[Level] = []
    seen: list[Integers] = []
    continued: list[Integers] = []
    # The number of the n-gram that starts at each place; at first its length is 0.
    numbers = np.zeros(len(text) + 1, np.int32)
    distinct = 1
    for n in range(1, order + 1):
        places = max(len(text) - n + 1, 0)
        keys = numbers[:places].astype(np.int64) * vocabulary_size + text[len(text) - places :]
        by_key = np.argsort(keys)
        keys = keys[by_key]
        first = np.append(np.ones(min(places, 1), bool), keys[1:] != keys[:-1])
        if n > 1:
            continued.append(np.bincount(numbers[1:][by_key[first]], minlength=distinct))
        numbers = np.empty(places, np.int32)
        numbers[by_key] = np.cumsum(first, dtype=np.int32) - 1
        seen.append(np.diff(np.append(np.flatnonzero(first), places)))
        keys = keys[first]
        starts = np.searchsorted(keys, np.arange(distinct + 1) * vocabulary_size)
        levels.append(Level((keys % vocabulary_size).astype(text.dtype), starts, keys, vocabulary_size))
        distinct = len(keys)
    return Counts(levels, seen, continued)


def continuations(levels: list[Level]) -> list[Integers]:
    """What `count` gives as ``continued``, from the n-grams alone."""
    counts: list[Integers] = []
    suffixes = np.zeros(len(levels[0].tokens), np.int64)  # the number of an n-gram without its first token
    for shorter, level in pairwise(levels):
        suffixes = shorter.find(suffixes[level.keys // level.vocabulary_size], level.tokens)
        counts.append(np.bincount(suffixes, minlength=len(shorter.tokens)))
    return counts


def follow(levels: Iterable[Level], text: Integers) -> Iterator[tuple[Integers, Integers]]:
    """For each level and place of a text: the n-gram that ends there, and its context; -1 is unknown."""
    nodes = np.zeros(len(text), np.int64)
    contexts = nodes
    for level in levels:
        nodes = level.find(contexts, text)
        yield nodes, contexts
        contexts = np.concatenate(([-1], nodes[:-1]))


class Estimate:
    """A level's counts as P(w | context) = share(context, w) + rest(context) * P(w | shorter context)."""

    def __init__(self, level: Level, counts: Integers, *, modified: bool) -> None:
        contexts = level.keys // level.vocabulary_size
        taken = discounts(counts, modified=modified)[np.minimum(counts, 3)]
        total = np.bincount(contexts, counts, minlength=len(level.starts) - 1)
        given_up = np.bincount(contexts, taken, minlength=len(level.starts) - 1)
        known = total > 0
        total[~known] = 1.0
        # What was never seen has the number -1 and finds the value at the end.
        self.share = np.append((counts - taken) / total[contexts], 0.0)
        self.rest = np.append(np.where(known, given_up / total, 1.0), 1.0)

    def interpolate(self, nodes: Integers, contexts: Integers, shorter: Floats) -> Floats:
        """The probability of n-grams in their contexts, given their probability in the shorter context."""
        return self.share[nodes] + self.rest[contexts] * shorter


def discounts(counts: Integers, *, modified: bool = True) -> Floats:
    """What an n-gram seen 0, 1, 2, 3 or more times gives up.

    The three of Chen and Goodman 1999 (equation 26) or, not ``modified``, the one of Kneser and Ney 1995.
    Where too few n-grams are rare enough for the estimate, the one takes the place of the three,
    and one half the place of the one.
    """
    n1, n2, n3, n4 = np.bincount(np.minimum(counts, 5), minlength=6)[1:5].astype(float)
    plain = n1 / (n1 + 2 * n2) if n1 and n2 else 0.5
    taken = [0.0, plain, plain, plain]
    for c, (fewer, more) in enumerate(((n1, n2), (n2, n3), (n3, n4)), start=1):
        if modified and fewer and more and 0 < (estimate := c - (c + 1) * plain * more / fewer) < c:
            taken[c] = estimate
    return np.array(taken)
