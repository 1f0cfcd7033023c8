"""Frequencies inferred and told, calendars, clocks with zones, and text that says a time."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rondo.data.series import Clock, FrameFormat, Frequency, calendar, check_features, features_for, from_frame
from rondo.errors import DataError, UsageError


def times_of(frame: Any, ahead: int = 2, **options: Any) -> tuple[Any, list[Any]]:
    """The frequency, and the times of the next rows."""
    made = from_frame(frame, FrameFormat(**options))
    rows = int(made.lengths[0])
    return made, made.clock.to_python(made.times(0, np.arange(rows, rows + ahead)))


PANDAS_FREQUENCIES = {
    "s": "second", "15min": "15 minutes", "h": "hour", "3h": "3 hours", "D": "day", "W-SUN": "week", "MS": "month",
    "ME": "month", "QS": "3 months", "YS": "12 months", "B": "weekday", "250ms": "250 milliseconds", "2D": "2 days",
}  # fmt: skip


@pytest.mark.parametrize(("spelled", "said"), PANDAS_FREQUENCIES.items())
def test_inferred_and_continued(spelled: str, said: str) -> None:
    index = pd.date_range("2023-12-29", periods=43, freq=spelled)
    made, ahead = times_of(pd.DataFrame({"ds": index[:40], "y": np.arange(40.0)}), 3)
    assert str(made.frequency) == said
    assert ahead == [stamp.to_pydatetime() for stamp in index[40:]]
    assert made.lengths.tolist() == [40]


@pytest.mark.parametrize("spelled", PANDAS_FREQUENCIES)
def test_holes_are_found_on_the_grid(spelled: str) -> None:
    index = pd.date_range("2023-12-29", periods=40, freq=spelled)
    kept = [row for row in range(40) if row not in (7, 8, 21)]
    made = from_frame(pd.DataFrame({"ds": index[kept], "y": np.arange(40.0)[kept]}))
    assert np.flatnonzero(np.isnan(made.values)).tolist() == [7, 8, 21]
    assert made.lengths.tolist() == [40]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["h", "D", "W", "MS", "B", "15min", "QS", "7"]), st.integers(0, 30_000), st.integers(0, 400))
def test_advance_and_positions_are_each_others_inverse(spelled: str, day: int, rows: int) -> None:
    frequency = Frequency.parse(spelled)
    first = day * 86_400_000_000
    if frequency.unit == "weekday":
        first = int(np.busday_offset(np.datetime64(day, "D"), 0, roll="forward").astype(np.int64)) * 86_400_000_000
    if frequency.unit == "month":
        first = int(np.datetime64(day // 31, "M").astype("datetime64[us]").astype(np.int64))
    position, exact = frequency.positions(frequency.advance(first, np.arange(rows + 1)), first)
    assert exact.all()
    np.testing.assert_array_equal(position, np.arange(rows + 1))


@pytest.mark.parametrize("spelled", ["fortnight", "0h", "", "h3"])
def test_no_frequency(spelled: str) -> None:
    with pytest.raises(UsageError, match="is no frequency"):
        Frequency.parse(spelled)


def test_capitals_tell_months_from_minutes() -> None:
    assert (Frequency.parse("3M"), Frequency.parse("3m")) == (Frequency("month", 3), Frequency("minute", 3))


def test_told_frequency_is_checked() -> None:
    frame = pl.DataFrame({"ds": ["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 01:30"], "y": [1, 2, 3]})
    with pytest.raises(DataError, match=r"row 3: 2024-01-01 01:30:00 is not a whole number of times hour"):
        from_frame(frame, FrameFormat(frequency="h"))
    assert from_frame(frame, FrameFormat(frequency="30min")).lengths.tolist() == [4]


def test_rows_as_they_come() -> None:
    days = [dt.date(2024, 3, 26), dt.date(2024, 3, 27), dt.date(2024, 3, 28), dt.date(2024, 4, 2)]
    made, ahead = times_of(pl.DataFrame({"ds": days, "y": [1.0, 2, 3, 4]}), frequency="rows")
    assert made.lengths.tolist() == [4]
    assert made.clock.to_python(made.times(0, [2, 3])) == days[2:]
    assert ahead == [dt.date(2024, 4, 3), dt.date(2024, 4, 4)]
    friday = [dt.date(2024, 3, 4), dt.date(2024, 3, 5), dt.date(2024, 3, 8)]
    assert times_of(pl.DataFrame({"ds": friday, "y": [1.0, 2, 3]}), 1, frequency="rows")[1] == [dt.date(2024, 3, 11)]


def test_hours_of_a_zone_pass_through_the_change_of_clocks() -> None:
    zone = "Europe/Berlin"
    index = pd.date_range("2024-03-30 12:00", periods=40, freq="h", tz=zone)
    moments = pl.Series(index[:30].to_pydatetime().tolist()).dt.convert_time_zone(zone)
    for frame in (pd.DataFrame({"ds": index[:30], "y": 1.0}), pl.DataFrame({"ds": moments, "y": 1.0})):
        made, ahead = times_of(frame, 10)
        assert (made.lengths.tolist(), made.clock.zone) == ([30], zone)
        assert [moment.isoformat() for moment in ahead] == [stamp.isoformat() for stamp in index[30:]]


def test_days_of_a_zone_have_23_hours_at_times() -> None:
    index = pd.date_range("2024-03-25", periods=12, freq="D", tz="Europe/Berlin")
    made, ahead = times_of(pd.DataFrame({"ds": index[:10], "y": np.arange(10.0)}))
    assert (str(made.frequency), made.lengths.tolist()) == ("day", [10])
    assert [moment.isoformat() for moment in ahead] == [stamp.isoformat() for stamp in index[10:]]


@pytest.mark.parametrize(
    ("texts", "unit", "following"),
    [
        (["1949-01", "1949-02", "1949-03"], "month", dt.date(1949, 4, 1)),
        (["2020", "2021", "2022"], "12 months", dt.date(2023, 1, 1)),
        (["20240227", "20240228", "20240229"], "day", dt.date(2024, 3, 1)),
        (["30.01.2024", "31.01.2024", "01.02.2024"], "day", dt.date(2024, 2, 2)),
        (["30/01/2024", "31/01/2024", "01/02/2024"], "day", dt.date(2024, 2, 2)),
        (["01/30/2024", "01/31/2024", "02/01/2024"], "day", dt.date(2024, 2, 2)),
        (["2024-01-01T10:00", "2024-01-01T10:15", "2024-01-01T10:30"], "15 minutes", dt.datetime(2024, 1, 1, 10, 45)),
        (["2024/01/01 10:00:00", "2024/01/01 11:00:00", "2024/01/01 12:00:00"], "hour", dt.datetime(2024, 1, 1, 13)),
        (["Jan 1999", "Feb 1999", "Mar 1999"], "month", dt.date(1999, 4, 1)),
        (
            ["2024-01-01T22:00:00+08:00", "2024-01-01T23:00:00+08:00", "2024-01-02T00:00:00+08:00"], "hour",
            dt.datetime(2024, 1, 2, 1, tzinfo=dt.timezone(dt.timedelta(hours=8))),
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)  # fmt: skip
@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_text(texts: list[str], unit: str, following: Any, library: Any) -> None:
    made, ahead = times_of(library({"ds": texts, "y": [1.0, 2, 3]}), 1)
    assert (str(made.frequency), ahead) == (unit, [following])


def test_day_or_month_must_be_told() -> None:
    frame = pl.DataFrame({"ds": ["01/02/2024", "02/02/2024", "03/02/2024"], "y": [1.0, 2, 3]})
    with pytest.raises(UsageError, match=r"can be %d/%m/%Y or %m/%d/%Y; say which"):
        from_frame(frame)
    assert times_of(frame, 1, time_format="%d/%m/%Y")[1] == [dt.date(2024, 2, 4)]
    assert times_of(frame, 1, time_format="%m/%d/%Y")[1] == [dt.date(2024, 4, 2)]
    packed = pl.DataFrame({"ds": [20240228, 20240229], "y": [1, 2]})
    assert times_of(packed, 1, time_format="%Y%m%d")[1] == [dt.date(2024, 3, 1)]


def test_dates_of_python() -> None:
    frame = pd.DataFrame({"ds": np.array([dt.date(2024, 1, 1), dt.date(2024, 1, 8)], object), "y": [1, 2]})
    made, ahead = times_of(frame, 1)
    assert (str(made.frequency), ahead) == ("week", [dt.date(2024, 1, 15)])


def test_calendar_features() -> None:
    moment = int(np.datetime64("2024-04-06T06:00", "us").astype(np.int64))  # a Saturday
    names = ("time_of_day", "day_of_week", "weekend")
    found = calendar(np.array([[moment]]), Clock("datetime"), names)[0, 0]
    week = 2 * np.pi * 5.25 / 7
    np.testing.assert_allclose(found, [1, 0, np.sin(week), np.cos(week), 1], atol=1e-6)
    assert features_for(Frequency.parse("h"), Clock("datetime"))[0] == "time_of_day"
    assert features_for(Frequency.parse("D"), Clock("date"))[0] == "day_of_week"
    assert features_for(Frequency.parse("1"), Clock("integer")) == ()
    with pytest.raises(UsageError, match="did you mean 'day_of_week'"):
        check_features(["day_of_wek"], Clock("date"))
    with pytest.raises(UsageError, match="no calendar"):
        check_features(["weekend"], Clock("integer"))


def test_the_calendar_is_on_the_wall() -> None:
    zone = zoneinfo.ZoneInfo("America/New_York")
    for month in (1, 7):
        noon = dt.datetime(2024, month, 3, 12, tzinfo=zone)
        tick = np.array([int(noon.timestamp()) * 1_000_000])
        clock = Clock("datetime", "America/New_York", wall=False)
        np.testing.assert_allclose(calendar(tick, clock, ("time_of_day",)), [[0, -1]], atol=1e-6)
