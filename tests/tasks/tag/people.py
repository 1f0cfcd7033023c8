"""Small made-up sentences whose words tell who and where, with other words around them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NAMES = ("Ada", "Grace", "Alan", "Emmy", "Niels")
FAMILIES = ("Smith", "Noether", "Bohr")
PLACES = ("Paris", "Oslo", "Lima", "Turin")
OTHERS = "the a went to saw of with came 1999 at".split()  # noqa: SIM905
SMALL: dict[str, Any] = {
    "hidden": 12, "embedding": 12, "character_embedding": 6, "character_hidden": 5, "shape_embedding": 4,
    "steps": 60, "evaluations": 3, "batch_size": 16, "learning_rate": 3e-2, "output_dropout": 0.1,
    "input_dropout": 0.1,
}  # fmt: skip
"""Options that learn them in a second or two."""
QUICK = {**SMALL, "steps": 4, "evaluations": 1}

Tagged = tuple[list[list[str]], list[list[str]]]


def people(count: int = 120, seed: int = 0) -> Tagged:
    """Sentences with their tags, in IOB2: a name, often a family name too, and a place."""
    choose = random.Random(seed)
    sentences, tags = [], []
    for _ in range(count):
        pairs = [(word, "O") for word in choose.choices(OTHERS, k=choose.randint(0, 6))]
        pairs.append((choose.choice(NAMES), "B-PER"))
        if choose.random() < 0.5:
            pairs.append((choose.choice(FAMILIES), "I-PER"))
        pairs += [("in", "O"), (choose.choice(PLACES), "B-LOC"), (".", "O")]
        sentences.append([word for word, _ in pairs])
        tags.append([tag for _, tag in pairs])
    return sentences, tags


def by_characters(tagged: Tagged) -> Tagged:
    """The same with a character for each token, as Chinese is tagged."""
    words = [*NAMES, *FAMILIES, *PLACES, *OTHERS, "in", "."]
    known = dict(zip(words, "甲乙丙丁戊李王张京沪杭宁这一去往看的和来年在于。", strict=False))
    return [[known[word] for word in sentence] for sentence in tagged[0]], tagged[1]


def write_columns(path: Path, tagged: Tagged, *, documents: int = 0) -> Path:
    """A file as CoNLL has it, with a column in between and ``documents`` sentences a document."""
    blocks = []
    for number, (sentence, tags) in enumerate(zip(*tagged, strict=True)):
        if documents and number % documents == 0:
            blocks.append("-DOCSTART- -X- O\n")
        blocks.append("".join(f"{token} x {tag}\n" for token, tag in zip(sentence, tags, strict=True)))
    path.write_text("\n".join(blocks) + "\n", encoding="utf-8")
    return path


def column(lines: Sequence[str], place: int) -> list[str]:
    """One column of lines, those of tokens alone."""
    return [line.split()[place] for line in lines if line.strip()]
