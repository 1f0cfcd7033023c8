"""How well poems keep the rules, and how much of them is new: counted from the finished text alone.

Nothing here knows the masks that may have held a poem while it was written (`constraint`); both only
look characters up in the same table of readings.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from rondo.errors import UsageError
from rondo.tasks.poetry.forms import COMMA, FIXED_FORMS, HAN, STOP, Form, split_lines
from rondo.tasks.poetry.prosody import RhymeTest, ToneTest, rhyme_test, tone_test


@dataclass(frozen=True)
class Share:
    """So many of so many."""

    count: int
    of: int

    @property
    def rate(self) -> float | None:
        """None when there was nothing to count."""
        return self.count / self.of if self.of else None

    def __str__(self) -> str:
        return "-" if self.rate is None else f"{100 * self.rate:.1f} % ({self.count}/{self.of})"


@dataclass(frozen=True)
class PoemScores:
    """What was counted in a set of poems.

    Rhyme and tones are tested where the format is right; where they hang on a character that the table
    lacks, they are undecided, and the poem counts neither way.
    """

    poems: int
    """Poems in the set."""
    format_right: Share
    """Number and width of lines and punctuation as the form asks, and all in Chinese characters."""
    rhyme_right: Share
    """All even lines share a level-tone group in some reading."""
    tone_right: Share
    """Positions 2, 4 and 6 fit the pattern; these poems are regulated (近體), the others old-style."""
    all_right: Share
    """Format, rhyme and tones, of the poems of which all three can be told."""
    undecided: Share
    """Poems that keep every rule that can be told, but of which the table cannot tell all; of the whole set."""
    rhyme_right_regulated: Share
    """Rhyme right, of the poems whose tones are right."""
    rhyme_right_old_style: Share
    """Rhyme right, of the poems whose tones are not."""
    three_level_endings: Share
    """Poems with a line that ends in three level tones 三平尾, of those whose tones are right."""
    lone_levels: Share
    """Poems with a lone level tone 孤平, of those whose tones are right."""
    first_line_rhymes: Share
    """The first line rhymes as well, of the poems whose rhyme is right."""
    repeated_rhymes: Share
    """Poems that use a rhyme character twice, of those with the right format."""
    unknown_characters: Share
    """Characters that the rhyme table lacks; they count neither way."""
    repeated_characters: Share
    """Characters that stood in the same poem before."""
    copied_lines: Share
    """Lines of four characters or more that stand in the training part; nothing counted without one."""
    distinct_1: Share
    """Different characters, of the first so many characters."""
    distinct_2: Share
    """Different pairs of neighbouring characters in a poem, of the same."""

    def to_dict(self) -> dict[str, float | int | None]:
        """Rates by name, for JSON; ``poems`` is a count."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value.rate if isinstance(value, Share) else value for name, value in values.items()}


@dataclass(frozen=True)
class PoemSet:
    """Poems with punctuation, and the form each was asked to be in (None: any of the fixed forms)."""

    texts: Sequence[str]
    forms: Sequence[Form | None]

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.forms):
            raise UsageError(f"{len(self.texts)} poems, but forms for {len(self.forms)}")

    @property
    def characters(self) -> int:
        return sum(len(line) for text in self.texts for line in split_lines(text))


@dataclass(frozen=True)
class _Verdict:
    """One poem, looked at."""

    lines: tuple[str, ...]
    format_right: bool
    rhyme: RhymeTest
    tone: ToneTest

    @property
    def all_right(self) -> bool | None:
        """None where it hangs on characters that the table lacks."""
        told = (self.format_right, self.rhyme.right, self.tone.right)
        return False if False in told else None if None in told else True


def has_format(text: str, form: Form) -> bool:
    """Whether the text is, mark for mark, a poem in this form."""
    character = f"[{HAN}]"
    couplet = f"{character}{{{form.width}}}{COMMA}{character}{{{form.width}}}{STOP}"
    return form.fixed and re.fullmatch(f"(?:{couplet}){{{form.lines // 2}}}", text) is not None


def evaluate_poems(
    poems: PoemSet, *, training: Container[str] | None = None, distinct_over: int | None = None
) -> PoemScores:
    """Count everything in a set of poems.

    ``training`` holds the lines of the training part, such as a `memory.LineMemory`.
    ``distinct_over`` limits distinct-n to the first so many characters: the measure falls with the
    length of the text, so only equal lengths can be compared.
    """
    verdicts = [_look_at(text, form) for text, form in zip(poems.texts, poems.forms, strict=True)]
    shaped = [verdict for verdict in verdicts if verdict.format_right]
    rhyme_told = [verdict for verdict in shaped if verdict.rhyme.right is not None]
    tone_told = [verdict for verdict in shaped if verdict.tone.right is not None]
    regulated = [verdict for verdict in tone_told if verdict.tone.right]
    rhyming = [verdict for verdict in rhyme_told if verdict.rhyme.right]
    judged = [verdict.all_right for verdict in verdicts]
    lines = [line for verdict in verdicts for line in verdict.lines]
    long_lines = [line for line in lines if len(line) >= 4]
    characters = sum(len(line) for line in lines)
    limit = characters if distinct_over is None else distinct_over
    return PoemScores(
        poems=len(verdicts),
        format_right=Share(len(shaped), len(verdicts)),
        rhyme_right=Share(len(rhyming), len(rhyme_told)),
        tone_right=Share(len(regulated), len(tone_told)),
        all_right=Share(judged.count(True), len(judged) - judged.count(None)),
        undecided=Share(judged.count(None), len(judged)),
        rhyme_right_regulated=_rhyme_share(regulated),
        rhyme_right_old_style=_rhyme_share([verdict for verdict in tone_told if not verdict.tone.right]),
        three_level_endings=Share(sum(bool(verdict.tone.three_level) for verdict in regulated), len(regulated)),
        lone_levels=Share(sum(bool(verdict.tone.lone_level) for verdict in regulated), len(regulated)),
        first_line_rhymes=Share(sum(verdict.rhyme.first_line for verdict in rhyming), len(rhyming)),
        repeated_rhymes=Share(sum(_repeats_a_rhyme(verdict) for verdict in shaped), len(shaped)),
        unknown_characters=Share(sum(verdict.tone.unknown for verdict in verdicts), characters),
        repeated_characters=Share(
            sum(len(text) - len(set(text)) for text in ("".join(verdict.lines) for verdict in verdicts)),
            characters,
        ),
        copied_lines=(
            Share(sum(line in training for line in long_lines), len(long_lines))
            if training is not None
            else Share(0, 0)
        ),
        distinct_1=_distinct([verdict.lines for verdict in verdicts], 1, limit),
        distinct_2=_distinct([verdict.lines for verdict in verdicts], 2, limit),
    )


def _look_at(text: str, form: Form | None) -> _Verdict:
    candidates = FIXED_FORMS if form is None else (form,)
    lines = tuple(split_lines(text))
    return _Verdict(
        lines=lines,
        format_right=any(has_format(text, candidate) for candidate in candidates),
        rhyme=rhyme_test(lines),
        tone=tone_test(lines),
    )


def _rhyme_share(verdicts: Sequence[_Verdict]) -> Share:
    told = [verdict.rhyme.right for verdict in verdicts if verdict.rhyme.right is not None]
    return Share(sum(told), len(told))


def _repeats_a_rhyme(verdict: _Verdict) -> bool:
    endings = [line[-1] for line in verdict.lines[1::2]]
    if verdict.rhyme.first_line:
        endings.append(verdict.lines[0][-1])
    return len(set(endings)) < len(endings)


def _distinct(poems: Iterable[Sequence[str]], n: int, limit: int) -> Share:
    seen: set[str] = set()
    total = taken = 0
    for lines in poems:
        text = "".join(lines)[: limit - taken]
        taken += len(text)
        grams = [text[at : at + n] for at in range(len(text) - n + 1)]
        seen.update(grams)
        total += len(grams)
    return Share(len(seen), total)


LABELS: dict[str, dict[str, str]] = {
    "en": {
        "poems": "poems",
        "format_right": "format right",
        "rhyme_right": "rhyme right",
        "tone_right": "tone pattern right (regulated)",
        "all_right": "format, rhyme and tones right",
        "undecided": "rhyme or tones undecided",
        "rhyme_right_regulated": "rhyme right, of the regulated",
        "rhyme_right_old_style": "rhyme right, of the old-style",
        "three_level_endings": "three level endings 三平尾",
        "lone_levels": "lone level 孤平",
        "first_line_rhymes": "first line rhymes",
        "repeated_rhymes": "a rhyme character twice",
        "unknown_characters": "characters outside the table",
        "repeated_characters": "repeated characters",
        "copied_lines": "lines copied from the training part",
        "distinct_1": "distinct-1",
        "distinct_2": "distinct-2",
    },
    "zh": {
        "poems": "首数",
        "format_right": "格式正确",
        "rhyme_right": "押韵正确",
        "tone_right": "平仄合律（近体）",
        "all_right": "格式、押韵、平仄皆正确",
        "undecided": "押韵或平仄未能判定",
        "rhyme_right_regulated": "近体中押韵正确",
        "rhyme_right_old_style": "古体中押韵正确",
        "three_level_endings": "三平尾",
        "lone_levels": "孤平",
        "first_line_rhymes": "首句入韵",
        "repeated_rhymes": "韵字重复",
        "unknown_characters": "韵表未收之字",
        "repeated_characters": "重复用字",
        "copied_lines": "与训练诗句相同",
        "distinct_1": "distinct-1",
        "distinct_2": "distinct-2",
    },
}


@dataclass(frozen=True)
class Comparison:
    """Several sets of poems side by side: a table for people, the scores for programs."""

    scores: Mapping[str, PoemScores]
    distinct_over: int
    """The number of characters over which distinct-n was counted in every set."""

    @property
    def columns(self) -> list[str]:
        return ["", *self.scores]

    def rows(self, *, language: str = "en") -> list[list[str]]:
        """A row for each measure: its label, then the value for each set."""
        if language not in LABELS:
            raise UsageError(f"no labels in the language {language!r}; there are {', '.join(LABELS)}")
        return [
            [label, *(str(getattr(scores, name)) for scores in self.scores.values())]
            for name, label in LABELS[language].items()
        ]

    def to_dict(self) -> dict[str, dict[str, float | int | None]]:
        return {name: scores.to_dict() for name, scores in self.scores.items()}


def compare(sets: Mapping[str, PoemSet], *, training: Container[str] | None = None) -> Comparison:
    """Score sets such as free samples, held samples and held-out human poems side by side."""
    if not sets:
        raise UsageError("nothing to compare: no sets of poems were given")
    shortest = min(poems.characters for poems in sets.values())
    scores = {name: evaluate_poems(poems, training=training, distinct_over=shortest) for name, poems in sets.items()}
    return Comparison(scores=scores, distinct_over=shortest)
