"""Interpolated Kneser-Ney: the n-gram baseline beside every language model.

Kneser and Ney 1995 in the interpolated form, with the three discounts of Chen and Goodman 1999
("modified Kneser-Ney"), which is the stronger baseline, or with the original's single one. What the n-grams
of a context give up goes to the next shorter context. The longest n-grams are counted as they occur; a
shorter one counts the different tokens it was met behind. Below the single tokens lies the uniform
distribution, so every token of the vocabulary has a probability, and they sum to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rondo.errors import DataError, UsageError
from rondo.evaluation.ngram_counts import (
    Counts,
    Estimate,
    Floats,
    Integers,
    Level,
    continuations,
    count,
    follow,
)
from rondo.evaluation.ngram_file import Trie, read_trie, write_trie


class KneserNey:
    """A language model of fixed order over token ids, made by `fit`, `choose_order` or `load`."""

    def __init__(self, counts: Counts, *, modified: bool = True) -> None:
        self.modified = modified
        self.vocabulary_size = counts.levels[0].vocabulary_size
        self._levels = counts.levels
        self._longest = counts.seen[-1]
        self._estimates = [
            Estimate(level, seen, modified=modified)
            for level, seen in zip(counts.levels, [*counts.continued, self._longest], strict=True)
        ]

    @property
    def order(self) -> int:
        """The length of the longest n-grams: the model looks back at one token less than that."""
        return len(self._levels)

    @property
    def size(self) -> int:
        """The number of n-grams of all lengths."""
        return sum(len(level.tokens) for level in self._levels)

    @classmethod
    def fit(
        cls,
        tokens: npt.ArrayLike,
        *,
        order: int = 6,
        vocabulary_size: int | None = None,
        modified: bool = True,
    ) -> KneserNey:
        """Count a text. Without ``vocabulary_size`` the vocabulary ends at the largest token met."""
        text, size = _checked(tokens, vocabulary_size)
        return cls(count(text, _checked_order(order), size), modified=modified)

    def nats(self, tokens: npt.ArrayLike) -> Floats:
        """What each token costs given those before it, in nats; the first is given none.

        A network that starts with its first input predicts all tokens but the first one:
        hold it against ``nats(tokens)[1:]``, or ask for the `loss`.
        """
        text, _ = _checked(tokens, self.vocabulary_size)
        probability = np.full(len(text), 1.0 / self.vocabulary_size)
        for estimate, (nodes, contexts) in zip(self._estimates, follow(self._levels, text), strict=True):
            probability = estimate.interpolate(nodes, contexts, probability)
        return -np.log(probability)

    def loss(self, tokens: npt.ArrayLike) -> float:
        """The mean cost in nats of the tokens that a network predicts: all but the first."""
        return _loss(self.nats(tokens))

    def probabilities(self, context: npt.ArrayLike = ()) -> Floats:
        """The distribution of the next token after ``context``, over the whole vocabulary."""
        past = np.asarray(context, np.int64)
        distribution = np.full(self.vocabulary_size, 1.0 / self.vocabulary_size)
        for length, (level, estimate) in enumerate(zip(self._levels, self._estimates, strict=True)):
            node = _number(self._levels, past[len(past) - length :]) if length <= len(past) else -1
            if node < 0:
                break
            children = slice(level.starts[node], level.starts[node + 1])
            distribution *= estimate.rest[node]
            distribution[level.tokens[children]] += estimate.share[children]
        return distribution

    def save(self, path: str | Path) -> None:
        """Write the n-grams in compact form, a byte or two each."""
        tokens = [level.tokens for level in self._levels]
        children = [np.diff(level.starts) for level in self._levels]
        write_trie(Path(path), Trie(self.vocabulary_size, self.modified, tokens, children, self._longest))

    @classmethod
    def load(cls, path: str | Path) -> KneserNey:
        """Read what `save` wrote; the counts of all but the longest n-grams follow from the n-grams."""
        trie = read_trie(Path(path))
        levels = [
            Level.of(tokens, np.append(0, np.cumsum(children, dtype=np.int64)), trie.vocabulary_size)
            for tokens, children in zip(trie.tokens, trie.children, strict=True)
        ]
        return cls(Counts(levels, [trie.counts], continuations(levels)), modified=trie.modified)


@dataclass(frozen=True)
class Choice:
    """What `choose_order` found."""

    model: KneserNey
    """The model of the best order."""
    losses: dict[int, float]
    """The loss of each order on the validation part, in nats a token."""


def choose_order(
    train: npt.ArrayLike,
    valid: npt.ArrayLike,
    *,
    max_order: int = 8,
    vocabulary_size: int | None = None,
    modified: bool = True,
) -> Choice:
    """Fit every order up to ``max_order`` on ``train`` and keep the one with the least loss on ``valid``.

    The orders share their n-grams and all but their last counts, so this costs little more than one fit.
    """
    if vocabulary_size is None:
        vocabulary_size = 1 + max(int(np.max(part, initial=0)) for part in (np.asarray(train), np.asarray(valid)))
    text, _ = _checked(train, vocabulary_size)
    held_out, _ = _checked(valid, vocabulary_size)
    counts = count(text, _checked_order(max_order), vocabulary_size)
    losses: dict[int, float] = {}
    shorter = np.full(len(held_out), 1.0 / vocabulary_size)
    for n, (nodes, contexts) in enumerate(follow(counts.levels, held_out)):
        level = counts.levels[n]
        last = Estimate(level, counts.seen[n], modified=modified).interpolate(nodes, contexts, shorter)
        losses[n + 1] = _loss(-np.log(last))
        if n < len(counts.continued):
            between = Estimate(level, counts.continued[n], modified=modified)
            shorter = between.interpolate(nodes, contexts, shorter)
    best = min(losses, key=lambda order: losses[order])
    kept = Counts(counts.levels[:best], counts.seen[:best], counts.continued[: best - 1])
    return Choice(KneserNey(kept, modified=modified), losses)


def _number(levels: list[Level], gram: Integers) -> int:
    """The number of one n-gram in its level, -1 if it is unknown."""
    node = np.zeros(1, np.int64)
    for level, token in zip(levels, gram, strict=False):
        node = level.find(node, np.array([token]))
    return int(node[0])


def _loss(nats: Floats) -> float:
    if len(nats) < 2:
        raise DataError("a text to score needs at least two tokens: the first one has nothing before it.")
    return float(nats[1:].mean())


def _checked_order(order: int) -> int:
    if order < 1:
        raise UsageError(f"the order of an n-gram model is 1 or more, not {order}.")
    return order


def _checked(tokens: npt.ArrayLike, vocabulary_size: int | None) -> tuple[Integers, int]:
    text = np.asarray(tokens)
    if text.ndim != 1 or not len(text) or not np.issubdtype(text.dtype, np.integer):
        raise DataError(
            f"an n-gram model reads a row of token ids, at least one; got {text.dtype} of shape {text.shape}."
        )
    largest = int(text.max())
    size = largest + 1 if vocabulary_size is None else vocabulary_size
    if text.min() < 0 or largest >= size:
        raise DataError(f"token ids must be from 0 to {size - 1}; got {min(int(text.min()), largest)} to {largest}.")
    return text, size
