"""Poems from a network: sampling a batch of them under a constraint."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rondo.decoding import Sampling, sample
from rondo.models.language_model import LanguageModel
from rondo.tasks.poetry.constraint import PoemConstraint, constrain
from rondo.tasks.poetry.request import PoemRequest
from rondo.tasks.poetry.vocabulary import PoemVocabulary

LONGEST = 200
"""Tokens after which a poem whose form says nothing of its length is ended."""
BATCH = 250
"""Poems that are written side by side."""


class _Masks:
    """A poem constraint as `rondo.decoding` wants it, on tensors."""

    def __init__(self, constraint: PoemConstraint) -> None:
        self.constraint = constraint

    def allowed(self) -> Tensor:
        return torch.from_numpy(np.array(self.constraint.allowed()))

    def advance(self, tokens: Tensor) -> None:
        self.constraint.advance(tokens.cpu().numpy())


def write_poems(
    network: LanguageModel,
    vocabulary: PoemVocabulary,
    request: PoemRequest,
    *,
    samples: int,
    sampling: Sampling,
    generator: torch.Generator,
) -> tuple[list[str], list[str]]:
    """Poems in canonical traditional characters, and notes on what of the request does not fit the rules."""
    poems: list[str] = []
    notes: list[str] = []
    while len(poems) < samples:
        count = min(BATCH, samples - len(poems))
        constraint = constrain(vocabulary, request, batch_size=count)
        notes = constraint.notes
        tokens = list(_tokens(network, constraint, vocabulary.end, count, sampling, generator))
        columns = torch.stack(tokens, 1).cpu().numpy() if tokens else np.zeros((count, 0), dtype=np.int64)
        poems += [_text(constraint, vocabulary, column) for column in columns]
    return poems, notes


@torch.inference_mode()
def _tokens(
    network: LanguageModel,
    constraint: PoemConstraint,
    end: int,
    count: int,
    sampling: Sampling,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    stepper = network.stepper(count)
    logits = stepper(torch.full((count,), constraint.start, device=network.embedding.weight.device))
    drawn = sample(
        lambda tokens, _: (stepper(tokens), None), logits, None, sampling,
        generator=generator, constraint=_Masks(constraint),
    )  # fmt: skip
    for tokens in itertools.islice(drawn, constraint.max_tokens or LONGEST):
        yield tokens
        if (constraint.done | (tokens.cpu().numpy() == end)).all():
            return


def _text(constraint: PoemConstraint, vocabulary: PoemVocabulary, tokens: np.ndarray[Any, Any]) -> str:
    ends = np.flatnonzero(tokens == vocabulary.end)
    return constraint.text(tokens[: ends[0]] if len(ends) else tokens)
