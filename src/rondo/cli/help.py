"""The help of a verb, drawn so that wide characters do not disturb it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from rondo.cli.arguments import Group, Option

WIDEST, LEFT = 100, 24
"""Columns of the whole, and of the names of options; a longer name gets a line of its own."""


def print_help(
    command: str, about: str, positional: Sequence[Option], groups: Sequence[Group], examples: Sequence[str]
) -> None:
    """Usage, what the verb does, its arguments and options in groups, and examples."""
    width = min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns)
    console = Console(file=sys.stdout, width=width, highlight=False, soft_wrap=False)
    required = [f"{option.flag} {option.metavar}" for group in groups for option in group.options if option.required]
    usage = [command, *(option.metavar if option.required else f"[{option.metavar}]" for option in positional)]
    console.print(Text("usage: " + " ".join([*usage, *required, "[OPTIONS]"])))
    console.print(Text(f"\n{about}"))
    if positional:
        _print_group(console, "arguments", "", [(option.metavar, _said(option)) for option in positional])
    for group in groups:
        _print_group(console, group.title, group.about, [(_name(option), _said(option)) for option in group.options])
    console.print(Text("\nexamples", style="bold"))
    for example in examples:
        sys.stdout.write(f"  {example}\n")


def default_of(option: Option) -> str:
    """The default as the help shows it; empty where the text says what happens."""
    value = option.default
    if value is None or value is False or value in ("", ()):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _print_group(console: Console, title: str, about: str, rows: Sequence[tuple[str, str]]) -> None:
    console.print(Text(f"\n{title}", style="bold"), Text(f": {about}" if about else ""), sep="")
    for name, text in rows:
        lines = Text(text).wrap(console, console.width - LEFT - 4)
        if cell_len(name) > LEFT:
            sys.stdout.write(f"  {name}\n")
            name = ""
        for line in lines:
            sys.stdout.write(f"  {name}{' ' * (LEFT - cell_len(name))}  {line.plain.rstrip()}\n")
            name = ""


def _name(option: Option) -> str:
    if option.is_flag:
        return f"{option.flag}, {option.opposite}" if option.pair else option.flag
    return f"{option.flag} {option.shown_metavar}"


def _said(option: Option) -> str:
    told = default_of(option)
    end = " (required)" if option.required else f" (default: {told})" if told else ""
    first = option.help.partition(" ")[0]
    if not first.isalpha():  # a list of names, which are typed as they stand there
        return option.help + end
    return option.help[:1].upper() + option.help[1:] + end
