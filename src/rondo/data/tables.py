"""Tables with named columns as rows: CSV, TSV and JSON lines, read as they come.

Quotes and line ends inside of them are read as RFC 4180 has them. Tab-separated files come in two kinds:
spreadsheets quote, corpora print a quotation mark as it is. Unless told, quotes count in a TSV file only if
its beginning has cells in quotes and can be read so.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from rondo.errors import DataError, nearest

SAMPLE = 1 << 16
DELIMITERS = ",;\t|"


class Record(NamedTuple):
    """One row of a table."""

    cells: Any
    """By position (a list), or by name (what a line of JSON holds)."""
    number: int
    """The line on which it begins, or its number in a list, from 1."""
    noun: str = "line"


class Table(NamedTuple):
    """A table that is read as it is gone through."""

    first: Sequence[str]
    """The cells of the first line, which may be a header; of JSON, the names in the first record."""
    records: Iterator[Record]
    """Of cells by position: all lines, the first included."""
    named: bool
    """Whether each record has its names with it."""


def open_table(lines: Iterable[str], name: str, kind: str, *, delimiter: str | None, quotes: bool | None) -> Table:
    """The table in ``lines``; ``kind`` is csv, tsv or jsonl, and ``name`` is for the messages."""
    if kind == "jsonl":
        return _json_table(lines, name)
    rest = iter(lines)
    held = list(_sample(rest))
    mark = delimiter or ("\t" if kind == "tsv" else _most_frequent(held))
    quoted = quotes if quotes is not None else kind == "csv" or _spreadsheet(held, mark)
    records = _records(itertools.chain(held, rest), name, mark, quoted)
    first = next(records, None)
    if first is None:
        raise DataError(f"{name} has no rows: all of its lines are empty.")
    return Table(first.cells, _even(itertools.chain([first], records), name, mark, quoted), named=False)


def sniff(lines: Iterator[str]) -> tuple[str, Iterator[str]]:
    """What the first line that is not blank looks like (jsonl, tsv or lines), and the lines with it put back."""
    held = []
    kind = "lines"
    for line in lines:
        held.append(line)
        if line.strip():
            kind = "jsonl" if line.lstrip()[0] in "{[" and _is_json_start(line) else "tsv" if "\t" in line else "lines"
            break
    return kind, itertools.chain(held, lines)


def column_index(columns: Sequence[str], asked: str, name: str, option: str) -> int:
    """Where a column stands that was asked for by its name or by its number from 1 (from the end if negative)."""
    if is_number(asked):
        number = int(asked)
        if 1 <= abs(number) <= len(columns):
            return number - 1 if number > 0 else len(columns) + number
        raise DataError(f"{name} has {_count(len(columns), 'column')}; --{option} {asked} is not one of them.")
    if asked in columns:
        return columns.index(asked)
    if columns and all(_is_figure(column) for column in columns):
        raise DataError(
            f"{name} has no header, and so no column '{asked}' (--{option}): say its number, from 1 to {len(columns)}."
        )
    raise DataError(f"{name} has no column '{asked}' (--{option}){nearest(asked, columns)}")


def has_column(columns: Sequence[str], asked: str | None) -> bool:
    """Whether a column is there, or none was asked for."""
    return asked is None or (1 <= abs(int(asked)) <= len(columns) if is_number(asked) else asked in columns)


def _sample(lines: Iterator[str]) -> Iterator[str]:
    size = 0
    for line in lines:
        yield line
        size += len(line)
        if size >= SAMPLE:
            return


def _most_frequent(held: Sequence[str]) -> str:
    """The delimiter of a CSV file: what stands most often in its first line outside of quotes."""
    first = next((line for line in held if line.strip()), "")
    outside = "".join(first.split('"')[::2])
    return max(DELIMITERS, key=outside.count)


def _spreadsheet(held: Sequence[str], mark: str) -> bool:
    """Whether lines of tab-separated text have cells in quotes, as spreadsheets write them."""
    if not any(cell.startswith('"') for line in held for cell in line.split(mark)):
        return False
    widths = set[int]()
    try:
        for cells in csv.reader(held, delimiter=mark, strict=True):
            widths.add(len(cells))
    except csv.Error as error:
        if "unexpected end" not in str(error):  # the sample may end within a cell
            return False
    return len(widths - {0}) == 1


def _records(lines: Iterable[str], name: str, mark: str, quoted: bool) -> Iterator[Record]:
    csv.field_size_limit(1 << 30)  # the module's own limit, 128 KiB, is less than a long document
    if quoted:
        reader = csv.reader(lines, delimiter=mark, strict=True)
    else:
        reader = csv.reader(lines, delimiter=mark, quoting=csv.QUOTE_NONE)
    start = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _malformed(name, start, reader.line_num, error) from None
        if cells and not (len(cells) == 1 and not cells[0].strip()):
            yield Record(cells, start)
        start = reader.line_num + 1


def _malformed(name: str, start: int, end: int, error: csv.Error) -> DataError:
    if "unexpected end" in str(error):
        return DataError(f"{name}, line {start}: a quotation mark opens a cell here that nothing closes.")
    return DataError(
        f"{name}, line {end}: a quotation mark inside of a cell ({error}). Marks within quotes are written twice; "
        "where they are just text, say --quotes no."
    )


def _even(records: Iterator[Record], name: str, mark: str, quoted: bool) -> Iterator[Record]:
    width = None
    for record in records:
        width = width or len(record.cells)
        if len(record.cells) != width:
            advice = f"A '{mark}' within a text needs quotes around the cell." if quoted and mark != "\t" else ""
            has = _count(len(record.cells), "cell")
            raise DataError(f"{name}, line {record.number}: {has}, where the first line has {width}. {advice}".rstrip())
        yield record


def _json_table(lines: Iterable[str], name: str) -> Table:
    records = _json_records(iter(lines), name)
    first = next(records, None)
    if first is None:
        raise DataError(f"{name} has no records.")
    return Table(list(first.cells), itertools.chain([first], records), named=True)


def _json_records(lines: Iterator[str], name: str) -> Iterator[Record]:
    """JSON lines; or one list of objects, which is read as a whole."""
    number = 0
    for line in lines:
        number += 1
        if not line.strip():
            continue
        if line.lstrip().startswith("["):
            listed = _parsed(line + "".join(lines), f"{name}")
            for place, cells in enumerate(listed, 1):
                yield Record(_checked(cells, f"{name}, record {place}"), place, "record")
            return
        where = f"{name}, line {number}"
        yield Record(_checked(_parsed(line, where), where), number)


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise DataError(f"{where}: this is not JSON ({error}).") from None
    except RecursionError:
        raise DataError(f"{where}: JSON nested too deeply.") from None


def _checked(cells: Any, where: str) -> dict[str, Any]:
    if not isinstance(cells, dict) or not cells:
        raise DataError(f'{where}: expected an object with named values, such as {{"text": ..., "label": ...}}.')
    return cells


def _is_json_start(line: str) -> bool:
    start = line.strip()
    if start.startswith("["):
        return start[1:].lstrip()[:1] in ("", "{")
    try:
        return isinstance(json.loads(start), dict)
    except ValueError:
        return False


def is_number(text: str) -> bool:
    """Whether this is the number of a column."""
    return text.removeprefix("-").isdecimal()


def _is_figure(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
