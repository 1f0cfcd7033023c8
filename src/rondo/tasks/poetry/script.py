"""Simplified and traditional characters: the models work in one traditional form, people in either.

`canonical` maps the variants that editions mix (疎 and 疏, 爲 and 為) to one form, character by
character, so lengths never change. `to_traditional` and `to_simplified` use OpenCC with its
phrases, because a simplified character may stand for several traditional ones (皇后, 然後).
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

from rondo.errors import RondoError, UsageError, nearest

try:
    import opencc
except ImportError:  # an extra: nothing but verse needs it
    opencc = None  # type: ignore[assignment]

SCRIPTS = ("traditional", "simplified")


@functools.cache
def _converter(name: str) -> Any:
    if opencc is None:
        raise RondoError("classical verse needs OpenCC: pip install 'rondo[poetry]'")
    return opencc.OpenCC(name)


class _CanonicalForms(dict[int, int]):
    """A table for `str.translate` that fills itself: code point -> code point of the common form."""

    def __init__(self) -> None:
        text = resources.files(__package__).joinpath("variants.json").read_text(encoding="utf-8")
        self._own = {form: common for common, forms in json.loads(text)["variants"].items() for form in forms}

    def __missing__(self, code: int) -> int:
        form = self._own.get(chr(code), chr(code))
        form = _converter("t2tw").convert(form)
        form = self._own.get(form, form)
        self[code] = ord(form) if len(form) == 1 else code
        return self[code]


@functools.cache
def _canonical_forms() -> _CanonicalForms:
    return _CanonicalForms()


def canonical(text: str) -> str:
    """Traditional text with every variant form replaced by the common one; the length stays."""
    return text.translate(_canonical_forms())


def script_of(text: str) -> str | None:
    """'simplified' or 'traditional', by the characters that only one script has; None if they do not say.

    云 and 后, which both scripts have, decide nothing.
    """
    simplified = traditional = 0
    for character in set(text):
        counts_for = _script_of_character(character)
        simplified += counts_for == "simplified"
        traditional += counts_for == "traditional"
    if simplified == traditional:
        return None
    return "simplified" if simplified > traditional else "traditional"


# Characters of classical verse in their own right that also serve as simplified forms of others.
_IN_BOTH_SCRIPTS = frozenset(
    "丰么于云仆价余凄几凶划占台吁吃后咨咸夸尸帘干并征恒扑挂据斗昵朴杠栖沄洼涂涌淀游熏痒离秘筑肴范荐腊蜡跖辟适采里雇"
)


@functools.cache
def _script_of_character(character: str) -> str | None:
    if _converter("t2s").convert(character) != character:
        return "traditional"
    traditional = _converter("s2t").convert(character)
    if character not in _IN_BOTH_SCRIPTS and canonical(traditional) != canonical(character):
        return "simplified"
    return None


def to_traditional(text: str, *, script: str | None = None) -> str:
    """Text in the canonical traditional form.

    ``script`` says what the text is in; None looks at the text. Text that could be either (白云)
    is read as simplified: who writes traditional would have written 白雲.
    """
    check_script(script)
    if (script or script_of(text)) != "traditional":
        text = _converter("s2t").convert(text)
    return canonical(text)


def to_simplified(text: str) -> str:
    """Text in simplified characters, as used in mainland China."""
    return _converter("t2s").convert(text)


def to_script(text: str, script: str) -> str:
    """Canonical traditional text in the script that a reader asked for."""
    check_script(script)
    return to_simplified(text) if script == "simplified" else text


def check_script(script: str | None) -> None:
    if script is not None and script not in SCRIPTS:
        raise UsageError(f"unknown script {script!r}{nearest(script, SCRIPTS)}")
