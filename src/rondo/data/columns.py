"""Which columns of a table are text, class and group, and what stands in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rondo.data.labelled import Label, Origin, Row, is_missing
from rondo.data.tables import Record, column_index, has_column, is_number
from rondo.errors import DataError, UsageError, nearest

# fmt: off
TEXT_NAMES: tuple[str, ...] = (
    "text", "sentence", "review", "content", "comment", "document", "message", "body", "tweet", "question",
    "文本", "内容", "內容", "评论", "評論", "句子",
)
LABEL_NAMES: tuple[str, ...] = (
    "label", "labels", "class", "category", "categories", "target", "sentiment", "topic", "intent", "tag", "tags", "y",
    "标签", "標籤", "类别", "類別", "情感",
)
# fmt: on


@dataclass(frozen=True, kw_only=True)
class TextFormat:
    """How texts and their classes stand in a file. Mostly it is told by the file."""

    text_column: str | None = None
    """Column of the text: its name, or its number from 1. Left out: one with a usual name, such as text or review."""
    label_column: str | None = None
    """Column of the class, likewise; usual names are label, class, category, sentiment and the like."""
    group_column: str | None = None
    """Column that says what belongs together (an author, a document) and must not be parted. Left out: none."""
    label_separator: str | None = None
    """Texts can have several labels, parted by this in the column, for instance ;. (JSON lists need none.)"""
    format: Literal["auto", "csv", "tsv", "jsonl", "lines"] = "auto"
    """Kind of file: csv, tsv, jsonl, or lines (a text a line). auto goes by the name, else by the first line."""
    delimiter: str | None = None
    """What parts the columns of a CSV file. Left out: the most frequent of , ; | and tab in the first line."""
    header: Literal["auto", "yes", "no"] = "auto"
    """Whether the first line of a CSV or TSV file has the columns' names."""
    quotes: Literal["auto", "yes", "no"] = "auto"
    """Whether quotation marks enclose cells. auto: in CSV yes, in TSV if the beginning of the file looks like it."""
    encoding: str | None = None
    """Encoding of the files. Left out: detected."""

    def __post_init__(self) -> None:
        if self.label_separator == "":
            raise UsageError("--label-separator is empty; give what stands between the labels, for instance ;")
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise UsageError(f"--delimiter is one character, not '{self.delimiter}'")


def is_header(first: Sequence[str], options: TextFormat) -> bool:
    if options.header != "auto":
        return options.header == "yes"
    asked = [name for name in (options.text_column, options.label_column, options.group_column) if name]
    if any(not is_number(name) for name in asked):
        return True
    return any(cell.casefold() in TEXT_NAMES + LABEL_NAMES for cell in first)


Places = tuple[int, int | None, int | None]
"""Where text, label and group stand."""


def choose(
    columns: Sequence[str],
    options: TextFormat,
    name: str,
    labelled: bool | None,
    first: Sequence[str] | None = None,
) -> Places:
    """The columns to read. ``first`` are the cells of the first line, if the columns have no names."""

    def place(asked: str | None, usual: Sequence[str], option: str, taken: tuple[int | None, ...] = ()) -> int | None:
        if asked is not None:
            return column_index(columns, asked, name, option)
        folded = [column.casefold() for column in columns]
        return next((folded.index(n) for n in usual if n in folded and folded.index(n) not in taken), None)

    def unnamed(what: str, option: str, taken: tuple[int | None, ...] = ()) -> DataError:
        if first is not None:
            cells = ", ".join(f"{n} '{cell[:30]}'" for n, cell in enumerate(first[:6], 1))
            return DataError(
                f"{name} has no header that says which column is the {what}. Name its number, --{option} N; the first "
                f"line has: {cells}."
            )
        others = [column for index, column in enumerate(columns) if index not in taken]
        return DataError(f"{name}: which column is the {what}? Name it, --{option} NAME{nearest(what, others)}")

    label = None
    if labelled or (labelled is None and has_column(columns, options.label_column)):
        label = place(options.label_column, LABEL_NAMES, "label-column")
    text = place(options.text_column, TEXT_NAMES, "text-column", (label,))
    if text is None and len(columns) == 1 + (label is not None):
        text = next(index for index in range(len(columns)) if index != label)
    if text is None:
        raise unnamed("text", "text-column", (label,))
    if label is None and labelled:
        raise unnamed("label", "label-column", (text,))
    group = place(options.group_column, (), "group-column") if options.group_column and labelled is not False else None
    return text, label, group


def by_name(record: Record, columns: Sequence[str], places: Places, name: str) -> list[Any]:
    """The cells of a JSON object, in the order of the first one's names."""
    for place in places:
        if place is not None and columns[place] not in record.cells:
            close = nearest(columns[place], [str(key) for key in record.cells])
            raise DataError(f"{name}, {record.noun} {record.number}: there is no '{columns[place]}'{close}")
    return [record.cells.get(column) for column in columns]


def taker(
    places: Places, columns: Sequence[str], options: TextFormat, labelled: bool | None
) -> Callable[[Sequence[Any], Origin], Row]:
    """Makes a row of the cells that stand in ``places``."""
    text_at, label_at, group_at = places
    parse = LabelParser(options.label_separator)

    def take(cells: Sequence[Any], origin: Origin) -> Row:
        text = cells[text_at]
        if not isinstance(text, str):
            kind = "nothing" if is_missing(text) else f"{json.dumps(text, default=str)[:40]}"
            raise DataError(f"{origin}: the text (column '{columns[text_at]}') is {kind}; expected a text.")
        label = None if label_at is None else parse(cells[label_at], origin, columns[label_at], required=bool(labelled))
        group = None
        if group_at is not None:
            group = cells[group_at]
            if is_missing(group) or group == "":
                raise DataError(f"{origin}: there is no group in column '{columns[group_at]}'.")
        return Row(text, label, group, origin)

    return take


class LabelParser:
    """Cells as labels. The first one says whether cells without a separator are JSON lists."""

    def __init__(self, separator: str | None) -> None:
        self._separator = separator
        self._listed: bool | None = None

    def __call__(self, cell: Any, origin: Origin, column: str, *, required: bool) -> Label | None:
        if self._separator is not None and isinstance(cell, str):
            return _distinct(part.strip() for part in cell.split(self._separator))
        listed = cell if isinstance(cell, list | tuple) else _json_list(cell)
        if is_missing(cell) or cell == "":
            if required:
                raise DataError(f"{origin}: there is no label in column '{column}'.")
            return None
        if self._listed is None:
            self._listed = listed is not None
        if self._listed and listed is None:
            raise DataError(f"{origin}: expected a list of labels, as before, not '{cell}'.")
        if self._listed:
            return _distinct(_named(label, origin, column) for label in listed or ())
        return _named(cell, origin, column)


def _json_list(cell: Any) -> list[Any] | None:
    if isinstance(cell, str) and cell.startswith("[") and cell.endswith("]"):
        try:
            return list(json.loads(cell))
        except ValueError:
            return None
    return None


def _named(value: Any, origin: Origin, column: str) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool | int | float):
        return str(value)
    raise DataError(
        f"{origin}: the label (column '{column}') is {json.dumps(value, default=str)[:40]}; expected a name."
    )


def _distinct(labels: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(label for label in labels if label))
