"""How spans are written as a tag for each token, read back, and checked.

IOB1 and IOB2: Ramshaw and Marcus 1995; Tjong Kim Sang and Veenstra 1999, "Representing text chunks". A tag is O, or a
letter, a hyphen and a kind (B-PER); without kinds, as in word segmentation, the letter alone.
Reading a sequence that breaks the rules of its scheme goes by the rules of conlleval, the script of the CoNLL shared
tasks, which seqeval's default mode applies to five letters as well; `strict` reading leaves out what is broken.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch

from rondo.errors import DataError, UsageError, nearest
from rondo.layers.transitions import Transitions

OUTSIDE = "O"
_ROLES = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S"}
"""What a letter says in any scheme: begin, inside, end, single."""


class Span(NamedTuple):
    """Tokens that belong together."""

    start: int
    """The first of them."""
    stop: int
    """The one after the last of them."""
    kind: str
    """What they are, for instance PER; empty where kinds are not told apart."""


class Tag(NamedTuple):
    """A tag in its parts."""

    role: str
    """B, I, E or S, whatever the letter is in the tag's scheme; O outside of all spans."""
    kind: str


@dataclass(frozen=True)
class Scheme:
    """A way of writing spans as tags."""

    name: str
    letters: str
    """For begin, inside, end and single; or for begin and inside."""
    always_begins: bool = True
    """Whether each span begins with its own letter; else only one that would run into another of its kind."""
    separator: str = "-"
    """What stands between the letter and the kind."""

    @property
    def ends(self) -> bool:
        """Whether the last token of a span has a letter of its own."""
        return len(self.letters) == 4

    def to_json(self) -> list[str]:
        """What `from_json` reads: the name, and what stands between letter and kind."""
        return [self.name, self.separator]

    @staticmethod
    def from_json(saved: Any) -> Scheme:
        """From a file in which anything may stand: ValueError or TypeError for what is no scheme."""
        name, separator = saved
        if separator not in ("-", "_") or not isinstance(name, str):
            raise ValueError(f"{saved!r:.80} is no scheme of tags")
        return replace(get_scheme(name), separator=separator)

    def tag(self, role: str, kind: str) -> str:
        """The tag for a role of `Tag`."""
        if role == OUTSIDE:
            return OUTSIDE
        letter = self.letters["BIES".index(role)]
        return f"{letter}{self.separator}{kind}" if kind else letter

    def parse(self, tag: str) -> Tag:
        """A tag in its parts; an error if it is none of this scheme."""
        found = parse_tag(tag, separator=self.separator)
        if found is None or (found.role != OUTSIDE and tag[0] not in self.letters):
            letters = ", ".join(self.letters)
            raise DataError(f"'{tag}' is no tag of {self.name}, whose tags are O and {letters} with a kind")
        return found

    def may_follow(self, before: Tag | None, after: Tag | None) -> bool:
        """Whether a tag may stand after another one; None is the beginning or the end of a sequence."""
        within = before is not None and before.role in ("B", "I")
        same = before is not None and after is not None and before.kind == after.kind
        if self.ends:
            goes_on = after is not None and after.role in ("I", "E")
            return goes_on and same if within else not goes_on
        if after is None or after.role == OUTSIDE:
            return True
        return (within and same) if (after.role == "I") == self.always_begins else True


IOB1 = Scheme("IOB1", "BI", always_begins=False)
IOB2 = Scheme("IOB2", "BI")
BIOES = Scheme("BIOES", "BIES")
BILOU = Scheme("BILOU", "BILU")
BMES = Scheme("BMES", "BMES")
BMEWO = Scheme("BMEWO", "BMEW")
SCHEMES = {scheme.name: scheme for scheme in (IOB1, IOB2, BIOES, BILOU, BMES, BMEWO)}
_OTHER_NAMES = {"IOB": "IOB1", "BIO": "IOB2", "IOBES": "BIOES", "BMESO": "BMES", "BMEOS": "BMES", "BMOES": "BMES"}


def get_scheme(name: str) -> Scheme:
    """The scheme with a name, in capitals or not; BIO is IOB2."""
    known = _OTHER_NAMES.get(name.upper(), name.upper())
    if known not in SCHEMES:
        raise UsageError(f"there is no tag scheme '{name}'{nearest(name.upper(), [*SCHEMES, *_OTHER_NAMES])}")
    return SCHEMES[known]


@functools.lru_cache(4096)
def parse_tag(tag: str, *, separator: str = "-") -> Tag | None:
    """A tag of any scheme in its parts; None if it has not the form of one."""
    if tag == OUTSIDE:
        return Tag(OUTSIDE, "")
    role = _ROLES.get(tag[:1])
    if role is None or (len(tag) > 1 and tag[1] != separator) or len(tag) == 2:
        return None
    return Tag(role, tag[2:])


def read_spans(tags: Sequence[str], *, strict: bool = False, scheme: Scheme | None = None) -> list[Span]:
    """The spans that tags say, in order.

    A span goes on from B or I to I or E of the same kind; every other tag but O begins a new one. So reads
    conlleval, whatever the scheme. With ``strict``, a span counts only if it is written as ``scheme`` writes it.
    """
    if strict and scheme is None:
        raise UsageError("what is right depends on the scheme: name the one by which tags are read strictly")
    spans: list[Span] = []
    start, right = 0, False
    before = Tag(OUTSIDE, "")
    for index, tag in enumerate([*tags, OUTSIDE]):
        now = scheme.parse(tag) if scheme else _parsed(tag)
        if before.role in ("B", "I") and now.role in ("I", "E") and now.kind == before.kind:
            before = now
            continue
        if before.role != OUTSIDE:
            whole = right and (scheme is None or not scheme.ends or before.role in ("E", "S"))
            if whole or not strict:
                spans.append(Span(start, index, before.kind))
        # A span that may begin here after what stands before it, itself broken or not.
        start, right = index, scheme is None or _begins_rightly(scheme, before, now)
        before = now
    return spans


def write_tags(spans: Iterable[Span], length: int, scheme: Scheme) -> list[str]:
    """Tags for ``length`` tokens; spans may come in any order, but must not overlap."""
    tags = [OUTSIDE] * length
    before = Span(0, 0, "")
    for span in sorted(spans):
        if not before.stop <= span.start < span.stop <= length:
            what = f"the span from {span.start} to {span.stop} ({span.kind})"
            raise DataError(f"{what} is empty, overlaps another or is not within the {length} tokens")
        if scheme.ends:
            roles = "S" if span.stop - span.start == 1 else "B" + "I" * (span.stop - span.start - 2) + "E"
        else:
            touching = before.stop == span.start and before.kind == span.kind and before.stop > before.start
            roles = ("B" if scheme.always_begins or touching else "I") + "I" * (span.stop - span.start - 1)
        tags[span.start : span.stop] = [scheme.tag(role, span.kind) for role in roles]
        before = span
    return tags


def convert_tags(tags: Sequence[str], target: Scheme, *, source: Scheme | None = None) -> list[str]:
    """The same spans in another scheme. What is broken is read as `read_spans` does; `check_tags` refuses it."""
    return write_tags(read_spans(tags, scheme=source), len(tags), target)


def first_problem(tags: Sequence[str], scheme: Scheme) -> tuple[int, str] | None:
    """The first token whose tag breaks the scheme, and how; None if all is right."""
    before: Tag | None = None
    for index in range(len(tags) + 1):
        try:
            now = scheme.parse(tags[index]) if index < len(tags) else None
        except DataError as error:
            return index, str(error)
        if not scheme.may_follow(before, now):
            return min(index, len(tags) - 1), _complaint(tags, index, scheme)
        before = now
    return None


def check_tags(tags: Sequence[str], scheme: Scheme, where: Callable[[int], object] | None = None) -> None:
    """An error that names the first tag that breaks the scheme; ``where`` says where a token stands."""
    if (problem := first_problem(tags, scheme)) is not None:
        index, what = problem
        raise DataError(f"{where(index) if where else f'token {index + 1}'}: {what}")


def tag_set(kinds: Iterable[str], scheme: Scheme) -> tuple[str, ...]:
    """All tags that spans of some kinds can have, O first."""
    roles = "BIES" if scheme.ends else "BI"
    return (OUTSIDE, *(scheme.tag(role, kind) for kind in sorted(set(kinds)) for role in roles))


def allowed_transitions(tags: Sequence[str], scheme: Scheme) -> Transitions:
    """Which of ``tags`` may begin and end a sequence, and which may follow which: what `CRF` takes as ``allowed``."""
    parsed = [scheme.parse(tag) for tag in tags]
    return Transitions(
        torch.tensor([scheme.may_follow(None, tag) for tag in parsed]),
        torch.tensor([[scheme.may_follow(before, after) for after in parsed] for before in parsed]),
        torch.tensor([scheme.may_follow(tag, None) for tag in parsed]),
    )


def _parsed(tag: str) -> Tag:
    found = parse_tag(tag) or parse_tag(tag, separator="_")
    if found is None:
        raise DataError(f"'{tag}' is no tag of a span: those are O, or a letter (B, I, E, S ...), a hyphen and a kind")
    return found


def _begins_rightly(scheme: Scheme, before: Tag, now: Tag) -> bool:
    if scheme.ends:
        return now.role in ("B", "S")
    if scheme.always_begins:
        return now.role == "B"
    return now.role == "I" or (before.role != OUTSIDE and before.kind == now.kind)


def _complaint(tags: Sequence[str], index: int, scheme: Scheme) -> str:
    before = f"after '{tags[index - 1]}'" if index else "at the beginning"
    if index == len(tags):
        what = f"the sentence ends after '{tags[-1]}'"
    else:
        what = f"tag '{tags[index]}' {before}"
    opened = scheme.parse(tags[index - 1]) if index else Tag(OUTSIDE, "")
    if scheme.ends and opened.role in ("B", "I"):
        must = f"{scheme.tag('I', opened.kind)} or {scheme.tag('E', opened.kind)} must follow"
    elif scheme.ends:
        kind = scheme.parse(tags[index]).kind
        must = f"a span begins with {scheme.tag('B', kind)} or {scheme.tag('S', kind)}"
    elif scheme.always_begins:
        must = f"a span begins with {scheme.tag('B', scheme.parse(tags[index]).kind)}"
    else:
        kind = scheme.parse(tags[index]).kind
        must = f"{scheme.tag('B', kind)} only parts two spans that touch; this one begins with {scheme.tag('I', kind)}"
    return f"{what}, but in {scheme.name} {must}"
