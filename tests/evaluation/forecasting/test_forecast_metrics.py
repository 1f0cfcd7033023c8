"""Metrics of forecasts against definitions, known numbers and the M4 competition's table."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rondo.errors import DataError, UsageError
from rondo.evaluation.forecasting import metrics
from rondo.evaluation.forecasting.comparison import diebold_mariano, equal_accuracy, skill, strongest
from rondo.evaluation.forecasting.scores import ASKED, GRID, LEVELS, Scorer, WindowScores, at

NAN = float("nan")


def test_known_points() -> None:
    actual, forecast = [[1.0, 2, NAN], [0, -4, 0]], [[2.0, 2, 9], [0, 4, 1]]
    assert metrics.mae(actual, forecast) == pytest.approx((1 + 0 + 0 + 8 + 1) / 5)
    assert metrics.rmse(actual, forecast) == pytest.approx(np.sqrt((1 + 64 + 1) / 5))
    assert metrics.smape(actual, forecast) == pytest.approx((200 / 3 + 0 + 0 + 200 + 200) / 5)
    assert metrics.seasonal_error([1, 2, 4, 8], 1) == pytest.approx(7 / 3)
    assert metrics.seasonal_error([1, 2, NAN, 8], 2) == 6
    assert np.isnan(metrics.seasonal_error([1, 2], 2))
    assert np.isnan(metrics.seasonal_error([3, 3, 3], 1))
    assert metrics.mase(actual, forecast, [2.0, 3.0]) == pytest.approx((0.5 / 2 + 3 / 3) / 2)
    with pytest.raises(DataError, match="NaN"):
        metrics.mae([1.0], [NAN])
    with pytest.raises(DataError, match="values and"):
        metrics.mae([1.0], [1.0, 2.0])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(0, 1000))
def test_crps_is_that_of_the_definition(number: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples, actual = rng.normal(size=(3, number)) * 4, rng.normal(size=3)
    spread = np.abs(samples[:, :, None] - samples[:, None, :]).mean(axis=(1, 2))
    expected = np.abs(samples - actual[:, None]).mean(axis=1) - spread / 2
    np.testing.assert_allclose(metrics.crps(actual, samples), expected, rtol=1e-10, atol=1e-12)


def test_crps_of_a_normal_distribution() -> None:
    """Gneiting and Raftery 2007, eq. 7; by samples and by quantiles."""
    mean, sd, actual = 3.0, 2.0, np.array([1.0, 3.0, 8.0])
    z = (actual - mean) / sd
    exact = sd * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    samples = stats.norm(mean, sd).ppf((np.arange(4000) + 0.5) / 4000)
    np.testing.assert_allclose(metrics.crps(actual, np.tile(samples, (3, 1))), exact, rtol=2e-3)
    levels = [*np.round(np.arange(0.01, 1, 0.01), 2)]
    quantiles = np.tile(stats.norm(mean, sd).ppf(levels), (3, 1))
    np.testing.assert_allclose(metrics.crps_of_quantiles(actual, quantiles, levels), exact, rtol=2e-2)


def test_quantile_losses() -> None:
    actual, quantiles = np.array([[10.0, 5.0]]), np.array([[[8.0, 12.0], [6.0, 7.0]]])
    np.testing.assert_allclose(metrics.pinball(actual, quantiles, [0.1, 0.9])[0], [[0.2, 0.2], [0.9, 0.2]])
    assert metrics.weighted_quantile_loss(actual, quantiles, [0.1, 0.9]) == pytest.approx((2.2 / 15 + 0.8 / 15) / 2)
    for levels in ([0.5, 0.1], [0.0, 0.5], []):
        with pytest.raises(UsageError, match="levels of quantiles"):
            metrics.pinball(actual, quantiles, levels)


def test_direction() -> None:
    assert metrics.directional_accuracy([[2.0, 0.5, 1.0, NAN]], [[3.0, 2.0, 9.0, 1.0]], [1.0]) == (1, 2)
    assert metrics.directional_accuracy([[2.0]], [[1.0]], [1.0]) == (0, 1)


def m4(folder: Path, name: str) -> list[np.ndarray]:
    with gzip.open(folder / "m4" / f"{name}.csv.gz", "rt") as lines:
        next(lines)
        rows = [line.rstrip("\n").split(",")[1:] for line in lines]
    return [np.array([float(cell.strip('"')) for cell in row if cell.strip('"')]) for row in rows]


@pytest.mark.parametrize(
    ("group", "season", "back", "expected"),
    [
        ("Hourly", 24, 1, (43.003, 11.608)),
        ("Hourly", 24, 24, (13.912, 1.193)),
        ("Weekly", 1, 1, (9.161, 2.777)),
    ],
    ids=["hourly-naive", "hourly-seasonal", "weekly-naive"],
)
def test_m4(data_folder: Path, group: str, season: int, back: int, expected: tuple[float, float]) -> None:
    train, test = m4(data_folder, f"{group}-train"), m4(data_folder, f"{group}-test")
    scorer = Scorer()
    for which, (history, actual) in enumerate(zip(train, test, strict=True)):
        forecast = history[-back:][np.arange(len(actual)) % back]
        scale = metrics.seasonal_error(history, season)
        scorer.add(actual[None], forecast[None], which=which, origin=0, scale=scale)
    found = scorer.done().summary()
    assert (round(found["smape"], 3), round(found["mase"], 3)) == expected
    naive2 = metrics.M4_NAIVE2[group.lower()]
    assert metrics.owa(*expected, naive2) == pytest.approx(expected[0] / naive2[0] / 2 + expected[1] / naive2[1] / 2)


def scored(error: np.ndarray, *, seed: int = 0, series: int = 1, stride: int = 1, spread: bool = False) -> WindowScores:
    """Windows whose forecast is the actual value plus ``error`` (N, H), the windows of a series one after another."""
    rng = np.random.default_rng(seed)
    actual = rng.normal(10, 1, error.shape)
    number = len(error) // series
    scorer = Scorer()
    which, origin = np.repeat(np.arange(series), number), np.tile(np.arange(number) * stride, series)
    quantiles = (actual + error)[..., None] + stats.norm.ppf(ASKED) if spread else None
    for piece in np.array_split(np.arange(len(error)), 3):
        scorer.add(
            actual[piece], (actual + error)[piece], which=which[piece], origin=origin[piece], scale=2.0,
            quantiles=None if quantiles is None else quantiles[piece],
        )  # fmt: skip
    return scorer.done()


def test_pieces_are_added_up() -> None:
    error = np.random.default_rng(1).normal(size=(12, 4))
    scores = scored(error, spread=True)
    assert scores.summary()["mae"] == pytest.approx(np.abs(error).mean())
    assert scores.summary()["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    assert scores.summary()["mase"] == pytest.approx(np.abs(error).mean() / 2)
    np.testing.assert_allclose(scores.by_step["mae"], np.abs(error).mean(axis=0))
    assert (len(scores), scores.counted) == (12, 48)
    low, high = scores.coverage_interval(0.8)
    assert low < scores.summary()["coverage_80"] < high
    halves = scored(error, series=2).per_series()
    assert halves[1]["mae"] == pytest.approx(np.abs(error[6:]).mean())


def test_relative_squared_error() -> None:
    rng = np.random.default_rng(2)
    actual, said = 1000 + rng.normal(size=(30, 3)).cumsum(axis=0), 1000 + rng.normal(size=(30, 3))
    scorer = Scorer()
    for half in (slice(12), slice(12, 30)):
        scorer.add(actual[half], said[half], which=0, origin=np.arange(30)[half], scale=1.0)
    scores = scorer.done()
    expected = np.sqrt(((actual - said) ** 2).sum() / ((actual - actual.mean()) ** 2).sum())
    assert scores.summary()["rse"] == pytest.approx(expected)
    by_step = np.sqrt(((actual - said) ** 2).sum(axis=0) / ((actual - actual.mean(axis=0)) ** 2).sum(axis=0))
    np.testing.assert_allclose(scores.by_step["rse"], by_step)
    early = scores.choose(scores.origin < 12).summary()["rse"]
    assert early == pytest.approx(np.sqrt(((actual - said)[:12] ** 2).mean()) / actual[:12].std())
    same = Scorer()
    same.add(np.full((2, 2), 7.1), np.ones((2, 2)), which=0, origin=[0, 1], scale=1.0)
    assert np.isnan(same.done().summary()["rse"])


def test_each_series_counts_the_same_in_smape_and_mase() -> None:
    scorer = Scorer()
    scorer.add(np.ones((3, 2)), np.full((3, 2), 2.0), which=0, origin=[0, 1, 2], scale=1.0)
    scorer.add(np.ones((1, 2)), np.ones((1, 2)), which=1, origin=0, scale=4.0)
    scorer.add(np.ones((1, 2)), np.full((1, 2), 9.0), which=2, origin=0, scale=NAN)
    found = scorer.done().summary()
    assert found["mase"] == pytest.approx(0.5)
    assert found["smape"] == pytest.approx((200 / 3 + 0 + 160) / 3)


def test_missing_values_are_not_scored() -> None:
    scorer, said = Scorer(), np.ones((1, 2, len(ASKED)))
    scorer.add(np.array([[1.0, NAN]]), np.array([[3.0, 7.0]]), which=0, origin=0, scale=1.0, quantiles=said)
    scores = scorer.done()
    assert scores.counted == 1
    assert (scores.summary()["mae"], scores.summary()["coverage_80"]) == (2.0, 1.0)
    empty = Scorer()
    empty.add(np.array([[NAN]]), np.array([[3.0]]), which=0, origin=0, scale=1.0)
    for nothing in (empty, Scorer()):
        with pytest.raises(DataError):
            nothing.done()


def test_coverage_of_right_and_of_narrow_intervals() -> None:
    rng = np.random.default_rng(0)
    actual = rng.normal(size=(400, 3))
    for width, expected in ((1.0, (0.5, 0.8, 0.95)), (0.5, (0.264, 0.478, 0.673))):
        scorer = Scorer()
        quantiles = np.broadcast_to(stats.norm.ppf(ASKED) * width, (*actual.shape, len(ASKED)))
        scorer.add(actual, actual * 0, which=0, origin=np.arange(400), scale=1.0, quantiles=quantiles)
        found = scorer.done().summary()
        np.testing.assert_allclose([found[f"coverage_{n}"] for n in (50, 80, 95)], expected, atol=0.03)


def test_the_levels_that_are_asked_for() -> None:
    np.testing.assert_array_equal(at(np.array([ASKED, ASKED]), LEVELS), [LEVELS, LEVELS])
    np.testing.assert_allclose(np.diff(GRID), 1 / len(GRID))


@pytest.mark.parametrize("error", ["mae", "mse", "rmse", "smape", "mase"])
def test_skill(error: str) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(200, 5))
    good, bad = scored(noise), scored(2 * noise)
    found = skill(good, bad, error=error, resamples=300)  # type: ignore[arg-type]
    assert found.value == pytest.approx(0.75 if error == "mse" else 0.5, abs=0.04 if error == "smape" else 1e-9)
    assert found.low <= found.value <= found.high
    assert found.clear
    assert (found.units, found.number) == ("origins", 200)
    other = skill(good, scored(noise[::-1]), error=error, resamples=300)  # type: ignore[arg-type]
    assert other.low < 0 < other.high


def test_skill_draws_series_where_there_are_more() -> None:
    noise = np.random.default_rng(0).normal(size=(60, 2))
    found = skill(scored(noise, series=30), scored(noise * 2, series=30), resamples=50)
    assert (found.units, found.number, found.value) == ("series", 30, pytest.approx(0.5))


@pytest.mark.parametrize(
    ("windows", "horizon", "series", "told"),
    [(8, 12, 1, False), (12, 12, 1, False), (71, 12, 1, False), (72, 12, 1, True), (5, 1, 1, False), (6, 1, 1, True),
     (10, 2, 5, False), (12, 2, 6, True)],
)  # fmt: skip
def test_too_few_that_are_independent_have_no_interval(windows: int, horizon: int, series: int, told: bool) -> None:
    rng = np.random.default_rng(0)
    ours, theirs = (scored(rng.normal(size=(windows, horizon)), series=series) for _ in range(2))
    found = skill(ours, theirs, resamples=50)
    assert np.isfinite(found.value)
    assert (found.low < found.high) if told else np.isnan([found.low, found.high]).all()
    assert told or not found.clear


def test_blocks_make_the_interval_of_dependent_errors_wider() -> None:
    """Errors that stay high or low for long: as many windows, but fewer that say something new."""
    rng = np.random.default_rng(0)
    slow = np.repeat(rng.normal(size=(20, 1)), 20, axis=0) + rng.normal(size=(400, 1)) * 0.1
    theirs = rng.normal(size=(400, 1))
    wide = [skill(scored(np.tile(slow, h)), scored(np.tile(theirs, h)), resamples=400) for h in (1, 20)]
    assert wide[1].high - wide[1].low > 2 * (wide[0].high - wide[0].low)


def test_only_the_same_windows_are_compared() -> None:
    noise = np.ones((6, 2))
    for other in (scored(noise, series=2), scored(noise[:4]), scored(noise, stride=2)):
        with pytest.raises(DataError, match="same windows"):
            skill(scored(noise), other)


def test_strongest() -> None:
    noise = np.random.default_rng(0).normal(size=(9, 2))
    both = {"a": scored(noise * 3), "b": scored(noise)}
    assert strongest(both, "mae") == "b"
    with pytest.raises(DataError, match="no baseline has the error"):
        strongest(both, "crps")
    with pytest.raises(DataError, match="no baseline to be"):
        strongest({}, "mae")


def test_diebold_mariano_known() -> None:
    """Worked by hand: d = 1, 2, 3, 2 has mean 2 and, at overlap 1, variance 1/2."""
    found = diebold_mariano(np.array([1.0, 2, 3, 2]), np.zeros(4))
    statistic = 2 / np.sqrt(0.5 / 4) * np.sqrt(3 / 4)
    assert found.statistic == pytest.approx(statistic)
    assert found.p_value == pytest.approx(2 * stats.t.sf(statistic, 3))
    assert diebold_mariano(np.zeros(4), np.array([1.0, 2, 3, 2])).statistic == pytest.approx(-statistic)
    assert diebold_mariano(np.ones(9), np.ones(9)).p_value == 1
    assert diebold_mariano(np.zeros(9), np.ones(9)).p_value == 0
    with pytest.raises(DataError, match="too few"):
        diebold_mariano(np.ones(3), np.zeros(3), overlap=3)


@pytest.mark.parametrize("overlap", [1, 4])
def test_diebold_mariano_rejects_as_often_as_it_says(overlap: int) -> None:
    rng = np.random.default_rng(overlap)
    shocks = rng.normal(size=(400, 60 + overlap - 1))
    losses = np.stack([np.convolve(row, np.ones(overlap), "valid") for row in shocks])
    p_values = np.array([diebold_mariano(row, np.zeros(60), overlap=overlap).p_value for row in losses])
    assert 0.02 < (p_values < 0.05).mean() < 0.11


def test_equal_accuracy_of_windows() -> None:
    noise = np.random.default_rng(0).normal(size=(80, 3))
    found = equal_accuracy(scored(noise), scored(noise * 1.5), error="rmse")
    assert found.statistic < 0
    assert found.p_value < 0.01
    assert found.origins == 80
    assert equal_accuracy(scored(noise), scored(noise[::-1])).p_value > 0.1
