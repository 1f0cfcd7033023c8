"""From a pandas or polars frame, wide or long, to a `SeriesSet`: checked, sorted, on an even grid of times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import narwhals as nw
import numpy as np

from rondo.data.series.collection import Columns, SeriesSet
from rondo.data.series.covariates import covariates, static_columns
from rondo.data.series.frequency import Ticks
from rondo.data.series.grid import Grid, make_grid
from rondo.data.series.missing import impute
from rondo.data.series.options import FrameFormat
from rondo.data.series.times import read_times
from rondo.data.series.values import numbers
from rondo.errors import DataError, UsageError, nearest

TIME_NAMES = ("ds", "date", "datetime", "time", "timestamp", "month", "day", "week", "year", "日期", "时间", "時間")
SERIES_NAME, TARGET_NAME = "unique_id", "y"


@dataclass(frozen=True)
class Roles:
    """Which column is what."""

    time: str
    series: str | None
    targets: tuple[str, ...]


def from_frame(
    frame: Any,
    options: FrameFormat | None = None,
    *,
    kinds: Mapping[str, tuple[str, ...]] | None = None,
    goes_on: bool = False,
) -> SeriesSet:
    """The series of a frame. ``kinds`` are those that categorical covariates had when a model was fitted.

    With ``goes_on`` rows came before, so that a series may begin with missing values, or have no others.
    """
    options = options or FrameFormat()
    table = _as_table(frame)
    roles = find_roles(table, options)
    if not len(table):
        raise DataError("the frame has no rows.")
    ticks, clock = read_times(table, roles.time, options)
    codes, ids = _series_of(table, roles.series)
    grid = make_grid(ticks, codes, ids, clock, options)
    columns = {"time": roles.time, "series": roles.series or "", "target": roles.targets[0]}
    past = covariates(table, options.past, options, grid, kinds)
    future = covariates(table, options.future, options, grid, kinds)
    static = static_columns(table, options, grid, kinds)
    flat, begin, end, start, names = _targets(table, roles, options, grid, has_future=bool(options.future))
    repeats = len(roles.targets) if roles.series is None else 1
    made = SeriesSet(
        names=names,
        ids=tuple(roles.targets) if roles.series is None else ids,
        values=flat,
        begin=begin,
        end=end,
        start=start,
        past=past.columns,
        future=future.columns,
        static=static.columns if roles.series is not None else Columns.none(repeats),
        covariate_begin=np.tile(grid.begin, repeats),
        covariate_end=np.tile(grid.end, repeats),
        kinds={**past.kinds, **future.kinds, **static.kinds},
        row_times=grid.row_times,
        layout="wide" if roles.series is None else "long",
        columns=columns,
        notes=grid.notes,
        frequency=grid.frequency,
        clock=grid.clock,
        season=options.season or grid.frequency.season,
    )
    return _missing_handled(made if goes_on else _without_leading_holes(made), options)


def find_roles(table: nw.DataFrame[Any], options: FrameFormat) -> Roles:
    """Which column is time, which says the series, which are forecast."""
    names = table.columns
    named = [name for name in (options.time, options.series) if name]
    for column in (*named, *options.target, *options.past, *options.future, *options.static):
        if column not in names:
            raise DataError(f"the frame has no column '{column}'{nearest(column, names)}")
    series = options.series or (SERIES_NAME if SERIES_NAME in names and SERIES_NAME not in options.target else None)
    taken = {series, *options.target, *options.past, *options.future, *options.static}
    time = options.time or _time_column(table, taken)
    if options.target:
        targets = options.target
    elif TARGET_NAME in names and TARGET_NAME not in taken | {time}:
        targets = (TARGET_NAME,)
    else:
        free = [name for name in names if name not in taken | {time}]
        targets = tuple(name for name in free if table.schema[name].is_numeric())
        if not targets or (series is not None and len(targets) != 1):
            raise UsageError(
                f"which column is to be forecast? Name it (target); there are: {', '.join(free) or 'none'}."
            )
    if series is not None and len(targets) != 1:
        raise UsageError(f"a long frame has one target column, not {len(targets)}: {', '.join(targets)}.")
    if series is None and options.static:
        raise UsageError("static covariates belong to the series of a long frame; this frame is wide.")
    return Roles(time, series, targets)


def _time_column(table: nw.DataFrame[Any], taken: set[str | None]) -> str:
    free = [name for name in table.columns if name not in taken]
    for usual in TIME_NAMES:
        for name in free:
            if name.casefold() == usual:
                return name
    temporal = [name for name in free if table.schema[name].is_temporal()]
    if len(temporal) == 1:
        return temporal[0]
    raise UsageError(f"which column is the time? Name it (time); there are: {', '.join(free) or 'none'}.")


def _as_table(frame: Any) -> nw.DataFrame[Any]:
    index: Any = getattr(frame, "index", None)
    if hasattr(frame, "reset_index") and type(index).__name__ in ("DatetimeIndex", "PeriodIndex"):
        if type(index).__name__ == "PeriodIndex":
            frame = frame.set_axis(index.to_timestamp(), axis=0)
        frame = frame.reset_index(names=frame.index.name or "time")
    try:
        return nw.from_native(frame, eager_only=True)
    except TypeError:
        kind = type(frame).__name__
        raise UsageError(f"expected a frame of pandas or polars, not {kind}; collect what is lazy.") from None


def _series_of(table: nw.DataFrame[Any], column: str | None) -> tuple[Ticks | None, tuple[Any, ...]]:
    """The number of the series of each row, and the ids in the order in which they come."""
    if column is None:
        return None, ("",)
    ids = table[column]
    if ids.null_count():
        row = int(np.flatnonzero(ids.is_null().to_numpy())[0]) + 1
        raise DataError(f"column '{column}', row {row}: there is no series.")
    changes = np.ones(len(ids), np.bool_)
    changes[1:] = (ids != ids.shift(1)).to_numpy()[1:]
    heads = np.flatnonzero(changes)
    found: dict[Any, int] = {}
    runs = [found.setdefault(name, len(found)) for name in ids.gather_every(1)[heads.tolist()].to_list()]
    return np.repeat(np.array(runs, np.int64), np.diff(np.append(heads, len(ids)))), tuple(found)


def _targets(
    table: nw.DataFrame[Any], roles: Roles, options: FrameFormat, grid: Grid, *, has_future: bool
) -> tuple[Any, Any, Any, Any, tuple[str, ...]]:
    """All values, with begin, end, first time and name of each series."""
    parts, begins, ends, starts = [], [], [], []
    for number, column in enumerate(roles.targets):
        read = numbers(table[column], column)
        grid.check_finite(read, column)
        values = grid.spread(read, options.duplicates)
        parts.append(values)
        begins.append(grid.begin + number * grid.rows)
        ends.append(grid.end + number * grid.rows)
        starts.append(grid.start)
    flat = parts[0] if len(parts) == 1 else np.concatenate(parts)
    begin, end = np.concatenate(begins), np.concatenate(ends)
    if has_future:  # rows after the last value of a series (of any, if the frame is wide) are the future
        if roles.series is None:
            known = np.zeros(grid.rows, np.bool_)
            for values in parts:
                known |= ~np.isnan(values)
            end = begin + _last_known(known)
        else:
            last = [_last_known(~np.isnan(flat[b:e])) for b, e in zip(begin, end, strict=True)]
            end = begin + np.array(last, np.int64)
    names = tuple(roles.targets) if roles.series is None else tuple(str(name) for name in grid.ids)
    return flat, begin, end, np.concatenate(starts), names


def _last_known(known: Any) -> int:
    at = np.flatnonzero(known)
    return int(at[-1]) + 1 if len(at) else 0


def _missing_handled(made: SeriesSet, options: FrameFormat) -> SeriesSet:
    """What is missing refused or imputed; masked, it stays NaN."""
    for which in range(len(made)):
        values = made.series(which)
        holes = np.isnan(values)
        if not holes.any():
            continue
        if options.missing == "refuse":
            raise DataError(
                f"{made.place(which, int(np.flatnonzero(holes)[0]))}, column '{made.column(which)}': the value is "
                "missing. "
                "Say missing='mask' or missing='impute', or complete the data."
            )
        if options.missing == "impute":
            made.values[made.begin[which] : made.end[which]] = impute(values, options.impute, made.season)
    return made


def _without_leading_holes(made: SeriesSet) -> SeriesSet:
    """Each series from its first value on."""
    skipped = np.zeros(len(made), np.int64)
    for which, name in enumerate(made.names):
        known = ~np.isnan(made.series(which))
        if not known.any():
            raise DataError(f"series '{name}' has no values (column '{made.column(which)}').")
        skipped[which] = int(np.argmax(known))
    if not skipped.any():
        return made
    start = np.array([int(made.times(which, skip)) for which, skip in enumerate(skipped)], np.int64)
    return replace(made, begin=made.begin + skipped, start=start, covariate_begin=made.covariate_begin + skipped)
