"""Scores of taggers as sums over sentences, so that `resampling` finds their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rondo.data.tagging.schemes import Scheme
from rondo.errors import DataError
from rondo.evaluation.classification import Sums
from rondo.evaluation.spans import SpanScores, score_tags

Floats = npt.NDArray[np.float64]
Tags = Sequence[Sequence[str]]


@dataclass(frozen=True, eq=False)
class TagPredictions:
    """What a tagger said about sentences whose tags are known."""

    true: Tags
    predicted: Tags
    scheme: Scheme | None
    """What spans are written in; None if the tags are no spans."""

    def __len__(self) -> int:
        return len(self.true)

    @cached_property
    def spans(self) -> SpanScores:
        """Its spans counted as conlleval counts them."""
        return score_tags(self.true, self.predicted)

    @cached_property
    def strict(self) -> SpanScores:
        """Its spans counted strictly: those that are not written as the scheme has them do not count."""
        if self.scheme is None:
            raise DataError("tags that are no spans cannot be read strictly")
        return score_tags(self.true, self.predicted, strict=self.scheme)

    @cached_property
    def tokens(self) -> npt.NDArray[np.int64]:
        """Of each sentence, how many tags are right, and how many there are, (N, 2)."""
        pairs = zip(self.true, self.predicted, strict=True)
        return np.array([[sum(map(str.__eq__, one, other)), len(one)] for one, other in pairs], np.int64).reshape(-1, 2)


@dataclass(frozen=True)
class TagMeasure:
    """One score of taggers."""

    kind: Literal["spans", "strict", "tokens"]
    better: Literal["higher", "lower"] = "higher"

    @property
    def name(self) -> str:
        """As it stands above a column."""
        return {"spans": "span F1", "strict": "strict span F1", "tokens": "accuracy"}[self.kind]

    def sums(self, predictions: TagPredictions) -> Sums:
        """Of a sentence: spans that are right, said, and there; or tags that are right, and there."""
        if self.kind == "tokens":
            table: npt.NDArray[Any] = predictions.tokens
        else:
            scores = predictions.spans if self.kind == "spans" else predictions.strict
            table = np.array(scores.sentences, np.int64).reshape(-1, 3)
        rows, kind = np.unique(table, axis=0, return_inverse=True)
        return Sums(kind.reshape(-1), rows.astype(np.float64))

    def score(self, sums: Floats) -> Floats:
        """F1, or accuracy; 0 where there is nothing."""
        above = sums[..., 0] if self.kind == "tokens" else 2 * sums[..., 0]
        below = sums[..., 1] if self.kind == "tokens" else sums[..., 1] + sums[..., 2]
        return np.divide(above, below, out=np.zeros_like(above), where=below > 0)

    def __call__(self, predictions: TagPredictions) -> float:
        found = self.sums(predictions)
        return float(self.score(np.bincount(found.kind, minlength=len(found.rows)) @ found.rows))


def main_measure(scheme: Scheme | None) -> TagMeasure:
    """The score that counts: span F1, or accuracy where tags are no spans."""
    return TagMeasure("spans" if scheme is not None else "tokens")


def all_scores(predictions: TagPredictions) -> dict[str, float]:
    """Every score that can be said of these predictions, by name."""
    accuracy = TagMeasure("tokens")(predictions)
    if predictions.scheme is None:
        return {"accuracy": accuracy}
    spans = predictions.spans
    return {
        "precision": spans.overall.precision,
        "recall": spans.overall.recall,
        "f1": spans.f1,
        "macro_f1": spans.macro_f1,
        "strict_f1": predictions.strict.f1,
        "accuracy": accuracy,
    }
