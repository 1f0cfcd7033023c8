"""Tones and rhymes of classical Chinese verse, by the 106 groups of the Pingshui rhymes (平水韻).

A character may have several readings; a test is passed when some reading passes it. Where a test hangs
on a character that the table lacks, it is neither passed nor failed, and whoever asks can count these.

The rules are those of recent-style verse (近體詩). Lines are given as plain strings of characters,
without punctuation.
"""

from __future__ import annotations

import enum
import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from rondo.tasks.poetry.script import canonical, to_simplified


class Tone(enum.IntFlag):
    """The tone classes a character can be read in: level 平, oblique 仄, both, or not in the table."""

    UNKNOWN = 0
    LEVEL = 1
    OBLIQUE = 2
    BOTH = 3


@dataclass(frozen=True)
class Group:
    """One rhyme group, such as 上平聲 一東."""

    index: int
    """Place in the table, 0 to 105; the 30 level groups come first."""
    section: str
    """上平聲, 下平聲 (level tones), 上聲, 去聲 or 入聲 (oblique tones)."""
    name: str
    """Number and name in the section, such as 一東."""
    level: bool
    """Whether its characters are in the level tone."""


class RhymeTable:
    """Readings of characters: in traditional form, in variant forms, and in simplified form.

    A simplified character has the readings of all the characters it stands for, unless it is also
    a character of the table itself: convert whole poems first (`script.to_traditional`) where the
    difference between 后 and 後 matters.
    """

    def __init__(self, groups: Sequence[tuple[str, str, str]], supplement: Mapping[str, str]) -> None:
        self.groups = tuple(
            Group(index=index, section=section, name=name, level=section.endswith("平聲"))
            for index, (section, name, _) in enumerate(groups)
        )
        by_character: dict[str, list[Group]] = {}
        for group, (_, _, characters) in zip(self.groups, groups, strict=True):
            for character in characters:
                by_character.setdefault(character, []).append(group)
        by_name = {group.name[-1]: group for group in self.groups}
        for character, names in supplement.items():
            by_character.setdefault(character, []).extend(by_name[name] for name in names)
        listed = "".join(by_character)
        self._readings = {character: tuple(found) for character, found in by_character.items()}
        self._by_common_form = self._merged(zip(canonical(listed), listed, strict=True))
        simplified = to_simplified("\n".join(listed)).split("\n")
        self._by_simplified_form = self._merged(zip(simplified, listed, strict=True))
        self._found: dict[str, tuple[Group, ...]] = {}

    def _merged(self, pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[Group, ...]]:
        merged: dict[str, dict[Group, None]] = {}
        for form, character in pairs:
            merged.setdefault(form, {}).update(dict.fromkeys(self._readings[character]))
        return {form: tuple(found) for form, found in merged.items()}

    def readings(self, character: str) -> tuple[Group, ...]:
        """The groups in which a character stands; empty when the table lacks it."""
        found = self._found.get(character)
        if found is None:
            common = canonical(character)
            found = (
                self._readings.get(character)
                or self._readings.get(common)
                or self._by_common_form.get(common)
                or self._by_simplified_form.get(character)
                or self._by_simplified_form.get(to_simplified(common))
                or ()
            )
            self._found[character] = found
        return found

    def tone(self, character: str) -> Tone:
        tone = Tone.UNKNOWN
        for group in self.readings(character):
            tone |= Tone.LEVEL if group.level else Tone.OBLIQUE
        return tone

    def level_groups(self, character: str) -> frozenset[int]:
        """Indices of the level-tone groups in which a character can rhyme."""
        return frozenset(group.index for group in self.readings(character) if group.level)


@functools.cache
def rhyme_table() -> RhymeTable:
    """The table that comes with the package."""
    text = resources.files(__package__).joinpath("pingshui.json").read_text(encoding="utf-8")
    content = json.loads(text)
    return RhymeTable([tuple(group) for group in content["groups"]], content["supplement"])


@dataclass(frozen=True)
class RhymeTest:
    """Whether the even lines of a poem rhyme in the level tone."""

    right: bool | None
    """All even lines share a level-tone group in some reading; None if those in the table do, but not all are."""
    groups: frozenset[int]
    """The groups they share."""
    first_line: bool
    """Whether the first line rhymes with them."""
    unknown: int
    """Rhyme characters that the table lacks."""


def rhyme_test(lines: Sequence[str]) -> RhymeTest:
    table = rhyme_table()
    endings = [line[-1:] for line in lines[1::2]]
    known = [ending for ending in endings if table.readings(ending)]
    unknown = len(endings) - len(known)
    if len(known) < 2:
        return RhymeTest(right=None, groups=frozenset(), first_line=False, unknown=unknown)
    shared = frozenset.intersection(*(table.level_groups(ending) for ending in known))
    first = shared & table.level_groups(lines[0][-1:])
    right = False if not shared else None if unknown else True
    return RhymeTest(right=right, groups=first or shared, first_line=bool(first), unknown=unknown)


@dataclass(frozen=True)
class ToneTest:
    """How a poem's tones stand against the pattern of recent-style verse."""

    right: bool | None
    """Whether positions 2, 4 (and 6) fit; None if lines are uneven, or those in the table fit but not all are."""
    violations: tuple[tuple[int, int], ...]
    """(line, position), from 1, that break the pattern that fits best."""
    three_level: tuple[int, ...]
    """Lines, from 1, that end in three level tones (三平尾)."""
    lone_level: tuple[int, ...]
    """Lines, from 1, with a lone level tone before the rhyme (孤平)."""
    unknown: int
    """Characters of the poem that the table lacks."""

    @property
    def strict(self) -> bool | None:
        """Whether the stricter rules hold as well."""
        return self.right and not self.three_level and not self.lone_level


def expected_tone(line: int, position: int, *, opening: Tone) -> Tone:
    """The tone that the pattern asks at an even ``position`` of a line (both from 1).

    ``opening`` is the tone of the second character of the poem. Positions 2, 4 and 6 alternate in a
    line; the lines of a couplet oppose each other (對); neighbouring couplets agree (黏).
    """
    alternations = position // 2 - 1
    opposed = line % 4 in (2, 3)
    return opening if (alternations + opposed) % 2 == 0 else Tone.BOTH & ~opening


def tone_test(lines: Sequence[str]) -> ToneTest:
    table = rhyme_table()
    unknown = sum(not table.readings(character) for line in lines for character in line)
    width = len(lines[0]) if lines else 0
    if width not in (5, 7) or len(lines) < 2 or any(len(line) != width for line in lines):
        return ToneTest(right=None, violations=(), three_level=(), lone_level=(), unknown=unknown)
    tones = [[table.tone(character) for character in line] for line in lines]
    decisive = [
        (line, position, tones[line - 1][position - 1])
        for line in range(1, len(lines) + 1)
        for position in range(2, width, 2)
        if tones[line - 1][position - 1] is not Tone.UNKNOWN
    ]
    broken_by_opening = [
        tuple(
            (line, position)
            for line, position, tone in decisive
            if not tone & expected_tone(line, position, opening=opening)
        )
        for opening in (Tone.LEVEL, Tone.OBLIQUE)
    ]
    violations = min(broken_by_opening, key=len)
    return ToneTest(
        right=False if violations else None if len(decisive) < len(lines) * (width // 2) else True,
        violations=violations,
        three_level=tuple(number for number, line in enumerate(tones, 1) if ends_in_three_levels(line)),
        lone_level=tuple(number for number, line in enumerate(tones, 1) if has_lone_level(line)),
        unknown=unknown,
    )


def ends_in_three_levels(tones: Sequence[Tone]) -> bool:
    """三平尾: the last three characters can be read in the level tone only."""
    return all(tone is Tone.LEVEL for tone in tones[-3:])


def has_lone_level(tones: Sequence[Tone]) -> bool:
    """孤平: the last five tones are oblique, level, oblique, oblique, level, with no other reading.

    In a line of five the first character, in a line of seven the third was exchanged for an oblique
    one, and the character after next does not make up for it.
    """
    pattern = (Tone.OBLIQUE, Tone.LEVEL, Tone.OBLIQUE, Tone.OBLIQUE, Tone.LEVEL)
    return len(tones) >= 5 and tuple(tones[-5:]) == pattern


def is_regulated(lines: Sequence[str]) -> bool | None:
    """Recent style (近體) by the tone pattern, else old style (古體); None where the rule does not apply."""
    return tone_test(lines).right
