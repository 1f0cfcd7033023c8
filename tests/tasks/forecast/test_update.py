"""Rows that come one by one: the same forecast as from the whole history, at a cost that does not grow."""

from __future__ import annotations

import copy
import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import polars.testing
import pytest

from rondo.errors import DataError
from rondo.tasks.forecast.estimator import Forecaster
from rondo.tasks.forecast.history import recent

ROWS = 90
SMALL: dict[str, Any] = {"horizon": 3, "context_length": 9, "hidden": 8, "steps": 3, "series": "who", "time": "day"}


def frame(first: int = 0, last: int = ROWS, *, ahead: int = 0) -> pl.DataFrame:
    """Rows of two series, the second of which began later; ``ahead`` rows more of what is known in advance."""
    rng = np.random.default_rng(0)
    rows = []
    for place, who in enumerate("pq"):
        y, plan, heat = rng.normal(5, 1, ROWS + 9), rng.normal(size=ROWS + 9), rng.normal(size=ROWS + 9)
        for day in range(max(first, 20 * place), last + ahead):
            known = day < last
            date = dt.date(2024, 1, 1) + dt.timedelta(days=day)
            rows.append((who, date, y[day] if known else None, plan[day], heat[day] if known else None))
    return pl.DataFrame(rows, schema=["who", "day", "y", "plan", "heat"], orient="row")


@pytest.mark.parametrize("roles", [{}, {"past": ("heat",), "future": ("plan",)}], ids=["values", "covariates"])
@pytest.mark.parametrize("strategy", ["segments", "recursive"])
def test_the_same_as_from_the_whole_history(roles: dict[str, Any], strategy: str) -> None:
    options = {**SMALL, **roles, "target": ("y",), "strategy": strategy, "head": "gaussian"}
    ahead = 3 if roles else 0
    forecaster = Forecaster(**options).fit(frame(last=60))
    for first, last in ((60, 61), (61, 62), (62, 80), (80, ROWS)):
        forecaster.update(frame(first, last, ahead=ahead))
        expected = Forecaster(**options)
        expected._take(forecaster.model_, [])
        pl.testing.assert_frame_equal(forecaster.predict(), expected.predict(frame(last=last, ahead=ahead)))
        assert forecaster.series_.lengths.tolist() == [9, 9]
        assert len(forecaster.series_.values) == 18


@pytest.mark.parametrize("method", ["last", "seasonal", "zero"])
def test_rows_that_begin_with_a_hole_are_filled_from_those_before(method: str) -> None:
    options = {**SMALL, "target": ("y",), "missing": "impute", "impute": method, "season": 12}
    whole = frame(last=66).with_columns(
        y=pl.when(pl.col("day").is_in([dt.date(2024, 3, 1), dt.date(2024, 3, 2), dt.date(2024, 3, 5)])).then(None)
        .otherwise("y")
    )  # fmt: skip
    forecaster = Forecaster(**options).fit(whole.filter(pl.col("day") < dt.date(2024, 3, 1)))
    forecaster.update(whole.filter(pl.col("day") == dt.date(2024, 3, 1)))
    forecaster.update(whole.filter(pl.col("day") > dt.date(2024, 3, 1)))
    expected = Forecaster(**options)
    expected._take(forecaster.model_, [])
    pl.testing.assert_frame_equal(forecaster.predict(), expected.predict(whole))


def test_a_mean_is_that_of_the_rows_that_are_kept() -> None:
    """As the documentation says: the rows before are gone."""
    forecaster = Forecaster(**SMALL, target=("y",), missing="impute", impute="mean").fit(frame(last=60))
    new = frame(60, 62).with_columns(y=pl.when(pl.col("day") == dt.date(2024, 3, 1)).then(None).otherwise("y"))
    for saved in (False, True):
        kept = forecaster.series_.series(0)[-9 if saved else 0 :]
        if saved:
            forecaster.series_ = recent(forecaster.series_, 9)
        again = copy.copy(forecaster).update(new)
        assert again.series_.series(0)[-2] == pytest.approx(kept.mean())


def test_rows_that_begin_with_a_hole_are_masked() -> None:
    forecaster = Forecaster(**SMALL, target=("y",)).fit(frame(last=60))
    hole = frame(60, 62).with_columns(y=pl.when(pl.col("day") == dt.date(2024, 3, 1)).then(None).otherwise("y"))
    forecaster.update(hole)
    assert np.isnan(forecaster.series_.series(0)[-2])
    assert np.isfinite(forecaster.predict()["y"].to_numpy()).all()


def test_series_without_new_rows_stay_and_new_series_begin() -> None:
    forecaster = Forecaster(**SMALL, target=("y",)).fit(frame(last=60))
    before = forecaster.predict().filter(pl.col("who") == "q")
    fresh = frame(60, 62).with_columns(who=pl.col("who").replace("q", "r"))
    after = forecaster.update(fresh).predict()
    pl.testing.assert_frame_equal(after.filter(pl.col("who") == "q"), before)
    assert after["who"].unique(maintain_order=True).to_list() == ["p", "q", "r"]


@pytest.mark.parametrize("missing", ["mask", "impute"])
@pytest.mark.parametrize("carry", [False, True], ids=["windows", "carried"])
def test_a_hole_between_is_filled_as_one_inside(missing: str, *, carry: bool) -> None:
    """A holiday between two files of business days."""
    options = {**SMALL, "target": ("y",), "missing": missing, "past": ("heat",), "future": ("plan",), "frequency": "B"}
    if carry:
        options |= {"carry": True, "window_scaling": "none", "strategy": "direct"}
    holiday = pl.col("day").is_between(dt.date(2024, 3, 1), dt.date(2024, 3, 4))
    whole = frame(last=70, ahead=7).filter((pl.col("day").dt.weekday() < 6) & ~holiday)
    early = whole.filter(pl.col("day") < dt.date(2024, 3, 1))
    forecaster = Forecaster(**options).fit(early).update(whole.filter(pl.col("day") > dt.date(2024, 3, 4)))
    expected = Forecaster(**options)
    expected._take(forecaster.model_, [])
    pl.testing.assert_frame_equal(forecaster.predict(), expected.predict(whole), rel_tol=1e-5)
    assert np.isnan(forecaster.series_.series(0)).any() == (missing == "mask" and not carry)


@pytest.mark.parametrize(
    ("missing", "first", "message"),
    [("refuse", 61, "values between are missing"), ("mask", 90000, "too many. Is a time wrong")],
    ids=["refused", "far"],
)
def test_a_hole_between_that_is_not_filled(missing: str, first: int, message: str) -> None:
    forecaster = Forecaster(**SMALL, target=("y",), missing=missing).fit(frame(last=60))
    later = frame(60, 63).with_columns(day=pl.col("day") + dt.timedelta(days=first - 60))
    with pytest.raises(DataError, match=message):
        forecaster.update(later)


@pytest.mark.parametrize("first", [59, 61], ids=["again", "left out"])
def test_rows_must_follow(first: int) -> None:
    forecaster = Forecaster(**SMALL, target=("y",), gaps="refuse").fit(frame(last=60))
    with pytest.raises(DataError, match=r"series 'p': the new rows begin at .* comes 2024-03-01"):
        forecaster.update(frame(first, 63))
