"""What a person asks of a poem, and the characters that this fixes in advance."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from rondo.errors import UsageError
from rondo.tasks.poetry.forms import HAN, Form, get_form, split_lines
from rondo.tasks.poetry.script import to_traditional


@dataclass(frozen=True)
class PoemRequest:
    """A poem to be written."""

    form: str = "七言絕句"
    """Verse form: 五言绝句, 七言绝句, 五言律诗, 七言律诗 or other, in traditional characters too; also wujue, qijue,
    wulv, qilv, 五绝, 5x4."""
    prompt: str = ""
    """First characters of the poem."""
    acrostic: str = ""
    """Characters that begin the lines (藏头诗); half as many as there are lines begin the couplets."""
    first_line: str = ""
    """The whole first line."""
    hold_form: bool | None = None
    """Hold the number and length of lines and the punctuation (by default yes, except in the form other)."""
    rhyme: bool | None = None
    """Hold the rhyme: even lines end in one level-tone group (by default as the form is held)."""
    tone: bool | None = None
    """Hold the tone pattern: positions 2, 4 and 6 (by default as the form is held)."""
    strict: bool | None = None
    """Avoid three level endings 三平尾 and the lone level 孤平 as well (by default as the tone is held)."""
    first_line_rhymes: bool | None = None
    """Whether the first line rhymes too (by default as it comes)."""
    repeat_rhyme: bool = False
    """Let a rhyme character stand twice in a poem."""
    no_repeats: bool = False
    """Avoid every repetition of a character in a poem."""

    def __post_init__(self) -> None:
        # Before anything else is done with them: the characters go into the poem as they are.
        for name, words, marks in (
            ("prompt", self.prompt, True),
            ("first line", self.first_line, True),
            ("acrostic", self.acrostic, False),
        ):
            for character in "".join(split_lines(words)) if marks else words.strip():
                if not re.fullmatch(f"[{HAN}]", character):
                    raise UsageError(
                        f"the {name} {words!r} holds {character!r}: verse is written in Chinese characters"
                        + (" and ，and 。between them" if marks else ", and an acrostic has nothing between them")
                    )


@dataclass(frozen=True)
class Rules:
    """A request with every switch decided."""

    form: Form
    hold_form: bool
    rhyme: bool
    tone: bool
    strict: bool
    first_line_rhymes: bool | None
    repeat_rhyme: bool
    no_repeats: bool


def rules_of(request: PoemRequest) -> Rules:
    """Decide the switches; those that contradict each other are an error."""
    form = get_form(request.form)
    if request.hold_form and not form.fixed:
        raise UsageError(f"the form '{form.name}' has no length to hold; choose a fixed form, such as 七言绝句")
    hold_form = form.fixed if request.hold_form is None else request.hold_form
    for name, wanted in (("rhyme", request.rhyme), ("tone", request.tone)):
        if wanted and not hold_form:
            raise UsageError(f"the {name} can be held only where a fixed form is held as well")
    tone = hold_form if request.tone is None else request.tone
    if request.strict and not tone:
        raise UsageError("the strict tone rules can be held only where the tone is held as well")
    rhyme = hold_form if request.rhyme is None else request.rhyme
    if request.first_line_rhymes is not None and not rhyme:
        raise UsageError("whether the first line rhymes can be said only where the rhyme is held")
    return Rules(
        form=form,
        hold_form=hold_form,
        rhyme=rhyme,
        tone=tone,
        strict=tone if request.strict is None else request.strict,
        first_line_rhymes=request.first_line_rhymes,
        repeat_rhyme=request.repeat_rhyme,
        no_repeats=request.no_repeats,
    )


def opening_lines(request: PoemRequest) -> list[str]:
    """The lines that prompt and first line fix, in traditional characters; the last may be incomplete."""
    prompt = split_lines(to_traditional(request.prompt))
    first = split_lines(to_traditional(request.first_line))
    if len(first) > 1:
        raise UsageError(f"the first line holds {len(first)} lines: {request.first_line!r}")
    if not first or not prompt:
        return first or prompt
    if not first[0].startswith(prompt[0]) or len(prompt) > 1:
        raise UsageError(f"the first line {first[0]!r} does not begin with the prompt {''.join(prompt)!r}")
    return first


def fixed_characters(request: PoemRequest, form: Form) -> Mapping[tuple[int, int], str]:
    """(line, position), both from 0 -> the character that must stand there, for a fixed form."""
    fixed: dict[tuple[int, int], str] = {}
    opening = opening_lines(request)
    if len(opening) == 1 and not request.first_line:
        # A prompt without marks runs on over the lines.
        opening = [opening[0][at : at + form.width] for at in range(0, len(opening[0]), form.width)]
    if len(opening) > form.lines:
        raise UsageError(f"the prompt has {len(opening)} lines, {form.name} has {form.lines}")
    for number, line in enumerate(opening):
        complete = number < len(opening) - 1 or bool(request.first_line)
        if len(line) > form.width or (complete and len(line) < form.width):
            raise UsageError(f"{line!r} has {len(line)} characters, a line of {form.name} has {form.width}")
        fixed.update({(number, position): character for position, character in enumerate(line)})
    acrostic = acrostic_characters(request)
    if len(acrostic) > form.lines:
        raise UsageError(
            f"the acrostic {acrostic!r} has {len(acrostic)} characters, {form.name} has {form.lines} lines"
        )
    step = acrostic_step(len(acrostic), form)
    for number, character in enumerate(acrostic):
        if fixed.setdefault((number * step, 0), character) != character:
            raise UsageError(
                f"line {number * step + 1} cannot begin with both {fixed[number * step, 0]!r} and {character!r}: "
                "prompt and acrostic contradict each other"
            )
    return fixed


def acrostic_step(count: int, form: Form) -> int:
    """2 where there is a character for each couplet, else 1: for each line, as far as they go."""
    return 2 if 2 * count == form.lines else 1


def acrostic_note(request: PoemRequest, form: Form) -> str:
    """Which lines begin with the acrostic, if not all do; else nothing."""
    count = len(acrostic_characters(request))
    if count in (0, form.lines):
        return ""
    step = acrostic_step(count, form)
    lines = ", ".join(str(number) for number in range(1, form.lines + 1, step)[:count])
    why = "a character for each couplet" if step == 2 else "the other lines begin freely"
    return f"the acrostic has {count} characters, {form.name} has {form.lines} lines: it begins lines {lines}; {why}"


def acrostic_characters(request: PoemRequest) -> str:
    return "".join(split_lines(to_traditional(request.acrostic)))
