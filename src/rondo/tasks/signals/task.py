"""Train a classifier of signals: where its parts come from, what they are made into, and what stands beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from rondo.data.signals import read_signals
from rondo.data.splits import Parts
from rondo.evaluation.neighbours import baselines_for_signals
from rondo.models.classifier import describe, number_classifier
from rondo.tasks.classification.classes import Classes
from rondo.tasks.classification.learning import Learner
from rondo.tasks.classification.recipe import Recipe, parts_of
from rondo.tasks.options import to_sections
from rondo.tasks.signals.changes import SignalChanges
from rondo.tasks.signals.encoder import SignalEncoder
from rondo.tasks.signals.options import SignalOptions
from rondo.tasks.signals.report import write_report
from rondo.training.protocols import Progress


def read_parts(paths: Sequence[str | Path], options: SignalOptions) -> Parts:
    """The parts of the signals in files: those that are named, and shares of the others."""
    reading = options.reading
    return parts_of(read_signals(paths, reading), options, lambda path: read_signals(path, reading))


def prepare(parts: Parts, options: SignalOptions, progress: Progress) -> Learner:
    """Scaling and network, as the training part and the options have them."""
    classes = Classes.of(parts.train)
    encoder = SignalEncoder.train(parts.train.items, options.data.scaling)
    for part in (parts.valid, parts.test):
        for place, item in enumerate(part.items if part is not None else ()):
            encoder.check(item, part.where(place) if part is not None else "")
    torch.manual_seed(options.training.seed)
    network = number_classifier(encoder.input_size, len(classes), options.model)
    config = {
        "task": "signals",
        "network": describe(network, options.model),
        "options": to_sections(options),
    }
    changes = SignalChanges(options.data.noise, options.data.stretch)
    change = changes if changes.noise or changes.stretch else None
    return Learner(network, encoder, classes, config, unit="signals", change=change)


RECIPE = Recipe(
    unit="signals",
    epochs=100,
    read=read_parts,
    prepare=prepare,
    rivals=lambda parts: baselines_for_signals(parts.train, parts.valid, parts.test or parts.valid),
    write=write_report,
)
learn_signals = RECIPE.learn
train_signals = RECIPE.train
