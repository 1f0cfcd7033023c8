"""How well poems are predicted: by the network, and by the n-gram baseline on the same tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from rondo.errors import DataError
from rondo.evaluation.ngram import KneserNey
from rondo.models.language_model import LanguageModel
from rondo.tasks.language import sound
from rondo.tasks.poetry.corpus import Poem
from rondo.tasks.poetry.vocabulary import PoemVocabulary

SCORED_TOKENS = 16_384
"""Tokens that are scored at a time."""


@dataclass(frozen=True)
class PoemLoss:
    """Predictability of poems. A poem's form is given, all that follows is predicted."""

    nats: float
    """Nats a token: characters, punctuation and the end."""
    tokens: int
    """Tokens that were predicted."""
    unknown: int
    """Tokens that the vocabulary does not have."""
    baseline_nats: float | None

    @property
    def perplexity(self) -> float:
        return math.exp(self.nats)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "perplexity": self.perplexity}


def score_poems(
    network: LanguageModel, vocabulary: PoemVocabulary, poems: Sequence[Poem], baseline: KneserNey | None
) -> PoemLoss:
    """Score whole poems, each from its own beginning."""
    if not poems:
        raise DataError("there are no poems to score")
    encoded = [vocabulary.encode_poem(poem) for poem in poems]
    tokens = sum(len(ids) - 1 for ids in encoded)
    return PoemLoss(
        nats=sound(network_nats(network, encoded) / tokens),
        tokens=tokens,
        unknown=int(sum((ids == vocabulary.unknown).sum() for ids in encoded)),
        baseline_nats=None if baseline is None else baseline_nats(baseline, encoded) / tokens,
    )


@torch.no_grad()
def network_nats(network: LanguageModel, encoded: Sequence[np.ndarray]) -> float:
    """The summed cost of all tokens but each poem's first, poems of like length side by side."""
    device = network.embedding.weight.device
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
    total, start = 0.0, 0
    was_training = network.training
    network.eval()
    while start < len(order):
        longest, stop = 0, start
        while stop < len(order) and (stop - start + 1) * len(encoded[order[stop]]) <= SCORED_TOKENS:
            longest = len(encoded[order[stop]])
            stop += 1
        stop = max(stop, start + 1)
        rows = [encoded[index] for index in order[start:stop]]
        longest = max(len(row) for row in rows)
        padded = torch.full((len(rows), longest), -1, dtype=torch.int64)
        for number, row in enumerate(rows):
            padded[number, : len(row)] = torch.from_numpy(row)
        padded = padded.to(device)
        logits = network(padded[:, :-1].clamp(min=0)).logits  # what stands behind a poem's end is not scored
        total += F.cross_entropy(logits.flatten(0, 1), padded[:, 1:].flatten(), ignore_index=-1, reduction="sum").item()
        start = stop
    network.train(was_training)
    return total


def baseline_nats(baseline: KneserNey, encoded: Sequence[np.ndarray]) -> float:
    """The same of the n-gram model, which reads the poems one after the other."""
    costs = baseline.nats(np.concatenate(encoded))
    starts = np.cumsum([0, *(len(ids) for ids in encoded[:-1])])
    return float(costs.sum() - costs[starts].sum())
