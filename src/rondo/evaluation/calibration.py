"""Whether probabilities mean what they say, and one number that makes them say it better.

The expected calibration error and temperature scaling of Guo et al. 2017, "On Calibration of Modern Neural
Networks". Where an item can have several labels, each label of each item is a decision of its own: its
confidence is the probability of the label, and it is right if the item has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rondo.errors import DataError, UsageError

Floats = npt.NDArray[np.float64]

BINS = 15
"""As many as Guo et al. have."""
RANGE = 0.01, 100.0
"""Temperatures that `fit_temperature` gives: where every item is right, the best would be zero."""


@dataclass(frozen=True)
class Reliability:
    """Decisions in bins of equal width by their confidence; bin i has those above i / n, up to (i + 1) / n."""

    counts: npt.NDArray[np.int64]
    """Decisions in each bin."""
    confidence: Floats
    """Their mean confidence; not a number where there are none."""
    right: Floats
    """The share of them that is right; not a number where there are none."""

    @property
    def error(self) -> float:
        """The expected calibration error: how far the two are apart, each bin weighed by its decisions."""
        gaps = np.nan_to_num(np.abs(self.confidence - self.right))
        return float(self.counts @ gaps / self.counts.sum())

    @property
    def worst(self) -> float:
        """The largest gap of any bin."""
        return float(np.nanmax(np.abs(self.confidence - self.right)))


def reliability(probabilities: npt.ArrayLike, true: npt.ArrayLike, *, bins: int = BINS) -> Reliability:
    """How often decisions of each confidence are right.

    ``probabilities`` are (N, K); ``true`` has the classes (N,), and the decision is for the most probable one,
    or yes and no for each class (N, K).
    """
    return binned(*decisions(probabilities, true), bins=bins)


def binned(confidence: npt.ArrayLike, right: npt.ArrayLike, *, bins: int = BINS) -> Reliability:
    """The same of decisions whose confidence is known, and whether they are right: two arrays of one shape."""
    sure, truth = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    if sure.shape != truth.shape or not sure.size:
        raise DataError(f"confidences of shape {sure.shape} cannot be held against decisions of {truth.shape}.")
    place = bin_of(sure, bins).ravel()
    counts = np.bincount(place, minlength=bins)
    sums = [np.bincount(place, values.ravel(), minlength=bins) for values in (sure, truth)]
    with np.errstate(invalid="ignore"):
        means = [total / counts for total in sums]
    return Reliability(counts, means[0], means[1])


def decisions(probabilities: npt.ArrayLike, true: npt.ArrayLike) -> tuple[Floats, Floats]:
    """The confidence of each decision and whether it is right, (N, 1) or, with several labels an item, (N, K)."""
    sure, truth = _checked(probabilities, true)
    if truth.ndim == 2:
        return sure, truth.astype(np.float64)
    return sure.max(axis=1, keepdims=True), (sure.argmax(axis=1) == truth).astype(np.float64)[:, None]


def bin_of(confidence: Floats, bins: int) -> npt.NDArray[np.int64]:
    """The number of each decision's bin."""
    if bins < 1:
        raise UsageError(f"there is at least 1 bin, not {bins}.")
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def fit_temperature(logits: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """The temperature at which the validation part's classes are most likely.

    ``logits`` are (N, K), ``true`` as in `reliability`; with several labels an item there is one temperature for
    all of them. The loss is convex in 1 / T, so the one place where its derivative is zero is halved in on.
    """
    scores, truth = _checked(logits, true)
    if truth.ndim == 2:
        chosen = float((scores * truth).sum())
    else:
        chosen = float(np.take_along_axis(scores, truth[:, None], axis=1).sum())

    def slope(inverse: float) -> float:
        return float((scaled(scores, 1 / inverse, several=truth.ndim == 2) * scores).sum()) - chosen

    low, high = np.log(1 / RANGE[1]), np.log(1 / RANGE[0])
    if slope(np.exp(low)) >= 0:
        return RANGE[1]
    if slope(np.exp(high)) <= 0:
        return RANGE[0]
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(np.exp(middle)) < 0 else (low, middle)
    return float(np.exp(-(low + high) / 2))


def scaled(logits: npt.ArrayLike, temperature: float, *, several: bool = False) -> Floats:
    """Probabilities at a temperature: of classes that exclude each other, or of ``several`` on their own."""
    if not temperature > 0:
        raise UsageError(f"a temperature is above 0, not {temperature}.")
    scores = np.asarray(logits, np.float64) / temperature
    if several:
        return 0.5 * (1 + np.tanh(scores / 2))  # the sigmoid, without overflow
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _checked(scores: npt.ArrayLike, true: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.int64]]:
    values, truth = np.asarray(scores, np.float64), np.asarray(true).astype(np.int64)
    if values.ndim != 2 or not values.size or truth.shape not in (values.shape, values.shape[:1]):
        raise DataError(f"scores of shape {values.shape} cannot be held against classes of {truth.shape}.")
    if truth.ndim == 1 and not 0 <= truth.min() <= truth.max() < values.shape[1]:
        raise DataError(f"the classes are numbers from 0 to {values.shape[1] - 1}.")
    return values, truth
