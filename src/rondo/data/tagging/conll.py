"""Columns: a token a line with its tags beside it, a blank line between sentences, as the CoNLL shared tasks have it.

``-DOCSTART-`` as a token says that a document begins; its line is kept for writing, and is no sentence. Everything
else that is not a token (blank lines, comments, a header) comes as `Verbatim`, so that what is read can be written
back with other tags and is otherwise the same, character by character.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rondo.data.labelled import Origin
from rondo.data.tables import column_index, is_number
from rondo.data.tagging.options import TAG_NAMES, TOKEN_NAMES, TokenFormat
from rondo.data.tagging.sentences import Sentence, Verbatim
from rondo.errors import DataError

DOCUMENT = "-DOCSTART-"
CELL = re.compile(r"[^ \t]+")
"""A column of a line without tabs."""
_NAMES = "# global.columns ="


class Rows(NamedTuple):
    """What a sentence from columns is written back with."""

    lines: tuple[tuple[str, bool], ...]
    """As they stand in the file, without line ends, and whether each is a token or a comment among them."""
    table: Layout


@dataclass(frozen=True)
class Layout:
    """What the beginning of a file says about all of its lines."""

    tabs: bool
    width: int
    """How many columns there are."""
    token: int
    tag: int | None
    """Where the tags stand, from 0; None if there are none."""
    group: int | None = None
    """Where it stands what a sentence belongs to; None if that is its document."""

    def cells(self, line: str) -> list[str]:
        # Not line.split(): an ideographic blank is a token in Chinese data.
        return line.split("\t") if self.tabs else CELL.findall(line)

    def retagged(self, line: str, tag: str, *, append: bool) -> str:
        """A line with another tag in its place, or with it as one more column."""
        if append or self.tag is None:
            return f"{line}\t{tag}" if self.tabs else f"{line.rstrip(' ')} {tag}"
        if self.tabs:
            cells = line.split("\t")
            cells[self.tag] = tag
            return "\t".join(cells)
        place = next(itertools.islice(CELL.finditer(line), self.tag, None))
        return line[: place.start()] + tag + line[place.end() :]


def read_columns(
    lines: Iterable[str],
    name: str,
    options: TokenFormat,
    *,
    tagged: bool | None,
    keep: bool,
    group_column: str | None = None,
) -> Iterator[Sentence | Verbatim]:
    """The sentences of a file, with ``keep`` also what lies between them; ``name`` is for the messages.

    ``tagged`` says whether there must be tags; None means that the last of several columns has them.
    ``group_column`` says what a sentence belongs to, instead of its document.
    """
    numbered = enumerate((line.rstrip("\r\n") for line in lines), 1)
    held = list(_beginning(numbered, options))
    layout, header = _layout(held, name, options, tagged, group_column)
    gathered = _Gathered(name, layout, keep)
    for number, line in itertools.chain(held, numbered):
        blank = not line.strip(" \t")
        if blank or number == header or _is_comment(line, layout, options, between=not gathered.tokens):
            if gathered.tokens and not blank:
                gathered.comment(line)
                continue
            yield from gathered.taken()
            if keep:
                yield Verbatim(line + "\n")
            continue
        cells = layout.cells(line)
        begins = cells[0] == DOCUMENT or (len(cells) == layout.width and cells[layout.token] == DOCUMENT)
        if begins or gathered.marker:
            yield from gathered.taken()
        if begins:
            gathered.document += 1
            gathered.marker = len(cells) == layout.width
        if len(cells) != layout.width:
            if not begins:
                text = "" if tagged else "; if this is text, a sentence a line, say --format lines"
                raise DataError(_ragged(Origin(name, number), len(cells), layout) + text)
            if keep:
                yield Verbatim(line + "\n")
            continue
        gathered.token(number, line, cells)
    yield from gathered.taken()


class _Gathered:
    """The sentence that is being read."""

    def __init__(self, name: str, layout: Layout, keep: bool) -> None:
        self.document = 0
        self._name, self._layout, self._keep = name, layout, keep
        self._clear()

    def _clear(self) -> None:
        self.tokens: list[str] = []
        self._tags: list[str] = []
        self._numbers: list[int] = []
        self._lines: list[tuple[str, bool]] = []
        self._group: str | None = None
        self.marker = False

    def comment(self, line: str) -> None:
        if self._keep:
            self._lines.append((line, False))

    def token(self, number: int, line: str, cells: Sequence[str]) -> None:
        token, at = cells[self._layout.token], self._layout.tag
        if not token:
            raise DataError(f"{Origin(self._name, number)}: there is no token in column {self._layout.token + 1}")
        if at is not None:
            if not cells[at]:
                raise DataError(f"{Origin(self._name, number)}: there is no tag in column {at + 1}")
            self._tags.append(cells[at])
        if self._layout.group is not None and not self.tokens:
            self._group = cells[self._layout.group]
        self.tokens.append(token)
        self._numbers.append(number)
        if self._keep:
            self._lines.append((line, True))

    def taken(self) -> Iterator[Sentence]:
        """The sentence, if there is one; after that there is none."""
        if not self.tokens:
            return
        first, last = self._numbers[0], self._numbers[-1]
        together = last - first == len(self._numbers) - 1
        yield Sentence(
            tuple(self.tokens),
            None if self._layout.tag is None else tuple(self._tags),
            Origin(self._name, first),
            range(first, last + 1) if together else tuple(self._numbers),
            self._group or ((self._name, self.document) if self.document else None),
            marker=self.marker,
            source=Rows(tuple(self._lines), self._layout) if self._keep else None,
        )
        self._clear()


def write_columns(sentence: Sentence, tags: Sequence[str], *, append: bool = False, separator: str = "\t") -> str:
    """The lines of a sentence with other tags, the last one's end included, without the blank line after it.

    With ``append`` they stand in one more column beside those that are there, as conlleval wants it. A sentence
    that is not from columns becomes a token and a tag a line.
    """
    if isinstance(sentence.source, Rows):
        layout = sentence.source.table
        given = iter(tags)
        lines = (layout.retagged(x, next(given), append=append) if token else x for x, token in sentence.source.lines)
        return "".join(line + "\n" for line in lines)
    return "".join(f"{token}{separator}{tag}\n" for token, tag in zip(sentence.tokens, tags, strict=True))


def _beginning(numbered: Iterator[tuple[int, str]], options: TokenFormat) -> Iterator[tuple[int, str]]:
    """The lines up to the first one that says how all are laid out."""
    for number, line in numbered:
        yield number, line
        if is_sure(line, options):
            return


def is_sure(line: str, options: TokenFormat) -> bool:
    """Whether a line says how all are laid out: it is no blank one, no comment, and begins no document."""
    comment = options.comments != "no" and line.startswith("#")
    return bool(line.strip(" \t")) and not comment and not line.startswith(DOCUMENT)


def _layout(
    held: Sequence[tuple[int, str]],
    name: str,
    options: TokenFormat,
    tagged: bool | None,
    group_column: str | None,
) -> tuple[Layout, int | None]:
    """How the lines are laid out, and which of them is a header."""
    written = [(number, line) for number, line in held if line.strip(" \t")]
    if not written:
        raise DataError(f"{name} has no sentences: all of its lines are empty")
    at, sure = next((pair for pair in written if is_sure(pair[1], options)), written[0])
    tabs = options.separator == "tab" or (options.separator == "auto" and "\t" in sure)
    first = Layout(tabs, 0, 0, None).cells(sure)
    columns, header = [str(number) for number in range(1, len(first) + 1)], None
    declared = next((line for _, line in written if line.startswith(_NAMES)), None)
    if declared is not None and options.comments != "no":
        columns = declared.removeprefix(_NAMES).split()
    elif is_header(first, options, group_column):
        columns, header = first, at
    token = _place(columns, options.token_column, TOKEN_NAMES, 0, name, "token-column")
    tag = None
    if tagged or (tagged is None and len(columns) > 1):
        if len(columns) < 2:
            raise DataError(f"{name} has one column; expected tokens and their tags, parted by a tab or a blank")
        tag = _place(columns, options.tag_column, TAG_NAMES, len(columns) - 1, name, "tag-column")
        if tag == token:
            raise DataError(f"{name}: tokens and tags are both in column {tag + 1}; name another one for one of them")
    group = None if group_column is None else column_index(columns, group_column, name, "group-column")
    return Layout(tabs, len(columns), token, tag, group), header


def is_header(first: Sequence[str], options: TokenFormat, *more: str | None) -> bool:
    """Whether the cells of the first line are names of columns; ``more`` are further ones that are asked for."""
    if options.header != "auto":
        return options.header == "yes"
    asked = [name for name in (options.token_column, options.tag_column, *more) if name is not None]
    if any(not is_number(name) for name in asked):
        return True
    folded = {cell.casefold() for cell in first}
    return len(first) > 1 and not folded.isdisjoint(TOKEN_NAMES) and not folded.isdisjoint(TAG_NAMES)


def _place(columns: Sequence[str], asked: str | None, usual: Sequence[str], other: int, name: str, option: str) -> int:
    if asked is not None:
        return column_index(columns, asked, name, option)
    folded = [column.casefold() for column in columns]
    return next((folded.index(known) for known in usual if known in folded), other)


def _is_comment(line: str, layout: Layout, options: TokenFormat, *, between: bool) -> bool:
    if not line.startswith("#") or options.comments == "no":
        return False
    return options.comments == "yes" or (between and len(layout.cells(line)) != layout.width)


def _ragged(origin: Origin, cells: int, layout: Layout) -> str:
    advice = "" if layout.tabs else "; a token that is or has a blank needs tabs between the columns"
    count = f"{cells} column{'s' if cells > 1 else ''}"
    return f"{origin}: {count}, where the file has {layout.width} at its beginning{advice}"
