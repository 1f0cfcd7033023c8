"""Sampling from a model one step at a time: constant memory, however long the text.

The functions know nothing of the model but its step. Probabilities are shaped in this order:
repetition penalty, constraint, temperature, top-k, top-p.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from rondo.errors import UsageError

Step = Callable[[Tensor, Any], tuple[Tensor, Any]]
"""``step(tokens (B,), state) -> (logits (B, V), state)``."""


class Constraint(Protocol):
    """Says which tokens may come next, for a batch of sequences being written."""

    def allowed(self) -> Tensor:
        """(B, V) or (V,) bool: True where a token may come next; at least one in each row."""

    def advance(self, tokens: Tensor) -> None:
        """Take note of the chosen tokens (B,)."""


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn from the model's distribution."""

    temperature: float = 1.0
    """Divides the logits: below 1 bolder, above 1 wilder; 0 always takes the most likely token."""
    top_k: int = 0
    """Draw from the k most likely tokens only; 0 is no limit."""
    top_p: float = 1.0
    """Draw from the smallest set of tokens with this much probability (Holtzman et al. 2020); 1 is all."""
    repetition_penalty: float = 1.0
    """Above 1, makes the tokens that were written last less likely (Keskar et al. 2019); 1 is none."""
    repetition_window: int = 64
    """How many tokens back the repetition penalty looks."""

    def checked(self) -> Sampling:
        """Itself, or an error that names the option."""
        if not 0 <= self.temperature < math.inf:
            raise UsageError(f"temperature is 0 or more, not {self.temperature}")
        if self.top_k < 0:
            raise UsageError(f"top_k is 0 (no limit) or a number of tokens, not {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p is above 0 and at most 1, not {self.top_p}")
        if not 0 < self.repetition_penalty < math.inf:
            raise UsageError(f"repetition_penalty is above 0 (1 is none), not {self.repetition_penalty}")
        if self.repetition_window < 1:
            raise UsageError(f"repetition_window is at least 1, not {self.repetition_window}")
        return self


def sample(
    step: Step,
    logits: Tensor,
    state: Any,
    sampling: Sampling,
    *,
    generator: torch.Generator | None = None,
    constraint: Constraint | None = None,
    forbidden: Tensor | None = None,
    history: Tensor | None = None,
) -> Iterator[Tensor]:
    """Endlessly yield the next tokens (B,) of a batch of sequences.

    ``logits`` (B, V) and ``state`` are what the model said after the prompt. ``forbidden`` (V,) is
    True for tokens that are never drawn; ``history`` (B, N) are tokens before, for the repetition
    penalty. The state is carried, nothing else grows. The model is asked for the step after a
    token only when the next token is wanted.
    """
    sampling.checked()
    window = torch.zeros(logits.shape[0], 0, dtype=torch.int64, device=logits.device)
    if history is not None:
        window = history[:, -sampling.repetition_window :].to(logits.device)
    while True:
        allowed = constraint.allowed() if constraint is not None else None
        shaped = shape(logits, sampling, window=window, allowed=allowed, forbidden=forbidden)
        tokens = draw(shaped, sampling, generator)
        yield tokens
        if constraint is not None:
            constraint.advance(tokens)
        if sampling.repetition_penalty != 1:
            window = torch.cat([window, tokens[:, None]], 1)[:, -sampling.repetition_window :]
        logits, state = step(tokens, state)


def shape(
    logits: Tensor,
    sampling: Sampling,
    *,
    window: Tensor | None = None,
    allowed: Tensor | None = None,
    forbidden: Tensor | None = None,
) -> Tensor:
    """Logits (B, V) as they are drawn from: what is ruled out is -inf, temperature is applied."""
    shaped = logits.float()
    if sampling.repetition_penalty != 1 and window is not None and window.shape[1]:
        seen = shaped.gather(1, window)
        weaker = torch.where(seen > 0, seen / sampling.repetition_penalty, seen * sampling.repetition_penalty)
        shaped = shaped.scatter(1, window, weaker)
    if forbidden is not None:
        shaped = shaped.masked_fill(forbidden.to(shaped.device), -torch.inf)
    if allowed is not None:
        shaped = shaped.masked_fill(~allowed.to(shaped.device), -torch.inf)
    if sampling.temperature not in (0, 1):
        # The largest becomes 0 first, so that a very low temperature has no infinity to divide.
        shaped = (shaped - shaped.amax(1, keepdim=True)) / sampling.temperature
    if 0 < sampling.top_k < shaped.shape[1]:
        least = shaped.topk(sampling.top_k, dim=1).values[:, -1:]
        shaped = shaped.masked_fill(shaped < least, -torch.inf)
    if sampling.top_p < 1:
        ordered, order = shaped.sort(dim=1, descending=True)
        before = ordered.softmax(1).cumsum(1) - ordered.softmax(1)
        cut = torch.zeros_like(before, dtype=torch.bool).scatter(1, order, before >= sampling.top_p)
        shaped = shaped.masked_fill(cut, -torch.inf)
    return shaped


def draw(shaped: Tensor, sampling: Sampling, generator: torch.Generator | None = None) -> Tensor:
    """One token a row, (B,)."""
    if sampling.temperature == 0:
        return shaped.argmax(1)
    return torch.multinomial(shaped.softmax(1), 1, generator=generator)[:, 0]


def random_numbers(device: torch.device, seed: int | None) -> torch.Generator:
    """Random numbers for `sample`: the same for the same seed, others each time without one."""
    generator = torch.Generator(device)
    if seed is None:
        generator.seed()
    elif not 0 <= seed < 2**64:
        raise UsageError(f"seed is from 0 to {2**64 - 1}, not {seed}")
    else:
        generator.manual_seed(seed)
    return generator
