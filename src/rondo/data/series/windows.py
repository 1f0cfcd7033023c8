"""Windows of series: a context and what comes after it, taken from the flat arrays when they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rondo.data.series.collection import SeriesSet
from rondo.errors import DataError, UsageError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """Forecasts to be made: each of one series, from one origin on.

    An origin is how many rows of the series are known; the first value to be forecast stands there.
    """

    source: SeriesSet
    which: Integers
    """(N,) The series of each window."""
    origin: Integers
    """(N,)"""
    horizon: int
    moment: Integers
    """(N,) Where each origin stands on a time line that all series share; equal where it is the same moment."""

    def __len__(self) -> int:
        return len(self.which)

    def context(self, length: int) -> Floats:
        """The last ``length`` values before the origin (N, length); NaN before the series begins."""
        return gather(self.source, self.which, self.origin - length, length, end=self.origin)

    def actual(self) -> Floats:
        """The values that are to be forecast (N, horizon); NaN beyond the end."""
        return gather(self.source, self.which, self.origin, self.horizon)

    def choose(self, windows: Any) -> Windows:
        """Some of the windows."""
        return replace(self, which=self.which[windows], origin=self.origin[windows], moment=self.moment[windows])

    def pieces(self, size: int) -> Iterator[Windows]:
        """All windows, ``size`` at a time; the last piece may be smaller."""
        for start in range(0, len(self), size):
            yield self.choose(slice(start, start + size))

    def spread_out(self, number: int) -> Windows:
        """At most ``number`` windows, evenly spaced."""
        if number >= len(self):
            return self
        return self.choose(np.unique(np.linspace(0, len(self) - 1, number).round().astype(np.int64)))


def gather(source: SeriesSet, which: Integers, first: Integers, length: int, *, end: Integers | None = None) -> Floats:
    """Values (N, length) of series from row ``first`` on; NaN where a series has no row, or from ``end`` on."""
    rows = first[:, None] + np.arange(length)
    last = source.lengths[which] if end is None else np.minimum(end, source.lengths[which])
    valid = (rows >= 0) & (rows < last[:, None])
    if not len(source.values):
        return np.full(rows.shape, np.nan)
    at = np.clip(rows + source.begin[which][:, None], 0, len(source.values) - 1)
    found = source.values[at]
    if not valid.all():
        found[~valid] = np.nan
    return found


def training_windows(
    source: SeriesSet, horizon: int, *, context: int = 1, stride: int = 1, at_most: int = 0
) -> Windows:
    """All windows within a set of series, with a context of at least ``context`` rows and a whole horizon.

    ``at_most``: by a larger stride, about so many at most; 0 means no limit.
    """
    if horizon < 1 or stride < 1:
        raise UsageError("horizon and stride are at least 1.")
    room = np.maximum(source.lengths - horizon - context + 1, 0)
    if at_most and -(-room // stride).sum() > at_most:
        stride = max(stride, -(-int(room.sum()) // at_most))
    numbers = -(-room // stride)
    which = np.repeat(np.arange(len(source)), numbers)
    place = np.arange(len(which)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    # Counted from the end: the most recent window is always among them.
    origin = np.repeat(source.lengths - horizon, numbers) - place * stride
    order = np.lexsort((origin, which))
    which, origin = which[order], origin[order]
    return Windows(source, which, origin, horizon, moments(source, which, origin))


def moments(source: SeriesSet, which: Integers, origin: Integers) -> Integers:
    """Where origins stand on the time line that all series share."""
    if source.row_times is not None:
        line = time_line(source)
        found: Integers = np.searchsorted(line, source.times(which, origin)).astype(np.int64)
        return found
    return origin + offsets(source)[which]


def offsets(source: SeriesSet) -> Integers:
    """How many rows after the earliest series each one begins, where rows are evenly spaced."""
    if not len(source):
        return np.zeros(0, np.int64)
    # Hours on the hour beside hours at half past: near enough for an order in time.
    return source.frequency.positions(source.start, int(source.start.min()))[0]


def time_line(source: SeriesSet) -> npt.NDArray[np.int64]:
    """All different times of rows, in order, where rows come as they come."""
    if source.row_times is None:
        raise DataError("rows that are evenly spaced need no list of their times.")
    return np.unique(source.row_times)
