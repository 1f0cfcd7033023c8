"""Baselines of forecasts: known answers, nothing from later rows, and errors as wide as those they made before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rondo.data.series import SeriesSet, from_frame
from rondo.data.series.files import read_frame
from rondo.data.series.scaling import Scaler
from rondo.data.series.windows import training_windows
from rondo.errors import UsageError
from rondo.evaluation.forecasting import automatic
from rondo.evaluation.forecasting.backtest import ScoredAs, score_baseline, usual_baselines
from rondo.evaluation.forecasting.baselines import Baseline, Drift, LastValue, Mean, SeasonalLastValue
from rondo.evaluation.forecasting.folds import Fold, rolling_origin, split_rows
from rondo.evaluation.forecasting.linear import Linear
from rondo.evaluation.forecasting.residuals import Residuals
from rondo.evaluation.forecasting.scores import ASKED

NAN = float("nan")
MAKERS: list[Callable[[], Baseline]] = [LastValue, lambda: SeasonalLastValue(3), Drift, Mean, lambda: Linear((4,))]
EACH = pytest.mark.parametrize("make", MAKERS, ids=["last", "seasonal", "drift", "mean", "linear"])


def wave(rows: int = 200, *, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    time = np.arange(rows)
    return 10 + np.sin(2 * np.pi * time / 12) + noise * np.random.default_rng(seed).normal(size=rows)


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        (LastValue(), [[4, 4, 4, 4], [7, 7, 7, 7]]),
        (SeasonalLastValue(3), [[8, 2, 4, 8], [2, 7, 7, 2]]),
        (Drift(), [[5, 6, 7, 8], [5, 3, 1, -1]]),
        (Mean(), [[3.75] * 4, [6.0] * 4]),
    ],
    ids=["last", "seasonal", "drift", "mean"],
)
def test_known_answers(baseline: Baseline, expected: list[list[float]]) -> None:
    made = SeriesSet.from_arrays([[1, 8, 2, 4, 0, 0, 0, 0], [9, 2, NAN, 7, 0, 0, 0, 0]])
    windows = training_windows(made, 4, context=4)
    baseline.fit(made.cut(4), 4)
    if isinstance(baseline, Drift):
        expected[1] = [7 - 2 / 3 * step for step in range(1, 5)]
    if isinstance(baseline, SeasonalLastValue):
        expected[1] = [2, 2, 7, 2]
    np.testing.assert_allclose(baseline.forecast(windows), expected)


def test_series_shorter_than_a_season() -> None:
    made = SeriesSet.from_arrays([[5, 6, 0, 0, 0]])
    windows = training_windows(made, 3, context=2)
    assert SeasonalLastValue(4).fit(made, 3).forecast(windows).tolist() == [[6, 6, 5]]


@EACH
def test_later_rows_do_not_count(make: Callable[[], Baseline]) -> None:
    values = wave(noise=1.0)
    other = np.append(values[:150], np.full(50, 1e6))
    said = []
    for series in (values, other):
        made = SeriesSet.from_arrays([series])
        (fold,) = rolling_origin(made, horizon=5, test_rows=50)
        baseline = make().fit(fold.training, 5)
        first = fold.windows.choose([0])
        said.append(
            (
                baseline.forecast(first),
                Residuals().fit(baseline, fold.training, 5).quantiles(np.zeros((1, 5)), first.which),
            )
        )
    np.testing.assert_array_equal(said[0][0], said[1][0])
    np.testing.assert_array_equal(said[0][1], said[1][1])


def test_linear_finds_what_is_linear() -> None:
    """A wave and a line are linear in their last values; noise is left over."""
    made = SeriesSet.from_arrays([wave() + 0.05 * np.arange(200), 100 * wave(seed=1)])
    (fold,) = rolling_origin(made, horizon=6, test_rows=30)
    linear = Linear((24,)).fit(fold.training, 6)
    np.testing.assert_allclose(linear.forecast(fold.windows), fold.windows.actual(), rtol=1e-3)


def test_linear_equals_least_squares() -> None:
    series = np.random.default_rng(0).normal(size=80).cumsum()
    made = SeriesSet.from_arrays([series])
    linear = Linear((5,)).fit(made, 2)
    rows = np.stack([series[t - 5 : t] for t in range(6, 79)])
    inputs = np.column_stack([rows[:, :4] - rows[:, 4:], np.ones(len(rows))])
    targets = np.stack([series[t : t + 2] for t in range(6, 79)]) - rows[:, 4:]
    solution = np.linalg.lstsq(inputs, targets, rcond=None)[0]
    windows = training_windows(made, 2, context=6)
    np.testing.assert_allclose(linear.forecast(windows), inputs @ solution + rows[:, 4:], rtol=1e-4, atol=1e-4)


def test_the_look_back_is_chosen_by_validation() -> None:
    time = np.arange(400)
    season = np.random.default_rng(0).normal(size=20)[time % 20] + 0.1 * np.random.default_rng(1).normal(size=400)
    made = SeriesSet.from_arrays([season], season=20)
    inner = made.cut(300)
    held = split_rows(made, 3, 300, 400).windows
    told = Linear((2, 20, 60)).fit(inner, 3, held)
    assert told.lookback in (20, 60)
    assert set(told.errors) == {2, 20, 60}
    assert told.errors[2] > 2 * told.errors[20]
    alone = Linear((2, 20)).fit(inner, 3)
    assert alone.lookback == 20
    assert "20" in alone.about
    short = Linear().fit(made.cut(3), 3)
    assert "too few rows" in short.about
    windows = training_windows(made, 3)
    np.testing.assert_allclose(short.forecast(windows), LastValue().forecast(windows))


def test_missing_values_and_short_series_beside_long_ones() -> None:
    values = wave(noise=0.1)
    values[20:25] = NAN
    made = SeriesSet.from_arrays([values, [1, 2, 3, 4, 5, 6, 7], [5] * 40], season=12)
    folds = rolling_origin(made, horizon=3, origins=2, align="end")
    for make in usual_baselines(12):
        found = score_baseline(make, folds).scores
        assert np.isfinite(found.summary()["mae"])
        assert len(found) == 6


def test_usual_baselines() -> None:
    names = [make().name for make in usual_baselines(12)]
    assert names == ["last value", "seasonal last value", "drift", "mean", "linear"]
    assert "seasonal last value" not in [make().name for make in usual_baselines(1)]


def test_residuals_cover_what_they_say() -> None:
    rng = np.random.default_rng(0)
    made = SeriesSet.from_arrays([rng.normal(size=900), 50 + 8 * rng.normal(size=900)])
    folds = rolling_origin(made, horizon=4, test_rows=300)
    found = score_baseline(Mean, folds).scores
    for coverage in (0.5, 0.8, 0.95):
        assert found.summary()[f"coverage_{round(100 * coverage)}"] == pytest.approx(coverage, abs=0.05)
    both = [found.choose(found.which == which).summary()["crps"] for which in (0, 1)]
    assert both[1] == pytest.approx(8 * both[0], rel=0.15)


def test_series_with_few_errors_of_their_own_use_those_of_all() -> None:
    rng = np.random.default_rng(0)
    made = SeriesSet.from_arrays([rng.normal(size=300).cumsum(), 10 * rng.normal(size=12).cumsum()])
    found = Residuals((0.1, 0.5, 0.9)).fit(LastValue(), made, 2).quantiles(np.zeros((2, 2)), np.array([0, 1]))
    widths = found[:, 1, 2] - found[:, 1, 0]
    ratio = np.abs(np.diff(made.series(1))).mean() / np.abs(np.diff(made.series(0))).mean()
    assert widths[1] / widths[0] == pytest.approx(ratio, rel=0.05)
    assert found.shape == (2, 2, 3)


def test_folds_are_fitted_anew() -> None:
    values = np.concatenate([np.zeros(50), np.full(50, 9.0)])
    folds = rolling_origin(SeriesSet.from_arrays([values]), horizon=1, test_rows=60, refit="every")
    seen: list[int] = []

    class Watched(Mean):
        def fit(self, training: SeriesSet, horizon: int, validation: object = None) -> Watched:
            seen.append(int(training.lengths[0]))
            return self

    assert len(score_baseline(Watched, folds, probabilistic=False).scores) == 60
    assert seen == list(range(40, 100))


def test_scored_in_another_unit() -> None:
    made = SeriesSet.from_arrays([10 * wave(noise=0.5)], season=12)
    folds = rolling_origin(made, horizon=3, test_rows=40)
    plain = score_baseline(LastValue, folds).scores.summary()
    scaler = Scaler.fit(folds[0].training, "standard")
    scaled = score_baseline(LastValue, folds, scored=ScoredAs(scaled=True)).scores.summary()
    for error in ("mae", "rmse", "crps"):
        assert scaled[error] == pytest.approx(plain[error] / scaler.width[0])
    for same in ("mase", "rse", "coverage_80"):
        assert scaled[same] == pytest.approx(plain[same])


def test_one_step_of_the_horizon_is_scored() -> None:
    folds = rolling_origin(SeriesSet.from_arrays([wave(noise=0.5)]), horizon=3, test_rows=40)
    whole = score_baseline(LastValue, folds).scores
    for step in (1, 3):
        alone = score_baseline(LastValue, folds, scored=ScoredAs(step=step)).scores
        assert (len(alone), alone.counted) == (len(whole), len(whole))
        for error in ("mae", "rmse", "crps"):
            assert alone.summary()[error] == pytest.approx(whole.by_step[error][step - 1])
        assert np.isnan(alone.by_step["mae"]).sum() == 2
    for step in (0, 4):
        with pytest.raises(UsageError, match=f"from 1 to the horizon, 3, not {step}"):
            score_baseline(LastValue, folds, scored=ScoredAs(step=step))


def test_etth1(data_folder: Path) -> None:
    """The linear baseline's published figures, 0.370 and 0.392, on all 2,785 windows of all 7 columns."""
    made = from_frame(read_frame(data_folder / "ett" / "ETTh1.csv.gz"))
    training, windows = made.cut(8640), split_rows(made, 96, 11520, 14400).windows
    found = score_baseline(
        lambda: Linear((336,)), [Fold(training, windows, 0)], scored=ScoredAs(scaled=True), probabilistic=False,
    ).scores  # fmt: skip
    assert len(found) == 7 * 2785
    assert found.summary()["mse"] == pytest.approx(0.370, abs=0.001)
    assert found.summary()["mae"] == pytest.approx(0.392, abs=0.001)


def test_evenly() -> None:
    assert automatic.evenly(8).tolist() == [0, 4, 2, 6, 1, 5, 3, 7]
    assert sorted(automatic.evenly(11).tolist()) == list(range(11))
    assert automatic.evenly(1).tolist() == [0]


@pytest.mark.skipif(not automatic.installed(), reason="needs statsforecast")
@pytest.mark.parametrize("name", automatic.NAMES)
def test_automatic(name: automatic.Name) -> None:
    made = SeriesSet.from_arrays([wave(noise=0.05), [3.0] * 40, [1.0] * 12], season=12)
    windows = rolling_origin(made, horizon=6, origins=4, align="end")[0].windows
    found = automatic.forecast([windows], name, seconds=60)
    assert (len(found.taken), found.quantiles.shape) == (12, (12, 6, len(ASKED)))
    assert (np.diff(found.quantiles, axis=-1) >= 0).all()
    of_wave = windows.which == 0
    assert np.abs(found.points - windows.actual())[of_wave].mean() < 0.2
    assert found.given_up > 0
    assert f"At {found.given_up} of them" in found.about
    few = automatic.forecast([windows], name, seconds=0)
    assert len(few.taken) == 1
    assert "(1)" in few.about


@pytest.mark.skipif(automatic.installed(), reason="statsforecast is there")
def test_automatic_is_named_where_it_is_missing() -> None:
    windows = rolling_origin(SeriesSet.from_arrays([wave()]), horizon=6, origins=1)[0].windows
    with pytest.raises(UsageError, match="AutoETS needs statsforecast"):
        automatic.forecast([windows], "AutoETS", seconds=1)
