"""Numbers of a frame's column, whatever kind of column it is."""

from __future__ import annotations

import math
from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt

from rondo.errors import DataError

Floats = npt.NDArray[np.float64]


def numbers(column: nw.Series[Any], name: str) -> Floats:
    """A column as float64, NaN where missing; not to be written to: it may be the frame's own memory."""
    if column.dtype.is_numeric() or column.dtype == nw.Boolean:
        return column.cast(nw.Float64).to_numpy().astype(np.float64, copy=False)
    read = np.empty(len(column))
    for row, cell in enumerate(column.to_list()):
        read[row] = _number(cell, name, row + 1)
    return read


def is_kind(column: nw.Series[Any]) -> bool:
    """Whether a column names kinds: text, categories, truth values."""
    return column.dtype in (nw.String, nw.Categorical, nw.Enum, nw.Boolean) or isinstance(column.dtype, nw.Enum)


def _number(cell: Any, name: str, row: int) -> float:
    if cell is None or (isinstance(cell, str) and cell.strip().lower() in ("", "na", "nan", "null", "none", "?")):
        return math.nan
    try:
        return float(cell)
    except (TypeError, ValueError):
        raise DataError(f"column '{name}', row {row}: '{str(cell)[:40]}' is no number.") from None
