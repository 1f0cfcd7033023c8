"""Backtesting by rolling origin (Tashman 2000): a model sees what was known at the time, and forecasts what came.

Within a fold everything is fitted on its training part: scales, imputation, covariates' kinds, the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from rondo.data.series import SeriesSet
from rondo.data.series.windows import Windows, moments, offsets, time_line
from rondo.errors import DataError, UsageError, is_whole

Integers = npt.NDArray[np.int64]
Refit = int | Literal["every", "never"]
NAMED = 5
"""Series that a message names."""


@dataclass(frozen=True)
class LeftOut:
    """Series of which nothing is scored."""

    names: tuple[str, ...]
    of: int
    """How many series there are."""
    align: str

    def __str__(self) -> str:
        few = ", ".join(f"'{name}'" for name in self.names[:NAMED])
        more = f" and {len(self.names) - NAMED:,} more" if len(self.names) > NAMED else ""
        why = {
            "time": "They end before the rows that are scored, or have none before them; --align end scores each at "
            "its own end.",
            "start": "They end before the rows that are scored.",
        }.get(self.align, "They are too short.")
        return f"{len(self.names):,} of {self.of:,} series are not scored: {few}{more}. {why}"


@dataclass(frozen=True)
class Fold:
    """One fit and the forecasts that are made with it."""

    training: SeriesSet
    """Every series up to where training ends: values after that are cut off."""
    windows: Windows
    """What is forecast and scored, over the whole series: a forecast may read all rows before its origin."""
    embargo: int
    """How many rows lie unused between the training part and the first value that is forecast."""
    validation: Windows | None = None
    """What choices are made on, where that part is named; otherwise everyone holds out a part of the training."""
    align: str = "time"
    """Where its windows begin: at moments that all series share (time), or at rows from the end or start of each."""
    given: SeriesSet | None = None
    """All rows that were given, where the windows' series are cut: what was done to the data was done to all of it."""

    @property
    def everything(self) -> SeriesSet:
        """All rows that were given."""
        return self.windows.source if self.given is None else self.given

    @property
    def first_moment(self) -> int:
        return int(self.windows.moment.min())


def rolling_origin(
    source: SeriesSet,
    *,
    horizon: int,
    origins: int | None = None,
    test_rows: int | None = None,
    stride: int = 1,
    refit: Refit = "never",
    embargo: int = 0,
    align: Literal["time", "end"] = "time",
) -> list[Fold]:
    """Folds over the end of all series.

    Either the last ``origins`` origins, ``stride`` rows apart, or all of the last ``test_rows`` rows. The model is
    fitted anew at ``every`` origin, ``never`` (once, before the first), or every so many origins.
    ``embargo`` rows before the first value of a fold's forecasts are not trained on. With ``align="time"`` no
    series is trained on beyond the moment another is forecast at; ``"end"`` is for series whose times have nothing
    to do with each other: each counts from its own end.
    """
    for name, value in {"origins": origins, "test_rows": test_rows, "stride": stride, "embargo": embargo}.items():
        if value is not None and not is_whole(value):
            raise UsageError(f"{name} is a whole number, not {value!r}.")
    number = _number_of_origins(horizon, origins, test_rows, stride)
    if stride < 1 or embargo < 0:
        raise UsageError("a stride is at least 1 row, an embargo at least 0.")
    if align not in ("time", "end"):
        raise UsageError(f"folds are aligned by time or by end, not '{align}'.")
    size = {"every": 1, "never": number}.get(refit, 0) if isinstance(refit, str) else refit
    if not is_whole(size) or size < 1:
        raise UsageError(f"refit is every, never or a number of origins, not '{refit}'.")
    last = _end(source) if align == "time" else 0
    begins = last - horizon - np.arange(number - 1, -1, -1) * stride  # the moments at which forecasts are made
    folds = []
    for start in range(0, number, size):
        known = _rows_before(source, int(begins[start]) - embargo, align)
        told = source.with_kinds(source.cut(known).occurring())
        windows = _windows(told, begins[start : start + size], horizon, align)
        training = told.cut(known)
        if not len(windows):
            continue
        if not (training.lengths > 0).any():
            raise DataError(
                f"the first of {number} origins leaves no row to train on: the longest series has "
                f"{int(source.lengths.max(initial=0))} rows."
            )
        folds.append(Fold(training, windows, embargo, align=align))
    if not folds:
        raise DataError(f"no series is longer than the horizon, {horizon} rows: there is nothing to score.")
    return folds


def left_out(folds: Sequence[Fold]) -> LeftOut | None:
    """The series that no fold scores; None where there is no such."""
    names = folds[-1].windows.source.names
    scored = np.zeros(len(names), np.bool_)
    for fold in folds:
        scored[fold.windows.which] = True
    if scored.all():
        return None
    return LeftOut(tuple(names[which] for which in np.flatnonzero(~scored)), len(names), folds[-1].align)


def split_rows(source: SeriesSet, horizon: int, first: int, end: int) -> Fold:
    """One fold by rows, as benchmarks of even series state their splits: forecasts of rows ``first`` to ``end``."""
    if not 0 < first < end or end - first < horizon or end > int(source.lengths.max(initial=0)):
        raise DataError(f"rows {first} to {end} have no place for a horizon of {horizon} rows.")
    source = source.with_kinds(source.cut(first).occurring())
    windows = _windows(source.cut(end), np.arange(first, end - horizon + 1), horizon, "start")
    return Fold(source.cut(first), windows, 0, align="start", given=source)


def named_rows(source: SeriesSet, horizon: int, rows: tuple[int, int, int]) -> Fold:
    """One fold with so many rows for training, validation and test, from the first on; later rows are not used.

    As benchmarks of long series state their splits: 8640, 2880 and 2880 rows of the hourly ETT.
    """
    train, valid, test = rows
    if min(rows) < 1:
        raise UsageError(f"training, validation and test need at least a row each, not {rows}.")
    source = source.with_kinds(source.cut(train).occurring())
    fold = split_rows(source, horizon, train + valid, train + valid + test)
    return replace(
        fold, training=source.cut(train), validation=split_rows(source, horizon, train, train + valid).windows
    )


def _number_of_origins(horizon: int, origins: int | None, test_rows: int | None, stride: int) -> int:
    if horizon < 1:
        raise UsageError(f"a horizon is at least 1 row, not {horizon}.")
    if (origins is None) == (test_rows is None):
        raise UsageError("say either how many origins, or how many rows are for testing.")
    if origins is not None:
        if origins < 1:
            raise UsageError(f"there is at least 1 origin, not {origins}.")
        return origins
    number = ((test_rows or 0) - horizon) // max(1, stride) + 1
    if number < 1:
        raise UsageError(f"there is no origin: {test_rows} rows are too few for a horizon of {horizon}.")
    return number


def _end(source: SeriesSet) -> int:
    """One moment after the last row of all series."""
    if source.row_times is not None:
        return len(time_line(source))
    return int((offsets(source) + source.lengths).max(initial=0))


def _rows_before(source: SeriesSet, moment: int, align: str) -> Integers:
    """How many rows of each series come before a moment; from the end, it is below zero."""
    if align == "start":
        return np.clip(np.full(len(source), moment), 0, source.lengths)
    if align == "end":
        return np.maximum(source.lengths + moment, 0)
    if source.row_times is None:
        return np.clip(moment - offsets(source), 0, source.lengths)
    line = time_line(source)
    if moment >= len(line):
        return source.lengths
    rows = [
        np.searchsorted(source.row_times[begin : begin + length], line[max(0, moment)])
        for begin, length in zip(source.covariate_begin, source.lengths, strict=True)
    ]
    return np.array(rows, np.int64)


def _windows(source: SeriesSet, begins: Integers, horizon: int, align: str) -> Windows:
    """The windows of all series that have a row before a moment, and all rows of the horizon after it."""
    parts = []
    for moment in begins:
        known = _rows_before(source, int(moment), align)
        which = np.flatnonzero((known > 0) & (known + horizon <= source.lengths))
        if align == "time":  # a series without a row at that moment has no forecast then
            which = which[moments(source, which, known[which]) == moment]
        parts.append(np.stack([which, known[which], np.full(len(which), moment)]))
    found = np.concatenate([np.zeros((3, 0), np.int64), *parts], axis=1).astype(np.int64)
    found = found[:, np.lexsort((found[2], found[0]))]
    shared = found[2] if align != "time" else moments(source, found[0], found[1])
    return Windows(source, found[0], found[1], horizon, shared)
