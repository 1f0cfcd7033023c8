"""The time column of a frame as whole numbers: dates, clocks with or without a zone, steps, or text that says one."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import narwhals as nw
import numpy as np

from rondo.data.series.clock import Clock
from rondo.data.series.frequency import DAY, Ticks
from rondo.data.series.options import FrameFormat
from rondo.errors import DataError, UsageError

_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", "T%H:%M", "T%H:%M:%S", "T%H:%M:%S.%f")
FORMATS = (
    *(date + clock + zone for date in _DATES for clock in _CLOCKS for zone in ("", "%z" if clock else "")),
    "%Y%m%d", "%Y%m%d%H%M%S", "%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%Y-%m", "%Y/%m", "%Y-%b", "%b %Y", "%B %Y", "%Y",
)  # fmt: skip
_LOOKED_AT = 500


def read_times(table: nw.DataFrame[Any], name: str, options: FrameFormat) -> tuple[Ticks, Clock]:
    """The times of all rows, in the frame's order; of a clock with a zone as UTC."""
    column = table[name]
    if column.null_count():
        row = int(np.flatnonzero(column.is_null().to_numpy())[0]) + 1
        raise DataError(f"column '{name}', row {row}: there is no time.")
    if options.time_format is not None and column.dtype.is_integer():
        column = column.cast(nw.String)
    if column.dtype.is_integer():
        return column.cast(nw.Int64).to_numpy().astype(np.int64, copy=False), Clock("integer")
    if column.dtype.is_numeric():
        return _whole(column.to_numpy().astype(np.float64), name), Clock("integer")
    if column.dtype == nw.Date:
        return _microseconds(column.cast(nw.Datetime("us"))), Clock("date")
    if isinstance(column.dtype, nw.Datetime):
        zone = column.dtype.time_zone
        return _microseconds(column), Clock("datetime", zone, wall=zone is None)
    if column.dtype == nw.String:
        return _from_text(column, name, options.time_format)
    return _from_objects(column.to_list(), name)


def _microseconds(column: nw.Series[Any]) -> Ticks:
    return column.dt.timestamp("us").to_numpy().astype(np.int64, copy=False)


def _whole(found: Any, name: str) -> Ticks:
    wrong = np.flatnonzero(~np.isfinite(found) | (found != np.round(found)))
    if len(wrong):
        raise DataError(f"column '{name}', row {wrong[0] + 1}: {found[wrong[0]]} is no time; expected whole numbers.")
    return np.asarray(found, np.int64)


def _from_objects(cells: list[Any], name: str) -> tuple[Ticks, Clock]:
    for row, cell in enumerate(cells, 1):
        if not isinstance(cell, dt.date):
            raise DataError(
                f"column '{name}', row {row}: {str(cell)[:40]} is no time; expected dates, numbers or text."
            )
    if any(isinstance(cell, dt.datetime) for cell in cells):
        return _from_datetimes([c if isinstance(c, dt.datetime) else dt.datetime(*c.timetuple()[:3]) for c in cells])
    return np.array(cells, "datetime64[us]").astype(np.int64), Clock("date")


def _from_datetimes(found: list[dt.datetime]) -> tuple[Ticks, Clock]:
    """Of times with different distances from UTC the zone is UTC."""
    zones = {str(one.tzinfo) if one.tzinfo is not None else "" for one in found}
    if "" in zones:
        if len(zones) > 1:
            raise DataError("some times have a zone and some have none.")
        return np.array(found, "datetime64[us]").astype(np.int64), Clock("datetime")
    utc = [one.astimezone(dt.UTC).replace(tzinfo=None) for one in found]
    zone = zones.pop().removeprefix("UTC") or "UTC" if len(zones) == 1 else "UTC"
    return np.array(utc, "datetime64[us]").astype(np.int64), Clock("datetime", zone, wall=False)


def _from_text(column: nw.Series[Any], name: str, told: str | None) -> tuple[Ticks, Clock]:
    form = told or _format_of(column, name)
    if "%z" in form:
        return _from_datetimes([_parsed(cell, form, name, row) for row, cell in enumerate(column.to_list(), 1)])
    whole, missing_part = form, ""
    if "%d" not in form and "%j" not in form:  # a month or a year: its first day
        missing_part = ("" if "%m" in form or "%b" in form or "%B" in form else "-01") + "-01"
        whole = form + ("-%d" if len(missing_part) == 3 else "-%m-%d")
    try:
        ticks = _microseconds((column + missing_part if missing_part else column).str.to_datetime(format=whole))
    except Exception:  # each library has its own; which row it was, only a look at each can tell
        cells = [_parsed(cell, form, name, row) for row, cell in enumerate(column.to_list(), 1)]
        ticks = np.array(cells, "datetime64[us]").astype(np.int64)
    dates = not re.search("%[HMSIf]", form) and not (ticks % DAY).any()
    return ticks, Clock("date" if dates else "datetime")


def _parsed(cell: str, form: str, name: str, row: int) -> dt.datetime:
    try:
        return dt.datetime.strptime(cell.strip(), form)
    except ValueError:
        raise DataError(f"column '{name}', row {row}: '{cell[:40]}' is no time of the form {form}.") from None


def _format_of(column: nw.Series[Any], name: str) -> str:
    """How the times are written; where day and month could be each other, that must be told."""
    cells = [cell.strip() for cell in column.gather_every(max(1, len(column) // _LOOKED_AT)).to_list()]
    fitting = [form for form in FORMATS if _fits(cells, form)]
    if not fitting:
        raise DataError(
            f"column '{name}', row 1: '{cells[0][:40]}' is no time; say how times are written (time_format)."
        )
    if len(fitting) > 1 and {form[:8] for form in fitting} >= {fitting[0][:8], _swapped(fitting[0][:8])}:
        raise UsageError(
            f"column '{name}': '{cells[0]}' can be {fitting[0]} or {_swapped(fitting[0])}; say which (time_format)."
        )
    return fitting[0]


def _swapped(form: str) -> str:
    if form.startswith(("%d", "%m")):
        return form[3:5] + form[2] + form[:2] + form[5:] if form[1] in "dm" else form
    return ""


def _fits(cells: list[str], form: str) -> bool:
    try:
        for cell in cells:
            dt.datetime.strptime(cell, form)
    except ValueError:
        return False
    return True
