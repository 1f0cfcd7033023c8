"""Signals with their classes, from every format, or from arrays in memory.

`iter_signals` goes through a text file of any size series by series; `read_signals` has all of them at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np

from rondo.data.arrays import class_names, named_array, parted, read_npz
from rondo.data.files import Paths, open_text
from rondo.data.labelled import Labelled, Origin, Row, as_list, class_files, from_python, visible_files
from rondo.data.series_files import Signal, iter_number_table, iter_ts, read_number_file, read_ts_header
from rondo.data.signal_tables import iter_json_signals, iter_step_table
from rondo.errors import DataError, UsageError

VALUES = ("x", "data", "values", "signals", "series", "images", "frames")
LABELS = ("y", "label", "labels", "class", "classes", "target", "targets")
LENGTHS = ("length", "lengths")


@dataclass(frozen=True, kw_only=True)
class SignalFormat:
    """How signals and their classes stand in a file. Mostly it is told by the file."""

    label_column: str | None = None
    """Class in a table of numbers: the column's name, its number from 1 or, from the end, -1; none if there is none.
    Left out: the first, as in the UCR archive. In .npz files, JSON, and tables with a row a step: the name of the array
    or column; left out: a usual one, such as y or label."""
    group_column: str | None = None
    """Column, or array of an .npz file, that says who or what a signal is from, which must not be parted."""
    series_column: str | None = None
    """Column that says which signal a row is a step of, in a table with a row a step; all columns without another role
    are then channels. Left out: each row is a signal."""
    time_column: str | None = None
    """Column of the time in such a table, which is no channel."""
    values: str | None = None
    """Array of an .npz file, or name in JSON, that holds the values. Left out: a usual one, such as x or values."""
    lengths: str | None = None
    """Array of an .npz file with the lengths of signals that stand one after another. Left out: length, if there."""
    format: Literal["auto", "ts", "table", "jsonl", "npz"] = "auto"
    """Kind of file: sktime's ts, a table of numbers with a signal a line, JSON lines, or npz. auto goes by name and
    content."""
    encoding: str | None = None
    """Encoding of text files. Left out: detected."""


def read_signals(paths: Paths, options: SignalFormat | None = None, *, labelled: bool = True) -> Labelled:
    """All signals of files, or of a folder with one folder for each class; ``labelled``: there must be classes."""
    files = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    if not files:
        raise UsageError("no files to read signals from.")
    options = options or SignalFormat()
    whole = Labelled.joined([_read(file, options, labelled) for file in files])
    if labelled and whole.labels is None:
        raise DataError(f"{files[0]} has no classes; training and evaluation need them.")
    _like_the_first(((item, whole.where(place)) for place, item in enumerate(whole.items)), None)
    return whole


def iter_signals(source: str | Path | TextIO, options: SignalFormat | None = None) -> Iterator[Row]:
    """The signals of a file, a folder or an open text, one by one, with classes where the file has them."""
    options = options or SignalFormat()
    if not isinstance(source, str | Path):
        name = getattr(source, "name", None)
        yield from _text_rows(iter(source), name if isinstance(name, str) else "the input", options)[1]
        return
    path = Path(source)
    if path.is_dir() or _kind(path, options) == "npz":
        data = _read(path, options, labelled=False)
        for place, item in enumerate(data.items):
            label = data.labels[place] if data.labels is not None else None
            yield Row(item, label, data.groups[place] if data.groups is not None else None, data.origins[place])
        return
    with open_text(path, encoding=options.encoding) as lines:
        yield from _text_rows(iter(lines), str(path), options)[1]


def as_signals(items: Any, labels: Any = None, groups: Any = None) -> Labelled:
    """Signals that are in memory.

    An array (N, T) or (N, T, channels), a list of arrays (T,) or (T, channels) of any lengths, or a data frame
    with a signal a row.
    """
    if hasattr(items, "columns") and hasattr(items, "to_numpy"):
        items = items.to_numpy()
    found = [_as_signal(item, f"item {number}") for number, item in enumerate(items, 1)]
    _like_the_first(((item, f"item {number}") for number, item in enumerate(found, 1)), None)
    return from_python(found, labels, groups)


def fill_missing(signal: Signal) -> Signal:
    """The signal with straight lines where values are missing; a channel without any value is zero."""
    absent = np.isnan(signal)
    if not absent.any():
        return signal
    filled, steps = signal.copy(), np.arange(len(signal))
    for channel, holes in zip(filled.T, absent.T, strict=True):
        known = steps[~holes]
        channel[holes] = np.interp(steps[holes], known, channel[~holes]) if len(known) else 0.0
    return filled


def _read(path: Path, options: SignalFormat, labelled: bool) -> Labelled:
    if path.is_dir():
        return Labelled.collect(_folder(path, options, labelled))
    if _kind(path, options) == "npz":
        return _from_npz(path, options)
    with open_text(path, encoding=options.encoding) as lines:
        classes, rows = _text_rows(iter(lines), str(path), options)
        return Labelled.collect(rows, declared=lambda: classes)


def _kind(path: Path, options: SignalFormat) -> str | None:
    if options.format != "auto":
        return options.format
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return next((suffix[1:] for suffix in reversed(suffixes) if suffix in (".npz", ".ts")), None)


def _text_rows(lines: Iterator[str], name: str, options: SignalFormat) -> tuple[tuple[str, ...], Iterator[Row]]:
    """The classes that the text lists, and its series."""
    held = []
    for line in lines:
        held.append(line)
        if line.strip():
            break
    start = held[-1].lstrip()[:1] if held else ""

    def whole() -> Iterator[str]:
        yield from held
        yield from lines

    restored = whole()
    if options.format == "ts" or (options.format == "auto" and start in ("@", "#")):
        header = read_ts_header(restored, name)
        return header.classes, iter_ts(restored, name, header)
    if options.format == "jsonl" or (options.format == "auto" and start in ("{", "[")):
        return (), iter_json_signals(
            restored, name, values=options.values, usual=VALUES, label_column=options.label_column,
            group_column=options.group_column,
        )  # fmt: skip
    if options.series_column is not None:
        return (), iter_step_table(
            restored, name, series_column=options.series_column, time_column=options.time_column,
            label_column=options.label_column, group_column=options.group_column,
        )  # fmt: skip
    if options.time_column is not None:
        raise UsageError("--time-column is for tables with a row a step, whose signals --series-column names")
    label = {None: "1", "none": None}.get(options.label_column, options.label_column)
    return (), iter_number_table(restored, name, label_column=label, group_column=options.group_column)


def _folder(folder: Path, options: SignalFormat, labelled: bool) -> Iterator[Row]:
    if labelled:
        files: list[tuple[Path, str | None]] = list(class_files(folder))
    else:
        files = [(file, None) for file in visible_files(folder)]
    for file, label in files:
        with open_text(file, encoding=options.encoding) as lines:
            yield Row(read_number_file(iter(lines), str(file)), label, None, Origin(str(file)))


def _from_npz(path: Path, options: SignalFormat) -> Labelled:
    arrays, name = read_npz(path), str(path)
    label = None if options.label_column == "none" else named_array(arrays, options.label_column, LABELS)
    group = named_array(arrays, options.group_column, ())
    values = _required(arrays, options, name)
    lengths = named_array(arrays, options.lengths, LENGTHS)
    series = list(values) if lengths is None else parted(values, lengths, name)
    for what, array in (("labels", label), ("groups", group)):
        if array is not None and array.shape != (len(series),):
            raise DataError(f"{name} has {len(series)} signals and an array of {array.shape} {what}.")
    return Labelled(
        [_as_signal(item, f"{name}, signal {number}") for number, item in enumerate(series, 1)],
        None if label is None else class_names(label.tolist()),
        None if group is None else group.tolist(),
        [Origin(name, number, "signal") for number in range(1, len(series) + 1)],
    )


def _required(arrays: Any, options: SignalFormat, name: str) -> Any:
    found = named_array(arrays, options.values, VALUES)
    if found is None:
        raise DataError(f"{name} has the arrays {', '.join(arrays)}; name the one that holds the values (--values).")
    return found


def _as_signal(item: Any, where: str) -> Signal:
    """(T,) or (T, channels) or (T, ...), whose further axes become channels, as float32."""
    try:
        values = np.asarray(as_list(item) if hasattr(item, "to_list") else item)
        with np.errstate(over="ignore"):
            signal = values.astype(np.float32)
    except (TypeError, ValueError):
        raise DataError(f"{where} is no signal: expected numbers, (T,) or (T, channels).") from None
    if signal.ndim == 0 or not signal.size:
        raise DataError(f"{where} has no steps; a signal is (T,) or (T, channels).")
    if np.isinf(signal).any():
        raise DataError(f"{where} has infinite values.")
    return np.ascontiguousarray(signal.reshape(len(signal), -1))


def _like_the_first(signals: Iterator[tuple[Signal, str]], channels: int | None) -> None:
    for signal, where in signals:
        channels = channels or signal.shape[1]
        if signal.shape[1] != channels:
            raise DataError(f"{where}: {signal.shape[1]} channels, where the first signal has {channels}.")
