"""A sentence with its tags, where it stands, and how its tokens lie in a text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from rondo.data.labelled import Origin, as_list
from rondo.data.tagging.schemes import Scheme, Span, read_spans
from rondo.errors import DataError, UsageError

Unit = Literal["words", "characters", "blanks"]
Places = tuple[tuple[int, int], ...]

NOWHERE = Origin("")

_CHINESE = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_CHINESE}]|[^\W{_CHINESE}]+|[^\w\s]")
_CUTS: dict[str, re.Pattern[str]] = {
    "words": _WORD,
    "characters": re.compile(r"\S"),
    "blanks": re.compile(r"[^ \t]+"),
}


@dataclass(frozen=True, eq=False)
class Sentence:
    """Tokens in order; from a file with what is needed to write it back."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...] | None = None
    """One a token; None if they are not known."""
    origin: Origin = NOWHERE
    """Where the sentence begins."""
    lines: Sequence[int] | None = None
    """The line of each token, where each has one of its own."""
    group: Any = None
    """What it belongs to: what a column says, or its document, where the file says where these begin: the file and a
    number from 1."""
    text: str | None = None
    """What the tokens were cut from."""
    places: Places | None = None
    """Where each token begins and ends in ``text``, in characters."""
    marker: bool = False
    """Whether this is no sentence but the line that says that a document begins."""
    source: Any = None
    """What the format keeps to write the sentence back with other tags."""

    def __len__(self) -> int:
        return len(self.tokens)

    def where(self, index: int) -> Origin:
        """Where a token stands."""
        return self.origin._replace(number=self.lines[index]) if self.lines else self.origin

    def laid_out(self, *, joint: str = " ") -> tuple[str, Places]:
        """The text and the places of the tokens in it; without a text the tokens, with ``joint`` between them."""
        if self.text is not None and self.places is not None:
            return self.text, self.places
        ends = list(itertools.accumulate(len(token) + len(joint) for token in self.tokens))
        places = (
            (end - len(joint) - len(token), end - len(joint)) for token, end in zip(self.tokens, ends, strict=True)
        )
        return joint.join(self.tokens), tuple(places)


class Verbatim(NamedTuple):
    """A line between sentences, with its line end: a blank one, a comment, a header."""

    text: str


def cut(text: str, unit: Unit) -> tuple[tuple[str, ...], Places]:
    """The tokens of a text and where they stand.

    ``words`` are letters and digits that stand together, other signs one by one, and Chinese characters one by one;
    ``characters`` is all but white space; ``blanks`` takes what stands between blanks as it is.
    """
    if unit not in _CUTS:
        raise UsageError(f"tokens are words, characters, or what stands between blanks; not '{unit}'")
    places = tuple(match.span() for match in _CUTS[unit].finditer(text))
    return tuple(text[start:stop] for start, stop in places), places


def spans_with_text(
    sentence: Sentence, tags: Sequence[str], *, scheme: Scheme | None = None, joint: str = " "
) -> list[dict[str, Any]]:
    """The spans of tags as a program wants them: kind, text, and where it begins and ends, in characters."""
    text, places = sentence.laid_out(joint=joint)
    found = []
    for span in read_spans(tags, scheme=scheme):
        start, end = places[span.start][0], places[span.stop - 1][1]
        found.append({"start": start, "end": end, "label": span.kind, "text": text[start:end]})
    return found


def tokens_of_spans(
    spans: Iterable[tuple[int, int, str]],
    places: Places,
    text: str,
    origin: Origin,
    *,
    misaligned: Literal["error", "widen", "drop"] = "error",
) -> list[Span]:
    """Spans of characters as spans of tokens.

    One that begins or ends within a token is an error, or is widened to whole tokens, or dropped.
    """
    found: list[Span] = []
    taken = 0
    for start, end, kind in sorted(spans):
        said = f"the span from {start} to {end} ({kind})"
        if not 0 <= start < end <= len(text):
            raise DataError(f"{origin}: {said} is empty or not within the text, which has {len(text)} characters")
        inside = [index for index, (first, last) in enumerate(places) if first < end and last > start]
        fits = bool(inside) and places[inside[0]][0] == start and places[inside[-1]][1] == end
        if not fits and misaligned == "error":
            raise DataError(
                f"{origin}: {said}, '{text[start:end]}', begins or ends within a token; cut the text into characters, "
                "or widen such spans to whole tokens, or drop them (--misaligned)"
            )
        if not inside or (not fits and misaligned == "drop"):
            continue
        if inside[0] < taken:
            raise DataError(f"{origin}: {said} overlaps the one before it; each token has one tag")
        taken = inside[-1] + 1
        found.append(Span(inside[0], taken, kind))
    return found


def as_sentences(tokens: Any, tags: Any = None, *, groups: Any = None, unit: Unit | None = None) -> list[Sentence]:
    """Sentences that are in memory: lists of tokens, or with ``unit`` texts to be cut, and lists of tags.

    What a reader gave stays as it is.
    """
    rows = _rows(tokens, "tokens")
    labels: Sequence[Any] = [None] * len(rows) if tags is None else _rows(tags, "tags")
    documents: Sequence[Any] = [None] * len(rows) if groups is None else as_list(groups)
    for what, given in (("lists of tags", labels), ("groups", documents)):
        if len(given) != len(rows):
            raise DataError(f"{len(rows)} sentences have {len(given)} {what}")
    found = []
    for number, (row, label, document) in enumerate(zip(rows, labels, documents, strict=True), 1):
        if isinstance(row, Sentence) and label is None:
            found.append(row if document is None else replace(row, group=document))
            continue
        row = row.tokens if isinstance(row, Sentence) else row
        origin = Origin("", number, "sentence")
        text, places = None, None
        if isinstance(row, str):
            if unit is None:
                raise DataError(f"{origin} is a text; expected a list of its tokens, or a unit to cut texts into")
            text = row
            words, places = cut(row, unit)
        else:
            words = strings(row, origin, "token")
        marks = None if label is None else strings(label, origin, "tag")
        check_lengths(words, marks, origin)
        found.append(Sentence(words, marks, origin, group=document, text=text, places=places))
    return found


def check_lengths(tokens: Sequence[str], tags: Sequence[str] | None, where: object) -> None:
    """An error unless each token has a tag."""
    if tags is not None and len(tags) != len(tokens):
        raise DataError(f"{where}: {len(tokens)} tokens have {len(tags)} tags")


def _rows(given: Any, what: str) -> Sequence[Any]:
    if isinstance(given, str | bytes):
        raise UsageError(f"{what} come as a list of sentences, not as a single text: put it into [ ]")
    return as_list(given)


def strings(row: Any, origin: Origin, what: str) -> tuple[str, ...]:
    """A list of tokens or of tags as a user gave it, checked."""
    if isinstance(row, str) or not hasattr(row, "__iter__"):
        raise DataError(f"{origin}: expected a list of {what}s, not {row!r:.40}")
    values = tuple(as_list(row))
    odd = next((value for value in values if not isinstance(value, str) or not value), None)
    if any(not isinstance(value, str) or not value for value in values):
        raise DataError(f"{origin}: a {what} is a text that is not empty, not {odd!r:.40}")
    return tuple(str(value) for value in values)
