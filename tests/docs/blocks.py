"""The code blocks of Markdown files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,})(?P<language>[^`]*)$")
NOT_RUN = re.compile(r"^\s*<!-- not run: (?P<reason>.*?) *-->\s*$")
NEW_NAMESPACE = re.compile(r"^\s*<!-- new namespace -->\s*$")


@dataclass(frozen=True)
class Block:
    """One fenced block of a Markdown file and what the comment before it says about it."""

    language: str
    code: str
    line: int  # of the first line of the code, counted from 1
    not_run: str | None = None  # the reason given
    new_namespace: bool = False


def documents() -> list[Path]:
    """The files whose code is run. That of the Chinese pages is the same as that of the English ones."""
    named = [REPOSITORY / "README.md", REPOSITORY / "README.zh-CN.md", REPOSITORY / "CONTRIBUTING.md"]
    return [path for path in named if path.exists()] + [
        path for path in sorted((REPOSITORY / "docs").rglob("*.md")) if path.parent.name != "zh-CN"
    ]


def blocks(text: str) -> Iterator[Block]:
    """All fenced blocks of a Markdown text, in order; an unclosed fence is a ValueError."""
    lines = text.splitlines()
    number, comment = 0, ""
    while number < len(lines):
        opened = FENCE.match(lines[number])
        if not opened:
            comment = lines[number] if lines[number].strip() else comment
            number += 1
            continue
        start, indent = number + 1, len(opened["indent"])
        number = start
        while number < len(lines) and lines[number].strip() != opened["fence"]:
            number += 1
        if number == len(lines):
            raise ValueError(f"line {start}: this block is never closed")
        code = "".join(line[indent:] if not line[:indent].strip() else line for line in _ended(lines[start:number]))
        reason = NOT_RUN.match(comment)
        yield Block(
            language=opened["language"].strip(),
            code=code,
            line=start + 1,
            not_run=reason["reason"] if reason else None,
            new_namespace=bool(NEW_NAMESPACE.match(comment)),
        )
        comment = ""
        number += 1


def _ended(lines: list[str]) -> list[str]:
    return [line + "\n" for line in lines]
