"""Tagged sentences from data frames of pandas and polars: a sentence a row, in lists, or a token a row."""

from __future__ import annotations

from typing import Any

from rondo.data.labelled import Origin, as_list, is_missing
from rondo.data.tables import column_index
from rondo.data.tagging.options import TAG_NAMES, TOKEN_NAMES, TokenFormat
from rondo.data.tagging.sentences import Sentence, check_lengths, strings
from rondo.errors import DataError

SENTENCE_NAMES = ("sentence_id", "sent_id", "sentence #", "sentence", "sent", "句子")
"""Columns that say which sentence a token is of."""


def sentences_of_frame(
    frame: Any, options: TokenFormat | None = None, *, group_column: str | None = None, tagged: bool | None = True
) -> list[Sentence]:
    """The sentences of a data frame; columns are chosen as in a file.

    Where tokens are in lists, a row is a sentence; else a row is a token, and a column such as ``sentence_id`` says
    of which sentence: rows that follow each other with the same value, or without one.
    """
    options, name = options or TokenFormat(), "the data frame"
    columns = [str(column) for column in frame.columns]
    token = _column(columns, options.token_column, TOKEN_NAMES, "token-column")
    tag = None if tagged is False else _column(columns, options.tag_column, TAG_NAMES, "tag-column")
    if token is None or (tagged and tag is None):
        what, option = ("tokens", "token_column") if token is None else ("tags", "tag_column")
        raise DataError(f"{name} has no column of {what} ({', '.join(columns)}); name it with {option}")
    group = None if group_column is None else column_index(columns, group_column, name, "group-column")
    values = {place: as_list(frame[frame.columns[place]]) for place in (token, tag, group) if place is not None}
    tokens, tags = values[token], None if tag is None else values[tag]
    groups = [None] * len(tokens) if group is None else values[group]
    if not any(isinstance(one, str) for one in tokens):
        return [
            _sentence(row, None if tags is None else tags[place], groups[place], Origin("", place + 1, "row"))
            for place, row in enumerate(tokens)
        ]
    number = _column([x if n not in (token, tag) else "" for n, x in enumerate(columns)], None, SENTENCE_NAMES, "")
    if number is None:
        raise DataError(
            f"{name} has a text in each row of '{columns[token]}'; expected lists of tokens, or a token a row and a "
            f"column that says which sentence each is of ({', '.join(SENTENCE_NAMES[:2])})"
        )
    found: list[Sentence] = []
    starts = _starts(as_list(frame[frame.columns[number]]))
    for start, stop in zip(starts, [*starts[1:], len(tokens)], strict=True):
        own = None if tags is None else tags[start:stop]
        found.append(_sentence(tokens[start:stop], own, groups[start], Origin("", start + 1, "row")))
    return found


def _column(columns: list[str], asked: str | None, usual: tuple[str, ...], option: str) -> int | None:
    if asked is not None:
        return column_index(columns, asked, "the data frame", option)
    folded = [column.casefold() for column in columns]
    return next((folded.index(known) for known in usual if known in folded), None)


def _starts(numbers: list[Any]) -> list[int]:
    """Where a sentence begins: another number than that of the row before."""
    found, before = list[int](), object()
    for place, number in enumerate(numbers):
        if (not is_missing(number) and number != before) or not place:
            found.append(place)
            before = number
    return found


def _sentence(tokens: Any, tags: Any, group: Any, origin: Origin) -> Sentence:
    words = strings(tokens, origin, "token")
    marks = None if tags is None else strings(tags, origin, "tag")
    check_lengths(words, marks, origin)
    return Sentence(words, marks, origin, group=None if is_missing(group) else group)
