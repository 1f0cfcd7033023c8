"""Train a classifier of images read as sequences: where its parts come from, and what stands beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
from rondo.tasks.classification.report import ClassRun
from rondo.tasks.digits.changes import ImageChanges
from rondo.tasks.digits.encoder import ImageEncoder
from rondo.tasks.digits.options import DigitOptions
from rondo.tasks.digits.report import write_report
from rondo.tasks.options import to_sections
from rondo.training.protocols import Progress


def read_parts(paths: Sequence[str | Path], options: DigitOptions) -> Parts:
    """The parts of the images in files, or of scikit-learn's digits: those that are named, and shares of the others."""
    reading = options.reading
    if not paths and reading.labels is not None:
        raise UsageError("--labels names the classes of a FILE of images; there is none")
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
)
learn_digits = RECIPE.learn


def train_digits(
    paths: Sequence[str | Path],
    out: str | Path,
    options: DigitOptions,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train on files, or on scikit-learn's digits, and write the model folder ``out``.

    Returns what `rondo train --json` prints.
    """
    run = run_digits(paths, out, options, resume=resume, overwrite=overwrite, progress=progress)
    return run.result if run is not None else {}


def run_digits(
    paths: Sequence[str | Path],
    out: str | Path,
    options: DigitOptions,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ClassRun | None:
    """`train_digits` with everything that it made; None in processes other than the main one."""
    run = RECIPE.run(paths, out, options, resume=resume, overwrite=overwrite, progress=progress)
    if run is not None:
        write_report(run)
    return run
