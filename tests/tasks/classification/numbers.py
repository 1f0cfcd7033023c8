"""An estimator of the smallest kind: a row of numbers is a sequence. It holds the base to scikit-learn's checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import validate_data

from rondo.data.labelled import Labelled, from_python
from rondo.data.splits import Parts
from rondo.models.classifier import NumberClassifierOptions, describe, number_classifier
from rondo.tasks.classification.classes import Classes
from rondo.tasks.classification.estimator import ClassifierEstimator
from rondo.tasks.classification.learning import Learner, learn
from rondo.tasks.classification.model import ClassifierModel
from rondo.tasks.classification.options import ClassifierTraining
from rondo.tasks.options import to_sections
from rondo.tasks.parameters import with_parameters
from rondo.tasks.steps import with_budget
from rondo.training.protocols import Progress, TrainingSummary


@dataclass(frozen=True, kw_only=True)
class NumberData:
    """What is held out."""

    valid_fraction: float = 0.2
    """Share of the rows that training is watched on."""


@dataclass(frozen=True, kw_only=True)
class NumberOptions:
    """All options."""

    data: NumberData = field(default_factory=NumberData)
    model: NumberClassifierOptions = field(default_factory=NumberClassifierOptions)
    training: ClassifierTraining = field(default_factory=ClassifierTraining)


class NumberEncoder:
    """Rows scaled as the training part has them, one number a step."""

    input_size = 1
    pairs = None

    def __init__(self, mean: float, scale: float) -> None:
        self.mean, self.scale = mean, scale

    def encode(self, item: Any) -> np.ndarray:
        return ((np.asarray(item, np.float64) - self.mean) / self.scale)[:, None]

    def to_json(self) -> dict[str, Any]:
        return {"mean": self.mean, "scale": self.scale}

    def save(self, folder: str | Path) -> None:
        pass

    def tidy(self, folder: str | Path) -> None:
        pass

    @classmethod
    def load(cls, folder: str | Path, saved: Any) -> NumberEncoder:
        return cls(**saved)


@with_parameters(NumberOptions)
class NumberClassifier(ClassifierEstimator):
    """Classifies rows of numbers."""

    encoder_class = NumberEncoder
    home_of_learning = "tests.tasks.classification.numbers:learn_numbers"

    def _items(self, X: Any, y: Any = None, groups: Any = None, *, fitting: bool = False) -> Labelled:
        X = validate_data(self, X, dtype=np.float64, reset=fitting)
        return from_python(list(X), y, groups)


def learn_numbers(
    parts: Parts,
    options: NumberOptions,
    folder: Path,
    *,
    class_weights: Mapping[Any, float] | None = None,
    baselines: bool = False,
    progress: Progress | None = None,
) -> tuple[ClassifierModel, TrainingSummary]:
    training = with_budget(options.training, epochs=40)
    classes = Classes.of(parts.train)
    values = np.concatenate(parts.train.items)
    encoder = NumberEncoder(float(values.mean()), float(values.std()) or 1.0)
    torch.manual_seed(training.seed)
    network = number_classifier(1, len(classes), options.model)
    config = {"task": "numbers", "network": describe(network, options.model), "options": to_sections(options)}
    learner = Learner(network, encoder, classes, config, unit="rows")
    return learn(learner, parts, training, folder, class_weights=class_weights, progress=progress)
