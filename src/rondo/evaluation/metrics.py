"""Figures about predictions, and how sure they are."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from rondo.errors import DataError, UsageError


def confusion(predicted: npt.ArrayLike, true: npt.ArrayLike, *, classes: int) -> npt.NDArray[np.int64]:
    """How often class ``row`` was taken for class ``column``."""
    pairs = np.asarray(true, np.int64) * classes + np.asarray(predicted, np.int64)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


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


def checked_level(level: float) -> float:
    """The level of an interval, or an error."""
    if not 0 < level < 1:
        raise UsageError(f"the level of an interval is between 0 and 1, not {level}.")
    return level
