"""States carried along whole series: forecasts follow from all rows, and a new row costs one step."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from rondo import load, storage
from rondo.data.series.windows import Windows
from rondo.errors import DataError, ModelError, UsageError
from rondo.tasks.forecast.encoder import ForecastEncoder
from rondo.tasks.forecast.estimator import Forecaster
from rondo.tasks.forecast.stored import FILE
from tests.tasks.forecast.test_update import ROWS, frame

CARRY: dict[str, Any] = {
    "horizon": 3, "context_length": 9, "hidden": 8, "steps": 3, "series": "who", "time": "day", "target": ("y",),
    "carry": True, "window_scaling": "none", "strategy": "direct", "head": "gaussian", "learned_state": True,
}  # fmt: skip
COVARIATES: dict[str, Any] = {"past": ("heat",), "future": ("plan",)}


def agree(ours: pl.DataFrame, theirs: pl.DataFrame) -> None:
    assert ours.drop("y").equals(theirs.drop("y"))
    np.testing.assert_allclose(ours["y"], theirs["y"], rtol=1e-5, atol=1e-5)


def fresh(forecaster: Forecaster) -> Forecaster:
    """The same model without rows of its own."""
    other = Forecaster(**forecaster.get_params())
    other.model_ = forecaster.model_
    return other


@pytest.mark.parametrize("roles", [{}, COVARIATES], ids=["values", "covariates"])
@pytest.mark.parametrize(
    "more",
    [
        {}, {"strategy": "decoder", "cell": "lstm", "layers": 2}, {"strategy": "recursive"}, {"ensemble": 2},
        {"linear_path": True},
    ],
    ids=["direct", "decoder", "recursive", "ensemble", "linear path"],
)  # fmt: skip
def test_the_same_as_from_the_whole_history(roles: dict[str, Any], more: dict[str, Any], tmp_path: Path) -> None:
    forecaster = Forecaster(**{**CARRY, **roles, **more}).fit(frame(last=60))
    ahead = 3 if roles else 0
    for first, last in ((60, 61), (61, 62), (62, 80), (80, ROWS)):
        forecaster.update(frame(first, last, ahead=ahead))
        assert forecaster.series_.lengths.tolist() == [9 if "linear_path" in more else 1] * 2
        agree(forecaster.predict(), fresh(forecaster).predict(frame(last=last, ahead=ahead)))
    forecaster.save(tmp_path / "model")
    again = load(tmp_path / "model")
    agree(again.predict(), forecaster.predict())
    np.testing.assert_allclose(again.sample_paths(3)["y_path2"], forecaster.sample_paths(3)["y_path2"], rtol=1e-4)
    if not roles:
        later = pl.DataFrame(
            {"who": ["p"], "day": [again.predict()["day"][0]], "y": [9.0], "plan": [0.0], "heat": [0.0]}
        )
        agree(again.update(later).predict(), forecaster.update(later).predict())


def test_saved_before_any_row_came(tmp_path: Path) -> None:
    forecaster = Forecaster(**CARRY).fit(frame(last=60))
    for _ in range(2):  # saving changes nothing in the model itself
        forecaster.save(tmp_path / "model")
    agree(load(tmp_path / "model").predict(), forecaster.predict())
    agree(forecaster.predict(), fresh(forecaster).predict(frame(last=60)))


def test_rows_before_the_context_are_read() -> None:
    forecaster = Forecaster(**CARRY).fit(frame(last=60))
    other = frame(last=60).with_columns(y=pl.when(pl.col("day") < pl.date(2024, 2, 1)).then(9.0).otherwise("y"))
    assert not np.allclose(forecaster.predict(other)["y"], forecaster.predict()["y"], rtol=1e-7, atol=0)
    windowed = Forecaster(**{**CARRY, "carry": False}).fit(frame(last=60))
    np.testing.assert_array_equal(windowed.predict(other)["y"], windowed.predict()["y"])


def test_series_begin_and_stay() -> None:
    forecaster = Forecaster(**CARRY, scaling="none").fit(frame(last=60))
    renamed = frame(60, 66).with_columns(who=pl.col("who").replace("q", "r"))
    found = forecaster.update(renamed).predict()
    whole = pl.concat([frame(last=60), renamed])
    agree(found, fresh(forecaster).predict(whole))
    scaled = Forecaster(**CARRY).fit(frame(last=60))
    with pytest.raises(DataError, match="series 'r' was not learned from: it has no scale"):
        scaled.update(renamed)


def test_a_new_row_costs_the_same_whatever_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out: list[int] = []
    real = ForecastEncoder.encode

    def counted(self: ForecastEncoder, windows: Windows, length: int | None = None) -> Any:
        laid_out.append(len(windows) * (length or self.context_length))
        return real(self, windows, length)

    costs = []
    for known in (40, 80):
        forecaster = Forecaster(**CARRY).fit(frame(last=known)).update(frame(known, known + 1))
        monkeypatch.setattr(ForecastEncoder, "encode", counted)
        laid_out.clear()
        forecaster.update(frame(known + 1, known + 3)).predict()
        costs.append(sum(laid_out))
        monkeypatch.undo()
    assert costs[0] == costs[1] == 2 * 2 + 2 * 1 + 2 * 1


def test_a_backtest_reads_on_from_origin_to_origin() -> None:
    forecaster = Forecaster(**{**CARRY, "head": "mae"})
    found = forecaster.backtest(frame(), origins=5, stride=2, automatic_seconds=0)
    windows = found.folds[0].windows
    said = found.model.forecast(windows).points
    forecaster.model_ = found.model
    for place in np.flatnonzero(windows.which == 0):  # the series that begins with the frame
        alone = forecaster.predict(frame(last=int(windows.origin[place])))
        np.testing.assert_allclose(alone.filter(pl.col("who") == "p")["y"], said[place], rtol=1e-5)


@pytest.mark.parametrize("given", [{"window_scaling": "last"}, {"strategy": "segments"}])
def test_what_carry_does_not_go_with(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="carry needs scales that stay"):
        Forecaster(**{**CARRY, **given}).fit(frame(last=60))


@pytest.mark.parametrize(
    "change",
    [
        lambda state: {}, lambda state: {name: part[:1] for name, part in state.items()},
        lambda state: {name: part[:, :-1] for name, part in state.items()},
        lambda state: {name: part * torch.inf for name, part in state.items()},
        lambda state: {name: part.double() for name, part in state.items()},
        lambda state: {name.replace("h_", "c_"): part for name, part in state.items()},
        lambda state: {name.replace(".0.", ".1."): part for name, part in state.items()},
    ],
    ids=["none", "few", "narrow", "infinite", "double", "renamed", "of another"],
)  # fmt: skip
def test_damaged_states_are_refused(change: Any, tmp_path: Path) -> None:
    Forecaster(**CARRY).fit(frame(last=60)).save(tmp_path / "model")
    path = tmp_path / "model" / FILE
    arrays, head = storage.read_tensors(path), storage.read_metadata(path)
    state = {name: arrays.pop(name) for name in list(arrays) if name.startswith("state.")}
    assert state
    changed = {name: part.contiguous() for name, part in change(state).items()}
    path.write_bytes(storage.tensor_bytes({**arrays, **changed}, head))
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["files_sha256"][FILE] = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="damaged"):
        load(tmp_path / "model")
