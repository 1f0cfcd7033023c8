"""Rows put in order and on an even grid of times: where each row goes, and which rows are missing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rondo.data.series.clock import Clock
from rondo.data.series.frequency import DAY, Frequency, Ticks, distances, infer
from rondo.data.series.options import Duplicates, FrameFormat
from rondo.errors import DataError, UsageError

Mask = npt.NDArray[np.bool_]
SPARSEST = 50
"""A grid with more than so many times the rows of its frame is a mistake in a time, or the wrong frequency."""
LARGEST = 1e18
"""Of larger numbers, single precision has no place for the squares."""


@dataclass(frozen=True)
class Grid:
    """Where the rows of a frame go."""

    ids: tuple[Any, ...]
    frequency: Frequency
    clock: Clock
    begin: npt.NDArray[np.int64]
    """The first row of each series in the flat arrays."""
    end: npt.NDArray[np.int64]
    start: Ticks
    """The time of that row."""
    order: npt.NDArray[np.int64] | None
    """The frame's rows in order of series and time; None if they come so."""
    first_of_group: npt.NDArray[np.int64] | None
    """Where, in that order, rows of the same time begin; None if all times differ."""
    place: npt.NDArray[np.int64] | None
    """The row of the flat arrays for each different time; None if there are no gaps."""
    row_times: Ticks | None
    notes: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Of the flat arrays."""
        return int(self.end[-1])

    def spread(self, read: npt.NDArray[Any], duplicates: Duplicates, *, empty: Any = np.nan) -> npt.NDArray[Any]:
        """A column of the frame in an array of its own, with ``empty`` in rows that the frame does not have."""
        ordered = read if self.order is None else read[self.order]
        if self.first_of_group is not None:
            if duplicates == "mean" and ordered.dtype.kind == "f":
                sizes = np.diff(np.append(self.first_of_group, len(ordered)))
                ordered = (np.add.reduceat(ordered, self.first_of_group) / sizes).astype(ordered.dtype)
            elif duplicates == "last":
                ordered = ordered[np.append(self.first_of_group[1:], len(ordered)) - 1]
            else:
                ordered = ordered[self.first_of_group]
        if self.place is None:
            return np.array(ordered) if ordered is read or ordered.base is not None else ordered
        whole = np.full(self.rows, empty, ordered.dtype)
        whole[self.place] = ordered
        return whole

    def check_finite(self, read: npt.NDArray[Any], column: str) -> None:
        """Refuse infinite numbers, and those whose squares are."""
        wrong = np.flatnonzero((read > LARGEST) | (read < -LARGEST))
        if len(wrong):
            raise DataError(f"column '{column}', row {wrong[0] + 1}: {read[wrong[0]]} is no number to learn from.")


def make_grid(
    ticks: Ticks, codes: npt.NDArray[np.int64] | None, ids: tuple[Any, ...], clock: Clock, options: FrameFormat
) -> Grid:
    """The grid of rows at ``ticks`` of the series ``codes`` (one series, if None)."""
    notes: list[str] = []
    order = _order(ticks, codes)
    if order is not None:
        notes.append("The rows were not in the order of time; they were sorted.")
        ticks = ticks[order]
        codes = None if codes is None else codes[order]
    starts = _starts(len(ticks), codes)
    groups = _groups(ticks, starts, order, ids, codes, clock, options)
    if groups is not None:
        notes.append(f"{len(ticks) - len(groups)} rows had the time of another; of those, {_kept(options)} was taken.")
        ticks, starts = ticks[groups], starts[groups]
        codes = None if codes is None else codes[groups]

    def name(row: int) -> str:
        """A row of what is left, for messages."""
        at = row if groups is None else int(groups[row])
        own = "" if codes is None else f"series '{ids[codes[row]]}', "
        return f"{own}row {(at if order is None else int(order[at])) + 1}"

    frequency, clock, ticks = _frequency(ticks, starts, clock, options, name)
    heads = np.flatnonzero(starts)
    lengths = np.diff(np.append(heads, len(ticks)))
    start = ticks[heads]
    place = None
    row_times = ticks if frequency.unit == "row" else None
    if frequency.unit != "row":
        place, lengths = _places(ticks, heads, lengths, start, frequency, clock, options, name, notes)
    end = np.cumsum(lengths)
    return Grid(ids, frequency, clock, end - lengths, end, start, order, groups, place, row_times, tuple(notes))


def _order(ticks: Ticks, codes: npt.NDArray[np.int64] | None) -> npt.NDArray[np.int64] | None:
    if codes is None:
        return None if (ticks[1:] >= ticks[:-1]).all() else np.argsort(ticks, kind="stable")
    same = codes[1:] == codes[:-1]
    if (codes[1:] >= codes[:-1]).all() and (ticks[1:] >= ticks[:-1])[same].all():
        return None
    return np.lexsort((ticks, codes))


def _starts(rows: int, codes: npt.NDArray[np.int64] | None) -> Mask:
    starts = np.zeros(rows, np.bool_)
    starts[:1] = True
    if codes is not None:
        starts[1:] = codes[1:] != codes[:-1]
    return starts


def _groups(
    ticks: Ticks, starts: Mask, order: Any, ids: tuple[Any, ...], codes: Any, clock: Clock, options: FrameFormat
) -> npt.NDArray[np.int64] | None:
    """Where rows of one time begin, or None if there are no two of the same."""
    new = starts.copy()
    new[1:] |= ticks[1:] != ticks[:-1]
    if new.all():
        return None
    if options.duplicates == "refuse":
        at = int(np.flatnonzero(~new)[0])
        first, second = (at - 1, at) if order is None else sorted((int(order[at - 1]), int(order[at])))
        own = "" if codes is None else f"series '{ids[codes[at]]}', "
        raise DataError(
            f"{own}rows {first + 1} and {second + 1} have the same time, {clock.say(int(ticks[at]))}. Say what is to "
            "be done (duplicates: first, last or mean)"
            + (", or which column tells the series." if codes is None else ".")
        )
    return np.flatnonzero(new)


def _frequency(
    ticks: Ticks, starts: Mask, clock: Clock, options: FrameFormat, name: Any
) -> tuple[Frequency, Clock, Ticks]:
    """The frequency, and the clock by which it counts, with the times on that clock."""
    integers = clock.kind == "integer"
    on_wall = replace(clock, wall=True)
    if options.frequency is not None:
        told = Frequency.parse(options.frequency)
        if integers != (told.unit in ("step", "row")) and told.unit != "row":
            kind = "numbers" if integers else "dates"
            raise UsageError(f"the times are {kind}; '{options.frequency}' is no distance between them.")
        if told.unit == "row":
            told = Frequency("row", _usual(ticks, starts))
        return (told, on_wall, clock.on_the_wall(ticks)) if told.calendar else (told, clock, ticks)
    if clock.zone is not None and _usual(ticks, starts) >= 20 * (DAY // 24):
        clock, ticks = on_wall, clock.on_the_wall(ticks)
    found = infer(ticks, starts, integers=integers)
    if found is not None:
        return found, clock, ticks
    if starts.all():
        if integers:
            return Frequency("step"), clock, ticks
        raise DataError("with one row there is no distance between rows; say the frequency.")
    usual = _usual(ticks, starts)
    uneven = (np.diff(ticks) % usual != 0) & ~starts[1:]
    at = int(np.flatnonzero(uneven)[0]) + 1 if uneven.any() else 1
    usually = str(Frequency("step", usual) if integers else Frequency.of_ticks(usual))
    raise DataError(
        f"{name(at)}: {clock.say(int(ticks[at]))} comes after {clock.say(int(ticks[at - 1]))}, but rows are mostly "
        f"{usually} apart. Say the frequency; rows, if rows count whatever time passes."
    )


def _usual(ticks: Ticks, starts: Mask) -> int:
    gaps = distances(ticks, starts)
    if not len(gaps):
        return 1
    different, counts = np.unique(gaps[:: max(1, len(gaps) // 100_000)], return_counts=True)
    return max(1, int(different[counts.argmax()]))


def _places(
    ticks: Ticks, heads: Any, lengths: Any, start: Ticks, frequency: Frequency, clock: Clock, options: FrameFormat,
    name: Any, notes: list[str],
) -> tuple[npt.NDArray[np.int64] | None, npt.NDArray[np.int64]]:  # fmt: skip
    """Where rows go if there are gaps, and the lengths of the series with them."""
    first: Any = start[0] if len(start) == 1 else np.repeat(start, lengths)
    position, exact = frequency.positions(ticks, first)
    if not exact.all():
        at = int(np.flatnonzero(~exact)[0])
        raise DataError(
            f"{name(at)}: {clock.say(int(ticks[at]))} is not a whole number of times {frequency} after the first row "
            "of its series. Say another frequency; rows, if rows count whatever time passes."
        )
    heads_end = np.append(heads[1:], len(ticks)) - 1
    if frequency.unit == "month":  # the last of March and the 30th are one month
        twice = np.flatnonzero(np.diff(position) == 0)
        if len(twice):
            raise DataError(f"{name(int(twice[0]) + 1)}: there are two rows of one month.")
    whole = position[heads_end] + 1
    if (whole == lengths).all():
        return None, lengths
    missing = int(whole.sum() - lengths.sum())
    at = int(np.flatnonzero((np.diff(position) != 1) & ~np.isin(np.arange(1, len(ticks)), heads))[0]) + 1
    what = f"{name(at)}: between {clock.say(int(ticks[at - 1]))} and {clock.say(int(ticks[at]))}"
    if options.gaps == "refuse":
        raise DataError(f"{what} rows are missing ({frequency} apart); {missing} in all. Say gaps='fill', or add them.")
    if whole.sum() > SPARSEST * lengths.sum() + 1000:
        raise DataError(f"{what} rows are missing ({frequency} apart), {missing} in all: too many. Is a time wrong?")
    notes.append(f"{missing} rows were missing between others ({what}); they count as missing values.")
    begin = np.cumsum(whole) - whole
    return position + np.repeat(begin, lengths), whole


def _kept(options: FrameFormat) -> str:
    return "their mean" if options.duplicates == "mean" else f"the {options.duplicates}"
