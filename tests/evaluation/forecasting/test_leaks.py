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
from rondo.evaluation.forecasting.folds import named_rows, rolling_origin
from rondo.evaluation.forecasting.leaks import check_preparation, check_scaler, examine, questions

ROWS, TEST, HORIZON = 600, 150, 6


def series(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    day = np.sin(2 * np.pi * np.arange(ROWS) / 24)
    return 20 + 4 * day + lfilter([1], [1, -0.8], rng.normal(size=ROWS))


def kinds(frame: pl.DataFrame, **options: Any) -> list[tuple[str, str]]:
    made = from_frame(frame, FrameFormat(target="y", **options))
    (fold,) = rolling_origin(made, horizon=HORIZON, test_rows=TEST)
    return [(alarm.kind, alarm.column) for alarm in examine(fold)]


def asked(frame: pl.DataFrame, **options: Any) -> list[str]:
    made = from_frame(frame, FrameFormat(target="y", **options))
    (fold,) = rolling_origin(made, horizon=HORIZON, test_rows=TEST)
    return [question.column for question in questions(fold)]


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


@pytest.mark.parametrize(
    "disguise",
    [
        lambda x: x + 0.05 * np.random.default_rng(3).normal(size=ROWS), lambda x: np.round(x, 1),
        lambda x: -np.log(x), lambda x: x**2,
    ],
    ids=["noise", "rounded", "logarithm", "square"],
)  # fmt: skip
def test_target_shifted_and_disguised(disguise: Any) -> None:
    y = series()
    assert kinds(frame(y=y, c=disguise(shifted(y, 3))), past="c") == [("target in a covariate", "c")]
    assert kinds(frame(y=y, c=disguise(shifted(y, -1))), past="c") == []
    assert kinds(frame(y=y, c=disguise(y)), past="c") == []


def test_what_follows_by_nature_is_no_leak() -> None:
    """A closing price is much like the next opening, and known; sums of the past are like sums of a row later."""
    rng = np.random.default_rng(4)
    close = 1000 + np.cumsum(rng.normal(size=ROWS))
    opening = np.append(1000.0, close[:-1]) + 0.3 * rng.normal(size=ROWS)
    assert kinds(frame(y=opening, c=close), past="c") == []
    slow = np.cumsum(close - 1000)
    assert kinds(frame(y=slow, c=slow + rng.normal(size=ROWS)), past="c") == []


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


def test_a_part_of_the_rows_hides_no_scale() -> None:
    """With named rows the last ones are not used; but what was done to the data was done to them, too."""
    y = series() + np.arange(ROWS) * 0.02
    for part, expected in ((slice(None), ["scaled with later rows"]), (slice(300), [])):
        planted = frame(y=(y - y[part].mean()) / y[part].std())
        fold = named_rows(from_frame(planted, FrameFormat(target="y")), HORIZON, (300, 100, 100))
        assert [alarm.kind for alarm in examine(fold)] == expected


def test_scaled_to_minus_one() -> None:
    y = series() + np.arange(ROWS) * 0.02
    for part, expected in ((y, [("scaled with later rows", "y")]), (y[: ROWS - TEST], [])):
        assert kinds(frame(y=2 * (y - part.min()) / (part.max() - part.min()) - 1)) == expected


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


@pytest.mark.parametrize("decimals", [1, 0])
@pytest.mark.parametrize(
    "scaled",
    [
        lambda y: (y - y[: ROWS - TEST].mean()) / y[: ROWS - TEST].std(), lambda y: y / 3, lambda y: y * 1.8 + 32,
        lambda y: y.astype(np.float32).astype(np.float64) / 7 - 1, np.log,
    ],
    ids=["standardised", "third", "fahrenheit", "single", "logarithm"],
)  # fmt: skip
def test_rounded_values_lie_on_lines_by_chance(scaled: Any, decimals: int) -> None:
    y = np.round(series(), decimals)
    assert kinds(frame(y=scaled(y))) == []
    holes = np.random.default_rng(1).choice(np.arange(2, ROWS - 2), 40, replace=False)
    known = np.setdiff1d(np.arange(ROWS), holes)
    between = scaled(y)
    between[holes] = np.interp(holes, known, between[known])
    assert kinds(frame(y=between)) == [("filled from later rows", "y")]


@pytest.mark.parametrize("decimals", [15, 2, 0], ids=["exact", "rounded", "whole"])
def test_what_is_measured_beside_is_looked_at_like_the_target(decimals: int) -> None:
    y, rng = series(), np.random.default_rng(3)
    beside = np.round(1000 + 10 * np.convolve(rng.normal(size=ROWS + 4), np.ones(5) / 5, "valid"), decimals)
    beside += np.arange(ROWS) * 4
    holes = rng.choice(np.arange(2, ROWS - 2), 60, replace=False)
    known = np.setdiff1d(np.arange(ROWS), holes)
    between, mean = beside.copy(), beside.copy()
    between[holes], mean[holes] = np.interp(holes, known, beside[known]), beside[known].mean()
    assert kinds(frame(y=y, c=beside), past="c") == []
    assert kinds(frame(y=y, c=between), past="c") == [("filled from later rows", "c")]
    assert kinds(frame(y=y, c=mean), past="c") == [("filled from later rows", "c")]
    for part, expected in ((slice(None), [("scaled with later rows", "c")]), (slice(ROWS - TEST), [])):
        planted = (beside - beside[part].mean()) / beside[part].std()
        assert kinds(frame(y=y, c=planted), past="c") == expected


@pytest.mark.parametrize("decimals", [15, 1, 0], ids=["exact", "rounded", "whole"])
def test_filled_with_the_mean_of_all_rows(decimals: int) -> None:
    y = np.round(series() + np.arange(ROWS) * 0.02, decimals)
    holes = np.random.default_rng(1).choice(ROWS, 40, replace=False)
    measured = np.delete(y, holes)
    for mean, expected in (
        (measured.mean(), [("filled from later rows", "y")]),
        (np.delete(y, holes)[:200].mean(), []),
    ):
        filled = y / 3
        filled[holes] = mean / 3
        assert kinds(frame(y=filled)) == expected
    assert kinds(frame(y=y - y.mean())) == []


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


@pytest.mark.parametrize("kind", ["measured", "promotion", "text", "truth"])
def test_asked_whether_it_is_known(kind: str) -> None:
    """A column that ends with the target may be a plan or a measurement: no alarm, but a question."""
    rng = np.random.default_rng(6)
    told = {
        "measured": rng.normal(size=ROWS + HORIZON), "promotion": (rng.random(ROWS + HORIZON) < 0.1) * 1.0,
        "text": rng.choice(["sun", "rain", "fog"], ROWS + HORIZON), "truth": rng.random(ROWS + HORIZON) < 0.3,
    }[kind]  # fmt: skip
    ending, going_on = frame(y=series(), c=told[:ROWS]), frame(y=[*series(), *[None] * HORIZON], c=told)
    assert (kinds(ending, future="c"), asked(ending, future="c")) == ([], ["c"])
    assert (kinds(going_on, future="c"), asked(going_on, future="c")) == ([], [])
    assert asked(ending, past="c") == []


def test_what_is_named_is_not_asked() -> None:
    heat = series(seed=5)
    assert asked(frame(y=series() + heat, heat=heat), future="heat") == []


@pytest.mark.parametrize(
    "plan",
    [
        lambda days: np.ones(800), lambda days: np.arange(800), lambda days: days.astype("datetime64[Y]").astype(int),
        lambda days: days.astype("datetime64[M]").astype(int) % 12 + 1, lambda days: np.arange(800) % 7 >= 5,
        lambda days: (days - days.astype("datetime64[M]")).astype(int), lambda days: np.sin(np.arange(800) / 58),
        lambda days: np.array([str(day)[5:7] + " in words" for day in days]),
    ],
    ids=["constant", "counter", "year", "month", "weekend", "day-of-month", "wave", "text-of-month"],
)  # fmt: skip
def test_calendars_are_not_asked_about(plan: Any) -> None:
    days = np.datetime64("2022-11-05") + np.arange(800)
    y = np.random.default_rng(0).normal(size=800)
    made = pl.DataFrame({"ds": days, "y": y, "c": plan(days)})
    assert (kinds(made, future="c"), asked(made, future="c")) == ([], [])


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


@pytest.mark.parametrize(
    ("path", "time", "target"),
    [
        ("ett/ETTh1.csv.gz", "date", "OT"), ("seattle_weather/seattle-weather.csv.gz", "date", "temp_max"),
        ("sunspots/monthly-sunspots.csv", "Month", "Sunspots"),
    ],
    ids=["ett", "weather", "sunspots"],
)  # fmt: skip
def test_real_data_scaled_by_their_training_part_are_clean(
    data_folder: Path, path: str, time: str, target: str
) -> None:
    table = pl.read_csv(data_folder / path)[-4000:]
    values, test = table[target], len(table) // 5
    for scaled in ((values - values[:-test].mean()) / values[:-test].std(), values / 3):
        made = from_frame(table.select(time, y=scaled), FrameFormat(target="y", time=time))
        (fold,) = rolling_origin(made, horizon=12, test_rows=test)
        assert [str(alarm) for alarm in examine(fold)] == []


def test_real_columns_that_nobody_knows_are_asked_about(data_folder: Path) -> None:
    table = pl.read_csv(data_folder / "ett/ETTh1.csv.gz")[-3000:]
    columns = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL")
    made = from_frame(table, FrameFormat(target="OT", future=columns))
    (fold,) = rolling_origin(made, horizon=12, test_rows=600)
    assert {one.column for one in (*examine(fold), *questions(fold))} == set(columns)
