"""Baselines of classifiers behind one interface: fitted on the training part, chosen on the validation part,
then held against the same test items as the network.

Those that a sceptic would ask for are named by `rondo.evaluation.bag_of_words.baselines_for_texts` and
`rondo.evaluation.neighbours.baselines_for_signals`.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from rondo.data.labelled import Label, Labelled
from rondo.errors import DataError
from rondo.evaluation.classification import MEASURES, Measure, Predictions

Floats = npt.NDArray[np.float64]


class Rival(Protocol):
    """A way to tell classes without a network."""

    name: str
    """As it stands in the report."""
    classes: tuple[Label, ...]
    """What it can say; known once it is fitted."""
    about: str
    """How it was made and what was chosen, in a sentence; known once it is fitted."""

    def fit(self, train: Labelled, valid: Labelled) -> Self:
        """Learn from ``train``; choose by ``valid``; then learn from both with what was chosen."""
        ...

    def predict(self, items: Sequence[Any]) -> tuple[list[Label], Floats | None]:
        """The label of each item, and the probabilities of all classes if there are such."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What a baseline said about the test items."""

    name: str
    about: str
    predictions: Predictions
    seconds: float
    """For fitting, choosing and predicting."""


def hold_against(rivals: Sequence[Rival], train: Labelled, valid: Labelled, test: Labelled) -> list[Outcome]:
    """Each baseline on the test items, in the order of ``rivals``."""
    outcomes = []
    for rival in rivals:
        started = time.perf_counter()
        outcomes.append(outcome(rival.fit(train, valid), test, started=started))
    return outcomes


def outcome(rival: Rival, test: Labelled, *, started: float | None = None) -> Outcome:
    """What a baseline that is fitted says about the test items."""
    begun = time.perf_counter() if started is None else started
    labels, probabilities = rival.predict(test.items)
    predictions = Predictions.of(test, labels, classes=rival.classes, probabilities=probabilities)
    return Outcome(rival.name, rival.about, predictions, time.perf_counter() - begun)


def main_measure(data: Labelled) -> Measure:
    """What is chosen by: accuracy, or micro F1 where an item can have several labels."""
    return MEASURES["micro_f1" if data.several else "accuracy"]


def both_parts(train: Labelled, valid: Labelled) -> Labelled:
    """What a baseline is fitted on in the end."""
    return Labelled.joined([train, valid])


def labels_of(codes: npt.NDArray[Any], classes: Sequence[Label]) -> list[Label]:
    """What `Labelled.codes` has made numbers of; ValueError for numbers of other classes."""
    if codes.ndim == 2 and codes.shape[1] == len(classes):
        return [tuple(classes[k] for k in np.flatnonzero(row).tolist()) for row in codes]
    if codes.ndim != 1 or (len(codes) and not 0 <= codes.min() <= codes.max() < len(classes)):
        raise ValueError("its items have other classes")
    return [classes[k] for k in codes.tolist()]


class Majority:
    """Always the same answer: the most frequent class.

    Where items can have several labels: the most frequent set of them, or the most frequent one, two, ...
    labels, whichever has the highest micro F1 on the validation part.
    """

    name = "majority class"

    def __init__(self) -> None:
        self.classes: tuple[Label, ...] = ()
        self.about = ""

    def fit(self, train: Labelled, valid: Labelled) -> Self:
        if not train.labels:
            raise DataError("there is no most frequent class of nothing.")
        known = both_parts(train, valid)
        self.classes, labels = known.classes, known.labels or []
        codes = known.codes()
        counts = codes.sum(axis=0) if known.several else np.bincount(codes, minlength=len(self.classes))
        self._shares = counts / len(known)
        ranking = [self.classes[k] for k in np.argsort(-counts, kind="stable")]
        if not known.several:
            self.answer: Label = ranking[0]
        else:
            answers = [Counter(labels).most_common(1)[0][0], *(tuple(ranking[:n]) for n in range(1, len(ranking) + 1))]
            scores = [
                main_measure(valid)(Predictions.of(valid, [answer] * len(valid), classes=self.classes))
                for answer in answers
            ]
            self.answer = answers[int(np.argmax(scores))]
        said = ", ".join(map(str, self.answer)) or "none" if known.several else str(self.answer)
        self.about = f"Always says {said}."
        return self

    def predict(self, items: Sequence[Any]) -> tuple[list[Label], Floats | None]:
        return [self.answer] * len(items), np.tile(self._shares, (len(items), 1))

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What `from_arrays` makes the fitted baseline of again."""
        header = json.dumps({"classes": self.classes, "answer": self.answer, "about": self.about})
        return {"header": np.frombuffer(header.encode(), np.uint8), "shares": self._shares}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """From arrays in which anything may stand: ValueError, TypeError or KeyError for what is no baseline."""
        header = json.loads(arrays["header"].tobytes())
        made = cls()
        answer = header["answer"]
        made.classes, made.about = tuple(header["classes"]), str(header["about"])
        made.answer = tuple(answer) if isinstance(answer, list) else answer
        made._shares = arrays["shares"]
        if made._shares.shape != (len(made.classes),):
            raise ValueError("its shares do not fit its classes")
        return made
