"""The mistakes of which a classifier was most sure, and what drove them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rondo.data.labelled import Label
from rondo.evaluation.classification import Predictions
from rondo.inspect import Report, Section
from rondo.models.classifier import Classifier
from rondo.tasks.classification.report import ClassRun

MISTAKES = 10
"""Mistakes that are shown."""

Drive = Callable[[Classifier, npt.NDArray[np.generic], int, int | None], npt.NDArray[np.float64]]
"""What steps, or their values, spoke for one class and against another: see `rondo.inspect.saliency`."""


@dataclass(frozen=True)
class Mistake:
    """A decision of which the model was wrongly sure: a class, or a yes or no where items can have several."""

    index: int
    """The place of its item among those that were judged."""
    said: int
    """The class that the model said; with ``missed`` the one that it did not say."""
    true: int | None
    """The class that the item has, among those that the model knows; None if it could not know it, and where items
    can have several."""
    name: Label
    """The class that the item has, or the classes in words."""
    confidence: float
    missed: bool = False

    def text(self, names: Sequence[Label]) -> str:
        """For instance "said bad (98.1 %), is good"."""
        sure = f"({self.confidence:.1%})"
        if self.true is None and isinstance(self.name, tuple):
            said = f"did not say {names[self.said]}" if self.missed else f"said {names[self.said]}"
            return f"{said} {sure}, has {', '.join(map(str, self.name)) or 'no class'}"
        return f"said {names[self.said]} {sure}, is {self.name}"

    def driven(self, by: Drive, network: Classifier, sequence: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
        """What spoke for the decision that was made, and, below zero, for the one that was right."""
        found = by(network, sequence, self.said, self.true)
        return -found if self.missed else found


def worst_mistakes(run: ClassRun, most: int = MISTAKES) -> list[Mistake]:
    """The wrong decisions of which the model was most sure."""
    predictions = run.judgement.predictions
    if predictions.probabilities is None:
        return []
    known = len(run.model.classes)
    if predictions.several:
        return _wrong_yes_or_no(predictions, known)[:most]
    wrong = np.flatnonzero(predictions.predicted != predictions.true)
    sure = predictions.probabilities[wrong, predictions.predicted[wrong]]
    chosen = wrong[np.argsort(-sure, kind="stable")[:most]]
    return [
        Mistake(
            int(i),
            int(predictions.predicted[i]),
            int(predictions.true[i]) if predictions.true[i] < known else None,
            predictions.classes[predictions.true[i]],
            float(predictions.probabilities[i, predictions.predicted[i]]),
        )
        for i in chosen
    ]


def add_mistakes(report: Report, run: ClassRun, show: Callable[[Section, Sequence[Mistake]], None]) -> None:
    """The worst mistakes, as the task shows its items."""
    predictions = run.judgement.predictions
    wrong = int((predictions.predicted != predictions.true).sum())
    section = report.section("The worst mistakes")
    if predictions.several:
        counted, were = (
            f"{predictions.true.size:,} decisions ({len(predictions):,} {run.unit}, each class yes or no)",
            "",
        )
    else:
        counted, were = f"{len(predictions):,} {run.unit}", "classified "
    if not wrong:
        section.text(f"None of the {counted} was {were}wrong.")
        return
    section.text(f"{wrong:,} of {counted} were {were}wrong. Here are those of which the model was most sure.")
    show(section, worst_mistakes(run))


def colours(run: ClassRun) -> str:
    """What the two colours of a mistake mean."""
    if run.judgement.predictions.several:
        return "Orange: what spoke for the decision. Blue: what spoke against it. By the gradient of the class's value"
    return (
        "Orange: what spoke for the class that was said. Blue: what spoke for the one that it has. By the gradient of "
        "the difference between the two"
    )


def _wrong_yes_or_no(predictions: Predictions, known: int) -> list[Mistake]:
    """All wrong decisions about classes that the model knows, the surest first."""
    if predictions.probabilities is None:
        return []
    yes = predictions.probabilities[:, :known]
    sure = np.where(predictions.predicted[:, :known], yes, 1 - yes)
    items, classes = np.nonzero(predictions.predicted[:, :known] != predictions.true[:, :known])
    order = np.argsort(-sure[items, classes], kind="stable")
    return [
        Mistake(
            int(i),
            int(k),
            None,
            tuple(predictions.classes[j] for j in np.flatnonzero(predictions.true[i])),
            float(sure[i, k]),
            missed=not predictions.predicted[i, k],
        )
        for i, k in zip(items[order].tolist(), classes[order].tolist(), strict=True)
    ]
