"""Rows of the quality table about tags. No outside vectors."""

from __future__ import annotations

from pathlib import Path

from row import DATA, Row


def _conll(folder: Path) -> list[str]:
    return [str(DATA / "conll2003/eng.train.gz")]


def _resume(folder: Path) -> list[str]:
    return [str(DATA / "resume_ner/train.char.bmes.gz")]


def _msra(folder: Path) -> list[str]:
    return [str(DATA / "msra_ner/train.txt.gz")]


TAG_ROWS = (
    Row(
        "conll2003", "tag", _conll,
        {
            "minutes": 45.0, "valid": str(DATA / "conll2003/eng.testa.gz"),
            "test": str(DATA / "conll2003/eng.testb.gz"),
            "scheme": "IOB1", "broken": "mend", "learning_rate": 2e-3, "hidden": 200, "ensemble": 3,
        },
        "score", "span F1, tags read as IOB1: at least 84 %",
    ),
    Row(
        "resume", "tag", _resume,
        {
            "minutes": 15.0, "valid": str(DATA / "resume_ner/dev.char.bmes.gz"),
            "test": str(DATA / "resume_ner/test.char.bmes.gz"), "broken": "mend", "learning_rate": 2e-3,
            "ensemble": 3,
        },
        "score", "span F1: at least 93.5 %, try for 94.5 %",
    ),
    Row(
        "msra", "tag", _msra,
        {
            "minutes": 60.0, "test": str(DATA / "msra_ner/test.txt.gz"), "valid_fraction": 0.05, "broken": "mend",
            "learning_rate": 2e-3, "hidden": 200, "batch_size": 32,
        },
        "score", "span F1: at least 86 %, try for 89 %",
    ),
)  # fmt: skip
