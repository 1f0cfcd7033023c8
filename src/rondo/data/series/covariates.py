"""Covariates of a frame: numbers and kinds, along the rows or one value for a series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt

from rondo.data.series.collection import Columns
from rondo.data.series.grid import Grid
from rondo.data.series.missing import impute
from rondo.data.series.options import FrameFormat
from rondo.data.series.values import is_kind, numbers
from rondo.errors import DataError

Kinds = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Found:
    """Covariates, and the kinds of those that have such."""

    columns: Columns
    kinds: dict[str, tuple[str, ...]] = field(default_factory=dict)


def covariates(
    table: nw.DataFrame[Any], names: Sequence[str], options: FrameFormat, grid: Grid, kinds: Kinds | None
) -> Found:
    """Covariates along the rows, on the grid."""
    numeric, coded, known = _sorted_out(table, names, options, grid, kinds)
    for name, column in numeric.items():
        if options.missing == "mask":
            continue
        for which in range(len(grid.ids)):
            own = slice(int(grid.begin[which]), int(grid.end[which]))
            if options.missing == "impute":
                column[own] = impute(column[own], options.impute)
            if np.isnan(column[own]).any():
                _refuse_hole(column[own], name, which, grid)
    return Found(_columns(numeric, coded, grid.rows), known)


def static_columns(table: nw.DataFrame[Any], options: FrameFormat, grid: Grid, kinds: Kinds | None) -> Found:
    """Covariates with one value for each series, which is checked."""
    numeric, coded, known = _sorted_out(table, options.static, options, grid, kinds)
    for name, column in (*numeric.items(), *coded.items()):
        for which, series in enumerate(grid.ids):
            own = column[int(grid.begin[which]) : int(grid.end[which])]
            told = own[~np.isnan(own)] if own.dtype.kind == "f" else own[own >= 0]
            other = np.flatnonzero(told != told[:1])
            if len(other):
                values = f"{_say(told[0], name, known)} and {_say(told[other[0]], name, known)}"
                raise DataError(
                    f"series '{series}', column '{name}', row {other[0] + 1} of the series: a static covariate has one "
                    f"value for a series; this one has {values}."
                )
            if options.missing == "refuse" and not len(told):
                raise DataError(f"series '{series}', column '{name}': there is no value.")
            column[int(grid.begin[which])] = told[0] if len(told) else (np.nan if own.dtype.kind == "f" else 0)
    firsts = grid.begin
    picked = {name: column[firsts] for name, column in numeric.items()}, {n: c[firsts] for n, c in coded.items()}
    return Found(_columns(*picked, len(grid.ids)), known)


def _sorted_out(
    table: nw.DataFrame[Any], names: Sequence[str], options: FrameFormat, grid: Grid, kinds: Kinds | None
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, npt.NDArray[Any]], dict[str, tuple[str, ...]]]:
    """Numbers by name, codes by name (-1 where there is no row), kinds by name; on the grid."""
    numeric: dict[str, npt.NDArray[Any]] = {}
    coded: dict[str, npt.NDArray[Any]] = {}
    known: dict[str, tuple[str, ...]] = {}
    for name in names:
        column = table[name]
        if is_kind(column) or name in options.categorical:
            codes, known[name] = _codes(column, None if kinds is None else kinds.get(name, ()))
            coded[name] = grid.spread(codes, options.duplicates, empty=-1)
        else:
            read = numbers(column, name)
            grid.check_finite(read, name)
            numeric[name] = grid.spread(read, options.duplicates)
    return numeric, coded, known


def _codes(column: nw.Series[Any], told: tuple[str, ...] | None) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    distinct = [one for one in column.unique().to_list() if one is not None and one == one]
    kinds = tuple(sorted(str(one) for one in distinct)) if told is None else told
    number = {kind: place for place, kind in enumerate(kinds, 1)}
    table = {one: number.get(str(one), 0) for one in distinct}
    return np.array([table.get(cell, 0) for cell in column.to_list()], np.int32), kinds


def _columns(numeric: dict[str, npt.NDArray[Any]], coded: dict[str, npt.NDArray[Any]], rows: int) -> Columns:
    return Columns(
        np.stack([*numeric.values()], 1).astype(np.float32) if numeric else np.zeros((rows, 0), np.float32),
        np.maximum(np.stack([*coded.values()], 1), 0).astype(np.int32) if coded else np.zeros((rows, 0), np.int32),
        tuple(numeric),
        tuple(coded),
    )


def _refuse_hole(own: npt.NDArray[Any], name: str, which: int, grid: Grid) -> None:
    at = int(np.flatnonzero(np.isnan(own))[0])
    time = (
        grid.clock.say(int(grid.frequency.advance(grid.start[which], at)))
        if grid.row_times is None
        else f"row {at + 1}"
    )
    series = f"series '{grid.ids[which]}', " if grid.ids != ("",) else ""
    raise DataError(
        f"{series}column '{name}', {time} (row {at + 1} of the series): the covariate is missing. Say missing='mask', "
        "or complete the data."
    )


def _say(value: Any, name: str, kinds: Kinds) -> str:
    return f"'{kinds[name][int(value) - 1]}'" if name in kinds and value > 0 else str(value)
