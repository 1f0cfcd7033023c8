"""Which scheme tags are written in, told by the tags themselves; and what becomes of those that are of none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from rondo.data.tagging.schemes import (
    BILOU,
    BIOES,
    BMES,
    BMEWO,
    IOB1,
    IOB2,
    OUTSIDE,
    SCHEMES,
    Scheme,
    Tag,
    convert_tags,
    parse_tag,
)
from rondo.errors import DataError

Where = Callable[[int, int], object]
"""Says where a token stands, by the number of its sentence and its own."""

RARE = 20
"""Letters alone are also how parts of speech are written: where no tag has a kind, one in so many may be odd."""


class UnclearScheme(DataError):
    """Some tags are of no scheme with the others. The message names the first of them and where it stands."""


@dataclass
class _Found:
    """What the tags have, and where it was met first."""

    letters: Counter[str] = field(default_factory=Counter)
    separators: Counter[str] = field(default_factory=Counter)
    outside: int = 0
    odd: int = 0
    """Tags that have not the form of any."""
    first: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    """Of each letter, each separator, and of what is odd (``""``): sentence, token, and the tag."""
    wrong: dict[Scheme, int] = field(default_factory=lambda: {IOB1: 0, IOB2: 0})

    def add(self, number: int, tags: Sequence[str]) -> None:
        before: Tag | None = None
        for place, tag in enumerate(tags):
            separator = tag[1:2] if tag[1:2] in ("-", "_") else ""
            now = parse_tag(tag, separator=separator or "-")
            if now is None:
                self.odd += 1
                self.first.setdefault("", (number, place, tag))
            elif now.role == OUTSIDE:
                self.outside += 1
            else:
                for counter, key in ((self.letters, tag[0]), (self.separators, separator)):
                    counter[key] += 1
                    if key:
                        self.first.setdefault(key, (number, place, tag))
                for scheme in self.wrong:
                    self.wrong[scheme] += not scheme.may_follow(before, now)
            before = now

    @property
    def spans(self) -> bool:
        """Whether these are tags of spans, all or nearly all of them."""
        if not self.odd:
            return True
        formed = self.letters.total() + self.outside
        kinds = self.separators["-"] + self.separators["_"]
        return self.odd < formed if kinds else bool(self.letters) and self.odd * RARE < formed


def detect_scheme(
    sequences: Iterable[Sequence[str]], *, where: Where | None = None, mend: bool = False
) -> Scheme | None:
    """The scheme that tags are written in; None if they are no spans (parts of speech, for instance).

    Between IOB1 and IOB2 those tags decide that only one of them allows; the fewer are wrong, the better. Where
    nearly all are tags of spans, one that is not, or that is of another scheme, is an error; with ``mend`` the
    others decide, and `mended_tags` says how it is read.
    """
    found = _Found()
    for number, tags in enumerate(sequences):
        found.add(number, tags)
    if not found.spans:
        return None

    def refuse(key: str, why: str) -> None:
        if not mend:
            number, token, tag = found.first[key]
            place = f"sentence {number + 1}, token {token + 1}" if where is None else where(number, token)
            raise UnclearScheme(f"{place}: {why.format(tag=tag)}")

    if found.odd:
        refuse("", "'{tag}' is no tag of a span, and nearly all others are: O, or a letter, a hyphen and a kind")
    if found.separators["-"] and found.separators["_"]:
        fewer = min(("_", "-"), key=lambda one: found.separators[one])
        refuse(fewer, "'{tag}': tags are written with - and with _ between letter and kind; write all of them one way")
    scheme = max((IOB2, BIOES, BMES, BILOU, BMEWO), key=lambda one: sum(found.letters[x] for x in one.letters))
    strangers = [letter for letter in found.letters if letter not in scheme.letters]
    if strangers:
        known = ", ".join(f"{scheme.name} ({', '.join(scheme.letters)})" for scheme in SCHEMES.values())
        together = f"the letters {', '.join(sorted(found.letters))} are of no scheme"
        refuse(strangers[0], f"'{{tag}}' does not go with the other tags: {together}; those are {known}")
    if scheme is IOB2 and found.wrong[IOB1] < found.wrong[IOB2]:
        scheme = IOB1
    return replace(scheme, separator="_") if found.separators["_"] > found.separators["-"] else scheme


def mended_tags(tags: Sequence[str], scheme: Scheme) -> list[str]:
    """The spans of tags, broken or not, as ``scheme`` writes them: read as conlleval reads them.

    For conlleval a letter that no scheme has goes on as I does (``X-PER``); what has not even a hyphen is outside.
    """
    return convert_tags([_readable(tag) for tag in tags], scheme)


def _readable(tag: str) -> str:
    if parse_tag(tag) is not None or parse_tag(tag, separator="_") is not None:
        return tag
    letter, hyphen, kind = tag.partition("-")
    return f"I-{kind}" if letter and hyphen and kind else OUTSIDE
