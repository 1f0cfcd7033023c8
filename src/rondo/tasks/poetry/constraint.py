"""Masks over the vocabulary that hold a poem to its form, rhyme and tones while it is written.

What is still open about a poem is kept as a set of hypotheses: the tone of its second character
(which fixes the whole pattern) and whether its first line rhymes; beside them stands the set of
rhyme groups that are still possible. A token is allowed when some hypothesis allows it, and each
token that is taken rules hypotheses out, so nothing is decided earlier than the text decides it.

No poem can run into a dead end. Every hypothesis asks of a position a tone class, which has
characters in every useful vocabulary, or a rhyme, and only groups with enough different characters
for all rhymes of the poem are admitted.

The tests of `prosody` and `evaluate` share nothing with this file but the table of readings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rondo.errors import UsageError
from rondo.tasks.poetry.forms import COMMA, STOP
from rondo.tasks.poetry.prosody import rhyme_table
from rondo.tasks.poetry.request import (
    PoemRequest,
    Rules,
    acrostic_characters,
    acrostic_note,
    fixed_characters,
    opening_lines,
    rules_of,
)
from rondo.tasks.poetry.vocabulary import PoemVocabulary

Mask = np.ndarray

COMFORTABLE_GROUP = 24
"""A rhyme group is offered freely when the vocabulary has this many of its characters."""


class PoemConstraint(Protocol):
    """What a batch of poems in the making may go on with; all in the same form."""

    start: int
    """The token that the network is fed first: the form."""
    max_tokens: int | None
    """How many tokens follow, the end included; None where the form does not say."""
    notes: list[str]
    """What of the request contradicts the rules (and was kept) or is unknown to the model."""

    def allowed(self) -> Mask:
        """(B, V): the tokens each poem may go on with; never empty. Not to be written to."""

    def advance(self, tokens: np.ndarray) -> None:
        """Take one token (B,) for each poem."""

    @property
    def done(self) -> np.ndarray:
        """(B,): poems that have ended."""

    def text(self, tokens: Sequence[int] | np.ndarray) -> str:
        """One poem's tokens (without ``start``) as text, with the characters asked for put in."""


def constrain(vocabulary: PoemVocabulary, request: PoemRequest, *, batch_size: int = 1) -> PoemConstraint:
    """The masks for a request: a `HeldPoems` where a form is held, else a `FreePoems`."""
    rules = rules_of(request)
    if rules.hold_form:
        held = HeldPoems(vocabulary, rules, fixed_characters(request, rules.form), batch_size=batch_size)
        if note := acrostic_note(request, rules.form):
            held.notes.append(note)
        return held
    return FreePoems(vocabulary, rules, request, batch_size=batch_size)


@dataclass(frozen=True)
class Readings:
    """Of some characters: can be level, can be oblique, and the level groups as bits."""

    level: Mask
    oblique: Mask
    groups: np.ndarray

    @classmethod
    def of(cls, characters: Sequence[str]) -> Readings:
        table = rhyme_table()
        bits = [sum(1 << group for group in table.level_groups(character)) for character in characters]
        oblique = [any(not group.level for group in table.readings(character)) for character in characters]
        groups = np.array(bits, dtype=np.uint32)
        return cls(level=groups > 0, oblique=np.array(oblique, dtype=bool), groups=groups)

    def at(self, index: np.ndarray) -> Readings:
        return Readings(self.level[index], self.oblique[index], self.groups[index])


@dataclass(frozen=True)
class Slot:
    """A place in the layout; ``position`` is from 0, the width of a line for the mark after it."""

    line: int
    position: int


class HeldPoems:
    """Poems in a fixed form, with or without rhyme and tones held."""

    def __init__(
        self,
        vocabulary: PoemVocabulary,
        rules: Rules,
        fixed: Mapping[tuple[int, int], str],
        *,
        batch_size: int,
    ) -> None:
        self.start = vocabulary.form_token(rules.form)
        self.max_tokens: int | None = rules.form.length + 1
        self.notes: list[str] = []
        self._rules, self._vocabulary, self._fixed = rules, vocabulary, fixed
        self._slots = [
            Slot(line, position) for line in range(rules.form.lines) for position in range(rules.form.width + 1)
        ]
        self._step = 0
        self._is_character = np.arange(vocabulary.size) >= vocabulary.first_character
        characters = vocabulary.tokens[vocabulary.first_character :]
        own = Readings.of(characters)
        pad = (vocabulary.first_character, 0)
        self._readings = Readings(np.pad(own.level, pad), np.pad(own.oblique, pad), np.pad(own.groups, pad))
        if rules.tone and not (own.level.any() and own.oblique.any()):
            raise UsageError("the vocabulary has no characters of known tone: the tones cannot be held")
        self._fixed_readings = {slot: Readings.of([character]) for slot, character in fixed.items()}

        # The current line of each poem: characters that have only the one tone.
        shape = (batch_size, rules.form.width)
        self._only_level = np.zeros(shape, dtype=bool)
        self._only_oblique = np.zeros(shape, dtype=bool)
        self._used_rhymes = np.zeros((batch_size, vocabulary.size), dtype=bool)
        self._used = np.zeros((batch_size, vocabulary.size if rules.no_repeats else 0), dtype=bool)
        if rules.no_repeats:
            self._used[:, [vocabulary.id(character) for character in fixed.values()]] = True

        # alive[b, s, f]: the poem opens level (s = 0) or oblique (1); the first line rhymes (f = 1) or not.
        schemes = (0, 1) if rules.tone else (0,)
        firsts = self._first_line_choices()
        groups = [self._feasible_groups(first) for first in (0, 1)]
        self._groups = np.tile(np.array(groups, dtype=np.uint32), (batch_size, 1))
        broken = {
            (scheme, first): (self._contradictions(scheme, first, strict=False), self._contradictions(scheme, first))
            for scheme in schemes
            for first in firsts
        }
        # The strict rules only decide between hypotheses that are equal without them.
        least = min((len(loose), len(found)) for loose, found in broken.values())
        self._alive = np.zeros((batch_size, 2, 2), dtype=bool)
        for (scheme, first), (loose, found) in broken.items():
            self._alive[:, scheme, first] = (len(loose), len(found)) == least
        scheme, first = np.argwhere(self._alive[0])[0].tolist()
        self._note_fixed(*broken[scheme, first])

    # What a hypothesis asks of a slot: one definition for the mask, the update and the request.

    def _fits(self, slot: Slot, scheme: int, first: int, readings: Readings, *, strict: bool | None = None) -> Mask:
        """Which readings fit, (1 or B, N), for readings of shape (N,) or (B, 1)."""
        rules, width = self._rules, self._rules.form.width
        strict = rules.strict if strict is None else strict
        last = slot.position == width - 1
        fits = np.ones((1, 1), dtype=bool)
        if rules.tone and slot.position % 2 == 1:
            fits = fits & (readings.level if self._level_at(slot, scheme) else readings.oblique)
        if rules.rhyme and last:
            if self._rhymes(slot.line, first):
                fits = fits & ((readings.groups & self._groups[:, first, None]) != 0)
            elif slot.line == 0 or rules.tone:
                fits = fits & readings.oblique
        if strict and slot.position == width - 3 and rules.rhyme and self._rhymes(slot.line, first):
            if self._level_at(Slot(slot.line, width - 2), scheme):
                fits = fits & readings.oblique
            else:
                fits = fits & (readings.level | ~self._only_oblique[:, width - 5, None])
        if strict and last and not (rules.rhyme and self._rhymes(slot.line, first)):
            fits = fits & (readings.oblique | ~self._would_break_with_level()[:, None])
        return fits

    def _level_at(self, slot: Slot, scheme: int) -> bool:
        """Whether the pattern asks a level tone at an even place (position 1, 3 or 5 from 0)."""
        turns = slot.position // 2 + (slot.line % 4 in (1, 2)) + scheme
        return turns % 2 == 0

    def _rhymes(self, line: int, first: int) -> bool:
        return line % 2 == 1 or (line == 0 and first == 1)

    def _would_break_with_level(self) -> Mask:
        """(B,): poems whose line would break a strict rule if it ended in a level tone."""
        width = self._rules.form.width
        level, oblique = self._only_level, self._only_oblique
        three = level[:, width - 3] & level[:, width - 2]
        lone = oblique[:, width - 5] & level[:, width - 4] & oblique[:, width - 3] & oblique[:, width - 2]
        return three | lone

    # Before the first token.

    def _first_line_choices(self) -> tuple[int, ...]:
        wanted = self._rules.first_line_rhymes
        if not self._rules.rhyme:
            return (0,)
        return (0, 1) if wanted is None else (int(wanted),)

    def _feasible_groups(self, first: int) -> int:
        """The rhyme groups to begin with, as bits: large enough, and those of fixed rhymes if there are any."""
        rules = self._rules
        if not rules.rhyme:
            return 0
        # One more than the even lines need: the first line's last character, read as oblique, may be of the group.
        needed = 1 if rules.repeat_rhyme else rules.form.lines // 2 + 1
        sizes = {group: int(np.count_nonzero(self._readings.groups & np.uint32(1 << group))) for group in range(30)}
        possible = [group for group, size in sizes.items() if size >= needed]
        if not possible:
            raise UsageError(
                f"the model's vocabulary has no rhyme group with {needed} characters: the rhyme cannot be held"
            )
        fixed = [
            int(self._fixed_readings[line, rules.form.width - 1].groups[0])
            for line in range(rules.form.lines)
            if self._rhymes(line, first) and (line, rules.form.width - 1) in self._fixed
        ]
        matches = {group: sum(bits >> group & 1 for bits in fixed) for group in possible}
        most = max(matches.values())
        comfortable = [group for group in possible if sizes[group] >= COMFORTABLE_GROUP]
        chosen = [group for group in possible if matches[group] == most] if most else comfortable or possible
        return sum(1 << group for group in chosen)

    def _contradictions(self, scheme: int, first: int, *, strict: bool | None = None) -> list[tuple[int, int]]:
        """Fixed characters that a hypothesis does not allow."""
        return [
            (line, position)
            for (line, position), readings in sorted(self._fixed_readings.items())
            if not self._fits(Slot(line, position), scheme, first, readings, strict=strict)[0].all()
        ]

    def _note_fixed(self, loose: Sequence[tuple[int, int]], found: Sequence[tuple[int, int]]) -> None:
        for (line, position), character in sorted(self._fixed.items()):
            where = f"{character} (line {line + 1}, position {position + 1})"
            if character not in self._vocabulary:
                self.notes.append(f"{where} is not among the characters that the model knows; kept")
            if (line, position) in loose:
                known = rhyme_table().readings(character)
                why = "does not fit the tone pattern or the rhyme" if known else "is not in the rhyme table"
                self.notes.append(f"{where} {why}; kept")
            elif (line, position) in found:
                self.notes.append(f"{where} makes a line end in three level tones; kept")

    # While the poem is written.

    @property
    def done(self) -> np.ndarray:
        return np.full(len(self._alive), self._step > len(self._slots))

    def allowed(self) -> Mask:
        batch = len(self._alive)
        forced = self._forced_token()
        if forced is not None:
            only = np.zeros(self._vocabulary.size, dtype=bool)
            only[forced] = True
            return np.broadcast_to(only, (batch, only.size))
        slot = self._slots[self._step]
        hard = np.zeros((batch, self._vocabulary.size), dtype=bool)
        for scheme, first in np.argwhere(self._alive.any(axis=0)).tolist():
            alive = self._alive[:, scheme, first, None]
            hard |= alive & self._fits(slot, scheme, first, self._readings)
        hard &= self._is_character
        if self._is_rhyme_place(slot) and not self._rules.repeat_rhyme:
            hard &= ~self._used_rhymes
        if self._rules.no_repeats:
            # A wish, not a rule: where nothing would be left, characters may come again.
            fresh = hard & ~self._used
            return np.where(fresh.any(axis=1, keepdims=True), fresh, hard)
        return hard

    def _forced_token(self) -> int | None:
        if self._step >= len(self._slots):
            return self._vocabulary.end
        slot = self._slots[self._step]
        if slot.position == self._rules.form.width:
            return self._vocabulary.id(self._rules.form.mark(slot.line))
        character = self._fixed.get((slot.line, slot.position))
        return None if character is None else self._vocabulary.id(character)

    def _is_rhyme_place(self, slot: Slot) -> bool:
        ends = slot.position == self._rules.form.width - 1
        return self._rules.rhyme and ends and (slot.line == 0 or self._rhymes(slot.line, 0))

    def advance(self, tokens: np.ndarray) -> None:
        tokens = np.asarray(tokens)
        batch = len(self._alive)
        if tokens.shape != (batch,):
            raise UsageError(f"expected one token for each of {batch} poems, got an array {tokens.shape}")
        forced = self._forced_token()
        if forced is not None and (tokens != forced).any():
            raise UsageError(f"step {self._step}: only token {forced} is allowed here")
        if self._step < len(self._slots):
            slot = self._slots[self._step]
            if slot.position < self._rules.form.width:
                self._take(slot, tokens)
        self._step += 1

    def _take(self, slot: Slot, tokens: np.ndarray) -> None:
        batch = np.arange(len(tokens))
        readings = self._fixed_readings.get((slot.line, slot.position))
        if readings is None:
            readings = self._readings.at(tokens[:, None])
        fits = np.zeros_like(self._alive)
        for scheme, first in np.argwhere(self._alive.any(axis=0)).tolist():
            fits[:, scheme, first] = self._fits(slot, scheme, first, readings)[:, 0]
        remaining = self._alive & fits
        # A forced character that fits no hypothesis rules none out.
        self._alive = np.where(remaining.any(axis=(1, 2), keepdims=True), remaining, self._alive)
        if slot.position == self._rules.form.width - 1 and self._rules.rhyme:
            for first in (0, 1):
                if self._rhymes(slot.line, first):
                    shared = self._groups[:, first] & readings.groups.reshape(-1)
                    self._groups[:, first] = np.where(shared != 0, shared, self._groups[:, first])
        if self._is_rhyme_place(slot):
            self._used_rhymes[batch, tokens] = True
        if self._rules.no_repeats:
            self._used[batch, tokens] = True
        self._only_level[:, slot.position] = (readings.level & ~readings.oblique).reshape(-1)
        self._only_oblique[:, slot.position] = (readings.oblique & ~readings.level).reshape(-1)

    def text(self, tokens: Sequence[int] | np.ndarray) -> str:
        pieces = []
        for slot, token in zip(self._slots, tokens, strict=False):
            fixed = self._fixed.get((slot.line, slot.position))
            pieces.append(fixed or self._vocabulary.tokens[int(token)])
        return "".join(pieces)


class FreePoems:
    """Poems without a held form: the prompt and the heads of lines are forced, the rest is free."""

    def __init__(self, vocabulary: PoemVocabulary, rules: Rules, request: PoemRequest, *, batch_size: int) -> None:
        self.start = vocabulary.form_token(rules.form)
        self.max_tokens: int | None = None
        self.notes: list[str] = []
        self._vocabulary, self._rules = vocabulary, rules
        self._generable = vocabulary.generable()
        lines = opening_lines(request)
        self._prefix = "".join(line + rules.form.mark(number) for number, line in enumerate(lines))
        if lines and not request.first_line and request.prompt.rstrip()[-1:] not in (*COMMA, *STOP):
            self._prefix = self._prefix[:-1]
        self._acrostic = acrostic_characters(request)
        self._step = 0
        self._line_start = np.ones(batch_size, dtype=bool)
        self._heads = np.zeros(batch_size, dtype=np.int64)
        self._ended = np.zeros(batch_size, dtype=bool)
        self._used = np.zeros((batch_size, vocabulary.size), dtype=bool)
        for number, (line, head) in enumerate(zip(lines, self._acrostic, strict=False), 1):
            if line[0] != head:
                raise UsageError(
                    f"line {number} cannot begin with both {line[0]!r} and {head!r}: "
                    "prompt and acrostic contradict each other"
                )
        for character in dict.fromkeys(self._prefix + self._acrostic):
            if character not in vocabulary:
                self.notes.append(f"{character} is not among the characters that the model knows; kept")

    @property
    def done(self) -> np.ndarray:
        return self._ended.copy()

    def _forced(self) -> np.ndarray:
        """(B,): the token that each poem must go on with, -1 for a free choice."""
        forced = np.full(len(self._ended), -1)
        if self._step < len(self._prefix):
            forced[:] = self._vocabulary.id(self._prefix[self._step])
            return forced
        pending = self._line_start & (self._heads < len(self._acrostic))
        for index in np.flatnonzero(pending):
            forced[index] = self._vocabulary.id(self._acrostic[self._heads[index]])
        forced[self._ended] = self._vocabulary.end
        return forced

    def allowed(self) -> Mask:
        batch = len(self._ended)
        allowed = np.broadcast_to(self._generable, (batch, self._generable.size)).copy()
        allowed[self._heads < len(self._acrostic), self._vocabulary.end] = False
        if self._rules.no_repeats:
            allowed &= ~self._used
        forced = self._forced()
        rows = np.flatnonzero(forced >= 0)
        allowed[rows] = False
        allowed[rows, forced[rows]] = True
        return allowed

    def advance(self, tokens: np.ndarray) -> None:
        tokens = np.asarray(tokens)
        if tokens.shape != self._ended.shape:
            raise UsageError(f"expected one token for each of {len(self._ended)} poems, got an array {tokens.shape}")
        self._heads += self._line_start & ~self._ended & (self._heads < len(self._acrostic))
        self._line_start = (tokens == self._vocabulary.comma) | (tokens == self._vocabulary.stop)
        self._ended |= tokens == self._vocabulary.end
        characters = tokens >= self._vocabulary.first_character
        self._used[np.flatnonzero(characters), tokens[characters]] = True
        self._step += 1

    def text(self, tokens: Sequence[int] | np.ndarray) -> str:
        pieces: list[str] = []
        heads = 0
        for step, token in enumerate(int(token) for token in tokens):
            if token == self._vocabulary.end:
                break
            starts = not pieces or pieces[-1] in (COMMA, STOP)
            character = self._vocabulary.tokens[token]
            if starts and heads < len(self._acrostic):
                character = self._acrostic[heads]
                heads += 1
            pieces.append(self._prefix[step] if step < len(self._prefix) else character)
        return "".join(pieces)
