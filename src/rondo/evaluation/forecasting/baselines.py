"""Forecasts a sceptic would make, on every window: last value, seasonal last value, drift, mean.

Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", 3rd edition, section 5.2. Each reads only rows
before a window's origin. Missing values are passed over: the last value is the last that there is.
"""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from rondo.data.series import SeriesSet, last_known
from rondo.data.series.windows import Windows, gather

Floats = npt.NDArray[np.float64]


class Baseline(Protocol):
    """A way to forecast without a network."""

    name: str
    """As it stands in the report."""
    about: str
    """How it was made and what was chosen, in a sentence; known once it is fitted."""

    def fit(self, training: SeriesSet, horizon: int, validation: Windows | None = None) -> Self:
        """Learn from ``training``; choose by the windows of ``validation``."""
        ...

    def forecast(self, windows: Windows) -> Floats:
        """Points (N, horizon)."""
        ...


class LastValue:
    """The last value goes on (a random walk)."""

    name = "last value"
    about = "The last value, repeated."

    def fit(self, training: SeriesSet, horizon: int, validation: Windows | None = None) -> Self:
        """There is nothing to learn."""
        return self

    def forecast(self, windows: Windows) -> Floats:
        return np.repeat(values_at(windows, windows.origin - 1)[:, None], windows.horizon, axis=1)


class SeasonalLastValue:
    """The value one season before goes on; the last value, for as long as there is no whole season."""

    name = "seasonal last value"

    def __init__(self, season: int | None = None) -> None:
        self.season = season
        self.about = ""

    def fit(self, training: SeriesSet, horizon: int, validation: Windows | None = None) -> Self:
        """The season is that of the series, unless told."""
        self.season = self.season or training.season
        self.about = f"The value {self.season} rows before, repeated season by season."
        return self

    def forecast(self, windows: Windows) -> Floats:
        season = self.season or windows.source.season
        steps = np.arange(windows.horizon) % season - season
        rows = windows.origin[:, None] + steps
        short = rows < 0
        found = values_at(windows.choose(np.repeat(np.arange(len(windows)), windows.horizon)), rows.ravel())
        last = values_at(windows, windows.origin - 1)
        return np.where(short, last[:, None], found.reshape(rows.shape))


class Drift:
    """The straight line from the first to the last value goes on."""

    name = "drift"
    about = "The line from the first to the last value, continued."

    def fit(self, training: SeriesSet, horizon: int, validation: Windows | None = None) -> Self:
        """There is nothing to learn."""
        return self

    def forecast(self, windows: Windows) -> Floats:
        last = values_at(windows, windows.origin - 1)
        first = values_at(windows, np.zeros_like(windows.origin))
        slope = (last - first) / np.maximum(windows.origin - 1, 1)
        forecast: Floats = last[:, None] + slope[:, None] * np.arange(1, windows.horizon + 1)
        return forecast


class Mean:
    """The mean of all values so far."""

    name = "mean"
    about = "The mean of all values before the forecast."

    def fit(self, training: SeriesSet, horizon: int, validation: Windows | None = None) -> Self:
        """There is nothing to learn."""
        return self

    def forecast(self, windows: Windows) -> Floats:
        means = np.zeros(len(windows))
        for which in np.unique(windows.which):
            values = windows.source.series(which)
            known = ~np.isnan(values)
            sums, counts = np.cumsum(np.where(known, values, 0.0)), np.cumsum(known)
            own = np.flatnonzero(windows.which == which)
            at = windows.origin[own] - 1
            means[own] = sums[at] / np.maximum(counts[at], 1)
        return np.repeat(means[:, None], windows.horizon, axis=1)


def values_at(windows: Windows, rows: npt.NDArray[np.int64]) -> Floats:
    """The value of each window's series at a row (N,), or the last before it that is not missing; then the first."""
    found = gather(windows.source, windows.which, np.maximum(rows, 0), 1)[:, 0]
    holes = np.flatnonzero(np.isnan(found))
    for which in np.unique(windows.which[holes]):
        values = windows.source.series(which)
        known = ~np.isnan(values)
        at, own = last_known(known), holes[windows.which[holes] == which]
        place = at[np.clip(rows[own], 0, len(values) - 1)]
        found[own] = np.where(place >= 0, values[place], 0.0)
    return found


def simple_baselines(season: int) -> list[Baseline]:
    """Those that need no fitting; the seasonal one where there is a season."""
    several: list[Baseline] = [LastValue(), Drift(), Mean()]
    return [LastValue(), SeasonalLastValue(season), Drift(), Mean()] if season > 1 else several
