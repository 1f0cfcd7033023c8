"""Scores of many windows: added up as forecasts come, so that all windows count and no forecast need be kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
import numpy.typing as npt

from rondo.errors import DataError
from rondo.evaluation.forecasting import metrics
from rondo.evaluation.metrics import proportion_interval

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

COVERAGES = (0.5, 0.8, 0.95)
"""The central intervals whose coverage is counted."""
LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
"""The levels of quantiles that bound them, and the median."""
GRID = tuple((2 * place + 1) / 100 for place in range(50))
"""The levels that the CRPS is the mean over: evenly spaced, so that none weighs more than another.

For a normal distribution the mean is 0.03 % off the integral.
"""
ASKED = tuple(sorted({*LEVELS, *GRID}))
"""The levels at which whoever is to be scored says quantiles, a model as its baselines: `at` finds some of them."""


@dataclass(frozen=True)
class WindowScores:
    """What each window scored, and each step of the horizon."""

    which: Integers
    """(N,) The series of each window."""
    origin: Integers
    """(N,) Where it stands in time: equal in windows that were forecast at one moment."""
    count: Integers
    """(N,) How many of its values there were to score."""
    absolute: Floats
    """(N,) Sum of absolute errors."""
    squared: Floats
    smape: Floats
    """(N,) Sum of the parts of sMAPE."""
    scale: Floats
    """(N,) What MASE is relative to."""
    size: Floats
    """(N,) Sum of the absolute values."""
    total: Floats
    """(N,) Sum of the values."""
    squares: Floats
    """(N,) Sum of their squares."""
    crps: Floats | None
    """(N,) Sums; None if the forecasts were points."""
    pinball: Floats | None
    """(N, levels) Sums."""
    hits: Floats | None
    """(N, coverages) How many values lay within."""
    by_step: dict[str, Floats]
    """Of each step of the horizon: mae, rmse, rse, and crps if there is one; NaN of a step that was not scored."""

    def __len__(self) -> int:
        return len(self.which)

    @property
    def counted(self) -> int:
        """How many values were scored."""
        return int(self.count.sum())

    def summary(self) -> dict[str, float]:
        """All metrics: errors over all values; sMAPE and MASE for each series, then their mean, as in M4.

        ``rse`` is the root of the squared error relative to that of the mean of all values that were scored, all series
        together (Lai et al. 2018, "Modeling Long- and Short-Term Temporal Patterns with Deep Neural Networks").
        """
        total = self.counted
        found = {
            "mae": float(self.absolute.sum() / total),
            "mse": float(self.squared.sum() / total),
            "rmse": float(np.sqrt(self.squared.sum() / total)),
            "rse": float(_relative(*(one.sum() for one in (self.squared, self.count, self.total, self.squares)))),
            "smape": self._over_series(self.smape),
            "mase": self._over_series(self.absolute / self.scale),
        }
        if self.crps is not None and self.pinball is not None and self.hits is not None:
            found["crps"] = float(self.crps.sum() / total)
            found["pinball"] = float(self.pinball.sum() / total / len(LEVELS))
            losses = 2 * self.pinball.sum(axis=0) / self.size.sum() if self.size.sum() else np.array([np.nan])
            found["weighted_quantile_loss"] = float(losses.mean())
            for place, coverage in enumerate(COVERAGES):
                found[f"coverage_{round(100 * coverage)}"] = float(self.hits[:, place].sum() / total)
        return found

    def coverage_interval(self, coverage: float) -> tuple[float, float]:
        """The binomial interval (Wilson's, 95 %) of a share of hits, as if values were independent of each other."""
        if self.hits is None:
            raise DataError("forecasts that are points cover nothing.")
        hits = self.hits[:, COVERAGES.index(coverage)].sum()
        return proportion_interval(round(float(hits)), self.counted)

    def per_series(self) -> dict[int, dict[str, float]]:
        """The summary of each series."""
        return {int(one): self.choose(self.which == one).summary() for one in np.unique(self.which)}

    def choose(self, windows: npt.NDArray[np.bool_]) -> WindowScores:
        """Some of the windows; what there is by step stays that of all."""
        arrays = ((f.name, getattr(self, f.name)) for f in fields(self) if f.name != "by_step")
        return replace(self, **{name: array[windows] for name, array in arrays if array is not None})

    def _over_series(self, sums: Floats) -> float:
        """The mean over series of each one's mean over its values; series without any (NaN) are left out."""
        known = ~np.isnan(sums) & (self.count > 0)
        if not known.any():
            return float("nan")
        series, place = np.unique(self.which[known], return_inverse=True)
        numbers = np.bincount(place, weights=self.count[known], minlength=len(series))
        return float((np.bincount(place, weights=sums[known], minlength=len(series)) / numbers).mean())


@dataclass
class Scorer:
    """Takes forecasts piece by piece."""

    _parts: list[list[Floats | None]] = field(default_factory=list)
    _ends: list[tuple[Integers, Integers]] = field(default_factory=list)
    _steps: list[Floats] = field(default_factory=list)

    def add(
        self,
        actual: Floats,
        point: Floats,
        *,
        which: npt.ArrayLike,
        origin: npt.ArrayLike,
        scale: npt.ArrayLike,
        quantiles: Floats | None = None,
    ) -> None:
        """Windows: actual and point (N, H), and quantiles (N, H, levels) at `ASKED` if the forecast has any."""
        gaps = metrics._gaps(actual, point)
        absolute, squared = np.abs(gaps), gaps * gaps
        score = sums = hits = None
        if quantiles is not None:
            score = metrics.crps_of_quantiles(actual, at(quantiles, GRID), GRID)
            found = at(quantiles, LEVELS)
            sums = np.nansum(metrics.pinball(actual, found, LEVELS), axis=1)
            hits = np.stack([self._hits(actual, found, coverage) for coverage in COVERAGES], axis=-1)
        there = np.nan_to_num(actual)
        parts = [absolute, squared, metrics.smape_parts(actual, point)]
        self._parts.append(
            [
                (~np.isnan(gaps)).sum(axis=1).astype(np.float64),
                *(np.nansum(part, axis=1) for part in parts),
                np.broadcast_to(np.asarray(scale, np.float64), len(gaps)),
                *(part.sum(axis=1) for part in (np.abs(there), there, there * there)),
                None if score is None else np.nansum(score, axis=1),
                sums,
                hits,
            ]
        )
        whole = [np.broadcast_to(np.asarray(one, np.int64), len(gaps)) for one in (which, origin)]
        self._ends.append((whole[0], whole[1]))
        columns = [~np.isnan(gaps), absolute, squared, there, there * there, gaps * 0 if score is None else score]
        self._steps.append(np.stack([np.nansum(column, axis=0) for column in columns]))

    def done(self) -> WindowScores:
        """The scores of all windows that were added."""
        if not self._parts:
            raise DataError("there is no window to score.")
        columns = [
            None if parts[0] is None else np.concatenate([part for part in parts if part is not None])
            for parts in zip(*self._parts, strict=True)
        ]
        count, absolute, squared, smape, scale, size, total, squares = (
            np.zeros(0) if column is None else column for column in columns[:-3]
        )
        if not count.sum():
            raise DataError("all values that were to be scored are missing.")
        which, origin = (np.concatenate(ends) for ends in zip(*self._ends, strict=True))
        score, sums, hits = columns[-3:]
        return WindowScores(
            which, origin, count.astype(np.int64), absolute, squared, smape, scale, size, total, squares, score, sums,
            hits, self._by_step(score is not None),
        )  # fmt: skip

    def _by_step(self, has_crps: bool) -> dict[str, Floats]:
        number, absolute, squared, total, squares, score = np.sum(self._steps, axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = {
                "mae": absolute / number,
                "rmse": np.sqrt(squared / number),
                "rse": _relative(squared, number, total, squares),
            }
            return found | ({"crps": score / number} if has_crps else {})

    def _hits(self, actual: Floats, found: Floats, coverage: float) -> Floats:
        low = int(np.argmin(np.abs(np.asarray(LEVELS) - (1 - coverage) / 2)))
        return np.nansum(metrics.inside(actual, found[..., low], found[..., -1 - low]), axis=1)


def _relative(squared: Floats, number: Floats, total: Floats, squares: Floats) -> Floats:
    """Relative squared error; NaN where the values are all the same."""
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = squares - total * total / number
        ratio: Floats = np.sqrt(np.where(spread > 1e-12 * squares, squared / spread, np.nan))
    return ratio


def at(quantiles: Floats, levels: Sequence[float]) -> Floats:
    """Those of quantiles (..., `ASKED`) that are at some of these levels."""
    return quantiles[..., np.searchsorted(ASKED, levels)]
