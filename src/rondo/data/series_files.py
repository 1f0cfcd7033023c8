"""Signals in text files: sktime's ``.ts``, tables of numbers such as the UCR archive's, one table a signal.

A signal is an array (T, channels) of float32; a value that is missing is not a number.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rondo.data.columns import LABEL_NAMES
from rondo.data.labelled import Origin, Row
from rondo.data.tables import column_index, is_number
from rondo.errors import DataError, nearest

Signal = npt.NDArray[np.float32]

MISSING = ("", "?", "nan", "na")

# fmt: off
TAGS = (
    "problemname", "timestamps", "missing", "univariate", "dimensions", "dimension", "equallength", "serieslength",
    "classlabel", "targetlabel", "data",
)
# fmt: on


@dataclass
class TsHeader:
    """What the lines before ``@data`` say."""

    tags: dict[str, list[str]] = field(default_factory=dict)
    lines: int = 0
    """How many lines it has, ``@data`` included."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that are listed; none if the file has none."""
        words = self.tags.get("classlabel", [])
        return tuple(words[1:]) if words and words[0].lower() == "true" else ()

    def says(self, tag: str) -> bool:
        """Whether a tag is there and true."""
        return self.tags.get(tag, ["false"])[0].lower() == "true"


def read_ts_header(lines: Iterator[str], name: str) -> TsHeader:
    """The header of a ``.ts`` file; ``lines`` then stand behind ``@data``."""
    header = TsHeader()
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if not text.startswith("@"):
            raise DataError(f"{name}, line {number}: this is no .ts file, whose header ends with a line '@data'.")
        words = text[1:].split() or [""]
        tag = words[0].lower()
        if tag == "data":
            header.lines = number
            return header
        if tag not in TAGS:
            raise DataError(f"{name}, line {number}: there is no tag '@{words[0]}' in .ts files{nearest(tag, TAGS)}")
        header.tags[tag] = words[1:] or [""]
        if tag == "timestamps" and header.says(tag):
            raise DataError(f"{name}, line {number}: series with time stamps are not read; give evenly spaced values.")
        if tag == "targetlabel" and header.says(tag):
            raise DataError(f"{name}, line {number}: the targets are numbers (@targetLabel), not classes.")
    raise DataError(f"{name}: there is no line '@data', so the file has no series.")


def iter_ts(lines: Iterator[str], name: str, header: TsHeader) -> Iterator[Row]:
    """The series of a ``.ts`` file: channels parted by colons, values by commas, the class last."""
    classes, listed = header.classes, set(header.classes)
    channels = _whole(header, "dimensions", name) or (1 if header.says("univariate") else None)
    length = _whole(header, "serieslength", name) if header.says("equallength") else None
    for number, line in enumerate(lines, header.lines + 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        origin = Origin(name, number)
        parts = text.split(":")
        label = parts.pop().strip() if classes else None
        if classes and label not in listed:
            raise DataError(f"{origin}: the class '{label}' is not in @classLabel{nearest(label or '', classes)}")
        channels = channels or len(parts)
        if len(parts) != channels:
            raise DataError(f"{origin}: {_count(len(parts), 'channel')}; expected {channels}.")
        rows = [
            parse_numbers(part.split(","), f"{origin}, channel {channel}, value")
            for channel, part in enumerate(parts, 1)
        ]
        lengths = [len(row) for row in rows]
        if len(set(lengths)) > 1:
            raise DataError(f"{origin}: its channels have different lengths, from {min(lengths)} to {max(lengths)}.")
        if length is not None and lengths[0] != length:
            raise DataError(f"{origin}: {_count(lengths[0], 'value')} a channel; @seriesLength says {length}.")
        yield Row(np.stack(rows, axis=1), label, None, origin)


def iter_number_table(
    lines: Iterator[str], name: str, *, label_column: str | None, group_column: str | None
) -> Iterator[Row]:
    """One series a line, as in the UCR archive (Dau et al. 2019): tabs, commas, semicolons or blanks between values.

    ``label_column`` is a name or a number, from the end if negative, or None if there are no classes. Lines may
    differ in length if there is no header; missing values at the end of one are the archive's way of writing a
    shorter series. The first line is a header if it has other cells than numbers beside the class.
    """
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    first = next(numbered, None)
    if first is None:
        raise DataError(f"{name} has no series: all of its lines are empty.")
    mark = next((mark for mark in "\t,;" if mark in first[1]), None)
    names = _cells(first[1], mark)
    header = _is_header(names, label_column, group_column)

    def place(asked: str | None, width: int, option: str) -> int | None:
        columns = names if header else [str(number) for number in range(1, width + 1)]
        return None if asked is None else column_index(columns, asked, name, option)

    for number, line in numbered if header else itertools.chain([first], numbered):
        cells, origin = _cells(line, mark), Origin(name, number)
        if header and len(cells) != len(names):
            raise DataError(f"{origin}: {_count(len(cells), 'cell')}, where the header has {len(names)}.")
        label_at = place(label_column, len(cells), "label-column")
        group_at = place(group_column, len(cells), "group-column")
        kept = [index for index in range(len(cells)) if index not in (label_at, group_at)]
        values = parse_numbers([cells[index] for index in kept], f"{origin}, column", [index + 1 for index in kept])
        there = np.flatnonzero(~np.isnan(values))
        if not len(there):
            raise DataError(f"{origin}: this series has no values.")
        label = None if label_at is None else class_name(cells[label_at])
        if label is not None and label.lower() in MISSING:
            raise DataError(f"{origin}, column {(label_at or 0) + 1}: there is no class.")
        group = None if group_at is None else cells[group_at]
        yield Row(values[: there[-1] + 1, None], label, group, origin)


def read_number_file(lines: Iterator[str], name: str) -> Signal:
    """One signal: a line a step, a column a channel, with or without a header."""
    rows: list[Signal] = []
    mark: str | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if not rows:
            mark = next((mark for mark in "\t,;" if mark in line), None)
        cells = _cells(line, mark)
        if number == 1 and not any(_is_value(cell) for cell in cells):
            continue
        origin = Origin(name, number)
        rows.append(parse_numbers(cells, f"{origin}, column"))
        if len(rows[-1]) != len(rows[0]):
            raise DataError(f"{origin}: {_count(len(cells), 'value')}, where the first step has {len(rows[0])}.")
    if not rows:
        raise DataError(f"{name} has no values.")
    return np.stack(rows)


def parse_numbers(cells: Sequence[str], where: str, numbers: Sequence[int] | None = None) -> Signal:
    """Numbers from their texts, those missing as not a number.

    ``where`` begins a message about one; its number follows, from ``numbers`` or counted from 1.
    """

    def at(place: int) -> str:
        return f"{where} {numbers[place] if numbers is not None else place + 1}"

    found = []
    for place, cell in enumerate(cells):
        try:
            found.append(float(cell))
        except ValueError:
            if cell.strip().lower() not in MISSING:
                raise DataError(f"{at(place)}: '{cell.strip()[:30]}' is no number.") from None
            found.append(math.nan)
    with np.errstate(over="ignore"):
        values = np.array(found, np.float64).astype(np.float32)
    if np.isinf(values).any():
        place = int(np.flatnonzero(np.isinf(values))[0])
        raise DataError(f"{at(place)}: '{cells[place].strip()[:30]}' is too large a number.")
    return values


def class_name(text: Any) -> str:
    """A class as it is written; ``1.0`` and ``1.0000e+00`` are the class 1, 0010 is another than 10."""
    name = str(text).strip()
    if name.isdecimal():
        return name
    try:
        value = float(name)
    except ValueError:
        return name
    return str(int(value)) if value.is_integer() else name


def _cells(line: str, mark: str | None) -> list[str]:
    return [cell.strip() for cell in line.rstrip("\n").split(mark)] if mark else line.split()


def _is_header(names: Sequence[str], label_column: str | None, group_column: str | None) -> bool:
    asked = [column for column in (label_column, group_column) if column is not None]
    if not all(is_number(column) for column in asked):
        return True
    beside = {int(column) - 1 if int(column) > 0 else len(names) + int(column) for column in asked}
    if any(names[place].casefold() in LABEL_NAMES for place in beside if 0 <= place < len(names)):
        return True  # the others may be numbers: those of the steps
    return not all(_is_value(cell) for place, cell in enumerate(names) if place not in beside)


def _is_value(text: str) -> bool:
    if text.strip().lower() in MISSING:
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True


def _whole(header: TsHeader, tag: str, name: str) -> int | None:
    if tag not in header.tags:
        return None
    text = header.tags[tag][0]
    if not text.isdecimal() or int(text) < 1:
        raise DataError(f"{name}: '@{tag} {text}' in the header is no number of at least 1.")
    return int(text)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
