"""Baselines scored on the windows of folds, all of them, fitted anew in each fold."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rondo.data.series import SeriesSet
from rondo.data.series.scaling import Scaler
from rondo.data.series.windows import Windows
from rondo.errors import UsageError, is_whole
from rondo.evaluation.forecasting.baselines import Baseline, simple_baselines
from rondo.evaluation.forecasting.folds import Fold
from rondo.evaluation.forecasting.linear import Linear
from rondo.evaluation.forecasting.metrics import seasonal_error
from rondo.evaluation.forecasting.residuals import Residuals
from rondo.evaluation.forecasting.scores import ASKED, Scorer, WindowScores

Floats = npt.NDArray[np.float64]

_PIECE = 1 << 21
"""Quantiles that are held at once."""


@dataclass(frozen=True)
class Outcome:
    """What a baseline scored."""

    name: str
    about: str
    scores: WindowScores
    seconds: float
    """For fitting and forecasting."""


def usual_baselines(season: int) -> list[Callable[[], Baseline]]:
    """Makers of those that every model is held against."""
    return [*(lambda one=one: one for one in simple_baselines(season)), Linear]


def scales(training: SeriesSet) -> Floats:
    """What MASE is relative to, for each series, from its training part."""
    return np.array([seasonal_error(training.series(which), training.season) for which in range(len(training))])


@dataclass(frozen=True, kw_only=True)
class ScoredAs:
    """In what unit errors are, and of which steps."""

    scaled: bool = False
    """Values are scaled by the training part of their series (mean 0, deviation 1)."""
    step: int | None = None
    """Of the horizon this step alone counts, from 1 on."""

    def check(self, horizon: int) -> None:
        """Raise `UsageError` where the horizon has no such step."""
        if self.step is not None and (not is_whole(self.step) or not 1 <= self.step <= horizon):
            raise UsageError(f"the step that is scored is from 1 to the horizon, {horizon}, not {self.step}")

    def into(self, scorer: Scorer, fold: Fold) -> Callable[..., None]:
        """Takes windows, points and quantiles (at `ASKED`) of a fold in the data's unit, and scores them."""
        scaler = Scaler.fit(fold.training, "standard" if self.scaled else "none")
        widths = scales(fold.training) / scaler.width
        horizon = fold.windows.horizon
        self.check(horizon)
        left_out = np.full(horizon, self.step is not None)
        if self.step is not None:
            left_out[self.step - 1] = False

        def add(windows: Windows, points: Floats, quantiles: Floats | None) -> None:
            which = windows.which
            actual = scaler.apply(windows.actual(), which)
            actual[:, left_out] = np.nan
            scorer.add(
                actual, scaler.apply(points, which), which=which, origin=windows.moment, scale=widths[which],
                quantiles=None if quantiles is None else scaler.apply(quantiles, which),
            )  # fmt: skip

        return add


PLAINLY = ScoredAs()
"""In the data's unit, all steps."""


def pieces(windows: Windows, probabilistic: bool) -> Iterator[Windows]:
    """As many at a time as there is room for their forecasts."""
    return windows.pieces(max(1, _PIECE // (windows.horizon * (len(ASKED) if probabilistic else 1))))


def score_baseline(
    make: Callable[[], Baseline],
    folds: Sequence[Fold],
    *,
    validation: Callable[[Fold], Windows | None] = lambda fold: None,
    scored: ScoredAs = PLAINLY,
    probabilistic: bool = True,
) -> Outcome:
    """A baseline over all windows of all folds, in each fitted on its training part."""
    started = time.perf_counter()
    scorer = Scorer()
    for fold in folds:
        horizon = fold.windows.horizon
        baseline = make().fit(fold.training, horizon, validation(fold))
        residuals = Residuals().fit(baseline, fold.training, horizon) if probabilistic else None
        add = scored.into(scorer, fold)
        for piece in pieces(fold.windows, probabilistic):
            points = baseline.forecast(piece)
            add(piece, points, None if residuals is None else residuals.quantiles(points, piece.which))
    return Outcome(baseline.name, baseline.about, scorer.done(), time.perf_counter() - started)
