"""Windows are taken from flat arrays: the right values, nothing after the origin, nothing beside the series."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from rondo.data.series import FrameFormat, SeriesSet, from_frame
from rondo.data.series.windows import moments, time_line, training_windows
from rondo.errors import DataError, UsageError

NAN = float("nan")


def test_contexts_and_actual_values() -> None:
    made = SeriesSet.from_arrays([[1, 2, 3, 4, 5], [6, 7], [8, 9, 10]])
    windows = training_windows(made, 2, context=1)
    assert list(zip(windows.which, windows.origin, strict=True)) == [(0, 1), (0, 2), (0, 3), (2, 1)]
    np.testing.assert_array_equal(windows.context(2), [[NAN, 1], [1, 2], [2, 3], [NAN, 8]])
    np.testing.assert_array_equal(windows.actual(), [[2, 3], [3, 4], [4, 5], [9, 10]])
    later = windows.choose([2])
    np.testing.assert_array_equal(later.context(7), [[NAN] * 4 + [1, 2, 3]])


def test_the_context_ends_at_the_origin_and_the_actual_values_at_the_end() -> None:
    made = SeriesSet.from_arrays([[1, 2, 3], [4, 5, 6]])
    windows = training_windows(made, 1, context=2)
    cut = training_windows(made.cut([2, 3]), 1, context=1)
    np.testing.assert_array_equal(windows.actual()[:, 0], [3, 6])
    assert cut.actual().ravel().tolist() == [2, 5, 6]
    over = cut.choose([0])
    np.testing.assert_array_equal(
        type(over)(over.source, over.which, over.origin + 1, 2, over.moment).actual(), [[NAN] * 2]
    )


def test_stride_and_limit_keep_the_most_recent() -> None:
    made = SeriesSet.from_arrays([np.arange(20.0), np.arange(9.0)])
    assert training_windows(made, 3, stride=5).origin.tolist() == [2, 7, 12, 17, 1, 6]
    few = training_windows(made, 3, at_most=5)
    assert len(few) <= 6
    assert {17, 6} <= set(few.origin.tolist())
    assert len(few.spread_out(3)) == 3
    assert sum(len(piece) for piece in few.pieces(2)) == len(few)
    with pytest.raises(UsageError):
        training_windows(made, 0)


def test_moments_are_shared_in_time() -> None:
    days = [dt.date(2024, 1, day) for day in range(1, 8)]
    frame = pl.DataFrame({"unique_id": list("aaaabbb"), "ds": days[:4] + days[3:6], "y": np.arange(7.0)})
    made = from_frame(frame)
    np.testing.assert_array_equal(moments(made, np.array([0, 1]), np.array([3, 0])), [3, 3])
    rows = from_frame(frame.filter(pl.col("ds") != days[4]), FrameFormat(frequency="rows"))
    np.testing.assert_array_equal(moments(rows, np.array([1, 1]), np.array([0, 1])), [3, 4])
    with pytest.raises(DataError, match="no list"):
        time_line(made)
