"""What a tagger is trained for, and how it is watched meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from rondo.data.bucket import PaddedBatch
from rondo.data.labelled import Labelled
from rondo.data.pools import padded
from rondo.data.tagging.schemes import OUTSIDE
from rondo.evaluation.tagging import TagPredictions, main_measure
from rondo.tasks.tag.model import decoded, emissions
from rondo.tasks.tag.tags import TagNames
from rondo.training.protocols import Result

Sequences = Sequence[npt.NDArray[Any]]


class TagLoss:
    """The negative log-likelihood of the tags, a token; with ``weights`` of tags a sentence counts as its tags do."""

    unit = "tokens"

    def __init__(self, weights: npt.NDArray[np.float64] | None = None) -> None:
        self.weights = None if weights is None else torch.from_numpy(weights.astype(np.float32))

    def __call__(self, model: nn.Module, batch: PaddedBatch, carried: None) -> Result:
        network: Any = model
        emission = network(batch.inputs, lengths=batch.lengths)
        tags = batch.targets.clamp(min=0) if network.crf is not None else batch.targets
        loss = network.loss(emission, tags, lengths=batch.lengths)
        if self.weights is not None:
            own = self.weights.to(loss.device)[batch.targets.clamp(min=0)]
            valid = torch.arange(own.shape[1], device=loss.device) < batch.lengths.to(loss.device)[:, None]
            loss = loss * (own * valid).sum(1) / valid.sum(1).clamp(min=1)
        return Result(loss_sum=loss.sum(), count=int(batch.lengths.sum()))

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        return None


def balanced_weights(targets: Sequences, tags: TagNames) -> npt.NDArray[np.float64]:
    """A weight for each tag that makes all kinds of spans, and what is outside of them, count alike; 1 on average."""
    of_tag = [name if tags.inner is None or name == OUTSIDE else tags.inner.parse(name).kind for name in tags.names]
    kinds = sorted(set(of_tag))
    kind = np.array([kinds.index(name) for name in of_tag])
    counts = np.bincount(kind[np.concatenate([*targets, np.zeros(0, np.int64)])], minlength=len(kinds))
    found: npt.NDArray[np.float64] = counts.sum() / ((counts > 0).sum() * np.maximum(counts, 1))
    return found[kind]


class WatchTags:
    """``valid_f1``, ``valid_accuracy`` and ``valid_loss`` (nats a token) of the validation part.

    Sentences with tags that the network cannot say count in the first two alone: their likelihood is none.
    """

    def __init__(self, sequences: Sequences, data: Labelled, tags: TagNames, *, at_once: int | None = None) -> None:
        self.sequences, self.tags, self.at_once = sequences, tags, at_once
        self.true: list[Any] = data.labels or []
        self.codes = [tags.codes(own) for own in self.true]

    def __call__(self, model: nn.Module) -> dict[str, float]:
        network: Any = model
        said: list[list[str]] = [[] for _ in self.true]
        loss, tokens = 0.0, 0
        for part in emissions(network, self.sequences, at_once=self.at_once):
            for index, codes in decoded(network, part):
                said[index] = self.tags.named(codes.tolist(), sound=network.crf is not None)
            own = [self.codes[index] for index in part.chosen]
            places = [place for place, codes in enumerate(own) if codes is not None]
            if places:
                lengths = part.lengths[places]
                scores = part.scores[places, : int(lengths.max())]
                targets = torch.from_numpy(padded([codes for codes in own if codes is not None])).to(scores.device)
                loss += float(network.loss(scores, targets, lengths=lengths).sum())
                tokens += int(lengths.sum())
        predictions = TagPredictions(self.true, said, self.tags.scheme)
        right, every = predictions.tokens.sum(0)
        return {
            "valid_loss": loss / max(tokens, 1),
            "valid_accuracy": float(right / max(every, 1)),
            "valid_f1": main_measure(self.tags.scheme)(predictions),
        }


def in_pieces(data: Labelled, most: int) -> Labelled:
    """The sentences to learn from, longer ones in pieces of at most so many tokens."""
    labels = data.labels or []
    cuts = [(i, at) for i, tokens in enumerate(data.items) for at in range(0, len(tokens), most)]
    return Labelled(
        [data.items[i][at : at + most] for i, at in cuts],
        [labels[i][at : at + most] for i, at in cuts],
        None,
        [data.origins[i] for i, _ in cuts],
    )


def targets_of(data: Labelled, tags: TagNames) -> list[npt.NDArray[np.int64]]:
    """The numbers of the tags of the training part, from which the tags come."""
    return [codes for codes in map(tags.codes, data.labels or []) if codes is not None]
