"""Precision, recall and F1 of spans: a span is right if its kind, its first and its last token are.

The figures are those of conlleval (Tjong Kim Sang and De Meulder 2003) and of seqeval's default mode: tags are read as
`rondo.data.tagging.read_spans` reads them, broken sequences included. Given a scheme, spans are read strictly, which
is seqeval's strict mode: a figure of its own, not to be mixed up with the usual one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from rondo.data.tagging.schemes import Scheme, Span, read_spans
from rondo.errors import DataError


class SpanCounts(NamedTuple):
    """How many spans were found, and what follows from it; a share of nothing is 0."""

    correct: int
    predicted: int
    true: int

    @property
    def precision(self) -> float:
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        return self.correct / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.correct / (self.predicted + self.true) if self.correct else 0.0

    def to_dict(self) -> dict[str, float]:
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1, **self._asdict()}


@dataclass
class SpanScores:
    """Spans counted sentence by sentence; `add` and then look."""

    scheme: Scheme | None = None
    """If given, spans count only if they are written as this scheme writes them (strict)."""
    kinds: dict[str, SpanCounts] = field(default_factory=dict)
    """The counts of each kind that was met."""
    sentences: list[SpanCounts] = field(default_factory=list)
    """The counts of each sentence."""
    tokens: int = 0
    right_tokens: int = 0
    """How many tags are equal, O included."""

    def add(self, true: Sequence[str], predicted: Sequence[str]) -> None:
        """Count the spans of one sentence."""
        if len(true) != len(predicted):
            raise DataError(f"{len(predicted)} predicted tags cannot be held against {len(true)} true ones")
        found = {name: self._spans(tags) for name, tags in (("true", true), ("predicted", predicted))}
        self.add_spans(found["true"], found["predicted"])
        self.tokens += len(true)
        self.right_tokens += sum(one == other for one, other in zip(true, predicted, strict=True))

    def add_spans(self, true: Iterable[Span], predicted: Iterable[Span]) -> None:
        """Count the spans of one sentence, read already."""
        wanted, said = set(true), set(predicted)
        self.sentences.append(SpanCounts(len(wanted & said), len(said), len(wanted)))
        counts = [Counter(span.kind for span in spans) for spans in (wanted & said, said, wanted)]
        for kind in counts[1].keys() | counts[2].keys():
            before = self.kinds.get(kind, SpanCounts(0, 0, 0))
            self.kinds[kind] = SpanCounts(*(old + new[kind] for old, new in zip(before, counts, strict=True)))

    @property
    def overall(self) -> SpanCounts:
        """All kinds together: the micro average, which is what conlleval says first."""
        return SpanCounts(*(sum(counts) for counts in zip(*self.kinds.values(), strict=True))) if self.kinds else _NONE

    @property
    def f1(self) -> float:
        return self.overall.f1

    @property
    def macro_f1(self) -> float:
        """The mean of the kinds' F1: each kind weighs the same, however rare it is."""
        return float(np.mean([counts.f1 for counts in self.kinds.values()])) if self.kinds else 0.0

    @property
    def accuracy(self) -> float:
        """The share of tags that are right, O included."""
        return self.right_tokens / self.tokens if self.tokens else 0.0

    def to_dict(self) -> dict[str, Any]:
        """All figures by name; those of strict reading are called so."""
        prefix = "strict_" if self.scheme else ""
        figures = {f"{prefix}{name}": value for name, value in self.overall.to_dict().items()}
        kinds = {kind: self.kinds[kind].to_dict() for kind in sorted(self.kinds)}
        return {**figures, f"{prefix}macro_f1": self.macro_f1, "accuracy": self.accuracy, f"{prefix}kinds": kinds}

    def _spans(self, tags: Sequence[str]) -> list[Span]:
        return read_spans(tags, strict=self.scheme is not None, scheme=self.scheme)


_NONE = SpanCounts(0, 0, 0)


def score_tags(
    true: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]], *, strict: Scheme | None = None
) -> SpanScores:
    """The scores of predicted tags; with a scheme as ``strict``, broken spans count for nothing on either side."""
    scores = SpanScores(strict)
    one, other = list(true), list(predicted)
    if len(one) != len(other):
        raise DataError(f"{len(other)} predicted sentences cannot be held against {len(one)} true ones")
    for wanted, said in zip(one, other, strict=True):
        scores.add(wanted, said)
    return scores


class Mistake(NamedTuple):
    """A span that is not as it should be."""

    true: Span | None
    """None if nothing is there."""
    predicted: Span | None
    """None if nothing was found."""

    @property
    def what(self) -> str:
        """``missed``, ``invented``, ``kind`` (where the borders are right), ``borders`` or ``kind and borders``."""
        if self.predicted is None:
            return "missed"
        if self.true is None:
            return "invented"
        if self.true[:2] == self.predicted[:2]:
            return "kind"
        return "borders" if self.true.kind == self.predicted.kind else "kind and borders"


def mistakes(true: Iterable[Span], predicted: Iterable[Span]) -> list[Mistake]:
    """What is wrong with the spans of one sentence, in its order.

    A span that is not right is held against the one with most tokens in common, of the same kind if it can be;
    each is used once.
    """
    wanted, said = set(true), set(predicted)
    missing, wrong = sorted(wanted - said), sorted(said - wanted)
    pairs = [(one, other) for one in missing for other in wrong if _common(one, other) > 0]
    pairs.sort(key=lambda pair: (-_common(*pair), pair[0].kind != pair[1].kind))
    found: list[Mistake] = []
    for one, other in pairs:
        if one in missing and other in wrong:
            missing.remove(one)
            wrong.remove(other)
            found.append(Mistake(one, other))
    found += [Mistake(one, None) for one in missing] + [Mistake(None, other) for other in wrong]
    return sorted(found, key=lambda mistake: mistake.true or mistake.predicted or Span(0, 0, ""))


def _common(one: Span, other: Span) -> int:
    return min(one.stop, other.stop) - max(one.start, other.start)
