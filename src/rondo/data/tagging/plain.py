"""Whether a file that is to be tagged has columns, or is plain text: a sentence a line."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from rondo.data.labelled import Origin
from rondo.data.tables import is_number
from rondo.data.tagging.conll import CELL, DOCUMENT, is_header, is_sure
from rondo.data.tagging.options import TokenFormat
from rondo.errors import DataError

LONG = 5
"""A token of a single character is mostly one; a number or a name among them seldom has so many."""
PLACEHOLDERS = frozenset(("_", "-", "*", "?"))
"""What stands in a column of tags that are not known."""


@dataclass(frozen=True)
class Expected:
    """What a tagger knows, by which text is told from columns."""

    characters: bool
    """Whether its tokens are single characters."""
    is_tag: Callable[[str], bool]
    """Whether a word is one of its tags, or one like them."""
    lines: int = 2
    """How many lines may be looked at before the first sentence is answered."""


def text_or_columns(
    lines: Iterator[str], name: str, options: TokenFormat, expected: Expected
) -> tuple[Literal["lines", "columns"], Iterator[str]]:
    """What the first lines look like, and all lines with those put back; an error where that cannot be told.

    Columns are parted by tabs, or have a header, documents, a tag at the end, or but one token a line. Empty lines
    alone are lines.
    """
    held, known = list[str](), list[tuple[int, str]]()
    documents = False
    for number, line in enumerate(lines, 1):
        held.append(line)
        text = line.rstrip("\r\n")
        documents = documents or text.startswith(DOCUMENT)
        if is_sure(text, options):
            known.append((number, text))
        if documents or len(known) == expected.lines:
            break
    if documents or not known:
        kind: Literal["lines", "columns"] = "columns" if any(line.strip() for line in held) else "lines"
    else:
        kind = _kind(known, name, options, expected)
    return kind, itertools.chain(held, lines)


def _kind(
    known: list[tuple[int, str]], name: str, options: TokenFormat, expected: Expected
) -> Literal["lines", "columns"]:
    number, line = known[0]
    rows = [CELL.findall(text) for _, text in known]
    first = rows[0]
    if "\t" in line or options.separator == "tab" or is_header(first, options):
        return "columns"
    if len(first) == 1:
        single = [row[0] for row in rows if len(row) == 1]
        return "lines" if expected.characters and _is_text(single) else "columns"
    place = int(options.tag_column) if options.tag_column is not None and is_number(options.tag_column) else -1
    if abs(place) > len(first):
        return "columns"
    tag = first[place - 1 if place > 0 else place]
    if tag in PLACEHOLDERS or expected.is_tag(tag):
        return "columns"
    if len(rows) > 1 and len(rows[1]) == len(first):
        raise DataError(
            f"{Origin(name, number)}: '{tag}' is no tag of this tagger, so this may be text, a sentence a line "
            "(--format lines), or columns without tags (--format columns writes tags over the last one, with --append "
            "beside it); say which"
        )
    return "lines"


def _is_text(cells: list[str]) -> bool:
    """Whether lines without blanks are sentences rather than tokens of one character."""
    return any(len(cell) >= LONG for cell in cells) or all(len(cell) > 1 for cell in cells)
