"""Poems from a network: sampling a batch of them under a constraint."""

from __future__ import annotations

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
        tokens = list(_tokens(network, vocabulary, constraint, count, sampling, generator))
        columns = torch.stack(tokens, 1).cpu().numpy() if tokens else np.zeros((count, 0), dtype=np.int64)
        poems += [_text(constraint, vocabulary, column) for column in columns]
    return poems, notes


def _tokens(
    network: LanguageModel,
    vocabulary: PoemVocabulary,
    constraint: PoemConstraint,
    count: int,
    sampling: Sampling,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    device = network.embedding.weight.device
    with torch.inference_mode():
        start = torch.full((count,), constraint.start, device=device)
        logits, state = network.step(start, None)
        drawn = sample(
            _step_of(network), logits, state, sampling, generator=generator, constraint=_Masks(constraint),
            forbidden=torch.from_numpy(~vocabulary.generable()).to(device),
        )  # fmt: skip
        longest = constraint.max_tokens or LONGEST
        for number, tokens in enumerate(drawn, 1):
            yield tokens
            ended = constraint.done | (tokens.cpu().numpy() == vocabulary.end)
            if number >= longest or ended.all():
                return


def _step_of(network: LanguageModel) -> Any:
    return lambda tokens, state: network.step(tokens, state)


def _text(constraint: PoemConstraint, vocabulary: PoemVocabulary, tokens: np.ndarray[Any, Any]) -> str:
    ends = np.flatnonzero(tokens == vocabulary.end)
    return constraint.text(tokens[: ends[0]] if len(ends) else tokens)
