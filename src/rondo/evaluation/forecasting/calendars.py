"""Whether a column is a plain function of time, which everyone knows in advance: constant, counted, repeated, dated."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rondo.data.series import SeriesSet

Values = npt.NDArray[np.float64]

_ROWS = 4000


def follows_from_time(column: Values, source: SeriesSet, which: int) -> bool:
    """Of the values of a column (T,) beside a series, NaN where missing; kinds as their codes."""
    first = max(0, len(column) - _ROWS)
    values = column[first:]
    known = values[~np.isnan(values)]
    if len(known) < 3 or (known == known[0]).all():
        return True
    if _counts(known) or _follows(known) or _repeats(values):
        return True
    if source.clock.kind == "integer":
        return False
    times = source.clock.on_the_wall(source.times(which, first + np.flatnonzero(~np.isnan(values))))
    return _dated(known, times)


def _counts(known: Values) -> bool:
    """A counter, one that begins anew now and then, or one that stays as it is for a while, such as the month."""
    changes = np.diff(known)
    kinds, counts = np.unique(np.round(changes, 6), return_counts=True)
    usual = kinds[counts.argmax()]
    if usual != 0 and counts.max() > 0.9 * len(changes):
        return True
    others = counts * (kinds != 0)
    rises, whole = kinds[others.argmax()] > 0, bool((known == np.round(known)).all())
    return bool(whole and rises and others.sum() > 1 and others.max() >= 0.7 * others.sum() and usual == 0)


def _follows(known: Values) -> bool:
    """From its two values before, as waves and powers do, up to the digits that were kept."""
    if len(known) < 40:
        return False
    table = np.column_stack([np.ones(len(known) - 2), known[1:-1], known[:-2]])
    left = known[2:] - table @ np.linalg.lstsq(table, known[2:], rcond=None)[0]
    return bool(left.std() < 1e-3 * known.std())


def _repeats(values: Values) -> bool:
    """After some number of rows, at least twice."""
    slack = 1e-5 * float(np.nanmax(np.abs(values)))
    for period in range(2, len(values) // 2 + 1):
        for size in (32, len(values)):  # most are refuted by their first rows
            apart = np.abs(values[period : period + size] - values[:-period][:size])
            if not (apart[~np.isnan(apart)] <= slack).all():
                break
        else:
            return True
    return False


def _dated(known: Values, times: npt.NDArray[np.int64]) -> bool:
    """The same value on the same day of the year, month, day of the week or hour, seen about twice each."""
    moment = times.astype("datetime64[us]")
    day, within = moment.astype("datetime64[D]"), times % 86_400_000_000
    year, month = moment.astype("datetime64[Y]"), moment.astype("datetime64[M]").astype(np.int64)
    date = (month % 12) * 32 + (day - moment.astype("datetime64[M]")).astype(np.int64)
    week = (day.astype(np.int64) + 3) // 7
    weekday = (day.astype(np.int64) + 3) % 7
    for key, cycle in ((date, year), (month % 12, year), (weekday, week), (within, day)):
        keys = np.unique(key)
        if len(np.unique(np.stack([key, cycle.astype(np.int64)]), axis=1).T) < 1.8 * len(keys):
            continue
        if len(np.unique(np.stack([key.astype(np.float64), known]), axis=1).T) == len(keys):
            return True
    return False
