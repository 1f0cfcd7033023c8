"""How a verb that uses a model reads files: the options of that model's task, and standard input."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence

from rondo.cli.arguments import Group, Option, options_of
from rondo.data.encodings import check_name
from rondo.errors import DataError, RondoError
from rondo.models.folder import read_config
from rondo.tasks.registry import TASKS

METAVARS = {
    "encoding": "NAME", "text_column": "COLUMN", "label_column": "COLUMN", "group_column": "COLUMN",
    "token_column": "COLUMN", "tag_column": "COLUMN", "labels": "FILE",
    "resize": "HEIGHT WIDTH",
}  # fmt: skip
ABOUT = "What is not given is as it was in training."


def reading_group(arguments: Sequence[str], other: Sequence[Option] = ()) -> Group:
    """The options of reading that the model has which is named first; ``other`` where it has none of its own."""
    task = task_of(arguments[0]) if arguments and not arguments[0].startswith("-") else ""
    if task not in TASKS or not TASKS[task].home_of_reading:
        return Group("reading", "", tuple(other))
    return Group("reading", ABOUT, options_of(TASKS[task].reading, metavars=METAVARS))


def answering_options(arguments: Sequence[str]) -> tuple[Option, ...]:
    """How the answers of the model that is named first can be written."""
    task = task_of(arguments[0]) if arguments and not arguments[0].startswith("-") else ""
    known = task in TASKS and TASKS[task].home_of_answering
    return tuple(options_of(TASKS[task].answering)) if known else ()


def scoring_options(arguments: Sequence[str]) -> tuple[Option, ...]:
    """What else can be said about the files that the model that is named first is scored on."""
    task = task_of(arguments[0]) if arguments and not arguments[0].startswith("-") else ""
    known = task in TASKS and TASKS[task].home_of_scoring
    return tuple(options_of(TASKS[task].scoring, metavars=METAVARS)) if known else ()


def task_of(folder: str) -> str:
    """The task of the model in a folder; empty if that cannot be told, which loading will then explain."""
    try:
        return str(read_config(folder).get("task"))
    except (RondoError, OSError, ValueError):
        return ""


class StandardInput:
    """The lines that are typed or piped in, as they come."""

    name = "standard input"

    def __init__(self, encoding: str | None) -> None:
        self.encoding = check_name(encoding) if encoding is not None else "utf-8"

    def __iter__(self) -> Iterator[str]:
        number = 0
        lines = io.TextIOWrapper(sys.stdin.buffer, encoding=self.encoding)
        try:
            for number, line in enumerate(lines, 1):
                yield line.removeprefix("\ufeff") if number == 1 else line
        except UnicodeDecodeError as error:
            raise DataError(
                f"standard input is not {self.encoding}: byte 0x{error.object[error.start]:02x} in line {number + 1} "
                "or soon after it does not fit. Say the right encoding (--encoding)."
            ) from None
        finally:
            lines.detach()
