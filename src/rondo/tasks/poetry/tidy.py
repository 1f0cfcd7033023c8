"""One printed poem to plain verse: notes, brackets and footnote numbers out, marks made ，and 。."""

from __future__ import annotations

import re

from rondo.tasks.poetry.forms import COMMA, STOP, normalise_marks

# （...） are editors' notes, 〖...〗 numbers of notes and remarks; both may be nested.
_NOTES = {"（": "）", "〖": "〗", "(": ")", "【": "】"}
_NOTE_MARKS = re.compile(r"[（）〖〗()【】]")

# Brackets that mark restored characters, quotations and titles: what stands inside is verse.
_WRAPPING = str.maketrans("", "", "[]［］《》〈〉「」『』“”‘’\"'·•、0123456789/\u200b\ufeff　")

_VERSE = re.compile(rf"[{COMMA}{STOP}\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]*")
_MISSING = "□○●囗〇"


class Damaged(ValueError):
    """A poem with characters that are missing or that no font shows."""


def tidy(text: str) -> str:
    """The verse in ``text`` with ，and 。only, empty if none; `Damaged` if characters are missing."""
    if _NOTE_MARKS.search(text):
        text = without_notes(text)
    verse = normalise_marks(text.translate(_WRAPPING))
    if not _VERSE.fullmatch(verse) or any(mark in verse for mark in _MISSING):
        raise Damaged(verse)
    return verse


def without_notes(text: str) -> str:
    """The text outside （） and 〖〗; a note that is never closed goes to the end."""
    kept = []
    open_notes: list[str] = []
    end = 0
    for match in _NOTE_MARKS.finditer(text):
        if not open_notes:
            kept.append(text[end : match.start()])
        mark = match.group()
        if mark in _NOTES:
            open_notes.append(_NOTES[mark])
        elif mark in open_notes:
            # Closing an outer note closes the inner ones that were left open.
            while open_notes.pop() != mark:
                pass
        end = match.end()
    if not open_notes:
        kept.append(text[end:])
    return "".join(kept)
