"""Penalties on weights and activations. L2 is the optimiser's weight decay; the rest is here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rondo.errors import UsageError
from rondo.training.options import TrainingOptions
from rondo.training.protocols import Activations, Result


@dataclass(frozen=True)
class ActivationPenalty:
    """Sums over this process's part of a batch, and over how many positions they run."""

    square_sum: Tensor | None = None
    positions: int = 0
    change_sum: Tensor | None = None
    changes: int = 0


def activation_penalty(result: Result, options: TrainingOptions) -> ActivationPenalty:
    """Mean squares over the hidden axis, summed over the positions that are not padding."""
    if not options.activation_reg and not options.temporal_activation_reg:
        return ActivationPenalty()
    if result.activations is None:
        raise UsageError(
            "--activation-reg and --temporal-activation-reg need the activations of a recurrent layer, "
            "which this task does not offer"
        )
    activations = result.activations
    square_sum = change_sum = None
    B, T, _ = activations.raw.shape
    positions, changes = B * T, B * (T - 1)
    if activations.lengths is not None:
        positions = int(activations.lengths.sum())
        changes = int((activations.lengths - 1).clamp(min=0).sum())
    if options.activation_reg:
        square_sum = _sum(activations.dropped.square().mean(-1), activations, 0)
    if options.temporal_activation_reg:
        square = (activations.raw[:, 1:] - activations.raw[:, :-1]).square().mean(-1)
        change_sum = _sum(square, activations, 1)
    return ActivationPenalty(square_sum, positions, change_sum, changes)


def _sum(values: Tensor, activations: Activations, first: int) -> Tensor:
    """Sum of (B, T - first) values whose position, counted from ``first``, is within its sequence."""
    if activations.lengths is None:
        return values.sum()
    t = torch.arange(first, first + values.shape[1], device=values.device)
    mask = t < activations.lengths.to(values.device)[:, None]
    return values.masked_fill(~mask, 0).sum()


@torch.no_grad()
def add_l1_gradient(parameters: Iterable[nn.Parameter], l1: float) -> None:
    """Add the derivative of ``l1`` times the sum of the absolute values of all matrices."""
    for parameter in parameters:
        if parameter.ndim >= 2 and parameter.grad is not None:
            parameter.grad.add_(parameter.sign(), alpha=l1)
