"""What a model says about one item of a file: a line for people and pipes, or an object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One line in, one of these out."""

    line: str
    """The answer alone; it has no line end in it."""
    values: Mapping[str, Any]
    """The answer with what is known about it, for JSON."""
