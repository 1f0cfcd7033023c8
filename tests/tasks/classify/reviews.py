"""Small made-up reviews whose words tell their class, with other words around them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

GOOD = ("good", "great", "lovely", "fine", "splendid")
BAD = ("bad", "poor", "awful", "dull", "dreadful")
OTHERS = "the film was and its actors were story of a in it by one two with music at all times".split()  # noqa: SIM905
SMALL: dict[str, Any] = {
    "hidden": 12, "embedding": 12, "steps": 120, "evaluations": 4, "batch_size": 20, "learning_rate": 2e-2,
    "output_dropout": 0.2, "input_dropout": 0.1, "token_dropout": 0.05,
}  # fmt: skip
"""Options that learn them in a second or two."""
QUICK = {**SMALL, "steps": 8, "evaluations": 2}


def reviews(count: int = 240, seed: int = 0, *, chinese: bool = False) -> tuple[list[str], list[str]]:
    """Texts, and whether they are good or bad; of texts in Chinese the characters tell it."""
    choose = random.Random(seed)
    texts, labels = [], []
    for _ in range(count):
        label = choose.choice(("good", "bad"))
        words = choose.choices(OTHERS, k=choose.randint(3, 25))
        for _ in range(2):
            words.insert(choose.randint(0, len(words)), choose.choice(GOOD if label == "good" else BAD))
        text = " ".join(words).capitalize() + choose.choice((".", "!", ""))
        texts.append(translated(text) if chinese else text)
        labels.append(label)
    return texts, labels


def translated(text: str) -> str:
    """A character for each word."""
    known = dict(
        zip(
            (*GOOD, *BAD, *OTHERS), "好棒美妙佳坏糟差烂劣这电影是和它的演员们故事中一个在由同音乐时刻都有", strict=False
        )
    )
    return "".join(known.get(word.strip(".!").lower(), "了") for word in text.split())


def write_table(path: Path, texts: list[str], labels: list[str]) -> Path:
    """A TSV file with a header."""
    lines = [f"{label}\t{text}\n" for text, label in zip(texts, labels, strict=True)]
    path.write_text("label\ttext\n" + "".join(lines), encoding="utf-8")
    return path
