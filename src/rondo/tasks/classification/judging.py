"""How good a classifier is: its scores on what was held out, beside baselines on the same items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rondo.data.labelled import Label, Labelled
from rondo.data.splits import Parts, draw
from rondo.evaluation.classification import Measure, Predictions, all_scores
from rondo.evaluation.resampling import difference, interval, too_few
from rondo.evaluation.rivals import Outcome, Rival, hold_against, main_measure
from rondo.tasks.classification.model import ClassifierModel
from rondo.training.protocols import Progress

Floats = npt.NDArray[np.float64]

CHOOSING_SHARE = 0.1
"""Of the training part: what baselines choose by, where the validation part is what they are asked about."""


@dataclass(frozen=True)
class Judgement:
    """What a model and its baselines say about items whose classes are known."""

    data: Labelled
    part: str
    """What the items are: ``test``, ``validation``, or ``given``."""
    logits: Floats
    predictions: Predictions
    outcomes: tuple[Outcome, ...]
    known: tuple[Label, ...]
    """The classes that the model knows."""
    seed: int

    @property
    def measure(self) -> Measure:
        """The score that counts: accuracy, or micro F1 where an item can have several classes."""
        return main_measure(self.data)

    @property
    def strongest(self) -> Outcome | None:
        """The baseline with the highest score."""
        return max(self.outcomes, key=lambda outcome: self.measure(outcome.predictions), default=None)

    @property
    def unseen(self) -> dict[Label, list[int]]:
        """Labels that training has not seen, with the items that have them: about these a model can only be wrong."""
        return self.data.unseen(self.known)

    def result(self) -> dict[str, Any]:
        """The figures as they stand in the JSON of a training and of an evaluation."""
        ours = interval(self.measure, self.predictions, groups=self.data.groups, seed=self.seed)
        baselines = {outcome.name: self.measure(outcome.predictions) for outcome in self.outcomes}
        found: dict[str, Any] = {
            "metric": self.measure.name,
            "score": ours.value,
            "score_interval": ours.ends,
            "scored_on": self.part,
            "items": len(self.data),
            "unseen_labels": {str(label): len(items) for label, items in self.unseen.items()},
            "scores": all_scores(self.predictions),
            "baselines": baselines,
            "baseline": None if self.strongest is None else self.strongest.name,
            "baseline_score": None if self.strongest is None else baselines[self.strongest.name],
        }
        if self.strongest is not None:
            gap = difference(
                self.measure, self.predictions, self.strongest.predictions, groups=self.data.groups, seed=self.seed
            )
            found["lead"], found["lead_interval"] = gap.value, gap.ends
        if ours.ends is None:
            found["no_interval"] = too_few(self.data.groups)
        return found


def judge(
    model: ClassifierModel, data: Labelled, outcomes: Sequence[Outcome] = (), *, part: str, seed: int = 0
) -> Judgement:
    """The model's predictions for ``data``; labels that training has not seen are ones it is wrong about."""
    logits = model.logits(data.items)
    probabilities = model.probable(logits)
    said = model.classes.named(model.classes.chosen(probabilities))
    predictions = Predictions.of(data, said, classes=model.classes.names, probabilities=probabilities)
    return Judgement(data, part, logits, predictions, tuple(outcomes), model.classes.names, seed)


def judge_held_out(
    model: ClassifierModel, parts: Parts, rivals: Sequence[Rival], *, seed: int, progress: Progress
) -> Judgement:
    """On the test part; where there is none, on the validation part, by which the weights were chosen.

    Baselines learn from training and validation part together. Where the latter is what they are asked about, they
    have the training part alone, and choose by a share of it.
    """
    if rivals:
        progress.message(f"fitting baselines: {', '.join(rival.name for rival in rivals)}")
    if parts.test is not None:
        outcomes = hold_against(rivals, parts.train, parts.valid, parts.test)
        return judge(model, parts.test, outcomes, part="test", seed=seed)
    kept, held = draw(parts.train, CHOOSING_SHARE, seed=seed) if rivals else ((), ())
    outcomes = hold_against(rivals, parts.train.select(kept), parts.train.select(held), parts.valid)
    return judge(model, parts.valid, outcomes, part="validation", seed=seed)
