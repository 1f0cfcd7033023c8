"""What a forecaster cannot go on from, or cannot be asked, is refused in words and before anything is spent on it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import polars.testing
import pytest

from rondo.errors import DataError, UsageError
from rondo.evaluation.forecasting import automatic
from rondo.tasks.forecast.estimator import Forecaster
from rondo.tasks.forecast.options import ForecastOptions
from rondo.tasks.options import from_flat

SMALL: dict[str, Any] = {"horizon": 3, "context_length": 9, "hidden": 6, "steps": 3}
BEGIN = dt.datetime(2024, 3, 1)


def hours(values: Any, *, after: int = 0, zone: str | None = None) -> pl.DataFrame:
    times = pl.datetime_range(
        BEGIN + dt.timedelta(hours=after), BEGIN + dt.timedelta(hours=after + len(values) - 1), "1h", eager=True,
        time_zone=zone,
    )  # fmt: skip
    return pl.DataFrame({"ds": times, "y": np.asarray(values, np.float64)})


def positive(rows: int) -> np.ndarray:
    return 5 + np.random.default_rng(0).uniform(0, 2, rows)


@pytest.mark.parametrize("carry", [False, True])
def test_new_rows_that_have_no_logarithm_are_not_taken_note_of(carry: bool) -> None:
    more = {"carry": True, "strategy": "direct", "window_scaling": "none"} if carry else {}
    forecaster = Forecaster(**SMALL, **more, scaling="log").fit(hours(positive(60)))
    before = forecaster.predict()
    with pytest.raises(DataError, match=r"2024-03-03 12:00:00 .*column 'y': 0 has no logarithm"):
        forecaster.update(hours([0.0], after=60))
    pl.testing.assert_frame_equal(forecaster.predict(), before)


def test_counts_are_not_negative() -> None:
    options = {**SMALL, "head": "negative_binomial", "scaling": "mean", "window_scaling": "none"}
    counts = np.random.default_rng(0).poisson(4, 60)
    with pytest.raises(DataError, match=r"\(row 41 of the series\), column 'y': -2 is no count"):
        Forecaster(**options).fit(hours([*counts[:40], -2, *counts[41:]]))
    forecaster = Forecaster(**options).fit(hours(counts))
    with pytest.raises(DataError, match="column 'y': -1 is no count"):
        forecaster.update(hours([-1.0], after=60))


@pytest.mark.parametrize(("learned", "given"), [("Europe/Berlin", None), (None, "Asia/Tokyo")], ids=["with", "without"])
def test_times_with_and_without_a_zone_do_not_go_together(learned: str | None, given: str | None) -> None:
    forecaster = Forecaster(**SMALL).fit(hours(positive(60), zone=learned))
    for ask in (
        lambda: forecaster.update(hours([6.0], after=60, zone=given)),
        lambda: forecaster.predict(hours(positive(60), zone=given)),
    ):
        with pytest.raises(DataError, match=f"zone {learned or given}.*which hour is meant is unknown"):
            ask()
    forecaster.update(hours([6.0], after=60, zone=learned))


@pytest.mark.parametrize("column", ["y", "x"])
def test_numbers_whose_squares_overflow_are_refused(column: str) -> None:
    frame = hours(positive(60)).with_columns(x=pl.Series(positive(60)))
    frame = frame.with_columns(pl.Series(column, [*positive(59), 1e300]))
    with pytest.raises(DataError, match=rf"column '{column}', row 60: 1e\+300 is no number"):
        Forecaster(**SMALL, target=("y",), past=("x",)).fit(frame)


@pytest.mark.parametrize("rows", range(4, 12))
def test_short_series_are_learned_from_with_what_is_left_out_of_the_options(rows: int) -> None:
    made = Forecaster(horizon=3, hidden=6, steps=2).fit(pl.DataFrame({"ds": np.arange(rows), "y": positive(rows)}))
    assert len(made.predict()) == 3


def test_a_segment_that_is_asked_for_fits_into_the_context() -> None:
    with pytest.raises(UsageError, match="segment 3 does not fit into the 2 rows that are read"):
        Forecaster(horizon=3, hidden=6, steps=2, context_length=2, segment=3).fit(hours(positive(60)))


@pytest.mark.parametrize("rows", range(5, 20))
def test_no_number_of_rows_is_too_few_for_the_baselines_alone(rows: int) -> None:
    frame = hours(positive(rows))
    found = Forecaster(horizon=2, hidden=4, steps=2, season=7).backtest(frame, origins=1, automatic_seconds=0)
    assert set(found.baselines) == {"last value", "seasonal last value", "drift", "mean", "linear"}
    assert np.isfinite(found.baselines["linear"].scores.summary()["mae"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 2.5}, "stride is a whole number, not 2.5"),
        ({"origins": 2.5}, "origins is a whole number"),
        ({"origins": "3"}, "origins is a whole number, not '3'"),
        ({"test_rows": 20.5, "origins": None}, "test_rows is a whole number"),
        ({"embargo": 1.5}, "embargo is a whole number"),
        ({"refit": 2.5}, "refit is every, never or a number of origins, not '2.5'"),
        ({"automatic_seconds": -1}, "automatic_seconds is a number of at least 0"),
        ({"automatic_seconds": "a"}, "automatic_seconds is a number of at least 0"),
        ({"scored_step": 4}, "from 1 to the horizon, 3, not 4"),
    ],
)
def test_a_backtest_is_asked_for_in_whole_numbers(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Forecaster(**{**SMALL, "steps": 10**9}).backtest(hours(positive(60)), **{"origins": 3, **options})


def test_the_step_that_is_scored_is_one_of_the_horizon() -> None:
    assert from_flat(ForecastOptions, {"horizon": 5, "scored_step": 5}).scoring.scored_step == 5
    with pytest.raises(UsageError, match="--scored-step is from 1 to the horizon, 5, not 9"):
        from_flat(ForecastOptions, {"horizon": 5, "scored_step": 9})
    with pytest.raises(UsageError, match="--automatic-seconds is at least 0"):
        from_flat(ForecastOptions, {"horizon": 5, "automatic_seconds": -1.0})


@pytest.mark.parametrize("horizon", [2.5, "2", True, 0, 4])
def test_a_horizon_is_a_number_of_rows_that_was_learned(horizon: Any) -> None:
    forecaster = Forecaster(**SMALL).fit(hours(positive(60)))
    with pytest.raises(UsageError, match="forecasts from 1 to 3 rows"):
        forecaster.predict(horizon=horizon)


def test_levels_are_a_list_and_seeds_are_those_of_scikit_learn() -> None:
    forecaster = Forecaster(**SMALL, head="gaussian").fit(hours(positive(60)))
    with pytest.raises(UsageError, match="levels are a list"):
        forecaster.predict_quantiles(None)  # type: ignore[arg-type]
    one, other = (forecaster.sample_paths(4, random_state=None) for _ in range(2))
    assert not one.equals(other)
    generators = (np.random.RandomState(3) for _ in range(2))
    one, other = (forecaster.sample_paths(4, random_state=generator) for generator in generators)
    pl.testing.assert_frame_equal(one, other)
    with pytest.raises(UsageError, match="random_state is a whole number"):
        forecaster.sample_paths(4, random_state="a")


def test_that_others_were_not_run_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automatic, "installed", lambda: False)
    forecaster, frame = Forecaster(**SMALL), hours(positive(60))
    found = forecaster.backtest(frame, origins=2).to_json()
    assert (found["automatic"], "statsforecast is not installed" in found["without_automatic"]) == ({}, True)
    assert (
        "no time was given" in forecaster.backtest(frame, origins=2, automatic_seconds=0).to_json()["without_automatic"]
    )
