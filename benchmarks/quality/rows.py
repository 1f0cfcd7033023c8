"""The rows of the quality table: what is trained on what, for how long, and what is to be reached."""

from __future__ import annotations

import gzip
from pathlib import Path

from class_rows import CLASS_ROWS
from forecast_row import ForecastRow
from forecast_rows import FORECAST_ROWS
from row import DATA, Row, no_files
from tag_rows import TAG_ROWS

from rondo.tasks.demo import DIGIT_CHANGES


def _shakespeare(folder: Path) -> list[str]:
    return [str(DATA / "tinyshakespeare/input.txt.gz")]


def _treebank_words(folder: Path) -> list[str]:
    return [str(DATA / "ptb/ptb.train.txt.gz")]


def _treebank_characters(folder: Path) -> list[str]:
    return [str(_without_outer_blanks("train", folder))]


def _without_outer_blanks(part: str, folder: Path) -> Path:
    """The character form of the Treebank: each line without its first and last blank, newlines kept."""
    path = folder / f"ptb.{part}.characters.txt"
    with gzip.open(DATA / f"ptb/ptb.{part}.txt.gz", "rt", encoding="ascii") as source:
        path.write_text("".join(line[1:-2] + "\n" for line in source), encoding="ascii")
    return path


def _tang(folder: Path) -> list[str]:
    return [str(DATA / "tang_poetry/tang_poems.jsonl.xz")]


def _library(folder: Path) -> list[str]:
    from rondo.tasks.demo import library_files

    return [str(path) for path in library_files()]


ROWS: dict[str, Row | ForecastRow] = {
    row.name: row
    for row in (
        Row(
            "digits", "digits", no_files, DIGIT_CHANGES, "score",
            "mean of five seeds at least 0.975, and above logistic regression on the same splits", seeds=5,
        ),
        Row(
            "shakespeare-10", "text", _shakespeare, {
                "minutes": 10.0, "bptt_length": 50, "learning_rate": 8e-3, "layer_dropout": 0.15,
                "output_dropout": 0.15,
            },
            "valid_loss", "at most 1.495 nats a character",
        ),
        Row(
            "tang", "poetry", _tang, {"minutes": 30.0}, "perplexity",
            "free format right in at least 95 % of quatrains; held 100 % format, rhyme, tone in 1,000 samples; at most "
            "2 % of lines copied and not above the human share; perplexity reported",
        ),
        Row(
            "shakespeare-45", "text", _shakespeare,
            {
                "minutes": 16.0, "layer_dropout": 0.25, "output_dropout": 0.25, "bptt_length": 50,
                "learning_rate": 8e-3,
            },
            "valid_loss", "at most 1.465 nats a character, try for 1.44",
        ),
        Row(
            "ptb-words", "text", _treebank_words,
            {
                "minutes": 45.0, "level": "words", "hidden": 200, "layer_dropout": 0.25, "output_dropout": 0.25,
                "input_dropout": 0.25, "bptt_length": 35, "batch_size": 20, "learning_rate": 3e-3,
                "valid": str(DATA / "ptb/ptb.valid.txt.gz"), "test": str(DATA / "ptb/ptb.test.txt.gz"),
            },
            "test_perplexity", "at most 115",
        ),
        Row(
            "ptb-characters", "text", _treebank_characters,
            {
                "minutes": 60.0, "hidden": 512, "bptt_length": 64, "batch_size": 16, "layer_dropout": 0.05,
                "output_dropout": 0.05, "learning_rate": 2e-3,
            },
            "test_bits_per_character", "at most 1.40",
            more=lambda folder: {
                part: str(_without_outer_blanks(part, folder)) for part in ("valid", "test")
            },
        ),
        Row(
            "library-15", "text", _library, {"minutes": 15.0, "encoding": "utf-8"}, "valid_loss",
            "none: the longer run that the demonstration names",
        ),
        *CLASS_ROWS,
        *TAG_ROWS,
        *FORECAST_ROWS,
    )
}  # fmt: skip
