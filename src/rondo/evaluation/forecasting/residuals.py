"""Points made probabilistic: the errors a forecaster made before, added to what it says now.

Whole paths of errors are kept, one for each origin of the training part, so that what is far off at one step may be
far off at the next (Hyndman and Athanasopoulos, 3rd edition, section 5.5, by bootstrapped residuals).
"""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt

from rondo.data.series import SeriesSet
from rondo.data.series.windows import training_windows
from rondo.errors import DataError
from rondo.evaluation.forecasting.baselines import Baseline
from rondo.evaluation.forecasting.metrics import seasonal_error

Floats = npt.NDArray[np.float64]

PATHS = 100
"""How many paths of errors a forecast has."""
ENOUGH = 20
"""A series with fewer paths of its own uses those of all series, in units of what it changes by."""
MOST_WINDOWS = 20_000


class Residuals:
    """The errors of a fitted baseline on the training part."""

    def __init__(self, paths: int = PATHS) -> None:
        self.paths = paths

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
        self._widths = np.array([_width(training.series(one)) for one in range(len(training))])
        shared = _thinned(errors / self._widths[which][:, None], self.paths)
        self._of_series: dict[int, Floats] = {}
        for one in range(len(training)):
            own = errors[which == one]
            enough = len(own) >= min(ENOUGH, len(errors))
            self._of_series[one] = _thinned(own, self.paths) if enough else shared * self._widths[one]
        return self

    def samples(self, points: Floats, which: npt.NDArray[np.int64]) -> Floats:
        """(N, horizon, paths) around points (N, horizon) of the series ``which``; of each, the same number."""
        number = max(len(paths) for paths in self._of_series.values())
        clouds = np.stack([np.resize(self._of_series[int(one)], (number, points.shape[1])) for one in np.unique(which)])
        place = np.searchsorted(np.unique(which), which)
        spread: Floats = points[:, :, None] + np.swapaxes(clouds, 1, 2)[place]
        return spread


def _width(values: Floats) -> float:
    """What a series changes by from row to row; 1 where it never does."""
    width = seasonal_error(values, 1)
    return 1.0 if np.isnan(width) else width


def _thinned(paths: Floats, number: int) -> Floats:
    """At most ``number`` of them, evenly spaced in time."""
    if len(paths) <= number:
        return paths
    return paths[np.linspace(0, len(paths) - 1, number).round().astype(np.int64)]
