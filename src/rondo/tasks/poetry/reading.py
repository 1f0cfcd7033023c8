"""Files of poems: JSON lines or a JSON list with ``paragraphs``, and plain text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rondo.data.files import open_text
from rondo.errors import DataError
from rondo.tasks.poetry.forms import COMMAS, STOPS, split_lines

_MARK = re.compile(f"[{re.escape(COMMAS + STOPS)}]")
_BLANK_LINE = re.compile(r"\n[ \t　]*\n")


@dataclass(frozen=True)
class RawPoem:
    """A poem as a file prints it."""

    title: str
    author: str
    text: str


def read_raw_poems(path: str | Path, *, encoding: str | None = None) -> list[RawPoem]:
    """All poems of a file, in its order."""
    with open_text(path, encoding=encoding) as stream:
        content = stream.read()
    start = content.lstrip("\ufeff \t\r\n")[:2]
    if start.startswith("{"):
        return list(_from_json_lines(content, path))
    if start.startswith("[") and start[1:] in ("{", "\n", "\r", " ", "]", ""):
        return _from_json_list(content, path)
    return list(_from_plain_text(content))


def _from_json_lines(content: str, path: str | Path) -> Iterator[RawPoem]:
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            try:
                record = json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}, line {number}: not JSON ({error})") from error
            yield _from_record(record, f"{path}, line {number}")


def _from_json_list(content: str, path: str | Path) -> list[RawPoem]:
    try:
        records = json.loads(content)
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})") from error
    return [_from_record(record, f"{path}, poem {number}") for number, record in enumerate(records, 1)]


def _from_record(record: object, where: str) -> RawPoem:
    paragraphs = record.get("paragraphs") if isinstance(record, dict) else None
    if not isinstance(record, dict) or not _is_list_of_strings(paragraphs):
        raise DataError(f"{where}: expected an object with 'paragraphs', a list of lines")
    return RawPoem(
        title=str(record.get("title") or ""),
        author=str(record.get("author") or ""),
        text="".join(paragraphs or ()),
    )


def _is_list_of_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _from_plain_text(content: str) -> Iterator[RawPoem]:
    content = content.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    paragraphs = [paragraph.strip("\n") for paragraph in _BLANK_LINE.split(content)]
    lines = [line for line in paragraphs[0].split("\n") if line.strip()]
    if len(paragraphs) == 1 and _one_poem_a_line(lines):
        for line in lines:
            yield _from_single_line(line)
        return
    for paragraph in paragraphs:
        lines = [line.strip() for line in paragraph.split("\n") if line.strip()]
        if len(lines) == 1:
            yield _from_single_line(lines[0])
        elif lines:
            yield _from_paragraph(lines)


def _one_poem_a_line(lines: Sequence[str]) -> bool:
    """Whether most lines of text hold at least four lines of verse, which no poem is printed like."""
    whole = sum(len(split_lines(line)) >= 4 for line in lines)
    return 2 * whole > len(lines)


def _from_single_line(line: str) -> RawPoem:
    """``title：verse`` or verse alone."""
    before, colon, after = line.replace("：", ":").partition(":")
    if colon and not _MARK.search(before) and _MARK.search(after.strip(": ")):
        return RawPoem(title=before.strip(), author="", text=after.lstrip(": "))
    return RawPoem(title="", author="", text=line)


def _from_paragraph(lines: Sequence[str]) -> RawPoem:
    """Lines before the first one with a mark are title and author, when the others have marks."""
    heading: list[str] = []
    verse = list(lines)
    if any(_MARK.search(line) for line in lines):
        while len(heading) < 2 and len(verse) > 1 and not _MARK.search(verse[0]):
            heading.append(verse.pop(0))
    title, author = [*heading, "", ""][:2]
    return RawPoem(title=title, author=author, text="\n".join(verse))
