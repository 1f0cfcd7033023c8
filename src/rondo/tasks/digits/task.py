"""Train a classifier of images read as sequences: where its parts come from, and what stands beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from rondo.data.images import as_images, read_images
from rondo.data.labelled import Labelled
from rondo.data.splits import Parts
from rondo.errors import UsageError
from rondo.evaluation.pixels import baselines_for_images
from rondo.models.classifier import describe, number_classifier
from rondo.tasks.classification.classes import Classes
from rondo.tasks.classification.learning import Learner
from rondo.tasks.classification.recipe import Recipe, parts_of
from rondo.tasks.digits.changes import ImageChanges
from rondo.tasks.digits.encoder import ImageEncoder
from rondo.tasks.digits.options import DigitOptions
from rondo.tasks.digits.report import write_report
from rondo.tasks.options import to_sections
from rondo.training.protocols import Progress

COLUMNS = ("values", "label_column", "group_column")
"""Options that mean nothing where each file is an image."""


def read_parts(paths: Sequence[str | Path], options: DigitOptions) -> Parts:
    """The parts of the images in files, or of scikit-learn's digits: those that are named, and shares of the others."""
    reading = options.reading
    if not paths and reading.labels is not None:
        raise UsageError("--labels names the classes of a FILE of images; there is none")
    if not paths and reading.resize is not None:
        raise UsageError(
            "--resize is for pictures; without files the images are scikit-learn's digits, of 8 by 8 pixels"
        )
    given = [name for name in COLUMNS if getattr(reading, name) is not None]
    if given and paths and all(Path(path).is_dir() for path in paths):
        raise UsageError(f"--{given[0].replace('_', '-')} is about tables; in a folder, folders are the classes")
    data = read_images(paths, reading) if paths else built_in_digits()
    return parts_of(data, options, lambda path: read_images(path, reading))


def built_in_digits() -> Labelled:
    """Scikit-learn's handwritten digits, (1797, 8, 8), from 0 (paper) to 16 (ink)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return as_images(bunch.images.astype(np.uint8), [str(digit) for digit in bunch.target])


def prepare(parts: Parts, options: DigitOptions, progress: Progress) -> Learner:
    """Order, scaling and network, as the training part and the options have them."""
    classes, data = Classes.of(parts.train), options.data
    encoder = ImageEncoder.train(np.asarray(parts.train.items), data.order, permute=data.permute)
    for part in (parts.valid, parts.test):
        if part is not None and len(part):
            encoder.check(part.items[0], part.where(0))  # those of a part are all of one size
    torch.manual_seed(options.training.seed)
    network = number_classifier(encoder.input_size, len(classes), options.model)
    config = {"task": "digits", "network": describe(network, options.model), "options": to_sections(options)}
    changes = ImageChanges(encoder, data.shift, data.rotate, data.zoom)
    change = changes if data.shift or data.rotate or data.zoom else None
    return Learner(network, encoder, classes, config, unit="images", change=change)


RECIPE = Recipe(
    unit="images",
    epochs=60,
    read=read_parts,
    prepare=prepare,
    rivals=lambda parts: baselines_for_images(several=parts.train.several),
    write=write_report,
)
learn_digits = RECIPE.learn
train_digits, run_digits = RECIPE.train, RECIPE.run
