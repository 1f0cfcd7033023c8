"""Values that are missing, filled from the past only: what a row says does not depend on later rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rondo.data.filling import Impute

Floats = npt.NDArray[np.float64]


def last_known(known: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """For each row the nearest row at or before it that is known; -1 where there is none."""
    at = np.where(known, np.arange(len(known)), -1)
    found: npt.NDArray[np.int64] = np.maximum.accumulate(at) if len(at) else at
    return found


def impute(values: Floats, method: Impute, season: int = 1) -> Floats:
    """One series (T,) with its missing values filled. What has no past stays missing, unless the method is zero."""
    known = ~np.isnan(values)
    if known.all():
        return values
    filled = values.copy()
    if method == "zero":
        filled[~known] = 0.0
        return filled
    at = last_known(known)
    if method == "mean":
        sums, counts = np.cumsum(np.where(known, values, 0.0)), np.cumsum(known)
        holes = ~known & (counts > 0)
        filled[holes] = sums[holes] / counts[holes]
        return filled
    holes = ~known & (at >= 0)
    filled[holes] = values[at[holes]]
    if method == "seasonal":
        for row in np.flatnonzero(~known):  # in order: a value that was filled may be the one a season before
            if row >= season and not np.isnan(filled[row - season]):
                filled[row] = filled[row - season]
    return filled
