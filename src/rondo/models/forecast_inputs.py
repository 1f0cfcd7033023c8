"""What a forecaster reads: values, what is known beside them, and vectors of what is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

KIND_WIDTH = 8
"""The most values that a vector of a kind has; of few kinds it has fewer."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """How many covariates there are beside the values, and how many kinds each categorical one has."""

    past: int = 0
    future: int = 0
    static: int = 0
    past_kinds: tuple[int, ...] = ()
    future_kinds: tuple[int, ...] = ()
    static_kinds: tuple[int, ...] = ()
    masked: bool = False
    """Whether the network is told which values are missing."""


@dataclass(frozen=True, kw_only=True)
class ForecastInputs:
    """What a forecast is made from: L rows before the origin, H after it."""

    context: Tensor
    """(B, L) Scaled values, 0 where missing."""
    known: Tensor
    """(B, L) 1 where there is a value."""
    past: Tensor
    """(B, L, past)"""
    future: Tensor
    """(B, L + H, future): known in advance, so over the context, too."""
    static: Tensor
    """(B, static)"""
    past_codes: Tensor
    """(B, L, kinds) int64, 0 for a kind that is unknown."""
    future_codes: Tensor
    """(B, L + H, kinds)"""
    static_codes: Tensor
    """(B, kinds)"""
    unit: Tensor
    """(B,) What one scaled unit is in the data, for heads of counts."""

    def to(self, device: torch.device) -> ForecastInputs:
        """The same on a device."""
        return replace(self, **{name: value.to(device) for name, value in vars(self).items()})

    def repeat(self, times: int) -> ForecastInputs:
        """Each row several times."""
        return replace(self, **{name: value.repeat_interleave(times, 0) for name, value in vars(self).items()})


class Kinds(nn.Module):
    """Vectors of categorical covariates, side by side."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        tables = [nn.Embedding(size + 1, min(KIND_WIDTH, size)) for size in sizes]
        for table in tables:
            nn.init.normal_(table.weight, std=0.1)
        self.output_size = sum(table.embedding_dim for table in tables)
        self.tables = nn.ModuleList(tables)

    def forward(self, codes: Tensor) -> list[Tensor]:
        """Of codes (..., kinds)."""
        return [table(codes[..., place]) for place, table in enumerate(self.tables)]
