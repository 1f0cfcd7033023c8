"""Texts with their classes, from tables, folders, files of lines, data frames, or any open text.

`iter_texts` goes through a file of any size row by row, as prediction needs it; `read_texts` has all of
several files at once, as training needs them.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from rondo.data.columns import LabelParser, TextFormat, by_name, choose, is_header, taker
from rondo.data.files import open_text
from rondo.data.labelled import Labelled, Origin, Row, as_list, class_files, from_python, is_missing, visible_files
from rondo.data.tables import open_table, sniff
from rondo.errors import DataError, UsageError

SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}
PACKED = (".gz", ".xz", ".bz2", ".zip")


def read_texts(
    paths: Any,
    options: TextFormat | None = None,
    *,
    label_file: str | Path | None = None,
    labelled: bool | None = True,
) -> Labelled:
    """All texts of files, of a folder of classes, or of a data frame, with their classes.

    ``paths`` is a path, several of them, or a data frame of pandas or polars. ``items`` of what is returned are
    the texts, ``labels`` their classes, ``groups`` what says which belong together, where ``options`` name that.
    ``label_file`` has the classes of a file of lines, one a line. ``labelled`` says whether classes must be
    there; None means if they are there, and False that they are not looked at.
    """
    options = options or TextFormat()
    if getattr(paths, "columns", None) is not None:
        return texts_from_frame(paths, options, labelled=labelled)
    files = [Path(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
    if not files:
        raise UsageError("no files to read texts from.")
    if label_file is not None:
        return _with_label_file(files, Path(label_file), options)
    return Labelled.joined([Labelled.collect(iter_texts(file, options, labelled=labelled)) for file in files])


def iter_texts(
    source: str | Path | TextIO, options: TextFormat | None = None, *, labelled: bool | None = True
) -> Iterator[Row]:
    """The texts of a file, a folder of classes or an open text, one by one; ``labelled`` is as in `read_texts`."""
    options = options or TextFormat()
    if isinstance(source, str | Path):
        if Path(source).is_dir():
            yield from _folder(Path(source), options, labelled)
            return
        with open_text(source, encoding=options.encoding) as lines:
            yield from _rows(iter(lines), str(source), _kind_by_name(Path(source)), options, labelled)
    else:
        name = getattr(source, "name", None)
        yield from _rows(iter(source), name if isinstance(name, str) else "the input", None, options, labelled)


def texts_from_frame(frame: Any, options: TextFormat | None = None, *, labelled: bool | None = True) -> Labelled:
    """The texts of a data frame of pandas or polars; columns are chosen as in a file."""
    options = options or TextFormat()
    columns = [str(name) for name in frame.columns]
    chosen = choose(columns, options, "the data frame", labelled)
    values = {place: as_list(frame[frame.columns[place]]) for place in chosen if place is not None}
    take = taker(chosen, columns, options, labelled)
    count = len(values[chosen[0]])
    return Labelled.collect(
        take([values[place][row] if place in values else None for place in range(len(columns))],
             Origin("", row + 1, "row"))
        for row in range(count)
    )  # fmt: skip


def as_texts(items: Any, labels: Any = None, groups: Any = None) -> Labelled:
    """Texts that are in memory: a list, an array or a column of a data frame."""
    if isinstance(items, str | bytes):
        raise UsageError(
            "texts come as a list of them, not as a single one: put it into [ ]. A file or a folder is a pathlib.Path."
        )
    texts = as_list(items)
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str):
            kind = "missing" if is_missing(text) else f"no text but of type {type(text).__name__}"
            raise DataError(f"item {number} is {kind}; texts are strings.")
    return from_python(texts, labels, groups)


def _kind_by_name(path: Path) -> str | None:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in PACKED]
    return SUFFIXES.get(suffixes[-1]) if suffixes else None


def _rows(
    lines: Iterator[str], name: str, kind: str | None, options: TextFormat, labelled: bool | None
) -> Iterator[Row]:
    chosen = kind if options.format == "auto" else options.format
    sniffed = chosen is None
    if chosen is None:
        chosen, lines = sniff(lines)
        if chosen == "tsv" and not labelled:
            chosen = "lines"  # a tab within a text is nothing unusual
    if chosen == "lines":
        if labelled:
            raise DataError(
                f"{name} has a text a line and no classes. Give a table (CSV, TSV or JSON lines) or a folder with one "
                "folder for each class, or name the file of the classes (--labels)."
            )
        yield from (Row(text, None, None, Origin(name, n)) for n, text in enumerate(_without_ends(lines), 1))
        return
    quotes = None if options.quotes == "auto" else options.quotes == "yes"
    table = open_table(lines, name, chosen, delimiter=options.delimiter, quotes=quotes)
    columns = [str(cell).strip() for cell in table.first]
    header = table.named or is_header(columns, options)
    if not header:
        columns = [str(place) for place in range(1, len(columns) + 1)]
    places = choose(columns, options, name, labelled, first=None if header else table.first)
    take = taker(places, columns, options, labelled)
    found = False
    for record in itertools.islice(table.records, 1 if header and not table.named else 0, None):
        found = True
        try:
            cells = by_name(record, columns, places, name) if table.named else record.cells
            row = take(cells, Origin(name, record.number, record.noun))
        except DataError as error:
            if not (sniffed and table.named):
                raise
            raise DataError(f"{error} (It is taken for JSON lines; --format lines if it has a text a line.)") from None
        yield row
    if not found:
        raise DataError(f"{name} has a header and no rows below it.")


def _without_ends(lines: Iterable[str]) -> Iterator[str]:
    return (line.removesuffix("\n") for line in lines)


def _with_label_file(files: list[Path], label_file: Path, options: TextFormat) -> Labelled:
    if options.label_column is not None:
        raise UsageError("--labels and --label-column both say where the classes are: give one of them")
    texts = Labelled.joined([Labelled.collect(iter_texts(file, options, labelled=None)) for file in files])
    if texts.labels is not None:
        raise UsageError(f"{', '.join(map(str, files))} has classes of its own: --labels would be others")
    if options.group_column is not None and texts.groups is None:
        raise UsageError("--group-column names a column, and the texts stand one a line, without columns")
    with open_text(label_file, encoding=options.encoding) as lines:
        labels = [line.strip() for line in _without_ends(lines)]
    if len(labels) != len(texts):
        raise DataError(
            f"{label_file} has {len(labels)} labels, {', '.join(map(str, files))} {len(texts)} texts; "
            "the two go line by line."
        )
    parse = LabelParser(options.label_separator)
    origins = [Origin(str(label_file), number) for number in range(1, len(labels) + 1)]
    return Labelled(
        texts.items,
        [parse(label, origin, "of the classes", required=True) for label, origin in zip(labels, origins, strict=True)],
        texts.groups,
        texts.origins,
    )


def _folder(folder: Path, options: TextFormat, labelled: bool | None) -> Iterator[Row]:
    files: Iterable[tuple[Path, str | None]]
    files = class_files(folder) if labelled else [(file, None) for file in visible_files(folder)]
    for file, label in files:
        with open_text(file, encoding=options.encoding) as text:
            yield Row(text.read(), label, None, Origin(str(file)))
