"""Rolling origins: all windows scored, nothing trained on that comes later, whatever the series' lengths."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rondo.data.series import FrameFormat, SeriesSet, from_frame
from rondo.errors import DataError, UsageError
from rondo.evaluation.forecasting.folds import left_out, named_rows, rolling_origin, split_rows


def one(rows: int) -> SeriesSet:
    return SeriesSet.from_arrays([np.arange(float(rows))])


def test_every_origin_of_the_test_rows() -> None:
    (fold,) = rolling_origin(one(20), horizon=3, test_rows=7)
    assert fold.windows.origin.tolist() == [13, 14, 15, 16, 17]
    assert fold.windows.actual()[-1].tolist() == [17, 18, 19]
    assert fold.training.lengths.tolist() == [13]


@pytest.mark.parametrize(
    ("refit", "trained"), [("never", [11]), ("every", [11, 13, 15, 17]), (3, [11, 17])], ids=["never", "every", "3"]
)
def test_refit(refit: Any, trained: list[int]) -> None:
    folds = rolling_origin(one(20), horizon=3, origins=4, stride=2, refit=refit)
    assert [int(fold.training.lengths[0]) for fold in folds] == trained
    assert [origin for fold in folds for origin in fold.windows.origin.tolist()] == [11, 13, 15, 17]


def test_embargo() -> None:
    folds = rolling_origin(one(20), horizon=2, origins=2, refit="every", embargo=4)
    assert [int(fold.training.lengths[0]) for fold in folds] == [13, 14]
    assert folds[0].first_moment == 17


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(1, 25)), min_size=1, max_size=4),
    st.integers(1, 4), st.integers(1, 6), st.integers(1, 3), st.sampled_from(["every", "never", 2]), st.integers(0, 3),
)  # fmt: skip
def test_nothing_later_is_trained_on(
    shapes: list[tuple[int, int]], horizon: int, origins: int, stride: int, refit: Any, embargo: int
) -> None:
    """Values are the moments of their rows; so the training part must lie below what is forecast."""
    first = dt.date(2024, 1, 1)
    rows = [
        (str(n), first + dt.timedelta(days=start + k), float(start + k))
        for n, (start, k_) in enumerate(shapes)
        for k in range(k_)
    ]
    frame = pl.DataFrame(rows, schema=["unique_id", "ds", "y"], orient="row")
    made = from_frame(frame, FrameFormat(frequency="D"))
    try:
        folds = rolling_origin(made, horizon=horizon, origins=origins, stride=stride, refit=refit, embargo=embargo)
    except DataError:
        return
    seen = set()
    for fold in folds:
        trained = np.concatenate([fold.training.series(which) for which in range(len(made))])
        actual = fold.windows.actual()
        assert not np.isnan(actual).any()
        assert trained.max() < actual.min() - embargo
        assert (np.nanmax(fold.windows.context(30), axis=1) == actual[:, 0] - 1).all()
        new = set(zip(fold.windows.which.tolist(), fold.windows.origin.tolist(), strict=True))
        assert not new & seen
        seen |= new
        assert (np.diff(np.unique(fold.windows.moment)) % stride == 0).all()


def test_from_the_end_of_each_series() -> None:
    made = SeriesSet.from_arrays([np.arange(9.0), np.arange(30.0), [1.0, 2.0]])
    (fold,) = rolling_origin(made, horizon=2, origins=2, align="end")
    assert list(zip(fold.windows.which, fold.windows.origin, strict=True)) == [(0, 6), (0, 7), (1, 27), (1, 28)]
    assert fold.training.lengths.tolist() == [6, 27, 0]
    assert len(np.unique(fold.windows.moment)) == 2


def test_rows_as_they_come() -> None:
    days = [dt.date(2024, 1, day) for day in (2, 3, 5, 8, 9)]
    frame = pl.DataFrame({"unique_id": list("aaaaa" + "bbbb"), "ds": [*days, *days[:2], *days[3:]], "y": range(9)})
    made = from_frame(frame, FrameFormat(frequency="rows"))
    folds = rolling_origin(made, horizon=1, origins=3, refit="every")
    assert [fold.training.lengths.tolist() for fold in folds] == [[2, 2], [3, 2], [4, 3]]
    assert [fold.windows.actual().ravel().tolist() for fold in folds] == [[2], [3, 7], [4, 8]]


@pytest.mark.parametrize("named", [False, True], ids=["rolling", "named"])
def test_kinds_are_those_of_the_training_part(*, named: bool) -> None:
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=day) for day in range(30)]
    kinds = ["b", "d"] * 10 + ["a", "d"] * 5
    frame = pl.DataFrame({"ds": days, "y": np.arange(30.0), "sky": kinds, "plan": kinds})
    made = from_frame(frame, FrameFormat(past="sky", future="plan"))
    if named:
        first = second = named_rows(made, 2, (20, 5, 5))
        assert first.validation is not None
        assert first.validation.source.kinds == first.training.kinds
    else:
        first, second = rolling_origin(made, horizon=2, origins=2, stride=8, refit="every")
        assert second.training.kinds["plan"] == ("a", "b", "d")
    assert first.training.kinds == first.windows.source.kinds == {"sky": ("b", "d"), "plan": ("b", "d")}
    for columns in (first.windows.source.past, first.windows.source.future):
        assert columns.codes[18:22, 0].tolist() == [1, 2, 0, 2]
    assert made.past.codes[18:22, 0].tolist() == [2, 3, 1, 3]


@pytest.mark.parametrize("align", ["time", "end"])
def test_series_that_are_not_scored(align: Any) -> None:
    made = SeriesSet.from_arrays([np.arange(30.0), np.arange(20.0), [1.0]], names="abc")
    found = left_out(rolling_origin(made, horizon=2, origins=2, align=align))
    assert found is not None
    assert found.names == (("b", "c") if align == "time" else ("c",))
    advice = "--align end scores" if align == "time" else "They are too short"
    assert f"{len(found.names)} of 3 series are not scored: '{found.names[0]}'" in str(found)
    assert advice in str(found)
    assert left_out(rolling_origin(made.choose([0]), horizon=2, origins=2)) is None


def test_split_by_rows() -> None:
    fold = split_rows(one(30), 4, 10, 20)
    assert fold.windows.origin.tolist() == list(range(10, 17))
    assert fold.training.lengths.tolist() == [10]
    assert fold.windows.actual().max() == 19
    with pytest.raises(DataError, match="no place"):
        split_rows(one(30), 4, 28, 30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0, "origins": 1}, "horizon"),
        ({"horizon": 1}, "either how many"),
        ({"horizon": 1, "origins": 1, "test_rows": 4}, "either how many"),
        ({"horizon": 5, "test_rows": 3}, "too few"),
        ({"horizon": 1, "origins": 1, "embargo": -1}, "embargo"),
        ({"horizon": 1, "origins": 1, "refit": "often"}, "refit is every"),
        ({"horizon": 1, "origins": 1, "refit": True}, "refit is every.*'True'"),
        ({"horizon": 1, "origins": 0}, "at least 1 origin, not 0"),
        ({"horizon": 1, "origins": 1, "align": "start"}, "aligned"),
        ({"horizon": 1, "origins": 40}, "leaves no row"),
        ({"horizon": 31, "origins": 1}, "nothing to score"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value,
)
def test_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises((UsageError, DataError), match=message):
        rolling_origin(one(30), **options)
