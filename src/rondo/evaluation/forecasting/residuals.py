"""Points made probabilistic: the errors a forecaster made before, added to what it says now.

At each step of the horizon, the quantiles of the errors from origins of the training part (Hyndman and Athanasopoulos,
3rd edition, section 5.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from rondo.data.series import SeriesSet
from rondo.data.series.windows import training_windows
from rondo.errors import DataError
from rondo.evaluation.forecasting.baselines import Baseline
from rondo.evaluation.forecasting.metrics import seasonal_error
from rondo.evaluation.forecasting.scores import ASKED

Floats = npt.NDArray[np.float64]

MOST_ERRORS = 1000
"""Of a series at each step: quantiles of more are hardly others."""
ENOUGH = 20
"""A series with fewer errors of its own uses those of all series, in units of what it changes by."""
MOST_WINDOWS = 20_000


class Residuals:
    """The errors of a fitted baseline on the training part."""

    def __init__(self, levels: Sequence[float] = ASKED) -> None:
        self.levels = levels

    def fit(self, baseline: Baseline, training: SeriesSet, horizon: int) -> Self:
        """Origins lie evenly over the later part of each series, where the baseline has a past to read."""
        past = min(2 * training.season, max(1, int(np.median(training.lengths)) // 3))
        windows = training_windows(training, horizon, context=past, at_most=max(MOST_WINDOWS, len(training)))
        if not len(windows):
            windows = training_windows(training, horizon)
        if not len(windows):
            raise DataError(f"no series of the training part is longer than the horizon, {horizon} rows.")
        errors = windows.actual() - baseline.forecast(windows)
        whole = ~np.isnan(errors).any(axis=1)
        errors, which = errors[whole], windows.which[whole]
        if not len(errors):
            raise DataError("there is no window without missing values in the training part.")
        widths = np.array([_width(training.series(one)) for one in range(len(training))])
        shared = self._quantiles(errors / widths[which][:, None])
        self._of_series = widths[:, None, None] * shared
        for one in np.flatnonzero(np.bincount(which, minlength=len(training)) >= min(ENOUGH, len(errors))):
            self._of_series[one] = self._quantiles(errors[which == one])
        return self

    def quantiles(self, points: Floats, which: npt.NDArray[np.int64]) -> Floats:
        """(N, horizon, levels) around points (N, horizon) of the series ``which``."""
        around: Floats = points[:, :, None] + self._of_series[which]
        return around

    def _quantiles(self, errors: Floats) -> Floats:
        """(horizon, levels) Of errors (N, horizon), each of which stands for as much of the distribution."""
        found: Floats = np.quantile(_thinned(errors, MOST_ERRORS), self.levels, axis=0, method="hazen").T
        return found


def _width(values: Floats) -> float:
    """What a series changes by from row to row; 1 where it never does."""
    width = seasonal_error(values, 1)
    return 1.0 if np.isnan(width) else width


def _thinned(paths: Floats, number: int) -> Floats:
    """At most ``number`` of them, evenly spaced in time."""
    if len(paths) <= number:
        return paths
    return paths[np.linspace(0, len(paths) - 1, number).round().astype(np.int64)]
