"""Backtests: the model and its baselines are scored by one measure, and what is not independent is not counted so."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from rondo.data.series import SeriesSet
from rondo.data.series.scaling import Scaler, WindowScale
from rondo.data.series.windows import Windows, training_windows
from rondo.evaluation.forecasting import automatic
from rondo.evaluation.forecasting.backtest import PLAINLY, score_baseline
from rondo.evaluation.forecasting.baselines import Mean
from rondo.evaluation.forecasting.folds import Refit, rolling_origin
from rondo.evaluation.forecasting.scores import Scorer
from rondo.evaluation.metrics import proportion_interval
from rondo.tasks.forecast.backtest import Backtest, run_backtest, score_model
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


def backtested(*series: np.ndarray, refit: Refit = "never", seconds: float = 0.0) -> Backtest:
    model: Any = Normal()
    folds = rolling_origin(SeriesSet.from_arrays(series), horizon=3, origins=17, refit=refit)
    return run_backtest(folds, lambda fold: model, automatic_seconds=seconds)


def test_the_interval_of_directions_counts_what_is_independent() -> None:
    values = np.random.default_rng(0).normal(size=60)
    once = backtested(values)
    for step, apart in ((1, 17), (3, 6)):
        found = once.direction(step)
        assert found is not None
        low, high = proportion_interval(round(found["accuracy"] * apart), apart)
        assert (found["low"], found["high"], found["moves"]) == (low, high, 17)
        assert backtested(values, refit="every").direction(step) == found
        assert backtested(values, refit=5).direction(step) == found
        assert backtested(values, values).direction(step) == {**found, "moves": 34}


class LastNormal:
    """Stands in for a model of statsforecast."""

    def __init__(self, season_length: int) -> None:
        self.season_length = season_length

    def forecast(self, *, y: np.ndarray, h: int, level: list[int]) -> dict[str, np.ndarray]:
        mean = np.full(h, y[-1])
        ends = {f"lo-{one}": mean + stats.norm.ppf(0.5 - one / 200) for one in level}
        return {"mean": mean, **ends, **{f"hi-{one}": mean - stats.norm.ppf(0.5 - one / 200) for one in level}}


@pytest.mark.parametrize("refit", ["never", "every", 5])
def test_statistical_models_are_beside_the_model_on_origins_of_all_folds(
    monkeypatch: pytest.MonkeyPatch, refit: Refit
) -> None:
    standing = SimpleNamespace(AutoETS=LastNormal, AutoTheta=LastNormal)
    monkeypatch.setitem(sys.modules, "statsforecast.models", standing)
    first, second = np.random.default_rng(0).normal(size=(2, 60))
    whole = backtested(first, second, refit=refit, seconds=1e9)
    theirs, ours, about = whole.automatic["AutoTheta"]
    for error in ("mae", "rmse", "mase"):
        assert theirs.summary()[error] == pytest.approx(whole.baselines["last value"].scores.summary()[error])
    assert ours.summary() == pytest.approx(whole.scores.summary())
    assert "(34)" in about
    monkeypatch.setattr(automatic, "time", SimpleNamespace(perf_counter=itertools.count().__next__))
    some = backtested(first, second, refit=refit, seconds=8)
    theirs, ours, about = some.automatic["AutoETS"]
    assert "(5)" in about
    np.testing.assert_array_equal(theirs.origin, ours.origin)
    np.testing.assert_array_equal(theirs.which, ours.which)
    apart = np.diff(np.sort(theirs.origin))
    assert apart.min() >= 2
    assert apart.max() <= 5
