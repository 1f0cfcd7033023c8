"""What a trained classifier says: about one item, and about a whole set whose classes are known."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rondo.data.labelled import Labelled
from rondo.evaluation.rivals import outcome
from rondo.evaluation.rivals_file import parse_rivals
from rondo.tasks.answers import Answer
from rondo.tasks.classification.classes import Classes
from rondo.tasks.classification.judging import judge
from rondo.tasks.classification.model import BASELINES, ClassifierModel

BETWEEN = ", "
"""What stands between several classes of an item."""


def answer(classes: Classes, probabilities: npt.NDArray[np.float64]) -> Answer:
    """The class of an item, or its classes, with the probabilities of all of them."""
    chosen = classes.named(classes.chosen(probabilities[None]))[0]
    listed = list(chosen) if classes.several else [chosen]
    every = {str(name): float(one) for name, one in zip(classes.names, probabilities, strict=True)}
    values: dict[str, Any] = {"classes": listed, "probabilities": every}
    if not classes.several:
        values = {"class": chosen, "probability": every[str(chosen)], "probabilities": every}
    return Answer(" ".join(BETWEEN.join(map(str, listed)).splitlines()), values)


def evaluation(
    model: ClassifierModel, data: Labelled, rivals: Sequence[type[Any]] = (), *, started: float
) -> dict[str, Any]:
    """What `rondo evaluate` says of a classifier, beside the baselines of these kinds that are saved with it."""
    result = model.config.get("result", {})
    fitted = parse_rivals(BASELINES, model.baselines, rivals) if model.baselines is not None else []
    found = judge(model, data, [outcome(rival, data) for rival in fitted], part="given").result()
    unseen = data.unseen(model.classes.names)
    return {
        "task": model.task,
        **found,
        "unseen_labels": {str(label): len(items) for label, items in unseen.items()},
        "parameters": model.parameters,
        "epochs": result.get("epochs"),
        "seconds": time.perf_counter() - started,
    }
