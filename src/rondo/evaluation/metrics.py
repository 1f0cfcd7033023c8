"""Figures about predictions, and how sure they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from rondo.errors import DataError, UsageError

Floats = npt.NDArray[np.float64]


def bits(nats: float) -> float:
    """Nats as bits."""
    return nats / math.log(2)


def perplexity(nats: float) -> float:
    """The number of equally likely tokens that would be as hard to predict; infinite if it is beyond counting."""
    return math.exp(nats) if nats < 709 else math.inf


def accuracy(predicted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """The share of predictions that are right."""
    guesses, truths = np.asarray(predicted), np.asarray(true)
    if guesses.shape != truths.shape or not truths.size:
        raise DataError(f"predictions of shape {guesses.shape} cannot be held against truths of {truths.shape}.")
    return float((guesses == truths).mean())


def confusion(predicted: npt.ArrayLike, true: npt.ArrayLike, *, classes: int) -> npt.NDArray[np.int64]:
    """How often class ``row`` was taken for class ``column``."""
    pairs = np.asarray(true, np.int64) * classes + np.asarray(predicted, np.int64)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def distinct_n(sequences: Iterable[Sequence[object]], n: int) -> float:
    """The share of different n-grams among all n-grams of the sequences (Li et al. 2016); 0 if there is none.

    It falls with the amount of text: compare it between texts of like size only.
    """
    grams = [tuple(sequence[i : i + n]) for sequence in sequences for i in range(len(sequence) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def proportion_interval(successes: int, trials: int, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval for a share: right for few trials and for shares near 0 and 1 as well."""
    if not 0 <= successes <= trials or not trials:
        raise DataError(f"{successes} of {trials} is no share.")
    z = NormalDist().inv_cdf(0.5 + checked_level(level) / 2)
    share = successes / trials
    centre = share + z**2 / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    low, high = (centre - half) / (1 + z**2 / trials), (centre + half) / (1 + z**2 / trials)
    return (0.0 if successes == 0 else low), (1.0 if successes == trials else high)


def bootstrap_interval(
    values: npt.ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    block: int = 1,
    seed: int = 0,
) -> tuple[float, float]:
    """The percentile interval of the mean of ``values`` (Efron 1979).

    Where neighbours depend on each other, as the costs of the tokens of one text do, ``block`` neighbours
    are drawn together (Künsch 1989, around the end to the beginning).
    """
    data = np.asarray(values, np.float64)
    if data.ndim != 1 or not len(data):
        raise DataError("an interval needs at least one value, in one row.")
    if not 1 <= block <= len(data) or resamples < 1:
        raise UsageError(f"blocks have from 1 to {len(data)} values, not {block}; resamples are at least 1.")
    sums = np.concatenate(([0.0], np.cumsum(np.append(data, data[: block - 1]))))
    means = (sums[block:] - sums[:-block]) / block
    draws = -(-len(data) // block)
    rng = np.random.default_rng(seed)
    resampled = np.array([means[rng.integers(len(means), size=draws)].mean() for _ in range(resamples)])
    tail = (1 - checked_level(level)) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return float(low), float(high)


def checked_level(level: float) -> float:
    """The level of an interval, or an error."""
    if not 0 < level < 1:
        raise UsageError(f"the level of an interval is between 0 and 1, not {level}.")
    return level
