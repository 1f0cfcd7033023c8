"""Intervals of any score by the bootstrap (Efron 1979), and of the difference between two systems.

The items are drawn anew with replacement, many times, and the score is taken of each draw; the interval is
between percentiles of these scores. Two systems are compared on the same draws, for what is hard for one is
mostly hard for the other. Where items are in groups that resemble each other, groups are drawn (Field and
Welsh 2007, the cluster bootstrap).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from rondo.errors import DataError, UsageError
from rondo.evaluation.classification import Sums

Floats = npt.NDArray[np.float64]
P = TypeVar("P", contravariant=True)


class Resampled(Protocol[P]):
    """A score that is made from sums over the items of what a system said: `classification.Measure` and others."""

    @property
    def better(self) -> Literal["higher", "lower"]: ...

    @property
    def sums(self) -> Callable[[P], Sums]:
        """What each item adds to the sums."""

    @property
    def score(self) -> Callable[[Floats], Floats]:
        """From sums (..., D) to scores (...)."""

    def __call__(self, predictions: P) -> float:
        """The score itself."""


FEWEST_GROUPS = 5
"""Of fewer groups there are too few different draws: the interval would be far too narrow, of one group a point."""

ROOM = 1 << 22
"""How many counts are in memory at a time."""


@dataclass(frozen=True)
class Estimate:
    """A score and its interval."""

    value: float
    low: float
    """NaN where there are too few groups for an interval (`too_few`)."""
    high: float

    @property
    def ends(self) -> list[float] | None:
        """Both ends, or None where there is no interval."""
        return None if math.isnan(self.low) else [self.low, self.high]


@dataclass(frozen=True)
class Difference(Estimate):
    """One system's score less another's on the same items."""

    ahead: float
    """The share of the draws in which the first system has the better score; half of those in which they tie."""


def interval(
    measure: Resampled[P],
    predictions: P,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    groups: Sequence[Any] | None = None,
    seed: int = 0,
) -> Estimate:
    """A score with its interval; ``groups`` has the group of each item."""
    value = measure(predictions)
    sums = _grouped(measure.sums(predictions), groups)
    if too_few(groups):
        return Estimate(value, math.nan, math.nan)
    scores = np.concatenate(
        [measure.score(counts @ sums.rows) for counts in _draws(sums.kind, len(sums.rows), resamples, seed)]
    )
    return Estimate(value, *_percentiles(scores, level))


def difference(
    measure: Resampled[P],
    ours: P,
    theirs: P,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    groups: Sequence[Any] | None = None,
    seed: int = 0,
) -> Difference:
    """How far ``ours`` is above ``theirs``, both on the same items in the same order."""
    first, second = measure.sums(ours), measure.sums(theirs)
    if len(first.kind) != len(second.kind):
        given = f"{len(first.kind)} and {len(second.kind)} items"
        raise DataError(f"the systems were given {given}; compared are those on the same.")
    value = measure(ours) - measure(theirs)
    pairs, kind = np.unique(first.kind * len(second.rows) + second.kind, return_inverse=True)
    width = first.rows.shape[1]
    rows = np.concatenate([first.rows[pairs // len(second.rows)], second.rows[pairs % len(second.rows)]], axis=1)
    sums = _grouped(Sums(kind, rows), groups)
    if too_few(groups):
        return Difference(value, math.nan, math.nan, ahead=math.nan)
    parts = []
    for counts in _draws(sums.kind, len(sums.rows), resamples, seed):
        drawn = counts @ sums.rows
        parts.append(measure.score(drawn[:, :width]) - measure.score(drawn[:, width:]))
    gaps = np.concatenate(parts)
    signs = np.sign(gaps if measure.better == "higher" else -gaps)
    return Difference(value, *_percentiles(gaps, level), ahead=float((1 + signs).mean() / 2))


def too_few(groups: Sequence[Any] | None) -> str | None:
    """Why there is no interval where the items are in these groups; None where there is one."""
    count = FEWEST_GROUPS if groups is None else len(set(groups))
    if count >= FEWEST_GROUPS:
        return None
    found = "all items are in one group" if count == 1 else f"the items are in {count} groups"
    return f"{found}, and whole groups are drawn; it takes {FEWEST_GROUPS} at least."


def _grouped(sums: Sums, groups: Sequence[Any] | None) -> Sums:
    """Sums whose items are whole groups."""
    if groups is None:
        return sums
    if len(groups) != len(sums.kind):
        raise DataError(f"{len(sums.kind)} items have {len(groups)} groups.")
    number = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    rows = np.zeros((len(number), sums.rows.shape[1]))
    np.add.at(rows, [number[group] for group in groups], sums.rows[sums.kind])
    return Sums(np.arange(len(number)), rows)


def _draws(kind: npt.NDArray[np.int64], kinds: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often items of each kind were drawn, (resamples, kinds) in several parts."""
    if resamples < 1:
        raise UsageError(f"resamples are at least 1, not {resamples}.")
    rng = np.random.default_rng(seed)
    size = len(kind)
    shares = np.bincount(kind, minlength=kinds) / size
    few = 8 * kinds < size  # then it is quicker to draw how often each kind comes than to draw the items
    for start in range(0, resamples, step := max(1, ROOM // (kinds if few else size))):
        number = min(step, resamples - start)
        if few:
            counts = rng.multinomial(size, shares, size=number)
        else:
            drawn = kind[rng.integers(size, size=(number, size))] + kinds * np.arange(number)[:, None]
            counts = np.bincount(drawn.ravel(), minlength=number * kinds).reshape(number, kinds)
        yield counts.astype(np.float64)


def _percentiles(scores: Floats, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise UsageError(f"the level of an interval is between 0 and 1, not {level}.")
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
