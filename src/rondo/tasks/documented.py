"""What the fields of a dataclass of options say of themselves: the help on the command line, and that of estimators."""

from __future__ import annotations

import dataclasses

import docstring_parser


def field_helps(source: type) -> dict[str, str]:
    """The text below each field of a dataclass, on one line; a subclass's own text counts."""
    helps: dict[str, str] = {}
    for parent in reversed(source.__mro__):
        if dataclasses.is_dataclass(parent):
            parsed = docstring_parser.parse_from_object(parent)
            helps |= {item.args[1]: " ".join((item.description or "").split()) for item in parsed.params}
    return helps
