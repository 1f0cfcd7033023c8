"""What may reach a terminal."""

from __future__ import annotations

import re

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def harmless(text: str) -> str:
    """The text with a mark in place of control characters other than tab and the end of a line.

    A terminal takes them as orders, and text may come from a model or a file that somebody else made.
    """
    return _CONTROLS.sub("\ufffd", text)
