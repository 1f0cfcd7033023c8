"""The verse forms: how many lines of how many characters, and where the punctuation stands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rondo.errors import UsageError, nearest
from rondo.tasks.poetry.script import to_script, to_traditional

COMMA, STOP = "，", "。"

# What may stand between lines, by the mark it is normalised to.
COMMAS = "，,、；;：:"
STOPS = "。.！!？?…"
# Ideographs, the zero 〇 and the repetition mark 々.
HAN = "〇々\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""What verse is written in, as the inside of a regular expression's brackets."""
_LINE_ENDS = re.compile(f"[{re.escape(COMMAS + STOPS)}\\s]+")


@dataclass(frozen=True)
class Form:
    """A verse form; ``lines`` and ``width`` are 0 for the form that holds everything else."""

    name: str
    """Its name in traditional characters."""
    short: str
    """A name to type, such as wujue."""
    lines: int
    """Number of lines."""
    width: int
    """Characters in a line."""

    @property
    def simplified(self) -> str:
        """Its name in simplified characters."""
        return to_script(self.name, "simplified")

    @property
    def fixed(self) -> bool:
        """Whether the form says how long the poem is."""
        return self.lines > 0

    @property
    def characters(self) -> int:
        return self.lines * self.width

    @property
    def length(self) -> int:
        """Characters and punctuation marks of a poem in this form."""
        return self.lines * (self.width + 1)

    def fits(self, lines: Sequence[str]) -> bool:
        """Whether these lines have the number and the width that the form asks."""
        return len(lines) == self.lines and all(len(line) == self.width for line in lines)

    def mark(self, line: int) -> str:
        """The punctuation after a line (from 0): a comma inside a couplet, a stop at its end."""
        return STOP if line % 2 else COMMA

    def punctuate(self, lines: Sequence[str]) -> str:
        """The poem as one string."""
        return "".join(line + self.mark(number) for number, line in enumerate(lines))


WUJUE = Form(name="五言絕句", short="wujue", lines=4, width=5)
QIJUE = Form(name="七言絕句", short="qijue", lines=4, width=7)
WULV = Form(name="五言律詩", short="wulv", lines=8, width=5)
QILV = Form(name="七言律詩", short="qilv", lines=8, width=7)
OTHER = Form(name="other", short="other", lines=0, width=0)

FIXED_FORMS = (WUJUE, QIJUE, WULV, QILV)
FORMS = (*FIXED_FORMS, OTHER)

_NAMES: dict[str, Form] = {
    alias: form
    for form, aliases in (
        (WUJUE, "五言絕句 五絕 wujue wuyanjueju 5x4 4x5"),
        (QIJUE, "七言絕句 七絕 qijue qiyanjueju 7x4 4x7"),
        (WULV, "五言律詩 五律 wulv wulü wulu wuyanlüshi wuyanlvshi 5x8 8x5"),
        (QILV, "七言律詩 七律 qilv qilü qilu qiyanlüshi qiyanlvshi 7x8 8x7"),
        (OTHER, "other 其他 其它 雜"),
    )
    for alias in aliases.split()
}


def get_form(name: str) -> Form:
    """A form by any of its names: simplified or traditional, in full or short (五绝, wujue, 5x4)."""
    key = name.strip().lower().replace("×", "x").replace("*", "x").replace("-", "").replace(" ", "")
    form = _NAMES.get(key) or _NAMES.get(to_traditional(key)) or _NAMES.get(to_traditional(key, script="traditional"))
    if form is None:
        known = [*(form.simplified for form in FORMS), *(form.short for form in FIXED_FORMS)]
        said = nearest(to_script(key, "simplified"), known)
        raise UsageError(f"unknown verse form {name!r}{said} (traditional characters are known as well)")
    return form


def detect_form(lines: Sequence[str]) -> Form:
    """The form these lines are in, `OTHER` if none."""
    return next((form for form in FIXED_FORMS if form.fits(lines)), OTHER)


def split_lines(text: str) -> list[str]:
    """The lines of a poem, without punctuation and blanks."""
    return [line for line in _LINE_ENDS.split(text) if line]


def normalise_marks(text: str) -> str:
    """The text with every mark or line break one of ，and 。, and a stop at its end.

    A line break that stands alone counts as a comma after an odd line and a stop after an even one.
    """
    pieces: list[str] = []
    end = 0
    for match in _LINE_ENDS.finditer(text):
        line = text[end : match.start()]
        end = match.end()
        if line:
            pieces += [line, _mark_of(match.group(), number=len(pieces) // 2)]
    if text[end:]:
        pieces += [text[end:], STOP]
    if pieces:
        pieces[-1] = STOP
    return "".join(pieces)


def _mark_of(found: str, *, number: int) -> str:
    if any(mark in STOPS for mark in found):
        return STOP
    if any(mark in COMMAS for mark in found):
        return COMMA
    return STOP if number % 2 else COMMA
