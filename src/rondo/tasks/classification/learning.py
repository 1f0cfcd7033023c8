"""Training a classifier, for the command line and for estimators alike: from parts of data to a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rondo.data.changed import Batches, Change, ChangedBatches
from rondo.data.labelled import Label
from rondo.data.splits import Parts
from rondo.errors import UsageError
from rondo.evaluation.calibration import fit_temperature
from rondo.models.classifier import Classifier
from rondo.tasks.classification.classes import Classes, balanced_weights
from rondo.tasks.classification.model import ClassifierModel, Encoder, run
from rondo.tasks.classification.objective import ClassLoss, WatchClasses, training_batches
from rondo.tasks.classification.options import ClassifierTraining
from rondo.training.loop import train
from rondo.training.protocols import Progress, TrainingSummary


@dataclass(frozen=True)
class Learner:
    """What a training begins with, besides its data."""

    network: Classifier
    encoder: Encoder
    classes: Classes
    config: dict[str, Any]
    """The model's configuration: task, network, options."""
    unit: str
    """What the items are called, in the plural."""
    change: Change | None = None
    """What is done to batches in training, so that each epoch shows the items a little different."""


def learn(
    learner: Learner,
    parts: Parts,
    training: ClassifierTraining,
    folder: str | Path,
    *,
    class_weights: Mapping[Label, float] | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> tuple[ClassifierModel, TrainingSummary]:
    """Train the network on ``parts.train``, watched on ``parts.valid``; ``folder`` receives log and checkpoint.

    ``class_weights`` are in place of those that the options name.
    """
    network, encoder, classes = learner.network, learner.encoder, learner.classes
    codes = parts.train.codes(classes.names)
    sequences = [encoder.encode(item) for item in parts.train.items]
    watched = [encoder.encode(item) for item in parts.valid.items]
    watch = WatchClasses(watched, parts.valid.codes(classes.names), classes)
    weights = _weights(codes, classes, training, class_weights)
    loss = ClassLoss(classes, weights=weights, label_smoothing=training.label_smoothing, unit=learner.unit)
    source: Batches = training_batches(sequences, codes, batch_size=training.batch_size, seed=training.seed)
    if learner.change is not None:
        source = ChangedBatches(source, learner.change, seed=training.seed)
    summary = train(network, source, loss, watch, training, folder, resume=resume, progress=progress)
    model = ClassifierModel(network, encoder, classes, learner.config)
    if class_weights is not None:
        model.config["class_weights"] = [[name, float(weight)] for name, weight in class_weights.items()]
    if training.calibrate and summary.is_main_process:
        model.config["temperature"] = fit_temperature(run(network, watched), watch.codes)
    return model, summary


def _weights(
    codes: npt.NDArray[Any], classes: Classes, training: ClassifierTraining, given: Mapping[Label, float] | None
) -> npt.NDArray[np.float64] | None:
    if given is None:
        return balanced_weights(codes, classes) if training.class_weight == "balanced" else None
    unknown = [name for name in given if name not in classes.names]
    if unknown:
        raise UsageError(f"class_weight has a weight for '{unknown[0]}', which is none of the classes")
    weights = np.array([float(given.get(name, 1.0)) for name in classes.names])
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise UsageError("class_weight needs weights of zero or more, not all of them zero")
    return weights
