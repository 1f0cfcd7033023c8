"""What the times of a set of series are: steps, dates or clocks, in which zone; calendar features of them."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rondo.data.series.frequency import DAY, SECOND, Frequency, Ticks
from rondo.errors import DataError, UsageError, nearest

_EPOCH = dt.datetime(1970, 1, 1)
_UTC_EPOCH = _EPOCH.replace(tzinfo=dt.UTC)


@dataclass(frozen=True)
class Clock:
    """How whole numbers are read as times."""

    kind: Literal["integer", "date", "datetime"]
    zone: str | None = None
    """The time zone of a clock that knows one."""
    wall: bool = True
    """Whether the numbers are what the clock on the wall says (always, without a zone), not UTC."""

    def on_the_wall(self, ticks: Ticks) -> Ticks:
        """What the clock on the wall says."""
        if self.wall or self.zone is None:
            return ticks
        changes, offsets = _offsets(self.zone, int(ticks.min(initial=0)) // DAY, int(ticks.max(initial=0)) // DAY)
        moved: Ticks = ticks + offsets[np.searchsorted(changes, ticks, side="right") - 1]
        return moved

    def to_python(self, ticks: Ticks) -> list[Any]:
        """Numbers, dates, or points in time (with their zone, if there is one)."""
        if self.kind == "integer":
            return [int(tick) for tick in ticks]
        if self.kind == "date":
            return [(_EPOCH + dt.timedelta(microseconds=int(tick))).date() for tick in ticks]
        if self.zone is None:
            return [_EPOCH + dt.timedelta(microseconds=int(tick)) for tick in ticks]
        zone = zone_named(self.zone)
        if self.wall:
            return [(_EPOCH + dt.timedelta(microseconds=int(tick))).replace(tzinfo=zone) for tick in ticks]
        return [(_UTC_EPOCH + dt.timedelta(microseconds=int(tick))).astimezone(zone) for tick in ticks]

    def say(self, tick: int) -> str:
        """A time as messages name it."""
        return str(self.to_python(np.array([tick], np.int64))[0])


def zone_named(name: str) -> dt.tzinfo:
    """The time zone; a fixed distance to UTC such as +08:00 is one, too."""
    if name[:1] in "+-" and len(name) == 6:
        sign = -1 if name[0] == "-" else 1
        return dt.timezone(sign * dt.timedelta(hours=int(name[1:3]), minutes=int(name[4:])))
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise DataError(f"there is no time zone '{name}' on this machine.") from None


@lru_cache(maxsize=16)
def _offsets(zone: str, first_day: int, last_day: int) -> tuple[Ticks, Ticks]:
    """From when on the clocks were how far from UTC: found day by day, then by halves to the second."""
    info = zone_named(zone)

    def offset(second: int) -> int:
        delta = (_UTC_EPOCH + dt.timedelta(seconds=second)).astimezone(info).utcoffset()
        return int((delta or dt.timedelta()).total_seconds())

    changes, offsets = [np.iinfo(np.int64).min], [offset(first_day * 86400)]
    for day in range(first_day, last_day + 1):
        low, high = day * 86400, (day + 1) * 86400
        after = offset(high)
        if after == offsets[-1]:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if offset(middle) == after else (middle, high)
        changes.append(high * SECOND)
        offsets.append(after)
    return np.array(changes, np.int64), np.array(offsets, np.int64) * SECOND


def _fraction(of: str, ticks: Ticks) -> npt.NDArray[np.float64]:
    """How much of a day, week, month or year has passed, from 0 to 1."""
    days, within = np.divmod(ticks, DAY)
    if of == "day":
        return within / DAY
    if of == "week":
        return (np.mod(days + 3, 7) + within / DAY) / 7  # 1970 began on a Thursday
    unit = "datetime64[M]" if of == "month" else "datetime64[Y]"
    begun = ticks.astype("datetime64[us]").astype(unit)
    start, end = (point.astype("datetime64[us]").astype(np.int64) for point in (begun, begun + 1))
    passed: npt.NDArray[np.float64] = (ticks - start) / (end - start)
    return passed


FEATURES: tuple[str, ...] = ("time_of_day", "day_of_week", "day_of_month", "day_of_year", "weekend")
"""What can be told from a time. All but the weekend are two columns, sine and cosine of how much has passed."""


def features_for(frequency: Frequency, clock: Clock) -> tuple[str, ...]:
    """The calendar features that can say something at this frequency."""
    if clock.kind == "integer":
        return ()
    if frequency.unit == "month":
        return ("day_of_year",) if frequency.count < 12 else ()
    if frequency.unit == "week":
        return ("day_of_year",)
    if frequency.unit in ("day", "weekday", "row"):
        return ("day_of_week", "day_of_month", "day_of_year")
    return ("time_of_day", "day_of_week", "day_of_year", "weekend")


def check_features(names: Sequence[str], clock: Clock) -> tuple[str, ...]:
    """The names, if there are such features and the times have them."""
    for name in names:
        if name not in FEATURES:
            raise UsageError(f"there is no calendar feature '{name}'{nearest(name, FEATURES)}")
    if names and clock.kind == "integer":
        raise UsageError("times that are numbers have no calendar; leave the calendar features out.")
    return tuple(names)


def width(names: Sequence[str]) -> int:
    """How many columns the features have."""
    return sum(1 if name == "weekend" else 2 for name in names)


def calendar(ticks: Ticks, clock: Clock, names: Sequence[str]) -> npt.NDArray[np.float32]:
    """The features of times of any shape, in a last axis, from -1 to 1, on the clock on the wall."""
    wall = clock.on_the_wall(ticks)
    columns: list[npt.NDArray[np.float64]] = []
    for name in names:
        if name == "weekend":
            columns.append(np.where(np.mod(wall // DAY + 3, 7) >= 5, 1.0, 0.0))
            continue
        angle = 2 * np.pi * _fraction({"time_of_day": "day"}.get(name, name.removeprefix("day_of_")), wall)
        columns += [np.sin(angle), np.cos(angle)]
    if not columns:
        return np.zeros((*np.shape(ticks), 0), np.float32)
    return np.stack(columns, axis=-1).astype(np.float32)
