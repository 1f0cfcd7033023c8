"""Whether a tagger's probabilities mean what they say, and the temperature that makes them say it better."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np

from rondo.data.labelled import Labelled
from rondo.data.tagging.schemes import read_spans
from rondo.evaluation.calibration import Reliability, binned
from rondo.evaluation.tagging import TagPredictions
from rondo.tasks.tag.model import TaggerModel, emissions, tag_marginals

HOTTEST = 20.0
"""Temperatures that `fit_temperature` gives lie between this and its inverse."""
STEPS = 20
LEAST = 1e-12
"""A true tag without any probability does not decide alone."""
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class TagCalibration:
    """How often what was said with some confidence is right."""

    tokens: Reliability
    """Of the tag of each token."""
    spans: Reliability | None
    """Of the spans that were said; None where there are none, or tags are no spans."""

    def scores(self) -> dict[str, float]:
        """The expected calibration errors by name."""
        found = {"calibration_error": self.tokens.error}
        return found if self.spans is None else {**found, "span_calibration_error": self.spans.error}


def calibration_of(
    model: TaggerModel, data: Labelled, predictions: TagPredictions, *, temperature: float | None = None
) -> TagCalibration | None:
    """Of what a model has said, at its own temperature or another one; None if nothing was asked."""
    place = {tag: number for number, tag in enumerate(model.tags.classes)}
    sure: list[float] = []
    for probable, said in zip(model.marginals(data.items, temperature=temperature), predictions.predicted, strict=True):
        sure += probable[np.arange(len(said)), [place[tag] for tag in said]].tolist() if said else []
    pairs = zip(chain(*predictions.predicted), chain(*predictions.true), strict=True)
    if not sure:
        return None
    tokens = binned(sure, [one == other for one, other in pairs])
    return TagCalibration(tokens, _of_spans(model, data, predictions, temperature))


def fit_temperature(model: TaggerModel, data: Labelled) -> float:
    """The temperature at which the true tags of the validation part are most probable, each token by itself.

    Scores of tags and of transitions are both divided by it, so that the best tags stay the best. The minimum is
    halved in on by the golden section, over the temperature's logarithm.
    """
    known = [
        (model.encoder.encode(tokens), codes)
        for tokens, tags in zip(data.items, data.labels or [], strict=True)
        if tokens and (codes := model.tags.codes(tags)) is not None
    ]
    parts = list(emissions(model.network, [rows for rows, _ in known], at_once=model.max_tokens))
    if not parts:
        return 1.0

    def loss(logarithm: float) -> float:
        total = 0.0
        for part in parts:
            probable = tag_marginals(model.network, part, float(np.exp(logarithm)))
            for place, index in enumerate(part.chosen.tolist()):
                codes = known[index][1]
                own = probable[place, np.arange(len(codes)), codes]
                total -= float(np.log(np.maximum(own, LEAST)).sum())
        return total

    high = float(np.log(HOTTEST))
    low = -high
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    losses = loss(left), loss(right)
    for _ in range(STEPS):
        if losses[0] <= losses[1]:
            high, right = right, left
            left = high - _GOLDEN * (high - low)
            losses = loss(left), losses[0]
        else:
            low, left = left, right
            right = low + _GOLDEN * (high - low)
            losses = losses[1], loss(right)
    return float(np.exp((low + high) / 2))


def _of_spans(
    model: TaggerModel, data: Labelled, predictions: TagPredictions, temperature: float | None
) -> Reliability | None:
    if predictions.scheme is None:
        return None
    said = [read_spans(tags) for tags in predictions.predicted]
    if not any(said):
        return None
    sure = model.probabilities(data.items, said, temperature=temperature)
    true = [set(read_spans(tags)) for tags in predictions.true]
    right = [span in own for spans, own in zip(said, true, strict=True) for span in spans]
    return binned(list(chain(*sure)), right)
