"""From files of poems to a training part and a held-out part that share nothing they should not.

Editions differ in variants, punctuation and notes, and print the same poem twice. Poems are brought
to one form first (`canonical` characters, ，and 。only, notes and brackets gone), then equal ones are
dropped, and those that share half their lines stay on one side of every split.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from rondo.errors import DataError, UsageError
from rondo.tasks.poetry.forms import COMMA, FORMS, STOP, Form, detect_form, split_lines
from rondo.tasks.poetry.reading import RawPoem, read_raw_poems
from rondo.tasks.poetry.script import canonical, script_of, to_simplified, to_traditional
from rondo.tasks.poetry.tidy import Damaged, tidy

SCRIPT_SAMPLE = 200_000
"""Characters of a file that decide whether it is simplified or traditional."""


@dataclass(frozen=True)
class Poem:
    """A poem in canonical traditional characters."""

    title: str
    author: str
    text: str
    """Lines with ，and 。between them and a 。at the end."""

    @cached_property
    def lines(self) -> tuple[str, ...]:
        return tuple(self.text.replace(COMMA, STOP).split(STOP)[:-1])

    @cached_property
    def form(self) -> Form:
        return detect_form(self.lines)


@dataclass
class CorpusCounts:
    """What became of the poems that were read."""

    files: int = 0
    read: int = 0
    """Poems that the files hold."""
    without_text: int = 0
    """Poems of which nothing is left without the notes."""
    damaged: int = 0
    """Poems with missing or unprintable characters, left out."""
    duplicates: int = 0
    """Poems equal to an earlier one, left out."""
    poems: int = 0
    """Poems that remain."""
    groups: int = 0
    """Sets of poems that a split keeps together, single ones included."""
    grouped: int = 0
    """Poems that share half their lines with another one."""
    characters: int = 0
    """Characters of verse in them, without punctuation."""
    forms: dict[str, int] = field(default_factory=dict)
    """How many are in each form."""

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class Corpus:
    """Poems without duplicates; ``group[i]`` is the same number for poems that must not be split."""

    poems: tuple[Poem, ...]
    group: tuple[int, ...]
    counts: CorpusCounts


@dataclass(frozen=True)
class Split:
    """The parts of a corpus; no poem of one shares half its lines with a poem of another."""

    train: tuple[Poem, ...]
    valid: tuple[Poem, ...]
    test: tuple[Poem, ...]


def read_corpus(paths: Sequence[str | Path], *, encoding: str | None = None) -> Corpus:
    """Read files of poems (JSON lines, JSON, or plain text; compressed or not; either script)."""
    counts = CorpusCounts(files=len(paths))
    poems = []
    for path in paths:
        raw = read_raw_poems(path, encoding=encoding)
        kept = _tidy_all(raw, counts)
        if not kept:
            raise DataError(
                f"{path}: no Chinese verse found; expected JSON lines with 'paragraphs', or plain text with "
                "one poem a paragraph or one poem a line"
            )
        poems += kept
    return make_corpus(poems, counts=counts)


def make_corpus(poems: Iterable[Poem], *, counts: CorpusCounts | None = None) -> Corpus:
    """Drop duplicates and find the poems that share half their lines."""
    poems = list(poems)
    counts = counts or CorpusCounts(read=len(poems))
    keys = _comparison_keys(poems)
    first_of: dict[tuple[str, ...], int] = {}
    for index, key in enumerate(keys):
        first_of.setdefault(key, index)
    kept = sorted(first_of.values())
    group = group_by_lines([keys[index] for index in kept])
    unique = tuple(poems[index] for index in kept)
    sizes = Counter(group)
    forms = Counter(poem.form.name for poem in unique)
    counts.duplicates = len(poems) - len(unique)
    counts.poems = len(unique)
    counts.groups = len(sizes)
    counts.grouped = sum(size for size in sizes.values() if size > 1)
    counts.characters = sum(len(line) for poem in unique for line in poem.lines)
    counts.forms = {form.name: forms[form.name] for form in FORMS}
    return Corpus(poems=unique, group=tuple(group), counts=counts)


def _tidy_all(raw: Sequence[RawPoem], counts: CorpusCounts) -> list[Poem]:
    sample = ""
    for poem in raw:
        sample += poem.text
        if len(sample) > SCRIPT_SAMPLE:
            break
    convert = canonical if script_of(sample) == "traditional" else to_traditional
    kept = []
    for poem in raw:
        counts.read += 1
        try:
            text = tidy(poem.text)
        except Damaged:
            counts.damaged += 1
            continue
        if not text:
            counts.without_text += 1
            continue
        kept.append(Poem(title=convert(poem.title), author=convert(poem.author), text=_lay_out(convert(text))))
    return kept


def _lay_out(text: str) -> str:
    """A fixed form gets its own punctuation, which editions vary."""
    lines = split_lines(text)
    form = detect_form(lines)
    return form.punctuate(lines) if form.fixed else text


def _comparison_keys(poems: Sequence[Poem]) -> list[tuple[str, ...]]:
    """The lines of each poem in simplified characters, which merge still more variants (閒 and 閑)."""
    joined = to_simplified("\n".join("，".join(poem.lines) for poem in poems))
    return [tuple(text.split("，")) for text in joined.split("\n")] if poems else []


def group_by_lines(poems: Sequence[Sequence[str]]) -> list[int]:
    """A number for each poem, the same for poems joined by a chain of shared halves.

    Two poems are joined when the lines they share are at least half of the shorter one's.
    """
    parent = list(range(len(poems)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    lines = [set(poem) for poem in poems]
    holders: dict[str, list[int]] = defaultdict(list)
    for index, own in enumerate(lines):
        for line in own:
            holders[line].append(index)
    joined: set[str] = set()  # lines whose holders are all in one group already
    for index, own in enumerate(lines):
        needed = (len(own) + 1) // 2
        # Whoever shares that many lines with this poem holds one of any len(own) - needed + 1 of its lines:
        # the rarest will do, so a line that very many poems have is seldom followed.
        rarest = sorted(own, key=lambda line: (len(holders[line]), line))[: len(own) - needed + 1]
        met = {index}
        for line in rarest:
            if line in joined:
                continue
            for other in holders[line]:
                if other in met or root(other) == root(index):
                    continue
                met.add(other)
                if len(own & lines[other]) >= needed:
                    # The smaller root wins, so that the numbers do not depend on the order of the pairs.
                    low, high = sorted((root(index), root(other)))
                    parent[high] = low
            if all(root(other) == root(index) for other in holders[line]):
                joined.add(line)
    return [root(index) for index in range(len(poems))]


def split_corpus(corpus: Corpus, *, valid_fraction: float = 0.1, test_fraction: float = 0.0, seed: int = 0) -> Split:
    """Divide a corpus, whole groups at a time; the same seed and poems give the same parts."""
    if min(valid_fraction, test_fraction) < 0 or valid_fraction + test_fraction >= 1:
        raise UsageError(
            f"the validation and test fractions must be at least 0 and less than 1 together, "
            f"got {valid_fraction} and {test_fraction}"
        )
    members: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(corpus.group):
        members[group].append(index)
    order = sorted(members, key=lambda group: _seeded_order(corpus.poems[members[group][0]].text, seed))
    part_of: dict[int, str] = {}
    remaining = iter(order)
    for part, fraction in (("valid", valid_fraction), ("test", test_fraction)):
        wanted = max(1, round(fraction * len(corpus.poems))) if fraction > 0 else 0
        taken = 0
        while taken < wanted:
            following = next(remaining, None)
            if following is None:
                break
            part_of.update(dict.fromkeys(members[following], part))
            taken += len(members[following])
    train = tuple(poem for index, poem in enumerate(corpus.poems) if index not in part_of)
    if not train:
        raise DataError(
            f"{len(corpus.poems)} poems in {len(members)} independent groups are too few to hold some "
            "out (in a plain text, an empty line stands between two poems)"
        )
    return Split(
        train=train,
        valid=tuple(poem for index, poem in enumerate(corpus.poems) if part_of.get(index) == "valid"),
        test=tuple(poem for index, poem in enumerate(corpus.poems) if part_of.get(index) == "test"),
    )


def _seeded_order(text: str, seed: int) -> bytes:
    return hashlib.blake2b(text.encode(), key=str(seed).encode()[:64], digest_size=16).digest()
