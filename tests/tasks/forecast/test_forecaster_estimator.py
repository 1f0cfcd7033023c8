"""`Forecaster`: frames in, frames out, with the same names, library, times and zones; and the honest backtest."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import polars.testing
import pytest
from sklearn.base import clone

from rondo.errors import DataError, UsageError
from rondo.tasks.forecast.estimator import Forecaster

SMALL: dict[str, Any] = {"horizon": 4, "context_length": 10, "hidden": 8, "steps": 4, "batch_size": 32}
LIBRARIES = pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])


def wave(rows: int = 120, seed: int = 0) -> np.ndarray:
    return 20 + 5 * np.sin(2 * np.pi * np.arange(rows) / 12) + np.random.default_rng(seed).normal(0, 0.3, rows)


def wide(library: Any = pl.DataFrame, rows: int = 120) -> Any:
    hours = [dt.datetime(2024, 1, 1) + dt.timedelta(hours=hour) for hour in range(rows)]
    return library({"when": hours, "load": wave(rows), "heat": wave(rows, 1)})


def long(library: Any = pl.DataFrame) -> Any:
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=day) for day in range(60)]
    return library({"shop": ["n"] * 60 + ["s"] * 40, "day": days + days[:40], "sold": np.append(wave(60), wave(40, 1))})


LONG: dict[str, Any] = {**SMALL, "series": "shop", "time": "day", "target": ("sold",)}


@LIBRARIES
def test_wide(library: Any) -> None:
    forecaster = Forecaster(**SMALL, time="when").fit(wide(library))
    found = forecaster.predict()
    assert isinstance(found, library)
    assert list(found.columns) == ["when", "load", "heat"]
    expected = [dt.datetime(2024, 1, 6) + dt.timedelta(hours=hour) for hour in range(4)]
    assert [pd.Timestamp(moment) for moment in found["when"].to_list()] == [pd.Timestamp(one) for one in expected]
    assert np.isfinite(found["heat"].to_numpy()).all()
    assert len(forecaster.predict(horizon=2)) == 2
    with pytest.raises(UsageError, match="from 1 to 4 rows, not 5"):
        forecaster.predict(horizon=5)


@LIBRARIES
def test_long(library: Any) -> None:
    forecaster = Forecaster(**LONG).fit(long(library))
    found = forecaster.predict_quantiles([0.1, 0.9])
    assert list(found.columns) == ["shop", "day", "sold_q0.1", "sold_q0.9"]
    assert found["shop"].to_list() == ["n"] * 4 + ["s"] * 4
    days = [pd.Timestamp(day) for day in found["day"].to_list()]
    assert (days[0], days[4]) == (pd.Timestamp(2024, 3, 1), pd.Timestamp(2024, 2, 10))
    assert (found["sold_q0.1"].to_numpy() < found["sold_q0.9"].to_numpy()).all()
    paths = forecaster.sample_paths(3, horizon=2)
    assert list(paths.columns) == ["shop", "day", "sold_path1", "sold_path2", "sold_path3"]
    assert not np.allclose(paths["sold_path1"].to_numpy(), paths["sold_path2"].to_numpy())


@LIBRARIES
def test_zones_are_kept(library: Any) -> None:
    index = pd.date_range("2024-03-29", periods=48, freq="h", tz="Europe/Berlin")
    frame = library({"ds": index.to_pydatetime().tolist() if library is pl.DataFrame else index, "y": wave(48)})
    if library is pl.DataFrame:
        frame = frame.with_columns(pl.col("ds").dt.convert_time_zone("Europe/Berlin"))
    found = Forecaster(**SMALL).fit(frame).predict()
    expected = pd.date_range("2024-03-31", periods=4, freq="h", tz="Europe/Berlin")
    assert [moment.isoformat() for moment in found["ds"].to_list()] == [stamp.isoformat() for stamp in expected]
    assert "Berlin" in str(found["ds"].dtype)


def test_a_frame_of_later_rows() -> None:
    forecaster = Forecaster(**SMALL, time="when").fit(wide())
    later = wide(rows=140)
    found = forecaster.predict(later)
    assert found["when"][0] == later["when"][-1] + dt.timedelta(hours=1)
    assert not np.allclose(found["load"], forecaster.predict()["load"])
    np.testing.assert_allclose(forecaster.predict(wide())["load"], forecaster.predict()["load"])


def test_saved_and_loaded(tmp_path: Path) -> None:
    forecaster = Forecaster(**LONG).fit(long())
    forecaster.save(tmp_path / "model")
    again = Forecaster.load(tmp_path / "model")
    pl.testing.assert_frame_equal(again.predict(long()), forecaster.predict())
    assert again.get_params()["horizon"] == 4
    pl.testing.assert_frame_equal(again.predict(), forecaster.predict())
    other = long().rename({"sold": "bought"})
    with pytest.raises(DataError, match="no column 'sold'"):
        again.predict(other)


def test_covariates_known_in_advance_change_the_forecast() -> None:
    frame = wide().with_columns(plan=pl.Series(np.random.default_rng(3).normal(size=120)), kind=pl.lit("a"))
    ahead = pl.DataFrame({"when": [frame["when"][-1] + dt.timedelta(hours=h) for h in range(1, 5)]})
    options = {**SMALL, "time": "when", "target": ("load",), "future": ("plan", "kind")}
    forecaster = Forecaster(**options).fit(frame)
    said = []
    for value in (0.0, 3.0):
        whole = pl.concat([frame, ahead.with_columns(plan=pl.lit(value), kind=pl.lit("b"))], how="diagonal")
        found = forecaster.predict(whole)
        assert found["when"][0] == ahead["when"][0]
        said.append(found["load"].to_numpy())
    assert not np.allclose(*said)


@pytest.mark.parametrize("strategy", ["direct", "segments"])
def test_covariates_known_in_advance_must_be_told(strategy: str) -> None:
    frame = long().with_columns(plan=pl.Series(np.random.default_rng(3).normal(size=100)), kind=pl.lit("a"))
    options = {**LONG, "strategy": strategy, "segment": 4 if strategy == "segments" else None}
    forecaster = Forecaster(**options, future=("plan", "kind")).fit(frame)
    ahead = [
        (shop, last + dt.timedelta(days=day), 1.0 if day < 3 else None, "a")
        for shop, last in (("n", dt.date(2024, 2, 29)), ("s", dt.date(2024, 2, 9))) for day in range(1, 5)
    ]  # fmt: skip
    rows = pl.DataFrame(ahead, schema=["shop", "day", "plan", "kind"], orient="row")
    advice = "Give a frame with rows of the future, at least 4 after"
    for told, message in (
        (frame, r"series 'n', 2024-03-01 \(row 61 of the series\), column 'plan'"),
        (pl.concat([frame, rows.head(6)], how="diagonal"), r"series 'n', 2024-03-03 .*, column 'plan'"),
        (pl.concat([frame, rows.head(6).with_columns(plan=1.0)], how="diagonal"), r"series 's', 2024-02-12 .*'plan'"),
    ):
        for said in (forecaster.predict, forecaster.forecast_frame):
            with pytest.raises(DataError, match=f"{message}.*{advice}"):
                said(told)
    with pytest.raises(DataError, match=r"series 'n', 2024-03-01 .*, column 'plan'"):
        forecaster.sample_paths(2)
    whole = pl.concat([frame, rows.with_columns(plan=1.0)], how="diagonal")
    hole = whole.with_columns(plan=pl.when(pl.col("day") == dt.date(2024, 3, 2)).then(None).otherwise("plan"))
    assert len(forecaster.predict(hole)) == 8
    few = pl.concat([frame, rows.filter(pl.col("plan").is_not_null())], how="diagonal")
    if strategy == "direct":
        np.testing.assert_allclose(
            forecaster.predict(few, horizon=2)["sold"], forecaster.predict(whole, horizon=2)["sold"], rtol=1e-6
        )
    else:
        with pytest.raises(DataError, match="2024-03-03"):
            forecaster.predict(few, horizon=2)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ([1.5], "between 0 and 1, for instance 0.015, not 1.5"),
        ([10, 90], "for instance 0.1, not 10"),
        ([float("nan")], "between 0 and 1, not nan"),
        ([0.0], "between 0 and 1, not 0"),
        ([0.5, 0.1, 0.5], "the level 0.5 is given twice"),
        (["0.5"], "are numbers between 0 and 1, not"),
    ],
    ids=["above", "percent", "nan", "zero", "twice", "text"],
)
def test_levels_are_checked(levels: list[Any], message: str) -> None:
    forecaster = Forecaster(**SMALL, time="when").fit(wide())
    with pytest.raises(UsageError, match=message):
        forecaster.predict_quantiles(levels)
    with pytest.raises(UsageError, match=message):
        forecaster.forecast_frame(levels=levels)


def test_what_is_no_frame_and_no_number_of_paths() -> None:
    forecaster = Forecaster(**SMALL, time="when").fit(wide())
    for said in (forecaster.predict, lambda steps: forecaster.sample_paths(2, steps)):
        with pytest.raises(UsageError, match="expected a frame of pandas or polars, not 3; steps are horizon=3"):
            said(3)
    with pytest.raises(UsageError, match="the number of paths is a whole number of at least 1, not 0"):
        forecaster.sample_paths(0)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(("scaling", "value"), [("log", 0.0), ("log1p", -1.5)])
def test_later_values_without_logarithm_are_refused(scaling: str, value: float) -> None:
    forecaster = Forecaster(**SMALL, time="when", target=("load",), scaling=scaling)

    def spoilt(row: int, rows: int = 120) -> pl.DataFrame:
        return wide(rows=rows).with_columns(load=pl.when(pl.int_range(rows) == row).then(value).otherwise("load"))

    place = r"series 'load', 2024-01-05 [12][0-9]:00.* \(row {} of the series\), column 'load': {:g} has no logarithm"
    with pytest.raises(DataError, match=place.format(119, value)):  # of the validation part
        forecaster.fit(spoilt(118))
    with pytest.raises(DataError, match=place.format(116, value)):  # read by the last forecasts that are scored
        forecaster.backtest(spoilt(115), test_rows=6, automatic_seconds=0)
    forecaster.fit(wide())
    with pytest.raises(DataError, match=place.format(119, value)):
        forecaster.predict(spoilt(118))
    assert np.isfinite(forecaster.predict(spoilt(3))["load"].to_numpy()).all()  # nobody reads it


def test_kinds_of_later_rows_change_nothing_in_a_fold() -> None:
    options = {**SMALL, "time": "when", "target": ("load",), "past": ("sky",)}
    first, second = (
        Forecaster(**options).backtest(
            wide().with_columns(sky=pl.when(pl.int_range(120) < 116).then(pl.lit("b")).otherwise(pl.lit(later))),
            origins=1, stride=4, automatic_seconds=0,
        )
        for later in ("b", "a")
    )  # fmt: skip
    assert second.model.encoder.features == first.model.encoder.features
    for name, weights in first.model.network.state_dict().items():
        np.testing.assert_array_equal(second.model.network.state_dict()[name], weights)


def test_series_that_are_not_scored_are_named() -> None:
    forecaster = Forecaster(**LONG)
    found, own_end = (
        forecaster.backtest(long(), test_rows=6, align=align, automatic_seconds=0) for align in ("time", "end")
    )
    lost = found.to_json()["left_out"]
    assert lost["series"] == ["s"]
    assert lost["about"].startswith("1 of 2 series are not scored: 's'.")
    assert own_end.to_json()["left_out"] is None


def test_same_seed_same_forecast() -> None:
    first, second, other = (Forecaster(**SMALL, time="when", random_state=seed).fit(wide()) for seed in (1, 1, 2))
    pl.testing.assert_frame_equal(first.predict(), second.predict())
    assert not np.allclose(first.predict()["load"], other.predict()["load"])
    assert clone(first).get_params() == first.get_params()


def test_backtest_is_honest() -> None:
    """A model that learns the wave beats the last value; everything stands on the same windows."""
    forecaster = Forecaster(**{**SMALL, "steps": 120, "learning_rate": 0.01, "hidden": 16}, time="when")
    found = forecaster.backtest(wide(rows=240), test_rows=60, stride=3, automatic_seconds=0)
    said = found.to_json()
    assert set(said["baselines"]) == {"last value", "seasonal last value", "drift", "mean", "linear"}
    wanted = {"mae", "rmse", "smape", "mase", "crps", "coverage_80"}
    assert all(wanted <= set(metrics) for metrics in (said["metrics"], *said["baselines"].values()))
    assert said["metrics"]["mae"] < 0.5 * said["baselines"]["last value"]["mae"]
    assert said["skill_interval"][0] <= said["skill"] <= said["skill_interval"][1]
    assert said["baseline"] == min(said["baselines"], key=lambda name: said["baselines"][name]["mae"])
    assert (said["windows"], said["folds"], said["alarms"]) == (2 * 19, 1, [])
    assert not hasattr(forecaster, "model_")


def test_backtest_refits_and_names_leaks() -> None:
    frame = wide().with_columns(leak=pl.col("load").shift(-2))
    forecaster = Forecaster(**SMALL, time="when", target=("load",), past=("leak",))
    found = forecaster.backtest(frame, origins=4, refit=2, automatic_seconds=0)
    assert (len(found.folds), len(found.scores)) == (2, 4)
    assert [alarm.kind for alarm in found.alarms] == ["target in a covariate"]


def test_backtest_asks_what_is_known_in_advance() -> None:
    options = {**SMALL, "time": "when", "target": ("load",), "future": ("heat",)}
    noise = wide().with_columns(heat=pl.Series(np.random.default_rng(9).normal(size=120)))
    said = Forecaster(**options).backtest(noise, origins=1, automatic_seconds=0).to_json()
    assert said["alarms"] == []
    assert ["'heat'" in question for question in said["questions"]] == [True]
    assert not Forecaster(**{**options, "future": ()}).backtest(noise, origins=1, automatic_seconds=0).questions


@pytest.mark.parametrize("given", [{"missing": "interpolate"}, {"missing": "impute", "impute": "bfill"}])
def test_filling_from_later_rows_is_refused_with_the_reason(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="rows that come later: at the time, nobody knew them"):
        Forecaster(**SMALL, **given).fit(wide())


def test_backtest_in_other_units() -> None:
    forecaster = Forecaster(**SMALL, time="when", head="mae")
    plain, scaled, last = (
        forecaster.backtest(wide(), origins=6, automatic_seconds=0, **options).to_json()
        for options in ({}, {"scaled": True}, {"scored_step": 4})
    )
    width = np.std(wide()["load"].to_numpy()[:111])
    assert scaled["metrics"]["mae"] == pytest.approx(plain["metrics"]["mae"] / width, rel=0.1)
    assert (scaled["scaled"], scaled["metrics"]["rse"]) == (True, pytest.approx(plain["metrics"]["rse"], rel=0.1))
    assert last["metrics"]["mae"] != plain["metrics"]["mae"]
    assert (last["scored_step"], last["windows"]) == (4, plain["windows"])
    assert plain["trainings"][0]["steps"] == SMALL["steps"]


def test_beside_points_baselines_are_points() -> None:
    """What is asked of the baselines is what the model says; their samples for long horizons take their time."""
    options = {**SMALL, "time": "when"}
    points = Forecaster(**options, head="mae").backtest(wide(), origins=3, automatic_seconds=0).to_json()
    said = Forecaster(**options, head="mae", conformal=True).backtest(wide(), origins=3, automatic_seconds=0).to_json()
    for name, metrics in points["baselines"].items():
        assert set(metrics) == set(points["metrics"])
        assert set(said["baselines"][name]) == set(said["metrics"]) == {*metrics, "crps", "pinball", "coverage_50",
            "coverage_80", "coverage_95", "weighted_quantile_loss"}  # fmt: skip


def test_unknown_parameter() -> None:
    with pytest.raises(UsageError, match="did you mean 'horizon'"):
        Forecaster(horizn=3)
