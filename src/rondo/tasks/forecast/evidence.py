"""What a page about a forecaster shows besides scores: fans, first-step errors, directions, hits by step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rondo.data.series.windows import Windows
from rondo.evaluation.forecasting.metrics import directional_accuracy, inside
from rondo.evaluation.forecasting.scores import COVERAGES, LEVELS, WindowScores
from rondo.evaluation.metrics import proportion_interval
from rondo.tasks.forecast.model import Forecast, ForecastModel

Floats = npt.NDArray[np.float64]

FANS = 3
"""Forecasts that are drawn of a series."""
MOST_HISTORY = 400
"""Rows of a series that are drawn before the first of them."""


@dataclass
class Evidence:
    """Gathered while windows are scored."""

    errors: list[Floats] = field(default_factory=list)
    """Of the first step, in units of MASE."""
    series: list[npt.NDArray[np.int64]] = field(default_factory=list)
    directions: dict[int, list[int]] = field(default_factory=dict)
    """By step: how often the forecast went the way that the value went from the last one, and of how many."""
    hits: Floats | None = None
    """(horizon, coverages) How many values lay within."""
    counted: Floats | None = None

    def add(self, windows: Windows, said: Forecast, scale: Floats) -> None:
        """Windows with what was said of them, quantiles at `LEVELS`."""
        actual = windows.actual()
        last = _last_value(windows)
        with np.errstate(invalid="ignore", divide="ignore"):
            self.errors.append((actual[:, 0] - said.points[:, 0]) / scale)
        self.series.append(windows.which)
        for step in {0, windows.horizon - 1}:
            right, number = directional_accuracy(actual[:, [step]], said.points[:, [step]], last)
            known = self.directions.setdefault(step + 1, [0, 0])
            known[0], known[1] = known[0] + right, known[1] + number
        if said.quantiles is None:
            return
        found = [
            np.nansum(inside(actual, said.quantiles[..., low], said.quantiles[..., -1 - low]), axis=0)
            for low in (_level((1 - coverage) / 2) for coverage in COVERAGES)
        ]
        hits, number = np.stack(found, axis=1), (~np.isnan(actual)).sum(axis=0).astype(np.float64)
        self.hits = hits if self.hits is None else self.hits + hits
        self.counted = number if self.counted is None else self.counted + number

    def direction(self, step: int, independent: int) -> dict[str, float] | None:
        """Share of right directions, with the interval that it has from so many at most that are independent."""
        right, number = self.directions.get(step, [0, 0])
        if not number:
            return None
        alone = min(number, independent)
        low, high = proportion_interval(round(right / number * alone), alone)
        return {"accuracy": right / number, "low": low, "high": high, "moves": number}


@dataclass(frozen=True)
class Fan:
    """One forecast as it is drawn."""

    times: list[Any]
    points: Floats
    quantiles: Floats | None


@dataclass(frozen=True)
class DrawnSeries:
    """A series with some of its forecasts."""

    name: str
    times: list[Any]
    values: Floats
    fans: list[Fan]


def drawn_series(model: ForecastModel, windows: Windows, which: int, most: int = FANS) -> DrawnSeries:
    """The series with forecasts from origins that lie evenly over the scored part, and do not overlap."""
    own = windows.choose(windows.which == which)
    picked = [len(own) - 1]
    for place in range(len(own) - 1, -1, -1):
        if own.origin[picked[-1]] - own.origin[place] >= own.horizon:
            picked.append(place)
    spread = np.unique(np.linspace(0, len(picked) - 1, min(most, len(picked))).round().astype(np.int64))
    chosen = own.choose(np.array([picked[place] for place in spread])[::-1])
    said = model.forecast(chosen, LEVELS if model.has_quantiles else ())
    source = own.source
    end = int(chosen.origin.max()) + own.horizon
    first = max(0, int(chosen.origin.min()) - min(MOST_HISTORY, max(4 * own.horizon, 60)))
    rows = np.arange(first, end)
    fans = [
        Fan(
            source.clock.to_python(source.times(which, int(origin) + np.arange(own.horizon))),
            said.points[row],
            None if said.quantiles is None else said.quantiles[row],
        )
        for row, origin in enumerate(chosen.origin)
    ]
    values = source.series(which)[first:end]
    return DrawnSeries(source.names[which], source.clock.to_python(source.times(which, rows)), values, fans)


def one_step(model: ForecastModel, windows: Windows, which: int, most: int = 120) -> tuple[list[Any], Floats, Floats]:
    """Times, values and first-step forecasts of the last windows of a series, and the values before them."""
    own = windows.choose(windows.which == which)
    own = own.choose(slice(max(0, len(own) - most), len(own)))
    said = model.forecast(own)
    times = own.source.clock.to_python(own.source.times(which, own.origin))
    return times, said.points[:, 0], np.stack([own.actual()[:, 0], _last_value(own)])


def ranking(ours: WindowScores, theirs: WindowScores) -> list[tuple[int, float, float]]:
    """Series, our MASE and skill against the baseline; the worst skill first."""
    size = int(ours.which.max()) + 1
    mine, others = (np.bincount(one.which, weights=one.absolute, minlength=size) for one in (ours, theirs))
    count = np.bincount(ours.which, weights=ours.count, minlength=size)
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = np.bincount(ours.which, weights=ours.absolute / ours.scale, minlength=size) / count
        gain = 1 - mine / others
    known = np.flatnonzero(count > 0)
    order = known[np.argsort(np.nan_to_num(gain[known], nan=0.0, neginf=-1e9), kind="stable")]
    return [(int(one), float(scaled[one]), float(gain[one])) for one in order]


def _last_value(windows: Windows) -> Floats:
    """The last value before each origin that is not missing, among the last rows."""
    context = windows.context(8)
    known = ~np.isnan(context)
    at = context.shape[1] - 1 - np.argmax(known[:, ::-1], axis=1)
    return context[np.arange(len(context)), at]


def _level(level: float) -> int:
    return int(np.argmin(np.abs(np.asarray(LEVELS) - level)))
