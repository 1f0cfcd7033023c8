"""What a verb prints: text for people, or one JSON object."""

from __future__ import annotations

import contextlib
import json
import math
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len

from rondo.cli.terminal import harmless


def print_json(value: Mapping[str, Any]) -> None:
    """One object on one line; numbers that JSON does not have become null."""
    text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)
    # JSON escapes the control characters below 0x20 by itself.
    sys.stdout.write(re.sub(r"[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")
    sys.stdout.flush()


def print_text(text: str) -> None:
    """A text for people on standard output."""
    sys.stdout.write(harmless(text.rstrip("\n")) + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def only_json(active: bool) -> Iterator[None]:
    """While entered, whatever a library prints goes to standard error, if ``active``."""
    with contextlib.redirect_stdout(sys.stderr) if active else contextlib.nullcontext():
        yield


def table(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Columns with two spaces between them; ``right`` are those of figures. Chinese is two columns wide."""
    widths = [max(cell_len(row[j]) for row in rows) for j in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = []
        for j, (text, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - cell_len(text))
            cells.append(space + text if j in right else text + space)
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def wrapped(text: str) -> str:
    """A sentence in lines of at most 100 columns."""
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


def say_notes(notes: Sequence[str], *, quiet: bool = False) -> None:
    """What a person should know besides the result, on standard error."""
    for note in () if quiet else notes:
        sys.stderr.write(harmless(wrapped(f"note: {note}")) + "\n")


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 20 s`` or ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    return value.item() if hasattr(value, "item") else str(value)
