"""Baselines scored on the windows of folds, all of them, fitted anew in each fold."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rondo.data.series import SeriesSet
from rondo.data.series.windows import Windows
from rondo.evaluation.forecasting.baselines import Baseline, simple_baselines
from rondo.evaluation.forecasting.folds import Fold
from rondo.evaluation.forecasting.linear import Linear
from rondo.evaluation.forecasting.metrics import seasonal_error
from rondo.evaluation.forecasting.residuals import Residuals
from rondo.evaluation.forecasting.scores import Scorer, WindowScores

Floats = npt.NDArray[np.float64]

_PIECE = 1 << 22


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


def score_baseline(
    make: Callable[[], Baseline],
    folds: Sequence[Fold],
    *,
    validation: Callable[[Fold], Windows | None] = lambda fold: None,
    transform: Callable[[Floats, npt.NDArray[np.int64]], Floats] | None = None,
    probabilistic: bool = True,
) -> Outcome:
    """A baseline over all windows of all folds, in each fitted on its training part.

    ``transform`` turns values (N, ...) of series (N,) into the unit that is scored in, where that is not the data's.
    """
    started = time.perf_counter()
    scorer = Scorer()
    for fold in folds:
        horizon = fold.windows.horizon
        baseline = make().fit(fold.training, horizon, validation(fold))
        residuals = Residuals().fit(baseline, fold.training, horizon) if probabilistic else None
        units = scales(fold.training)
        for piece in fold.windows.pieces(max(1, _PIECE // (horizon * (residuals.paths if residuals else 1)))):
            points, actual = baseline.forecast(piece), piece.actual()
            samples = None if residuals is None else residuals.samples(points, piece.which)
            if transform is not None:
                points, actual = transform(points, piece.which), transform(actual, piece.which)
                samples = None if samples is None else transform(samples, piece.which)
            scorer.add(
                actual, points, which=piece.which, origin=piece.moment, scale=units[piece.which], samples=samples
            )
    return Outcome(baseline.name, baseline.about, scorer.done(), time.perf_counter() - started)
