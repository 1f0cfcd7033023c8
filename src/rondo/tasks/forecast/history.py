"""The last rows of series: what a forecast reads, kept with a model and added to as rows come."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rondo.data.filling import Impute
from rondo.data.series import Columns, SeriesSet, impute
from rondo.data.series.grid import SPARSEST
from rondo.data.series.options import FrameFormat
from rondo.errors import DataError


def recent(source: SeriesSet, rows: int) -> SeriesSet:
    """Only the last ``rows`` rows of each series, in arrays of their own, with what is known of later rows."""
    begin = np.maximum(source.end - rows, source.begin)
    skipped = begin - source.begin
    lengths = source.end - begin
    first = source.covariate_begin + skipped
    last = np.maximum(source.covariate_end, first + lengths)
    series = np.arange(len(source))
    values = _picked(source.values, begin, source.end)
    ends, tails = np.cumsum(lengths), np.cumsum(last - first)

    def columns(given: Columns) -> Columns:
        return replace(given, numbers=_picked(given.numbers, first, last), codes=_picked(given.codes, first, last))

    return replace(
        source, values=values, begin=ends - lengths, end=ends, start=source.times(series, skipped),
        past=columns(source.past), future=columns(source.future), covariate_begin=tails - (last - first),
        covariate_end=tails, row_times=None if source.row_times is None else _picked(source.row_times, first, last),
        notes=(),
    )  # fmt: skip


def joined(known: SeriesSet, new: SeriesSet, reading: FrameFormat) -> SeriesSet:
    """The rows that are known with new ones after them.

    Each series of ``new`` goes on where it ended; rows missing in between, and values missing in the new rows, are
    treated as ``reading`` says. Series that have no new rows stay; others than those known begin.
    """
    method = reading.impute if reading.missing == "impute" else None
    unknown = [place for place, name in enumerate(new.names) if name not in known.names]
    parts = []
    for which, name in enumerate(known.names):
        own = known.choose([which])
        if name in new.names:
            parts.append(_filled(_after(own, new.choose([new.names.index(name)]), reading), method))
        else:
            parts.append(recent(own, int(own.lengths[0])))
    parts += [_filled(recent(begun, int(begun.lengths[0])), method) for begun in map(_begun, _each(new, unknown))]
    return _stacked(parts)


def _after(known: SeriesSet, new: SeriesSet, reading: FrameFormat) -> SeriesSet:
    """One series with its new rows."""
    expected, begins = int(known.times(0, known.lengths[0])), int(new.start[0])
    skipped = 0
    if (new.frequency.unit, new.frequency.count) != (known.frequency.unit, known.frequency.count):
        raise DataError(f"the new rows are {new.frequency} apart, those before them {known.frequency}.")
    said = (
        f"series '{known.names[0]}': the new rows begin at {new.clock.say(begins)}, after those that are known comes "
        f"{known.clock.say(expected)}"
    )
    if known.row_times is not None:
        wrong = begins <= int(known.times(0, known.lengths[0] - 1))
    else:
        position, exact = known.frequency.positions(np.array([begins]), expected)
        skipped = int(position[0])
        wrong = not exact[0] or skipped < 0 or (skipped > 0 and reading.gaps == "refuse")
    if wrong:
        raise DataError(f"{said}. Give only rows that are new, and all of them.")
    if skipped and reading.missing == "refuse":
        raise DataError(f"{said}: values between are missing. Say missing='mask' or missing='impute' when training.")
    if skipped > SPARSEST * int(known.lengths[0] + new.lengths[0]) + 1000:
        raise DataError(f"{said}: {skipped} rows are missing, too many. Is a time wrong?")
    own, more = recent(known, int(known.lengths[0])), recent(new, int(new.lengths[0]))
    kept = int(own.lengths[0]) + skipped  # what was known of later rows, the new ones say again

    def columns(before: Columns, after: Columns) -> Columns:
        numbers = np.concatenate([_reaching(before.numbers, kept, np.nan), after.numbers])
        return replace(before, numbers=numbers, codes=np.concatenate([_reaching(before.codes, kept, 0), after.codes]))

    values = np.concatenate([_reaching(own.values, kept, np.nan), more.values])
    end = kept + more.covariate_end
    times = None
    if own.row_times is not None and more.row_times is not None:
        times = np.concatenate([own.row_times[:kept], more.row_times])
    return replace(
        own, values=values, end=np.array([len(values)]), past=columns(own.past, more.past),
        future=columns(own.future, more.future), covariate_end=end, row_times=times,
    )  # fmt: skip


def _reaching(array: npt.NDArray[Any], rows: int, empty: float) -> npt.NDArray[Any]:
    """The first rows; those that there are not, empty."""
    short = max(0, rows - len(array))
    return np.concatenate([array[:rows], np.full((short, *array.shape[1:]), empty, array.dtype)])


def _filled(one: SeriesSet, method: Impute | None) -> SeriesSet:
    """One series with arrays of its own, what is missing filled from the past."""
    if method is None:
        return one

    def columns(given: Columns) -> Columns:
        if not given.number_names:
            return given
        return replace(given, numbers=np.stack([impute(column, method) for column in given.numbers.T], axis=1))

    return replace(
        one, values=impute(one.values, method, one.season), past=columns(one.past), future=columns(one.future)
    )


def _each(source: SeriesSet, places: list[int]) -> list[SeriesSet]:
    return [source.choose([place]) for place in places]


def _begun(one: SeriesSet) -> SeriesSet:
    """One series from its first value on."""
    known = ~np.isnan(one.series(0))
    if not known.any():
        raise DataError(f"series '{one.names[0]}' has no values, and none came before.")
    skipped = int(np.argmax(known))
    return replace(
        one, begin=one.begin + skipped, start=one.times([0], [skipped]), covariate_begin=one.covariate_begin + skipped
    )


def _stacked(parts: list[SeriesSet]) -> SeriesSet:
    """Series of one each, as one set."""
    rows = np.cumsum([0, *(len(part.values) for part in parts)])
    tails = np.cumsum([0, *(int(part.covariate_end[0]) for part in parts)])

    def columns(role: str) -> Columns:
        own = [getattr(part, role) for part in parts]
        both = (np.concatenate([getattr(one, name) for one in own]) for name in ("numbers", "codes"))
        numbers, codes = both
        return replace(own[0], numbers=numbers, codes=codes)

    times = [part.row_times for part in parts if part.row_times is not None]
    return replace(
        parts[0], names=tuple(part.names[0] for part in parts), ids=tuple(part.ids[0] for part in parts),
        values=np.concatenate([part.values for part in parts]), begin=rows[:-1], end=rows[1:],
        start=np.array([int(part.start[0]) for part in parts], np.int64), past=columns("past"),
        future=columns("future"), static=columns("static"), covariate_begin=tails[:-1], covariate_end=tails[1:],
        row_times=np.concatenate(times) if times else None,
    )  # fmt: skip


def _picked(array: npt.NDArray[Any], first: Any, last: Any) -> npt.NDArray[Any]:
    """Stretches of the first axis, one after another."""
    if not len(first):
        return array[:0]
    return np.concatenate([array[begin:end] for begin, end in zip(first, last, strict=True)])
