"""Values that were filled in with later ones, told from those that lie on lines by chance.

Rounded values do, as often as the steps they were rounded to are wide. Scaling does not change that: what is looked
for is the step itself, whatever its width and offset. What was computed from two such values lies between two steps.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LEAST = 3
"""Fewer rows than these may be chance."""
EXACT, SINGLE = 1e-12, 3e-7
"""How far numbers are off relative to the largest, which were kept in double or in single precision."""
_NEAR = 20
"""Only values so many steps apart say something about a step that is not exactly known."""


def interpolated(values: Floats, blur: float = EXACT) -> Integers:
    """Rows whose value is the mean of its neighbours', and none that the other rows could have had.

    Values are off by ``blur``, relative to the largest.
    """
    none = np.zeros(0, np.int64)
    if (~np.isnan(values)).sum() < 40:
        return none
    size = float(np.nanmax(np.abs(values)))
    slope, bend = np.diff(values), np.diff(values, 2)
    with np.errstate(invalid="ignore"):
        on_line = np.abs(bend) <= blur * size
        straight = on_line & (np.abs(slope[:-1]) > max(1e-9, 10 * blur) * size)
        known = ~np.isnan(slope[1:] + slope[:-1])
        if known.sum() > LEAST and _correlation(slope[1:][known], slope[:-1][known]) > 0.9:
            # A smooth curve is straight where it turns; only several such rows in a row are strange.
            straight &= np.concatenate([[False], straight[:-1]]) | np.concatenate([straight[1:], [False]])
    rows = np.flatnonzero(straight) + 1
    if len(rows) < LEAST or len(rows) > len(values) / 2:  # a line all along is a line
        return none
    if not _more_than_nearly(len(rows), np.abs(bend), blur * size):
        return none
    measured = ~np.isnan(values)
    measured[1:-1] &= ~on_line
    found = rows[~_could_be(values[rows], np.unique(values[measured]), size, blur)]
    return found if len(found) >= LEAST else none


def filled_with_mean(values: Floats, blur: float = EXACT) -> Integers:
    """Rows with the mean of all rows, where that is no value which the others could have had."""
    none = np.zeros(0, np.int64)
    known = values[~np.isnan(values)]
    if len(known) < 40 or not known.std():
        return none
    size = float(np.abs(known).max())
    off, allowed = np.abs(values - known.mean()), max(1e-9 * float(known.std()), blur * size)
    rows = np.flatnonzero(off <= allowed)
    if len(rows) < LEAST or not _more_than_nearly(len(rows), off, allowed):
        return none
    others, counts = np.unique(np.delete(values, rows)[~np.isnan(np.delete(values, rows))], return_counts=True)
    if len(others) < LEAST:
        return none
    if step(others, size, blur) is None:  # then values come again by being filled, or in a wave, all of them alike
        return rows if len(rows) > LEAST * int(counts.max()) else none
    return none if _could_be(values[rows[:1]], others, size, blur).any() else rows


def _more_than_nearly(number: int, off: Floats, allowed: float) -> bool:
    """Whether so many are as near as is allowed by more than chance, by which others would be nearly so."""
    with np.errstate(invalid="ignore"):
        nearly = int(((off > allowed) & (off <= 10 * allowed)).sum())
    return number > LEAST * nearly / 9


def step(distinct: Floats, size: float, blur: float = EXACT) -> float | None:
    """The width of the grid that sorted values lie on, if they do so, and enough of them to tell."""
    gaps = np.diff(distinct)
    gaps = gaps[gaps > blur * size]
    if len(gaps) < 10:
        return None
    narrow = float(gaps.min())
    for parts in range(1, 7):
        width = narrow / parts
        for near in (4, _NEAR, _NEAR):  # the narrowest gap has an error, which many together have not
            close = gaps[gaps < (near + 0.5) * width]
            times = np.round(close / width)
            width = float(close.sum() / max(1.0, times.sum()))
        if len(close) >= 10 and np.mean(np.abs(close / width - times) < 0.1) > 0.95:
            return width
    return None


def _could_be(values: Floats, measured: Floats, size: float, blur: float) -> npt.NDArray[np.bool_]:
    """Whether values are among those measured, or whole steps away from the next of them."""
    if not len(measured):
        return np.zeros(len(values), bool)
    right = np.clip(np.searchsorted(measured, values), 0, len(measured) - 1)
    left = np.maximum(right - 1, 0)
    nearest = np.where(np.abs(measured[right] - values) < np.abs(values - measured[left]), right, left)
    away = np.abs(values - measured[nearest])
    same = away <= blur * size
    width = step(measured, size, blur)
    if width is None:
        return same
    found: npt.NDArray[np.bool_] = same | (np.abs(away / width - np.round(away / width)) < 0.1)
    return found


def _correlation(one: Floats, other: Floats) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if one.std() and other.std() else 0.0
