"""Frames of both libraries, wide and long, against arrays that are known; what is wrong with a frame is named."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rondo.data.series import FrameFormat, SeriesSet, from_frame
from rondo.errors import DataError, UsageError

NAN = float("nan")
LIBRARIES = pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])


def days(*numbers: int) -> list[dt.datetime]:
    return [dt.datetime(2024, 1, 1) + dt.timedelta(days=number) for number in numbers]


def long_frame(library: Any = pl.DataFrame) -> Any:
    return library(
        {
            "unique_id": ["b", "b", "b", "a", "a"],
            "ds": days(0, 1, 2, 5, 6),
            "y": [1.0, 2.0, -3.0, 0.0, 7.5],
            "price": [10.0, 11.0, 12.0, 13.0, 14.0],
            "shop": ["north", "north", "north", "south", "south"],
        }
    )


def lists(made: SeriesSet) -> list[list[float]]:
    return [made.series(which).tolist() for which in range(len(made))]


@LIBRARIES
def test_long(library: Any) -> None:
    made = from_frame(long_frame(library), FrameFormat(future="price", static="shop"))
    assert made.names == ("b", "a")
    assert lists(made) == [[1, 2, -3], [0, 7.5]]
    assert made.frequency.unit == "day"
    assert made.clock.to_python(made.times([0, 1], [3, 2])) == days(3, 7)
    assert made.future.numbers[:, 0].tolist() == [10, 11, 12, 13, 14]
    assert made.static.codes.tolist() == [[1], [2]]
    assert made.kinds == {"shop": ("north", "south")}


@LIBRARIES
def test_wide(library: Any) -> None:
    frame = library({"date": days(0, 1, 2), "load": [1, 2, 3], "heat": [4.5, None, 6.5], "note": ["x", "y", "z"]})
    made = from_frame(frame)
    assert made.names == ("load", "heat")
    np.testing.assert_array_equal(made.values, [1, 2, 3, 4.5, NAN, 6.5])
    assert lists(from_frame(frame, FrameFormat(target="load"))) == [[1, 2, 3]]


def test_names_can_be_told() -> None:
    frame = pl.DataFrame({"when": [3, 1, 2, 1], "who": ["p", "p", "p", "q"], "sold": [3, 1, 2, 9], "ds": [0, 0, 0, 0]})
    made = from_frame(frame, FrameFormat(time="when", series="who", target="sold"))
    assert lists(made) == [[1, 2, 3], [9]]
    assert "sorted" in made.notes[0]


def test_pandas_index_of_times() -> None:
    index = pd.date_range("2024-01-01", periods=4, freq="h", name="hour")
    made = from_frame(pd.DataFrame({"v": [1.0, 2, 3, 4]}, index=index))
    assert (made.frequency.unit, made.columns["time"], made.season) == ("hour", "hour", 24)
    periods = pd.DataFrame({"v": [1.0, 2, 3]}, index=pd.period_range("2024-01", periods=3, freq="M"))
    assert from_frame(periods).frequency.unit == "month"


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(9)), st.integers(1, 5))
def test_order_of_rows_does_not_matter(order: list[int], step: int) -> None:
    ids = np.array(["a", "b", "a", "c", "b", "a", "c", "c", "b"])
    at = np.array([0, 3, 1, 7, 4, 2, 8, 10, 6]) * step
    y = np.arange(9.0) * 1.5
    plain = from_frame(pl.DataFrame({"unique_id": ids, "ds": at, "y": y}), FrameFormat(frequency=str(step)))
    mixed = from_frame(
        pl.DataFrame({"unique_id": ids[order], "ds": at[order], "y": y[order]}), FrameFormat(frequency=str(step))
    )
    for name in "abc":
        np.testing.assert_array_equal(plain.series(plain.named(name)), mixed.series(mixed.named(name)))
    np.testing.assert_array_equal(plain.series(plain.named("c")), [4.5, 9, NAN, 10.5])


def test_gaps() -> None:
    frame = pl.DataFrame({"date": days(0, 1, 4), "v": [1.0, 2.0, 5.0], "known": [7.0, 8.0, 9.0]})
    made = from_frame(frame, FrameFormat(target="v", past="known"))
    np.testing.assert_array_equal(made.values, [1, 2, NAN, NAN, 5])
    np.testing.assert_array_equal(made.past.numbers[:, 0], [7, 8, NAN, NAN, 9])
    assert "2 rows were missing" in made.notes[0]
    with pytest.raises(DataError, match=r"row 3: between 2024-01-02 .* and 2024-01-05 .* 2 in all"):
        from_frame(frame, FrameFormat(target="v", gaps="refuse"))
    with pytest.raises(DataError, match="Is a time wrong"):
        from_frame(pl.DataFrame({"date": [*days(0, 1), dt.datetime(2999, 1, 1)], "v": [1, 2, 3]}))


@pytest.mark.parametrize(
    ("method", "filled"),
    [
        ("last", [1, 2, 2, 4, 5, 5, 5]),
        ("seasonal", [1, 2, 1, 4, 5, 4, 5]),
        ("mean", [1, 2, 1.5, 4, 5, 3, 3]),
        ("zero", [1, 2, 0, 4, 5, 0, 0]),
    ],
)
def test_imputed_from_the_past(method: Any, filled: list[float]) -> None:
    values = [1.0, 2.0, None, 4.0, 5.0, None, None]
    frame = pl.DataFrame({"t": range(7), "v": values})
    options = FrameFormat(time="t", missing="impute", impute=method, season=2)
    made = from_frame(frame, options)
    assert lists(made) == [filled]
    later = pl.DataFrame({"t": range(9), "v": [*values, 1000.0, -1000.0]})
    assert lists(from_frame(later, options))[0][:7] == filled
    assert np.isnan(from_frame(frame, FrameFormat(time="t")).values).sum() == 3


@pytest.mark.parametrize("word", ["interpolate", "bfill", "nearest"])
def test_filling_from_later_rows_is_refused(word: Any) -> None:
    with pytest.raises(UsageError, match=f"'{word}' fills a value from rows that come later"):
        FrameFormat(missing="impute", impute=word)
    with pytest.raises(UsageError, match="come later"):
        FrameFormat(missing=word)


def test_missing_refused_by_name() -> None:
    frame = pl.DataFrame({"unique_id": ["a"] * 3 + ["b"] * 3, "ds": days(0, 1, 2) * 2, "y": [1, 2, 3, 4, None, 6]})
    with pytest.raises(DataError, match=r"series 'b', 2024-01-02.*\(row 2 of the series\), column 'y': the value is"):
        from_frame(frame, FrameFormat(missing="refuse"))
    wide = pl.DataFrame({"ds": days(0, 1, 2), "v": [1.0, 2, 3], "c": [1.0, None, 3]})
    with pytest.raises(DataError, match=r"column 'c'.*row 2"):
        from_frame(wide, FrameFormat(target="v", past="c", missing="refuse"))


def test_a_series_begins_with_its_first_value() -> None:
    frame = pl.DataFrame(
        {"ds": days(0, 1, 2, 3), "v": [None, None, 3.0, 4.0], "w": [1.0, 2, 3, 4], "p": [5.0, 6, 7, 8]}
    )
    made = from_frame(frame, FrameFormat(target=("v", "w"), past="p", missing="refuse"))
    assert lists(made) == [[3, 4], [1, 2, 3, 4]]
    assert made.clock.to_python(made.start) == days(2, 0)
    assert made.past.numbers[made.covariate_begin[0], 0] == 7


def test_rows_after_the_last_value_are_the_future() -> None:
    frame = pl.DataFrame(
        {"unique_id": list("aaab"), "ds": days(0, 1, 2, 0), "y": [1.0, 2.0, None, 3.0], "plan": [1.0, 2, 3, 4]}
    )
    made = from_frame(frame, FrameFormat(future="plan", missing="refuse"))
    assert lists(made) == [[1, 2], [3]]
    assert (made.covariate_end - made.covariate_begin).tolist() == [3, 1]
    with pytest.raises(DataError, match="the value is missing"):
        from_frame(frame, FrameFormat(past="plan", missing="refuse"))


@pytest.mark.parametrize(("what", "value"), [("first", 1.0), ("last", 3.0), ("mean", 2.0)])
def test_duplicates(what: Any, value: float) -> None:
    frame = pl.DataFrame({"ds": days(1, 0, 1), "y": [1.0, 9.0, 3.0]})
    assert lists(from_frame(frame, FrameFormat(duplicates=what))) == [[9, value]]
    with pytest.raises(DataError, match=r"rows 1 and 3 have the same time, 2024-01-02"):
        from_frame(frame)


def test_constant_and_short_series_are_series() -> None:
    frame = pl.DataFrame({"unique_id": list("aaab"), "ds": [1, 2, 3, 9], "y": [5, 5, 5, 1]})
    assert lists(from_frame(frame)) == [[5, 5, 5], [1]]


@pytest.mark.parametrize(
    ("frame", "options", "error", "message"),
    [
        ({"ds": [1, 2], "y": [1.0, float("inf")]}, {}, DataError, r"column 'y', row 2: inf is no number"),
        ({"ds": [1, 2], "y": ["1", "two"]}, {}, DataError, r"column 'y', row 2: 'two' is no number"),
        ({"ds": [1, None], "y": [1, 2]}, {}, DataError, r"column 'ds', row 2: there is no time"),
        ({"ds": [1.5, 2], "y": [1, 2]}, {}, DataError, r"column 'ds', row 1: 1.5 is no time"),
        ({"ds": ["2024-01-01", "today"], "y": [1, 2]}, {"time_format": "%Y-%m-%d"}, DataError, r"row 2: 'today'"),
        ({"ds": [1, 2], "y": [None, None]}, {}, DataError, r"series 'y' has no values"),
        ({"ds": [], "y": []}, {}, DataError, "no rows"),
        ({"ds": [1, 3, 4, 6, 8, 10], "y": [1.0] * 6}, {}, DataError, r"row 3: 4 comes after 3, but rows are mostly 2"),
        ({"ds": [1, 2], "y": [1, 2]}, {"target": "z"}, DataError, "no column 'z'"),
        ({"ds": [1, 2], "y": [1, 2]}, {"frequency": "h"}, UsageError, "'h' is no distance between them"),
        ({"ds": [1, 2], "y": [1, 2], "q": [1, 2]}, {"past": "q", "future": "q"}, UsageError, "'q' is past and future"),
        ({"ds": [1, 2], "y": [1, 2]}, {"categorical": "y"}, UsageError, "'y' is called categorical"),
        ({"a": [1, 2], "y": [1, 2]}, {}, UsageError, "which column is the time"),
        ({"unique_id": ["a", None], "ds": [1, 2], "y": [1, 2]}, {}, DataError, "column 'unique_id', row 2"),
        (
            {"unique_id": ["a", "a"], "ds": [1, 2], "y": [1, 2], "s": ["u", "v"]}, {"static": "s"}, DataError,
            r"series 'a', column 's', row 2 of the series: .* 'u' and 'v'",
        ),
        ({"ds": [1, 2], "y": [1, 2], "s": [1, 1]}, {"static": "s", "target": "y"}, UsageError, "static"),
    ],
    ids=lambda value: None if isinstance(value, type) else str(value)[:40],
)  # fmt: skip
def test_errors(frame: dict[str, Any], options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        from_frame(pl.DataFrame(frame, strict=False), FrameFormat(**options))


def test_not_a_frame() -> None:
    with pytest.raises(UsageError, match="expected a frame of pandas or polars, not list"):
        from_frame([1, 2])


def test_kinds_of_a_fitted_model() -> None:
    frame = pl.DataFrame({"ds": [1, 2, 3], "y": [1, 2, 3], "c": ["new", "old", None], "n": [4, 5, 4]})
    options = FrameFormat(past=("c", "n"), categorical="n")
    made = from_frame(frame, options, kinds={"c": ("ancient", "old"), "n": ("4",)})
    assert made.past.codes.tolist() == [[0, 1], [2, 0], [0, 1]]
    assert from_frame(frame, options).past.codes.tolist() == [[1, 1], [2, 2], [0, 1]]


def test_cut_and_choose_share_the_values() -> None:
    made = from_frame(long_frame())
    cut = made.cut([2, 9])
    assert lists(cut) == [[1, 2], [0, 7.5]]
    assert cut.values is made.values
    assert lists(made.choose([1])) == [[0, 7.5]]
    with pytest.raises(UsageError, match="no series 'c'"):
        made.named("c")


def test_arrays_in_memory() -> None:
    made = SeriesSet.from_arrays([[1, 2, 3], [4, NAN]], names=["x", "y"], season=3)
    np.testing.assert_array_equal(made.series(1), [4, NAN])
    assert (made.season, made.names) == (3, ("x", "y"))
    assert made.place(0, 2) == "series 'x', 2 (row 3 of the series)"
