"""Tagged sentences from files and from any open text, one by one or all at once; and back into the same format."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from rondo.data.files import open_text
from rondo.data.labelled import Origin
from rondo.data.tables import sniff
from rondo.data.tagging.conll import Rows, read_columns, write_columns
from rondo.data.tagging.frames import sentences_of_frame
from rondo.data.tagging.json_lines import Object, read_json_lines, write_json_line
from rondo.data.tagging.options import TokenFormat
from rondo.data.tagging.plain import Expected, text_or_columns
from rondo.data.tagging.schemes import Scheme
from rondo.data.tagging.sentences import Sentence, Verbatim, check_lengths, cut
from rondo.data.texts import PACKED
from rondo.errors import DataError, UsageError

_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".conll": "columns", ".iob": "columns",
             ".bio": "columns", ".bmes": "columns"}  # fmt: skip

Part = Sentence | Verbatim


def read_sentences(
    paths: Any,
    options: TokenFormat | None = None,
    *,
    labels: str | Path | None = None,
    group_column: str | None = None,
    tagged: bool | None = True,
) -> list[Sentence]:
    """All sentences of a file or of several, or of a data frame (`sentences_of_frame`).

    ``labels`` is a file that has the tags of a file of lines, as many to a line as that one has tokens.
    ``group_column`` is the column of the first token, or the key of the object, that says what belongs together; else
    documents are what does, where a file says where they begin.
    """
    if hasattr(paths, "columns"):
        if labels is not None:
            raise UsageError("a file of tags goes with a file of sentences, not with a data frame")
        return sentences_of_frame(paths, options, group_column=group_column, tagged=tagged)
    files: list[str | Path] = [paths] if isinstance(paths, str | Path) else list(paths)
    if not files:
        raise UsageError("no files to read sentences from")
    if labels is not None:
        if len(files) > 1:
            raise UsageError("a file of tags goes with one file of sentences, not with several")
        if group_column is not None:
            raise UsageError(f"lines of text have no column '{group_column}' (--group-column)")
        return list(_parallel(Path(files[0]), Path(labels), options or TokenFormat()))
    found: list[Sentence] = []
    for file in files:
        before = len(found)
        found += (
            _compact(sentence) for sentence in iter_sentences(file, options, group_column=group_column, tagged=tagged)
        )
        if len(found) == before:
            raise DataError(f"{file} has no sentences")
    return found


def iter_sentences(
    source: str | Path | TextIO,
    options: TokenFormat | None = None,
    *,
    group_column: str | None = None,
    tagged: bool | None = True,
) -> Iterator[Sentence]:
    """The sentences of a file or an open text, one by one, in constant memory.

    ``tagged`` says whether tags must be there: None means if they are, and False that they are not looked at.
    """
    for part in iter_parts(source, options, group_column=group_column, tagged=tagged, keep=False):
        if isinstance(part, Sentence) and not part.marker:
            yield part


def iter_parts(
    source: str | Path | TextIO,
    options: TokenFormat | None = None,
    *,
    group_column: str | None = None,
    tagged: bool | None = None,
    keep: bool = True,
    expected: Expected | None = None,
) -> Iterator[Part]:
    """All that a file holds, one by one, so that `write_part` can write it back: sentences and what is between.

    ``expected`` is what the tagger that is asked knows: then a file that says nothing else may be plain text.
    """
    options = options or TokenFormat()
    if isinstance(source, str | Path):
        with open_text(source, encoding=options.encoding) as lines:
            yield from _parts(
                iter(lines), str(source), _kind_by_name(Path(source)), options, tagged, keep, expected, group_column
            )
    else:
        name = getattr(source, "name", None)
        name = name if isinstance(name, str) else "the input"
        yield from _parts(iter(source), name, None, options, tagged, keep, expected, group_column)


def write_part(
    part: Part, tags: Sequence[str] | None = None, *, scheme: Scheme | None = None, append: bool = False
) -> str:
    """A part as it stands in its file, a sentence with these tags in place of its own.

    With ``append``, which only columns allow, they stand beside its own. A line that begins a document stays as it
    is; in one more column it is outside of all spans.
    """
    if isinstance(part, Verbatim):
        return part.text
    if part.marker and isinstance(part.source, Rows) and part.source.table.tag is not None and not append:
        return "".join(line + "\n" for line, _ in part.source.lines)
    given = ["O"] * len(part) if part.marker else tags
    if given is None or len(given) != len(part):
        raise DataError(f"{part.origin}: {len(part)} tokens have {len(given or ())} tags")
    if append and (isinstance(part.source, Object) or part.text is not None):
        kind = "JSON lines" if isinstance(part.source, Object) else "lines of text"
        raise UsageError(f"--append writes the tags into one more column: {part.origin.source} has {kind}, no columns")
    if isinstance(part.source, Object):
        return write_json_line(part, given, scheme=scheme)
    if part.text is not None:
        return " ".join(given) + "\n"
    return write_columns(part, given, append=append)


def _compact(sentence: Sentence) -> Sentence:
    """With each different token once in memory."""
    tags = None if sentence.tags is None else tuple(map(sys.intern, sentence.tags))
    return replace(sentence, tokens=tuple(map(sys.intern, sentence.tokens)), tags=tags)


def _parts(
    lines: Iterator[str],
    name: str,
    kind: str | None,
    options: TokenFormat,
    tagged: bool | None,
    keep: bool,
    expected: Expected | None,
    group_column: str | None,
) -> Iterator[Part]:
    kind = kind if options.format == "auto" else options.format
    if kind is None:
        looks, lines = sniff(lines)
        if looks == "lines" and Path(name).suffix.lower() == ".csv":
            raise DataError(
                f"{name}: tokens and tags stand in columns that tabs or blanks part, not commas. Save it with tabs, or "
                "give it to rondo.Tagger as a data frame; --format lines or --format columns reads it as it is."
            )
        kind = "jsonl" if looks == "jsonl" else "columns"
        if kind == "columns" and expected is not None:
            kind, lines = text_or_columns(lines, name, options, expected)
    if kind == "jsonl":
        yield from read_json_lines(lines, name, options, tagged=tagged, keep=keep, group_column=group_column)
    elif kind == "columns":
        yield from read_columns(lines, name, options, tagged=tagged, keep=keep, group_column=group_column)
    elif tagged:
        raise UsageError(f"{name}: lines of text have no tags; name the file that has them, or another --format")
    else:
        for number, line in enumerate(lines, 1):
            text = line.rstrip("\r\n")
            tokens, places = cut(text, options.unit or "words")
            yield Sentence(tokens, None, Origin(name, number), text=text, places=places)


def _parallel(file: Path, labels: Path, options: TokenFormat) -> Iterator[Sentence]:
    """Lines of text, and lines of as many tags in another file."""
    with open_text(file, encoding=options.encoding) as texts, open_text(labels, encoding=options.encoding) as tags:
        for number, (text, marks) in enumerate(_side_by_side(texts, tags, file, labels), 1):
            tokens, places = cut(text.rstrip("\n"), options.unit or "blanks")
            found, _ = cut(marks.rstrip("\n"), "blanks")
            check_lengths(tokens, found, f"{Origin(str(file), number)} and {labels}")
            if tokens:
                yield Sentence(tokens, found, Origin(str(file), number), text=text.rstrip("\n"), places=places)


def _side_by_side(texts: Iterable[str], tags: Iterable[str], file: Path, labels: Path) -> Iterator[tuple[str, str]]:
    one, other = iter(texts), iter(tags)
    number = 0
    while True:
        text, marks = next(one, None), next(other, None)
        if text is None or marks is None:
            rest, empty = (other, file) if text is None else (one, labels)
            left = [line for line in (text, marks, *rest) if line is not None and line.strip()]
            if left:
                full = labels if text is None else file
                raise DataError(f"{empty} ends after {number} lines, {full} does not: they do not match")
            return
        number += 1
        yield text, marks


def _kind_by_name(path: Path) -> str | None:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return _SUFFIXES.get(suffixes[-1]) if suffixes else None
