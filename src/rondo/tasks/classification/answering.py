"""What a trained classifier says: about one item, and about a whole set whose classes are known."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from rondo.data.labelled import Labelled, Row
from rondo.evaluation.rivals import outcome
from rondo.evaluation.rivals_file import parse_rivals
from rondo.tasks.answers import Answer
from rondo.tasks.classification.classes import Classes
from rondo.tasks.classification.judging import judge
from rondo.tasks.classification.model import ClassifierModel
from rondo.tasks.trained import BASELINES, NO_BASELINES

BETWEEN = ", "
"""What stands between several classes of an item."""

F = TypeVar("F")


def saved_reading(model: ClassifierModel, kind: type[F], same: Sequence[str], given: Mapping[str, Any]) -> F:
    """How files are read: what is ``given``, and of how the training's were read what is the ``same`` for others."""
    options = model.config.get("options")
    saved = options.get("reading") if isinstance(options, Mapping) else None
    kept = {name: saved.get(name) for name in same} if isinstance(saved, Mapping) else {}
    sizes = {name: tuple(one) for name, one in kept.items() if isinstance(one, list)}
    return kind(**{**{name: one for name, one in kept.items() if isinstance(one, str)}, **sizes, **given})


def answers(model: ClassifierModel, rows: Iterable[Row], *, at_once: int | None = None) -> Iterator[Answer]:
    """The class of the item of each row, in order; of a file that is an item by itself, with its name."""
    for row, probabilities in model.stream(rows, at_once=at_once):
        found = answer(model.classes, probabilities)
        if row.origin.source and not row.origin.number:
            found = Answer(found.line, {"file": row.origin.source, **found.values})
        yield found


def checked_items(model: ClassifierModel, data: Labelled) -> Labelled:
    """The items, if the model's encoder can read them; it names the first that it cannot."""
    for place, item in enumerate(data.items):
        model.encoder.check(item, data.where(place))
    return data


def checked_rows(model: ClassifierModel, rows: Iterable[Row]) -> Iterator[Row]:
    """The same, row by row."""
    for row in rows:
        model.encoder.check(row.item, str(row.origin))
        yield row


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
    if not fitted:
        found["notes"] = [NO_BASELINES]
    return {
        "task": model.task,
        **found,
        "parameters": model.parameters,
        "epochs": result.get("epochs"),
        "seconds": time.perf_counter() - started,
    }
