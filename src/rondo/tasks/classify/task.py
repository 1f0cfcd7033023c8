"""Train a classifier of texts: where its parts come from, what they are made into, and what stands beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rondo.data.splits import Parts
from rondo.data.texts import read_texts
from rondo.errors import UsageError
from rondo.evaluation.bag_of_words import baselines_for_texts
from rondo.tasks.classification.recipe import Recipe, parts_of
from rondo.tasks.classify.learning import learn_language, prepare
from rondo.tasks.classify.options import ClassifyOptions
from rondo.tasks.classify.report import write_report

COLUMNS = ("text_column", "label_column", "group_column", "label_separator", "delimiter")
"""Options that mean nothing where each file is a text."""


def read_parts(paths: Sequence[str | Path], options: ClassifyOptions) -> Parts:
    """The parts of the texts in files: those that are named, and shares of the others."""
    reading = options.reading
    given = [name for name in COLUMNS if getattr(reading, name) is not None]
    if given and paths and all(Path(path).is_dir() for path in paths):
        raise UsageError(f"--{given[0].replace('_', '-')} is about tables; in a folder, folders are the classes")
    data = read_texts(paths, reading, label_file=reading.labels)
    labels = {reading.valid: reading.valid_labels, reading.test: reading.test_labels}
    return parts_of(data, options, lambda path: read_texts(path, reading, label_file=labels[path]))


RECIPE = Recipe(
    unit="texts",
    epochs=10,
    read=read_parts,
    prepare=prepare,
    rivals=lambda parts: baselines_for_texts(),
    write=write_report,
    before=learn_language,
)
learn_texts = RECIPE.learn
train_classify = RECIPE.train
