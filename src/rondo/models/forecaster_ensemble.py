"""Forecasters that begin from different weights, learn side by side and answer together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from rondo.cells import Cell
from rondo.layers import Recurrent
from rondo.models.forecast_heads import Head
from rondo.models.forecaster import Features, Forecaster, ForecasterOptions, ForecastInputs


class ForecasterEnsemble(nn.Module):
    """Members that each learn from their own errors. What they say of one value is put together where it is read:
    the mean of their points and of their quantiles, their sampled futures side by side.
    """

    def __init__(self, members: Sequence[Forecaster]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(members)

    @property
    def members(self) -> Sequence[Forecaster]:
        """The networks that answer."""
        return cast(Sequence[Forecaster], self.networks)

    @property
    def head(self) -> Head:
        return self.members[0].head

    @property
    def strategy(self) -> str:
        return self.members[0].strategy

    @property
    def recurrent(self) -> Recurrent:
        """That of the first: it shows how all are made."""
        return self.members[0].recurrent

    def begin(self, targets: Tensor, unit: Tensor) -> None:
        """Each as `Forecaster.begin`."""
        for member in self.members:
            member.begin(targets, unit)

    def forward(self, inputs: ForecastInputs, target: Tensor | None = None) -> Tensor:
        """Parameters (members, B, horizon, size)."""
        return torch.stack([member(inputs, target) for member in self.members])

    @torch.no_grad()
    def sample(self, inputs: ForecastInputs, paths: int, generator: torch.Generator | None = None) -> Tensor:
        """Sampled futures (B, horizon, paths), an equal share from each; of points, their mean."""
        if not self.head.draws:
            return torch.stack([member.sample(inputs, paths, generator) for member in self.members]).mean(0)
        count = len(self.members)
        shares = [(paths + count - 1 - place) // count for place in range(count)]
        drawn = [
            member.sample(inputs, share, generator) for member, share in zip(self.members, shares, strict=True) if share
        ]
        return torch.cat(drawn, -1)


def make_forecaster(
    horizon: int, features: Features, options: ForecasterOptions, *, season: int = 1, cell: Cell | None = None
) -> Forecaster | ForecasterEnsemble:
    """The network that the options describe: one, or several."""

    def make() -> Forecaster:
        return Forecaster(horizon, features, options, season=season, cell=cell)

    return make() if options.ensemble == 1 else ForecasterEnsemble([make() for _ in range(options.ensemble)])
