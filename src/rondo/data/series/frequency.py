"""How far apart the rows of a series are: told, or inferred from its times, and checked.

Times are whole numbers here: microseconds since 1970 for dates and clocks, the number itself for steps. Calendar
frequencies (days, weekdays, weeks, months) count on the clock on the wall, so that a day of 23 hours is a day.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rondo.errors import UsageError, nearest

Ticks = npt.NDArray[np.int64]
Unit = Literal[
    "step", "row", "microsecond", "millisecond", "second", "minute", "hour", "day", "weekday", "week", "month"
]

SECOND = 1_000_000
DAY = 86_400 * SECOND
FIXED: dict[str, int] = {
    "week": 7 * DAY, "day": DAY, "hour": 3600 * SECOND, "minute": 60 * SECOND, "second": SECOND, "millisecond": 1000,
    "microsecond": 1, "step": 1,
}  # fmt: skip
"""Units of one length, longest first."""

_SPELLINGS: dict[str, tuple[Unit, int]] = {
    "step": ("step", 1), "steps": ("step", 1), "row": ("row", 1), "rows": ("row", 1),
    "us": ("microsecond", 1), "ms": ("millisecond", 1), "l": ("millisecond", 1),
    "s": ("second", 1), "sec": ("second", 1), "second": ("second", 1), "seconds": ("second", 1),
    "min": ("minute", 1), "t": ("minute", 1), "minute": ("minute", 1), "minutes": ("minute", 1),
    "h": ("hour", 1), "hour": ("hour", 1), "hours": ("hour", 1), "hourly": ("hour", 1),
    "d": ("day", 1), "day": ("day", 1), "days": ("day", 1), "daily": ("day", 1),
    "b": ("weekday", 1), "weekday": ("weekday", 1), "weekdays": ("weekday", 1), "business": ("weekday", 1),
    "w": ("week", 1), "week": ("week", 1), "weeks": ("week", 1), "weekly": ("week", 1),
    "mo": ("month", 1), "month": ("month", 1), "months": ("month", 1), "monthly": ("month", 1),
    "q": ("month", 3), "qs": ("month", 3), "qe": ("month", 3), "quarter": ("month", 3), "quarterly": ("month", 3),
    "y": ("month", 12), "a": ("month", 12), "ys": ("month", 12), "ye": ("month", 12), "year": ("month", 12),
    "years": ("month", 12), "yearly": ("month", 12),
}  # fmt: skip
_EXACT: dict[str, tuple[Unit, int]] = {
    "M": ("month", 1), "MS": ("month", 1), "ME": ("month", 1), "m": ("minute", 1),
}  # fmt: skip
"""Where capitals tell a month from a minute or a millisecond, as in pandas and polars."""


@dataclass(frozen=True)
class Frequency:
    """``count`` times ``unit`` from one row to the next.

    Of the unit row: whatever time passes; ``count`` is then the usual distance in ticks, by which times go on after
    the last row (over weekdays, if it is a day).
    """

    unit: Unit
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Frequency:
        """From what people write: 15min, h, D, B (weekdays), W, MS, Q, Y, 10 (steps), rows."""
        found = re.fullmatch(r"\s*(\d*)\s*([A-Za-z]*)(?:-[A-Za-z]+)?\s*", text)
        number, word = found.groups() if found else ("", "")
        entry = ("step", 1) if number and not word else _EXACT.get(word) or _SPELLINGS.get(word.lower())
        if entry is None or number.strip("0") == "" != number:
            close = nearest(word or text, _SPELLINGS)
            raise UsageError(f"'{text}' is no frequency; expected for instance h, 15min, D, W, MS or rows{close}")
        unit, count = entry
        return cls(unit, count * int(number or 1))  # type: ignore[arg-type]

    @classmethod
    def of_ticks(cls, ticks: int) -> Frequency:
        """A fixed distance, in the longest unit that divides it."""
        unit = next(unit for unit, length in FIXED.items() if ticks % length == 0)
        return cls(unit, ticks // FIXED[unit])  # type: ignore[arg-type]

    def __str__(self) -> str:
        if self.unit == "row":
            return "rows"
        return self.unit if self.count == 1 else f"{self.count} {self.unit}s"

    @property
    def calendar(self) -> bool:
        """Whether it counts days and more, which have no length in hours where clocks are changed."""
        return self.unit in ("day", "weekday", "week", "month", "row")

    @property
    def season(self) -> int:
        """The usual length of a season in rows: a day of hours, a week of days, a year of months; else 1."""
        if self.unit == "row":
            return 5 if self.count == DAY else 1
        whole = {"month": 12, "week": 52, "weekday": 5, "day": 7}.get(self.unit)
        if whole is None:
            whole = DAY // FIXED[self.unit] if self.unit in ("hour", "minute") else 1
        return max(1, whole // self.count)

    def positions(self, times: Ticks, first: Ticks | int) -> tuple[Ticks, npt.NDArray[np.bool_]]:
        """Which row of the series that begins at ``first`` each time is, and whether it is exactly one."""
        if self.unit == "month":
            month, rest = _months(times)
            first_month, first_rest = _months(np.asarray(first, np.int64))
            exact = (rest == first_rest) | (_is_month_end(times) & _is_month_end(np.asarray(first, np.int64)))
            distance = month - first_month
        elif self.unit == "weekday":
            days, clock = np.divmod(times, DAY)
            first_day, first_clock = np.divmod(np.asarray(first, np.int64), DAY)
            as_days = days.astype("datetime64[D]")
            distance = np.busday_count(first_day.astype("datetime64[D]"), as_days).astype(np.int64)
            exact = (clock == first_clock) & np.is_busday(as_days)
        else:
            distance = times - first
            position, rest = np.divmod(distance, FIXED[self.unit] * self.count)
            return position, rest == 0
        position, rest = np.divmod(distance, self.count)
        return position, exact & (rest == 0)

    def advance(self, first: Ticks | int, rows: Any) -> Ticks:
        """The time ``rows`` rows after ``first``."""
        start, steps = np.asarray(first, np.int64), np.asarray(rows, np.int64) * self.count
        if self.unit == "month":
            month, rest = _months(start)
            moved = _month_start(month + steps) + rest
            at_end = _month_start(month + steps + 1) - DAY + np.mod(start, DAY)
            return np.where(_is_month_end(start), at_end, moved)
        if self.unit == "weekday" or (self.unit == "row" and self.count == DAY):
            steps = np.asarray(rows, np.int64) * (self.count if self.unit == "weekday" else 1)
            days, clock = np.divmod(start, DAY)
            on = np.busday_offset(days.astype("datetime64[D]"), steps, roll="backward")
            return on.astype(np.int64) * DAY + clock
        moved_on: Ticks = start + steps * FIXED.get(self.unit, 1)
        return moved_on


def infer(times: Ticks, starts: npt.NDArray[np.bool_], *, integers: bool) -> Frequency | None:
    """The frequency of sorted times without repetition; ``starts`` marks the first row of each series.

    It is the most common distance, if all others are multiples of it. None: there is only one row, or no such
    distance.
    """
    gaps = distances(times, starts)
    if not len(gaps):
        return None
    sample = gaps[:: max(1, len(gaps) // 100_000)]
    different, counts = np.unique(sample, return_counts=True)
    usual = int(different[counts.argmax()])
    if integers:
        return Frequency("step", usual) if not (gaps % usual).any() else None
    if usual == DAY and int(gaps.max()) >= 3 * DAY and not (gaps % DAY).any() and _only_weekdays(times):
        return Frequency("weekday")
    if usual >= 28 * DAY:
        months = np.diff(_months(times)[0])[~starts[1:]]
        count = int(np.bincount(np.clip(months, 0, 1200)).argmax())
        if count and not (months % count).any() and _same_day_of_month(times, starts):
            return Frequency("month", count)
    return Frequency.of_ticks(usual) if not (gaps % usual).any() else None


def distances(times: Ticks, starts: npt.NDArray[np.bool_]) -> Ticks:
    """From each row to the next of its series."""
    gaps = np.diff(times)
    return gaps if not starts[1:].any() else gaps[~starts[1:]]


def _only_weekdays(times: Ticks) -> bool:
    return bool((np.mod(times // DAY + 3, 7) < 5).all())


def _same_day_of_month(times: Ticks, starts: npt.NDArray[np.bool_]) -> bool:
    rest = _months(times)[1]
    first = np.flatnonzero(starts)
    own = np.repeat(rest[first], np.diff(np.append(first, len(times))))
    return bool(((rest == own) | _is_month_end(times)).all())


def _months(times: Ticks) -> tuple[Ticks, Ticks]:
    """Months since 1970, and the microseconds since the month began."""
    months = times.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
    return months, times - _month_start(months)


def _month_start(months: Ticks) -> Ticks:
    return np.asarray(months, np.int64).astype("datetime64[M]").astype("datetime64[us]").astype(np.int64)


def _is_month_end(times: Ticks) -> npt.NDArray[np.bool_]:
    ends: npt.NDArray[np.bool_] = _months(np.asarray(times, np.int64) + DAY)[1] < DAY
    return ends
