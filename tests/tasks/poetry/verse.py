"""Verse that keeps the rules and says nothing, as a small corpus to learn from."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np

from rondo.tasks.poetry.constraint import constrain
from rondo.tasks.poetry.corpus import Poem
from rondo.tasks.poetry.forms import FIXED_FORMS
from rondo.tasks.poetry.prosody import rhyme_table
from rondo.tasks.poetry.request import PoemRequest
from rondo.tasks.poetry.script import to_traditional
from rondo.tasks.poetry.vocabulary import PoemVocabulary


@functools.cache
def characters() -> str:
    """Two rhyme groups of thirty characters, and eighty oblique ones; none of them simplified."""
    table = rhyme_table()
    chosen: dict[int, list[str]] = {}
    oblique: list[str] = []
    for number in range(0x4E00, 0x9FA6):
        character = chr(number)
        groups, readings = list(table.level_groups(character)), table.readings(character)
        if to_traditional(character, script="simplified") != character or len(readings) != 1:
            continue
        if groups:
            chosen.setdefault(groups[0], []).append(character)
        else:
            oblique.append(character)
    large = sorted(chosen, key=lambda group: -len(chosen[group]))[:2]
    return "".join([*chosen[large[0]][:30], *chosen[large[1]][:30], *oblique[:80]])


@functools.cache
def poems(count: int, seed: int = 0) -> tuple[str, ...]:
    """Poems in the four forms in turn, each character drawn evenly from what the rules allow."""
    vocabulary = PoemVocabulary.build([Poem(title="", author="", text=characters() + "。")], min_count=1)
    rng = np.random.default_rng(seed)
    found = []
    for form in FIXED_FORMS:
        constraint = constrain(vocabulary, PoemRequest(form=form.name), batch_size=-(-count // len(FIXED_FORMS)))
        tokens = []
        for _ in range(constraint.max_tokens or 0):
            allowed = constraint.allowed()
            tokens.append((rng.random(allowed.shape) * allowed).argmax(1))
            constraint.advance(tokens[-1])
        found.append([constraint.text(column[:-1]) for column in np.array(tokens).T])
    return tuple(poem for batch in zip(*found, strict=True) for poem in batch)[:count]


def write(path: Path, texts: tuple[str, ...] | list[str]) -> Path:
    """A file of poems as JSON lines."""
    records = [{"title": f"題{number}", "author": "無名", "paragraphs": [text]} for number, text in enumerate(texts)]
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path
