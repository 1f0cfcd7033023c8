"""From series to forecasts: nothing from after the origin is read, all windows are learned from, folders keep it."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy.signal import lfilter

from rondo.data.series import FrameFormat, SeriesSet, from_frame
from rondo.data.series.windows import Windows, training_windows
from rondo.errors import DataError, ModelError, UsageError
from rondo.evaluation.forecasting.folds import rolling_origin
from rondo.models.forecaster import ForecasterOptions
from rondo.tasks.forecast.encoder import ForecastEncoder
from rondo.tasks.forecast.learning import WindowBatches, learn_forecast, make_batch, prepare
from rondo.tasks.forecast.model import ForecastModel
from rondo.tasks.forecast.options import ForecastData, ForecastOptions, ForecastTraining

H = 3


def frame(rows: int = 80, *, later: float = 0.0, seed: int = 0) -> pl.DataFrame:
    """Two series with every kind of covariate; from row 60 on, values are ``later`` higher."""
    rng = np.random.default_rng(seed)
    parts = []
    for place, name in enumerate("ab"):
        time = np.arange(rows)
        y = 10 * (place + 1) + 3 * np.sin(2 * np.pi * time / 7) + rng.normal(0, 0.1, rows) + later * (time >= 60)
        parts.append(
            pl.DataFrame(
                {
                    "unique_id": [name] * rows,
                    "ds": [dt.date(2024, 1, 1) + dt.timedelta(days=int(day)) for day in time],
                    "y": y,
                    "heat": rng.normal(5, 2, rows) + later * (time >= 60),
                    "plan": rng.normal(0, 1, rows),
                    "kind": np.where(rng.random(rows) < 0.5, "u", "v"),
                    "size": [float(place)] * rows,
                }
            )
        )
    return pl.concat(parts)


FORMAT = FrameFormat(past="heat", future=("plan", "kind"), static="size")


def series(**options: Any) -> SeriesSet:
    return from_frame(frame(**options), FORMAT)


def options(*, steps: int = 3, **given: Any) -> ForecastOptions:
    kinds = (ForecastData, ForecasterOptions)
    data, model = ({name: given[name] for name in given if name in kind.__dataclass_fields__} for kind in kinds)
    return ForecastOptions(
        data=ForecastData(**{"horizon": H, "context_length": 14, **data}),
        model=ForecasterOptions(**{"hidden": 8, **model}),
        training=ForecastTraining(steps=steps, batch_size=32, learning_rate=1e-2, evaluations=2),
    )


def learned(tmp_path: Path, made: SeriesSet, chosen: ForecastOptions) -> tuple[ForecastModel, Windows]:
    (fold,) = rolling_origin(made, horizon=H, test_rows=20)
    model, _ = learn_forecast(fold.training, fold.windows, chosen, tmp_path / "run")
    return model, fold.windows


def test_nothing_from_after_the_origin_is_read() -> None:
    plain, other = series(), series(later=1e4)
    encoders = [ForecastEncoder.fit(made.cut(60), options(scaling="robust").data) for made in (plain, other)]
    assert encoders[0] == encoders[1]
    found = []
    for made in (plain, other):
        windows = Windows(made, np.array([0, 1]), np.array([60, 60]), H, np.array([60, 60]))
        found.append(vars(encoders[0].encode(windows)[0]))
    for name, value in found[0].items():
        assert torch.equal(value, found[1][name]), name


def test_what_is_known_in_advance_is_read() -> None:
    made = series()
    encoder = ForecastEncoder.fit(made.cut(60), options().data)
    windows = Windows(made, np.array([1]), np.array([60]), H, np.array([60]))
    inputs, _ = encoder.encode(windows)
    shift, width = (part[0] for part in encoder.covariates["future"])
    plan = frame()["plan"].to_numpy()[80 + 46 : 80 + 63]
    np.testing.assert_allclose(inputs.future[0, :, 0], (plan - shift) / width, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(inputs.future_codes[0, :, 0] == 1, frame()["kind"].to_numpy()[126:143] == "u")
    assert inputs.future.shape[-1] == 1 + 6  # and sine and cosine of week, month and year
    end = Windows(made, np.array([1]), np.array([80]), H, np.array([80]))
    assert not encoder.encode(end)[0].future[0, -H:, 0].any()


def test_units_are_those_of_the_series_and_inverted() -> None:
    made = series()
    encoder = ForecastEncoder.fit(made.cut(60), options(scaling="standard", window_scaling="instance").data)
    windows = training_windows(made, H, context=14)
    _, units = encoder.encode(windows)
    np.testing.assert_allclose(units.invert(units.apply(windows.actual())), windows.actual(), rtol=1e-9)
    stranger = SeriesSet.from_arrays([made.series(0) * 1000], names=["new"])
    context = stranger.values[None, 20:34]
    own = Windows(stranger, np.array([0]), np.array([34]), H, np.array([34]))
    found = encoder.units(own, context)
    assert found.scaler.width[0] == pytest.approx(context.std())


@pytest.mark.parametrize("batch_size", [7, 1000])
def test_each_window_once_an_epoch(batch_size: int) -> None:
    made = SeriesSet.from_arrays([np.arange(40.0), 100 + np.arange(9.0), 200 + np.arange(6.0), [300.0, 301, 302]])
    data = ForecastData(horizon=H, context_length=5, scaling="none", window_scaling="none")
    source = WindowBatches(made, ForecastEncoder.fit(made, data), batch_size=batch_size, seed=1)
    epochs = []
    for epoch in range(2):
        batches = [source.batch(epoch, index) for index in range(source.batches_per_epoch)]
        epochs.append([tuple(row.tolist()) for batch in batches for row in batch.target])
    every = [*training_windows(made, H, context=5).actual().tolist(), [203.0, 204.0, 205.0]]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(map(tuple, every))
    assert epochs[0] != epochs[1]
    again = source.batch(1, 0)
    assert torch.equal(again.target, source.batch(1, 0).target)


def test_short_series_give_a_window_of_what_they_have() -> None:
    made = SeriesSet.from_arrays([[1.0, 2, 3, 4, 5], np.arange(30.0)])
    data = ForecastData(horizon=H, context_length=8, scaling="none", window_scaling="none")
    encoder = ForecastEncoder.fit(made, data)
    source = WindowBatches(made, encoder, batch_size=100, seed=0)
    batch = source.batch(0, 0)
    short = next(row for row in range(len(batch.target)) if batch.target[row].tolist() == [3, 4, 5])
    assert batch.known[short].tolist() == [0] * 6 + [1, 1]
    assert encoder.features.masked
    with pytest.raises(DataError, match="longest series has 3 rows"):
        ForecastEncoder.fit(SeriesSet.from_arrays([[1.0, 2, 3]]), data)


CHOICES: list[dict[str, Any]] = [
    {"strategy": "segments", "head": "quantiles"}, {"strategy": "direct", "head": "gaussian", "series_embedding": True},
    {"strategy": "decoder", "head": "student_t", "scaling": "log1p"}, {"strategy": "recursive", "head": "gaussian"},
    {"strategy": "recursive", "head": "mae"},
    {"strategy": "direct", "head": "gaussian", "window_scaling": "difference"},
    {"strategy": "recursive", "head": "negative_binomial", "scaling": "mean", "window_scaling": "none"},
    {"strategy": "segments", "head": "mse", "calendar": "none", "cell": "min_gru"},
    {"strategy": "decoder", "head": "quantiles", "window_scaling": "seasonal", "linear_path": True, "ensemble": 2},
]  # fmt: skip


@pytest.mark.parametrize("given", CHOICES, ids=lambda given: "-".join(map(str, given.values())))
def test_trained_saved_and_loaded(tmp_path: Path, given: dict[str, Any]) -> None:
    made = series()
    if given["head"] == "negative_binomial":
        made = replace(made, values=np.round(made.values))
    model, windows = learned(tmp_path, made, options(**given))
    levels = (0.1, 0.5, 0.9) if model.network.head.draws else ()
    found = model.forecast(windows, levels, paths=20)
    assert found.points.shape == (len(windows), H)
    assert np.isfinite(found.points).all()
    model.save(tmp_path / "saved")
    again = ForecastModel.load(tmp_path / "saved").forecast(windows, levels, paths=20)
    np.testing.assert_array_equal(again.points, found.points)
    if found.quantiles is not None and again.quantiles is not None:
        assert (np.diff(found.quantiles, axis=-1) >= -1e-9).all()
        np.testing.assert_array_equal(again.quantiles, found.quantiles)
        drawn = model.sample(windows.choose([0]), 30)
        assert drawn.shape == (1, H, 30)
        if given["head"] == "negative_binomial":
            np.testing.assert_array_equal(drawn, np.round(drawn))
    else:
        for refused in (lambda: model.forecast(windows, (0.5,)), lambda: model.sample(windows)):
            with pytest.raises(UsageError, match="says points"):
                refused()


@pytest.mark.parametrize("strategy", ["direct", "recursive"])
@pytest.mark.parametrize("ensemble", [1, 2])
def test_counts_are_whole(tmp_path: Path, strategy: str, ensemble: int) -> None:
    """Although the network says them in single precision, divided by the mean of the series."""
    made = series()
    made = replace(made, values=np.round(10 * made.values))
    counts = {"head": "negative_binomial", "scaling": "mean", "window_scaling": "none"}
    model, windows = learned(tmp_path, made, options(strategy=strategy, ensemble=ensemble, **counts))
    said = model.forecast(windows, (0.1, 0.35, 0.8), paths=20)
    assert said.quantiles is not None
    whole = [said.quantiles, model.sample(windows, 6), *([said.points] if strategy == "recursive" else [])]
    for values in whole:
        assert values.max() > 20
        np.testing.assert_array_equal(values, np.round(values))
    if strategy == "direct":
        model.calibrate(windows)
        moved = model.forecast(windows, (0.1, 0.35, 0.8)).quantiles
        assert moved is not None
        np.testing.assert_array_equal(moved, np.round(moved))


def test_a_wave_is_learned(tmp_path: Path) -> None:
    """Far better than the last value, on windows that come after the training part; intervals cover."""
    made = from_frame(frame(rows=300), FORMAT)
    (fold,) = rolling_origin(made, horizon=H, test_rows=60)
    model, summary = learn_forecast(fold.training, fold.windows, options(steps=150, hidden=24), tmp_path)
    found = model.forecast(fold.windows, (0.025, 0.975))
    actual = fold.windows.actual()
    naive = fold.windows.context(1)
    assert np.abs(found.points - actual).mean() < 0.25 * np.abs(naive - actual).mean()
    assert found.quantiles is not None
    assert ((found.quantiles[..., 0] <= actual) & (actual <= found.quantiles[..., 1])).mean() > 0.7
    losses = [event["valid_loss"] for event in summary.history if event["event"] == "evaluation"]
    assert summary.best["valid_loss"] == min(losses) < 0.3 * losses[0]


def test_missing_values_are_neither_read_nor_learned() -> None:
    made = series()
    made.values[[30, 31]] = np.nan
    encoder = ForecastEncoder.fit(made, options().data)
    batch = make_batch(Windows(made, np.array([0]), np.array([30]), H, np.array([30])), encoder)
    assert torch.isnan(batch.target[0]).tolist() == [True, True, False]
    later = make_batch(Windows(made, np.array([0]), np.array([33]), H, np.array([33])), encoder)
    assert later.known[0, -3:].tolist() == [0, 0, 1]
    assert torch.isfinite(later.context).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"head": "negative_binomial"}, "goes with --scaling mean"),
        ({"head": "quantiles", "window_scaling": "difference"}, "do not add up"),
        ({"scaling": "standart"}, "did you mean 'standard'"),
        ({"horizon": 0}, "--horizon is at least 1"),
        ({"context_length": 0}, "--context-length"),
        ({"valid_fraction": 1.0}, "--valid-fraction"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value[:12],
)
def test_options_that_exclude_each_other(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        options(**given)


@pytest.mark.parametrize("place", ["encoder", "network", "season"])
def test_damaged_folders(tmp_path: Path, place: str) -> None:
    model, _ = learned(tmp_path, series(), options(steps=1))
    model.save(tmp_path / "saved")
    path = tmp_path / "saved" / "config.json"
    config = json.loads(path.read_text())
    config[place] = {}
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError):
        ForecastModel.load(tmp_path / "saved")


@pytest.mark.parametrize("name", ["linear_path", "window_scaling"])
def test_what_the_network_begins_from_counts(tmp_path: Path, name: str) -> None:
    """One step in, forecasts of a wave are already those of a line, or of the last season."""
    given = {
        "linear_path": {"linear_path": True, "context_length": 21},
        "window_scaling": {"window_scaling": "seasonal"},
    }
    made = from_frame(frame(rows=150), FORMAT)
    (fold,) = rolling_origin(made, horizon=H, test_rows=30)
    plain = options(head="mse", steps=1)
    errors = []
    for own in (plain, options(head="mse", steps=1, **given[name])):
        found = learn_forecast(fold.training, fold.windows, own, tmp_path / str(len(errors)))[0].forecast(fold.windows)
        errors.append(float(np.abs(found.points - fold.windows.actual()).mean()))
    assert errors[1] < 0.25 * errors[0]


def test_members_begin_from_the_same_line() -> None:
    encoder, network = prepare(series(), options(linear_path=True, ensemble=2))
    lines = [member.linear for member in network.members if member.linear is not None]
    assert len(lines) == 2
    assert torch.equal(lines[0].weight, lines[1].weight)
    source = WindowBatches(series(), encoder, batch_size=1000, seed=0)
    smoother = prepare(series(), options(linear_path=True, linear_ridge=5.0))[1].members[0].linear
    assert smoother is not None
    assert source.batches_per_epoch == 1
    batch = source.batch(0, 0)
    gaps = [float((line(batch.context) - batch.target).square().mean()) for line in (lines[0], smoother)]
    assert gaps[0] < gaps[1] < float(batch.target.square().mean())


def test_what_only_spoils_the_linear_path_is_not_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    source = SeriesSet.from_arrays([lfilter([1], [1, -0.9], rng.normal(size=400))])
    training, validation = source.cut(300), training_windows(source, H)
    validation = validation.choose(validation.origin >= 300)
    for linear in (True, False):
        given = options(linear_path=linear, head="mse", strategy="direct")
        given = replace(given, training=replace(given.training, learning_rate=50.0))
        model, summary = learn_forecast(training, validation, given, tmp_path / str(linear))
        assert (summary.best["step"] == 0) is linear
        begun = ForecastModel(prepare(training, given)[1], model.encoder, {}, given.model)
        same = np.array_equal(begun.forecast(validation).points, model.forecast(validation).points)
        assert same is linear
