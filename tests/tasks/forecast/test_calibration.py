"""Intervals that are calibrated, networks that forecast together, splits by rows, and rows kept beside a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import polars.testing
import pytest
import torch

from rondo import load
from rondo.data.series import SeriesSet
from rondo.data.series.windows import training_windows
from rondo.errors import DataError, ModelError, UsageError
from rondo.evaluation.forecasting.folds import named_rows
from rondo.tasks.forecast.estimator import Forecaster
from rondo.tasks.forecast.stored import FILE

SMALL: dict[str, Any] = {"horizon": 2, "context_length": 6, "hidden": 6, "steps": 3, "batch_size": 16}


def frame(rows: int = 400) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    return pl.DataFrame({"ds": np.arange(rows), "y": 5 + rng.normal(0, 1, rows)})


@pytest.mark.parametrize("head", ["quantiles", "student_t", "mae"])
def test_calibrated_intervals_hold_what_they_promise(head: str, tmp_path: Path) -> None:
    # Three steps of training: without calibration the intervals are far off.
    whole = frame()
    forecaster = Forecaster(**SMALL, head=head, conformal=True, valid_fraction=0.5).fit(whole[:300])
    windows = training_windows(SeriesSet.from_arrays([whole["y"].to_numpy()], names=["y"]), 2)
    windows = windows.choose(windows.origin >= 300)
    quantiles = forecaster.model_.forecast(windows, (0.1, 0.9)).quantiles
    actual = windows.actual()
    share = np.mean((quantiles[..., 0] <= actual) & (actual <= quantiles[..., 1]))
    assert 0.7 < share < 0.9
    if head != "mae":
        plain = forecaster.model_._uncalibrated(windows, (0.1, 0.9), 10, 0).quantiles
        assert not np.allclose(plain, quantiles)
    forecaster.save(tmp_path / "model")
    again = load(tmp_path / "model").model_.forecast(windows, (0.1, 0.9)).quantiles
    np.testing.assert_allclose(again, quantiles, rtol=1e-6)


def test_calibration_leaves_the_median_where_it_is() -> None:
    # The calibration part lies far above the rows that were learned from.
    drifted = frame(300).with_columns(y=pl.col("y") + pl.Series(np.repeat([0.0, 8.0], [200, 100])))
    model = Forecaster(**SMALL, conformal=True, valid_fraction=0.3, window_scaling="none").fit(drifted).model_
    windows = training_windows(SeriesSet.from_arrays([drifted["y"].to_numpy()], names=["y"]), 2)
    levels = (0.1, 0.5, 0.9)
    plain, calibrated = model._uncalibrated(windows, levels, 10, 0), model.forecast(windows, levels)
    np.testing.assert_allclose(calibrated.quantiles[..., 1], plain.quantiles[..., 1], rtol=1e-6)
    np.testing.assert_allclose(calibrated.quantiles[..., 1], calibrated.points, rtol=1e-6)
    wider = np.diff(calibrated.quantiles, axis=-1) - np.diff(plain.quantiles, axis=-1)
    assert (wider > 1).all()


@pytest.mark.parametrize("strategy", ["segments", "recursive"])
def test_sampled_futures_are_calibrated_as_quantiles_are(strategy: str) -> None:
    # The calibration part is four times as noisy as the rows that were learned from.
    whole = frame().with_columns(y=5 + (pl.col("y") - 5) * pl.Series(np.repeat([1.0, 4.0], 200)))
    options = {**SMALL, "head": "gaussian", "strategy": strategy, "conformal": True, "valid_fraction": 0.5}
    model = Forecaster(**options).fit(whole).model_
    windows = training_windows(SeriesSet.from_arrays([whole["y"].to_numpy()], names=["y"]), 2)
    windows = windows.choose(windows.origin >= 380)
    calibrated, moving = model.sample(windows, 400), model.conformal
    model.conformal = None
    plain = model.sample(windows, 400)
    model.conformal = moving
    # Each step's values keep their order, and their spread is that of the calibrated quantiles.
    ordered = np.take_along_axis(calibrated, np.argsort(plain, axis=-1, kind="stable"), axis=-1)
    assert (np.diff(ordered, axis=-1) >= 0).all()
    width = np.diff(np.quantile(calibrated, (0.1, 0.9), axis=-1), axis=0).mean()
    said = np.diff(model.forecast(windows, (0.1, 0.9)).quantiles, axis=-1).mean()
    was = np.diff(np.quantile(plain, (0.1, 0.9), axis=-1), axis=0).mean()
    assert abs(width - said) < 0.3 * abs(was - said)
    np.testing.assert_array_equal(model.sample(windows, 3), model.sample(windows, 200)[..., :3])


@pytest.mark.parametrize("paths", [2.5, 0, "many", True])
def test_what_is_no_number_of_paths_is_refused(paths: Any) -> None:
    forecaster = Forecaster(**SMALL, head="gaussian").fit(frame(60))
    with pytest.raises(UsageError, match="number of paths is a whole number"):
        forecaster.sample_paths(paths)


def test_levels_that_are_no_list_are_refused_in_words() -> None:
    with pytest.raises(UsageError, match=r"levels are a list.*horizon=2"):
        Forecaster(**SMALL).fit(frame()).predict_quantiles(2)  # type: ignore[arg-type]


def test_points_without_calibration_have_no_intervals() -> None:
    forecaster = Forecaster(**SMALL, head="mae").fit(frame(60))
    with pytest.raises(UsageError, match="says points"):
        forecaster.predict_quantiles([0.5])


@pytest.mark.parametrize("strategy", ["segments", "recursive"])
def test_an_ensemble_forecasts_together(strategy: str, tmp_path: Path) -> None:
    forecaster = Forecaster(**SMALL, head="gaussian", strategy=strategy, ensemble=2).fit(frame(60))
    members = forecaster.model_.network.members
    assert not torch.equal(members[0].leave.weight, members[1].leave.weight)
    found = forecaster.predict_quantiles([0.2, 0.8])
    assert len(forecaster.sample_paths(5).columns) == 1 + 5
    forecaster.save(tmp_path / "model")
    np.testing.assert_allclose(
        load(tmp_path / "model").predict_quantiles([0.2, 0.8])["y_q0.8"], found["y_q0.8"], rtol=1e-6
    )
    with pytest.raises(UsageError, match="ensemble is at least 1"):
        Forecaster(**SMALL, ensemble=0).fit(frame(60))


def test_a_split_names_rows() -> None:
    series = SeriesSet.from_arrays([np.arange(100.0)])
    fold = named_rows(series, 5, (60, 20, 15))
    assert fold.training.lengths.tolist() == [60]
    assert fold.validation is not None
    assert (fold.validation.origin.min(), fold.validation.origin.max()) == (60, 75)
    assert (fold.windows.origin.min(), fold.windows.origin.max()) == (80, 90)
    with pytest.raises(DataError, match="rows 80 to 130"):
        named_rows(series, 5, (60, 20, 50))


def test_a_split_changes_what_is_learned_from() -> None:
    forecaster = Forecaster(**SMALL, split=(40, 10, 10)).fit(frame(60))
    scale = forecaster.model_.encoder
    np.testing.assert_allclose(scale.shift[0], frame(60)["y"][:40].mean())
    found = forecaster.backtest(frame(60), automatic_seconds=0)
    assert len(found.scores) == 9
    with pytest.raises(UsageError, match="names the rows"):
        forecaster.backtest(frame(60), origins=3)


def test_a_constant_series_has_figures_that_json_knows() -> None:
    flat = pl.DataFrame({"ds": np.arange(40), "y": np.full(40, 3.0)})
    found = Forecaster(**SMALL).backtest(flat, origins=3, automatic_seconds=0).to_json()
    assert json.loads(json.dumps(found, allow_nan=False))["metrics"]["mase"] is None
    assert found["baselines"]["last value"]["mae"] == 0


def test_rows_beside_a_model(tmp_path: Path) -> None:
    days = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 1, 30), eager=True)
    rng = np.random.default_rng(0)
    long = pl.concat(
        pl.DataFrame({"shop": [shop] * 30, "day": days, "sold": rng.normal(9, 1, 30), "plan": rng.normal(size=30),
                      "kind": rng.choice(["a", "b"], 30)})
        for shop in (7, 8)
    )  # fmt: skip
    options = {**SMALL, "series": "shop", "time": "day", "target": ("sold",), "past": ("plan", "kind")}
    forecaster = Forecaster(**options).fit(long)
    forecaster.save(tmp_path / "model")
    pl.testing.assert_frame_equal(load(tmp_path / "model").predict(), forecaster.predict())
    assert load(tmp_path / "model").predict()["shop"].to_list() == [7, 7, 8, 8]
    path = tmp_path / "model" / FILE
    assert path.stat().st_size < 6000
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ModelError, match=FILE):
        load(tmp_path / "model")
