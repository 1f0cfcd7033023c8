"""Backtests: the model and its baselines are scored by one measure, and what is not independent is not counted so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from rondo.data.series import SeriesSet
from rondo.data.series.scaling import Scaler, WindowScale
from rondo.data.series.windows import Windows, training_windows
from rondo.evaluation.forecasting.backtest import PLAINLY, score_baseline
from rondo.evaluation.forecasting.baselines import Mean
from rondo.evaluation.forecasting.folds import rolling_origin
from rondo.evaluation.forecasting.scores import Scorer
from rondo.tasks.forecast.backtest import score_model
from rondo.tasks.forecast.conformal import Conformal
from rondo.tasks.forecast.encoder import Units
from rondo.tasks.forecast.model import Forecast


class Normal:
    """Says the standard normal distribution, by itself or as what its points were calibrated to."""

    has_quantiles = True
    summary = None

    def __init__(self, conformal: Conformal | None = None) -> None:
        self.conformal = conformal

    def forecast(self, windows: Windows, levels: Sequence[float] = ()) -> Forecast:
        points = np.zeros((len(windows), windows.horizon))
        quantiles = np.repeat(points[..., None], len(levels), axis=-1)
        if self.conformal is None:
            return Forecast(points, quantiles + stats.norm.ppf(levels))
        return Forecast(points, self.conformal.apply(quantiles, levels, plain(windows)))


def plain(windows: Windows) -> Units:
    ones = np.ones(len(windows))
    return Units(Scaler("none", 0 * ones, ones), WindowScale("none", 0 * ones, ones))


@pytest.mark.parametrize("calibrated", [False, True], ids=["said", "calibrated"])
def test_a_forecast_scores_the_same_whoever_makes_it(calibrated: bool) -> None:
    """Gneiting and Raftery 2007, eq. 7, for a normal distribution; the baseline has it from the errors it made."""
    rng = np.random.default_rng(0)
    source = SeriesSet.from_arrays([rng.normal(size=6000)])
    folds = rolling_origin(source, horizon=1, test_rows=2000)
    actual = folds[0].windows.actual()[:, 0]
    exact = actual * (2 * stats.norm.cdf(actual) - 1) + 2 * stats.norm.pdf(actual) - 1 / np.sqrt(np.pi)
    model: Any = Normal()
    if calibrated:
        learned = training_windows(folds[0].training, 1)
        model = Normal(Conformal.fit(learned, lambda part: (np.zeros((len(part), 1, 19)), plain(part))))
    scorer = Scorer()
    score_model(model, folds[0], scorer, PLAINLY)
    ours, theirs = scorer.done().summary(), score_baseline(Mean, folds).scores.summary()
    for found in (ours["crps"], theirs["crps"]):
        assert found == pytest.approx(exact.mean(), rel=0.01)
    assert ours["crps"] == pytest.approx(theirs["crps"], rel=0.003)
    assert ours["pinball"] == pytest.approx(theirs["pinball"], rel=0.01)
