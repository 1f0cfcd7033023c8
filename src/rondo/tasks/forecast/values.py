"""Values that a forecaster cannot learn from or go on from: refused where a frame is read, not when they are used."""

from __future__ import annotations

import numpy as np

from rondo.data.series import SeriesSet
from rondo.data.series.scaling import Scaling, check_logarithm
from rondo.errors import DataError


def check_values(source: SeriesSet, scaling: Scaling, *, counts: bool) -> None:
    """Raise `DataError`, which names series, column and row, for values without logarithm and for what is no count.

    ``counts`` says that the head is one of counts.
    """
    for which in range(len(source)):
        values = source.series(which)
        if scaling in ("log", "log1p"):
            check_logarithm(source, which, values, scaling)
        if counts and (wrong := values < 0).any():
            row = int(np.argmax(wrong))
            raise DataError(
                f"{source.place(which, row)}, column '{source.column(which)}': {values[row]:g} is no count; counts are "
                "at least 0. Choose a head that is not of counts."
            )
