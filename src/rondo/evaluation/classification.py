"""Scores of classifiers, and how sure they are.

A score is a function of sums over the items (how often a class was met, said, and rightly said; the costs;
the decisions in a bin of confidence). So thousands of resamples of the items are one matrix product, and the
interval of every score, and of the difference between two systems on the same items, is found in the same
way. The scores are those of scikit-learn, with ``zero_division=0``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from rondo.data.labelled import Label, Labelled
from rondo.errors import DataError, UsageError, nearest
from rondo.evaluation import calibration

Floats = npt.NDArray[np.float64]

CLIP = float(np.finfo(np.float64).eps)
"""No probability counts as less than this: a class that was excluded costs 36 nats, not infinitely many."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a system said about items whose classes are known."""

    true: npt.NDArray[Any]
    """Class numbers (N,), or yes and no for each class (N, K) where an item can have several labels."""
    predicted: npt.NDArray[Any]
    """In the same form."""
    classes: tuple[Label, ...]
    probabilities: Floats | None = None
    """(N, K), if the system has them."""

    def __post_init__(self) -> None:
        if self.true.shape != self.predicted.shape or not self.true.size:
            raise DataError(
                f"predictions of shape {self.predicted.shape} cannot be held against truths of {self.true.shape}."
            )
        expected = (len(self.true), len(self.classes))
        if self.probabilities is not None and self.probabilities.shape != expected:
            raise DataError(f"probabilities have the shape {self.probabilities.shape}; expected {expected}.")

    @property
    def several(self) -> bool:
        return self.true.ndim == 2

    def __len__(self) -> int:
        return len(self.true)

    @classmethod
    def of(
        cls,
        data: Labelled,
        predicted: Sequence[Label],
        *,
        classes: Sequence[Label],
        probabilities: npt.ArrayLike | None = None,
    ) -> Self:
        """The labels that a system gave to ``data``; ``classes`` are those that it knows, in its order.

        Labels that it could not know, since training has not seen them, come behind: it is wrong about them,
        and their probability is 0.
        """
        every = (*classes, *data.unseen(classes))
        said = Labelled(data.items, list(predicted), None, data.origins)
        known = None
        if probabilities is not None:
            known = np.asarray(probabilities, np.float64)
            known = np.concatenate([known, np.zeros((len(known), len(every) - len(classes)))], axis=1)
        return cls(data.codes(every), said.codes(every), every, known)


@dataclass(frozen=True)
class Sums:
    """What a score is made from: each item is of a kind, and a kind adds a row to the sums."""

    kind: npt.NDArray[np.int64]
    rows: Floats


@dataclass(frozen=True)
class Measure:
    """One score."""

    name: str
    """As it stands above a column."""
    sums: Callable[[Predictions], Sums]
    score: Callable[[Floats], Floats]
    """From sums (..., D) to scores (...)."""
    better: Literal["higher", "lower"] = "higher"
    items: Literal["one", "several", "both"] = "both"
    """Whether it is for items with one label each, with several, or for both."""
    probabilities: bool = False
    """Whether it looks at them."""

    def applies(self, predictions: Predictions) -> bool:
        """Whether it can be said of these predictions."""
        kind = "several" if predictions.several else "one"
        return self.items in (kind, "both") and not (self.probabilities and predictions.probabilities is None)

    def __call__(self, predictions: Predictions) -> float:
        """The score itself."""
        if not self.applies(predictions):
            raise UsageError(f"{self.name} cannot be said of these predictions.")
        found = self.sums(predictions)
        counts = np.bincount(found.kind, minlength=len(found.rows)).astype(np.float64)
        return float(self.score(counts @ found.rows))


@dataclass(frozen=True)
class ClassScore:
    """How a system does on one class."""

    name: Label
    precision: float
    """Of the items that it gave this class, the share that has it; 0 if it never gave it."""
    recall: float
    """Of the items that have this class, the share that it found; 0 if there are none."""
    f1: float
    support: int
    """How many items have it."""


def per_class(predictions: Predictions) -> list[ClassScore]:
    """Precision, recall and F1 of each class, in the order of the classes."""
    found = _hits(predictions)
    hit, true, said = _parted(np.bincount(found.kind, minlength=len(found.rows)) @ found.rows)
    precision, recall, f1 = _ratio(hit, said), _ratio(hit, true), _ratio(2 * hit, true + said)
    return [
        ClassScore(name, float(precision[k]), float(recall[k]), float(f1[k]), int(true[k]))
        for k, name in enumerate(predictions.classes)
    ]


def measure(name: str) -> Measure:
    """A score by its name."""
    if name not in MEASURES:
        raise UsageError(f"there is no score '{name}'{nearest(name, MEASURES)}")
    return MEASURES[name]


def score_title(name: str) -> str:
    """A score of classifiers or taggers as people write it."""
    return MEASURES[name].name if name in MEASURES else name.replace("_", " ").replace("f1", "F1")


def all_scores(predictions: Predictions) -> dict[str, float]:
    """Every score that can be said of these predictions, by name."""
    return {name: each(predictions) for name, each in MEASURES.items() if each.applies(predictions)}


def _hits(predictions: Predictions) -> Sums:
    """Rows of three parts: for each class whether it was rightly said, is there, was said."""
    if predictions.several:
        true, said = predictions.true.astype(np.float64), predictions.predicted.astype(np.float64)
        return Sums(np.arange(len(true)), np.concatenate([true * said, true, said], axis=1))
    size = len(predictions.classes)
    pairs, kind = np.unique(predictions.true * size + predictions.predicted, return_inverse=True)
    true, said = np.eye(size)[pairs // size], np.eye(size)[pairs % size]
    return Sums(kind, np.concatenate([true * said, true, said], axis=1))


def _mean_of(values: Callable[[Predictions], Floats]) -> Callable[[Predictions], Sums]:
    """Rows of a value and a 1."""

    def sums(predictions: Predictions) -> Sums:
        each = values(predictions)
        return Sums(np.arange(len(each)), np.stack([each, np.ones(len(each))], axis=1))

    return sums


def _all_right(predictions: Predictions) -> Floats:
    return (predictions.true == predictions.predicted).all(axis=1).astype(np.float64)


def _costs(predictions: Predictions) -> Floats:
    """Nats an item; with several labels an item, nats a label."""
    sure = np.clip(_probabilities(predictions), CLIP, 1 - CLIP)
    if predictions.several:
        return -np.where(predictions.true, np.log(sure), np.log1p(-sure)).mean(axis=1)
    return -np.log(np.take_along_axis(sure, predictions.true[:, None], axis=1)[:, 0])


def _binned(predictions: Predictions) -> Sums:
    """Rows of how far confidence is above right in each bin, and the number of decisions."""
    confidence, right = calibration.decisions(_probabilities(predictions), predictions.true)
    rows = np.zeros((len(predictions), calibration.BINS + 1))
    item = np.repeat(np.arange(len(predictions)), confidence.shape[1])
    np.add.at(rows, (item, calibration.bin_of(confidence, calibration.BINS).ravel()), (confidence - right).ravel())
    rows[:, -1] = confidence.shape[1]
    return Sums(np.arange(len(rows)), rows)


def _probabilities(predictions: Predictions) -> Floats:
    if predictions.probabilities is None:
        raise UsageError("these predictions have no probabilities.")
    return predictions.probabilities


def _parted(sums: Floats) -> tuple[Floats, Floats, Floats]:
    hit, true, said = np.split(sums, 3, axis=-1)
    return hit, true, said


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(whole, dtype=np.float64), where=whole > 0)


def _mean_where(values: Floats, there: npt.NDArray[np.bool_]) -> Floats:
    return _ratio((values * there).sum(axis=-1), there.sum(axis=-1).astype(np.float64))


def _accuracy(sums: Floats) -> Floats:
    hit, true, _ = _parted(sums)
    return _ratio(hit.sum(axis=-1), true.sum(axis=-1))


def _balanced_accuracy(sums: Floats) -> Floats:
    """The mean recall of the classes that are there."""
    hit, true, _ = _parted(sums)
    return _mean_where(_ratio(hit, true), true > 0)


def _macro_f1(sums: Floats) -> Floats:
    """The mean F1 of the classes that are there or were said."""
    hit, true, said = _parted(sums)
    return _mean_where(_ratio(2 * hit, true + said), true + said > 0)


def _micro_f1(sums: Floats) -> Floats:
    hit, true, said = _parted(sums)
    return _ratio(2 * hit.sum(axis=-1), (true + said).sum(axis=-1))


def _mean(sums: Floats) -> Floats:
    return sums[..., 0] / sums[..., 1]


def _calibration_error(sums: Floats) -> Floats:
    return np.abs(sums[..., :-1]).sum(axis=-1) / sums[..., -1]


MEASURES: dict[str, Measure] = {
    "accuracy": Measure("accuracy", _hits, _accuracy, items="one"),
    "balanced_accuracy": Measure("balanced accuracy", _hits, _balanced_accuracy, items="one"),
    "subset_accuracy": Measure("subset accuracy", _mean_of(_all_right), _mean, items="several"),
    "macro_f1": Measure("macro F1", _hits, _macro_f1),
    "micro_f1": Measure("micro F1", _hits, _micro_f1),
    "log_loss": Measure("log loss", _mean_of(_costs), _mean, better="lower", probabilities=True),
    "calibration_error": Measure(
        "expected calibration error", _binned, _calibration_error, better="lower", probabilities=True
    ),
}
"""All scores by name. For items with one label each, micro F1 is the accuracy."""
