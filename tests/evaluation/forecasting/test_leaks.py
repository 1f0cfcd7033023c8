"""Four leaks planted into data, each beside a clean twin that raises no alarm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.signal import lfilter

from rondo.data.series import FrameFormat, SeriesSet, from_frame, impute
from rondo.data.series.files import read_frame
from rondo.data.series.scaling import Scaler
from rondo.errors import DataError
from rondo.evaluation.forecasting.folds import rolling_origin
from rondo.evaluation.forecasting.leaks import check_preparation, check_scaler, examine

ROWS, TEST, HORIZON = 600, 150, 6


def series(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    day = np.sin(2 * np.pi * np.arange(ROWS) / 24)
    return 20 + 4 * day + lfilter([1], [1, -0.8], rng.normal(size=ROWS))


def kinds(frame: pl.DataFrame, **options: Any) -> list[tuple[str, str]]:
    made = from_frame(frame, FrameFormat(target="y", **options))
    (fold,) = rolling_origin(made, horizon=HORIZON, test_rows=TEST)
    return [(alarm.kind, alarm.column) for alarm in examine(fold)]


def frame(**columns: Any) -> pl.DataFrame:
    start = np.datetime64("2024-01-01T00", "us")
    rows = max(len(column) for column in columns.values())
    return pl.DataFrame({"ds": start + np.arange(rows) * np.timedelta64(1, "h"), **columns}, strict=False)


def shifted(values: np.ndarray, rows: int) -> np.ndarray:
    """What a frame's ``shift(-rows)`` makes: the value of ``rows`` rows later."""
    moved = np.full(len(values), np.nan)
    if rows > 0:
        moved[:-rows] = values[rows:]
    else:
        moved[-rows or None :] = values[: rows or None]
    return moved


@pytest.mark.parametrize("rows", [1, 3, 24])
@pytest.mark.parametrize("disguise", [lambda x: x, lambda x: 7 - 0.01 * x], ids=["plain", "scaled"])
def test_target_shifted_into_the_past(rows: int, disguise: Any) -> None:
    y = series()
    assert kinds(frame(y=y, c=disguise(shifted(y, rows))), past="c") == [("target in a covariate", "c")]
    assert kinds(frame(y=y, c=disguise(shifted(y, -rows))), past="c") == []


def test_a_lag_is_known_in_advance_only_beyond_the_horizon() -> None:
    y = series()
    for rows, expected in ((0, 1), (1, 1), (HORIZON - 1, 1), (HORIZON, 0), (24, 0)):
        planted = frame(y=y, c=shifted(y, -rows))
        assert kinds(planted, past="c") == []
        found = [kind for kind, _ in kinds(planted, future="c") if kind == "target in a covariate"]
        assert len(found) == expected, rows


def test_a_wave_that_repeats_itself_is_no_leak() -> None:
    y = np.sin(2 * np.pi * np.arange(ROWS) / 24)
    assert kinds(frame(y=y, c=shifted(y, -1)), past="c") == []


@pytest.mark.parametrize("kind", ["standard", "minmax", "robust"])
def test_scaled_with_all_rows(kind: Any) -> None:
    y = series() + np.arange(ROWS) * 0.02
    made = SeriesSet.from_arrays([y])
    leaky, clean = Scaler.fit(made, kind), Scaler.fit(made.cut(ROWS - TEST), kind)
    assert kinds(frame(y=leaky.apply(y, 0))) == [("scaled with later rows", "y")]
    assert kinds(frame(y=clean.apply(y, 0))) == []
    check_scaler(clean, made.cut(ROWS - TEST))
    with pytest.raises(DataError, match="not that of the training part"):
        check_scaler(leaky, made.cut(ROWS - TEST))


@pytest.mark.parametrize("decimals", [15, 2, 0], ids=["exact", "rounded", "whole"])
def test_filled_from_later_rows(decimals: int) -> None:
    y = np.round(10 * series(), decimals)
    holes = np.random.default_rng(1).choice(np.arange(2, ROWS - 2), 40, replace=False)
    known = np.setdiff1d(np.arange(ROWS), holes)
    between = y.copy()
    between[holes] = np.interp(holes, known, y[known])
    assert kinds(frame(y=between)) == [("filled from later rows", "y")]
    missing = y.copy()
    missing[holes] = np.nan
    assert kinds(frame(y=impute(missing, "last"))) == []
    assert kinds(frame(y=y)) == []
    assert kinds(frame(y=missing)) == []


def test_a_straight_line_is_not_filled() -> None:
    assert kinds(frame(y=np.arange(ROWS) * 0.1)) == []


def test_past_covariate_said_to_be_known_in_advance() -> None:
    heat = series(seed=5)
    y = series() + heat
    assert kinds(frame(y=y, heat=heat), future="heat") == [("not known in advance", "heat")]
    assert kinds(frame(y=y, heat=heat), past="heat") == []
    ahead = np.append(heat, heat[-HORIZON:] + 1)
    going_on = frame(y=[*y, *[None] * HORIZON], heat=ahead)
    assert kinds(going_on, future="heat") == []


@pytest.mark.parametrize("plan", ["hour", "promotion", "trend"])
def test_plans_and_calendars_are_known_in_advance(plan: str) -> None:
    time = np.arange(ROWS)
    column = {
        "hour": np.cos(2 * np.pi * time / 24), "promotion": (np.random.default_rng(2).random(ROWS) < 0.1) * 1.0,
        "trend": time * 0.1,
    }[plan]  # fmt: skip
    assert kinds(frame(y=series() + 2 * column, c=column), future="c") == []


@pytest.mark.parametrize(
    ("prepare", "leaks"),
    [
        (lambda x: impute(x, "last"), False),
        (lambda x: np.interp(np.arange(len(x)), np.flatnonzero(~np.isnan(x)), x[~np.isnan(x)]), True),
        (lambda x: (x - np.nanmean(x)) / np.nanstd(x), True),
        (lambda x: (x - np.nanmean(x[:400])) / np.nanstd(x[:400]), False),
        (lambda x: np.append(x[1:], x[-1]), True),
        (lambda x: np.cumsum(np.nan_to_num(x)), False),
    ],
    ids=["last", "interpolated", "all-rows", "training-rows", "shifted", "sums"],
)
def test_preparations(prepare: Any, leaks: bool) -> None:
    y = series()
    y[[30, 398, 399]] = np.nan
    if leaks:
        with pytest.raises(DataError, match="looks ahead: with other values from row 401 on"):
            check_preparation(prepare, y, 400)
    else:
        check_preparation(prepare, y, 400)


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("ett/ETTh1.csv.gz", {"target": "OT", "past": ("HUFL", "MULL")}),
        ("airline_passengers/airline-passengers.csv", {}),
        (
            "seattle_weather/seattle-weather.csv.gz",
            {"target": ("temp_max", "precipitation"), "past": ("temp_min", "wind")},
        ),
        ("stocks/sp500-2000-2020.csv.gz", {"target": "close", "past": ("high", "volume"), "frequency": "rows"}),
    ],
    ids=["ett", "airline", "weather", "stocks"],
)
def test_real_data_are_clean(data_folder: Path, path: str, options: dict[str, Any]) -> None:
    made = from_frame(read_frame(data_folder / path), FrameFormat(**options))
    (fold,) = rolling_origin(made, horizon=12, test_rows=int(made.lengths[0]) // 5)
    assert [str(alarm) for alarm in examine(fold)] == []
