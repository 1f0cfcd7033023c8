"""Signals in tables whose columns have names: an object of JSON a signal, or a row a step.

Both are read as they come, so that a file of any size can be gone through.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rondo.data.columns import LABEL_NAMES
from rondo.data.labelled import Origin, Row
from rondo.data.series_files import MISSING, Signal, class_name, parse_numbers
from rondo.data.tables import Record, column_index, open_table
from rondo.errors import DataError


def iter_json_signals(
    lines: Iterator[str],
    name: str,
    *,
    values: str | None,
    usual: Sequence[str],
    label_column: str | None,
    group_column: str | None,
) -> Iterator[Row]:
    """A signal an object: a list of numbers, or of lists with a number a channel; null is a missing value.

    ``values`` names the signal, or it has one of the ``usual`` names.
    """
    table = open_table(lines, name, "jsonl", delimiter=None, quotes=None)
    columns = list(table.first)
    value_at = _column(columns, values, usual, name, "values")
    label_at = _column(columns, label_column, LABEL_NAMES, name, "label-column", taken=value_at)
    group_at = _column(columns, group_column, (), name, "group-column")
    if value_at is None:
        raise DataError(f"{name}: which name is that of the values? Say it, --values NAME; there are {_few(columns)}.")
    for record in table.records:
        origin = Origin(name, record.number, record.noun)
        signal = _numbers(_cell(record, columns[value_at], origin), origin)
        label, group = (
            None if place is None else _cell(record, columns[place], origin) for place in (label_at, group_at)
        )
        if label_at is not None and (label is None or str(label).strip().lower() in MISSING):
            raise DataError(f"{origin}: there is no class in '{columns[label_at]}'.")
        yield Row(signal, None if label is None else class_name(label), group, origin)


def iter_step_table(
    lines: Iterator[str],
    name: str,
    *,
    series_column: str,
    time_column: str | None,
    label_column: str | None,
    group_column: str | None,
) -> Iterator[Row]:
    """A step a row: ``series_column`` says which signal it is of, and all columns that have no role are channels.

    The rows of a signal stand together, in the order of time.
    """
    lines, kind = _with_kind(lines)
    table = open_table(lines, name, kind, delimiter=None, quotes=None)
    columns = [str(cell).strip() for cell in table.first]
    series_at = column_index(columns, series_column, name, "series-column")
    time_at = _column(columns, time_column, (), name, "time-column")
    group_at = _column(columns, group_column, (), name, "group-column")
    label_at = _column(columns, label_column, LABEL_NAMES, name, "label-column", taken=series_at)
    roles = {series_at, time_at, group_at, label_at}
    channels = [place for place in range(len(columns)) if place not in roles]
    if not channels:
        raise DataError(f"{name} has no column of values besides {_few(columns)}.")
    seen = set[str]()
    steps = itertools.islice(table.records, 1, None)
    for series, rows in itertools.groupby(steps, key=lambda record: str(record.cells[series_at])):
        yield _series(list(rows), series, seen, (channels, time_at, label_at, group_at), name)


def _series(
    rows: list[Record], series: str, seen: set[str], places: tuple[list[int], int | None, int | None, int | None],
    name: str,
) -> Row:  # fmt: skip
    """The signal of these rows."""
    channels, time_at, label_at, group_at = places
    origin = Origin(name, rows[0].number)
    if series in seen:
        raise DataError(f"{origin}: the signal '{series}' goes on here after others; its rows must stand together.")
    seen.add(series)
    numbers = [place + 1 for place in channels]
    try:
        steps = [
            parse_numbers([row.cells[place] for place in channels], f"{name}, line {row.number}, column", numbers)
            for row in rows
        ]
    except DataError as error:
        raise DataError(
            f"{error} All columns without a role are channels: --group-column, --time-column or --label-column names "
            "one that is none."
        ) from None
    label, group = (_the_same(rows, place, series, name) for place in (label_at, group_at))
    if time_at is not None:
        _check_time(rows, time_at, name)
    if label is not None and label.lower() in MISSING:
        raise DataError(f"{origin}: there is no class.")
    return Row(np.stack(steps), None if label is None else class_name(label), group, origin)


def _check_time(rows: list[Record], place: int, name: str) -> None:
    """Where times are numbers they do not fall; other forms of time are taken as they stand."""
    try:
        times = [float(row.cells[place]) for row in rows]
    except ValueError:
        return
    for row, before, now in zip(rows[1:], times, times[1:], strict=False):
        if now < before:
            raise DataError(f"{name}, line {row.number}: the time falls from {before:g} to {now:g} within a signal.")


def _the_same(rows: list[Record], place: int | None, series: str, name: str) -> str | None:
    """What stands in a column for a whole signal."""
    if place is None:
        return None
    first = str(rows[0].cells[place]).strip()
    for row in rows:
        if str(row.cells[place]).strip() != first:
            raise DataError(
                f"{name}, line {row.number}: the signal '{series}' has '{row.cells[place]}' here and '{first}' before."
            )
    return first


def _with_kind(lines: Iterator[str]) -> tuple[Iterator[str], str]:
    """The lines, and whether they are parted by tabs or otherwise."""
    held = list(itertools.islice(lines, 1))
    return itertools.chain(held, lines), "tsv" if held and "\t" in held[0] else "csv"


def _numbers(value: Any, origin: Origin) -> Signal:
    try:
        signal = np.array(value, np.float64)
    except (TypeError, ValueError):
        signal = np.zeros(())
    if signal.ndim not in (1, 2) or not signal.size:
        raise DataError(f"{origin}: expected a list of numbers, or of lists with a number a channel.")
    with np.errstate(over="ignore"):
        found = signal.reshape(len(signal), -1).astype(np.float32)
    if np.isinf(found).any():
        raise DataError(f"{origin}: a value is infinite or too large.")
    return found


def _cell(record: Record, column: str, origin: Origin) -> Any:
    if column not in record.cells:
        raise DataError(f"{origin}: there is no '{column}'.")
    return record.cells[column]


def _column(
    columns: Sequence[str], asked: str | None, usual: Sequence[str], name: str, option: str, taken: int | None = None
) -> int | None:
    """Where the column stands that was asked for, or else the first with a usual name."""
    if asked == "none":
        return None
    if asked is not None:
        return column_index(columns, asked, name, option)
    folded = [column.casefold() for column in columns]
    return next((folded.index(word) for word in usual if word in folded and folded.index(word) != taken), None)


def _few(columns: Sequence[str]) -> str:
    return ", ".join(columns[:6])
