"""What is known in advance must be there for the rows that are forecast: what is not told is not made up."""

from __future__ import annotations

import numpy as np

from rondo.data.series.windows import Windows
from rondo.errors import DataError


def check_ahead(windows: Windows, rows: int) -> None:
    """Raise `DataError` where covariates known in advance do not reach ``rows`` rows beyond an origin.

    What is missing between rows that are there was dealt with when the frame was read.
    """
    source = windows.source
    future = source.future
    if not future.names:
        return
    for which, origin in zip(windows.which, windows.origin, strict=True):
        first = source.covariate_begin[which] + origin
        last = min(int(source.covariate_end[which]), int(first) + rows)
        told = dict.fromkeys(future.code_names, last - first)
        for place, name in enumerate(future.number_names):
            known = np.flatnonzero(~np.isnan(future.numbers[first:last, place]))
            told[name] = known[-1] + 1 if len(known) else 0
        name = min(told, key=lambda one: (told[one], future.names.index(one)))
        if told[name] < rows:
            raise DataError(
                f"{source.place(which, int(origin + told[name]))}, column '{name}': it is known in advance, and this "
                f"row of the forecast does not say it. Give a frame with rows of the future, at least {rows} after the "
                "last known value of each series: the time, what is known in advance, and no target."
            )
