"""Forecasters that begin from different weights, learn side by side and answer together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from rondo.cells import Cell
from rondo.layers import Recurrent, RecurrentOutput
from rondo.models.forecast_heads import Head, Quantiles
from rondo.models.forecast_inputs import Features, ForecastInputs
from rondo.models.forecaster import Forecaster, ForecasterOptions

MIXED = 40
"""Quantiles of each member that the quantiles of a mixture are found among."""


class ForecasterEnsemble(nn.Module):
    """Members that each learn from their own errors. Together they say a mixture: each is right with the same
    probability, so that where they disagree intervals are wider. Of points it is the mean.
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

    def begin(self, targets: Tensor, unit: Tensor, context: Tensor) -> None:
        """Each as `Forecaster.begin`."""
        for member in self.members:
            member.begin(targets, unit, context)

    def forward(
        self, inputs: ForecastInputs, target: Tensor | None = None, *, reads: Sequence[RecurrentOutput] = ()
    ) -> Tensor:
        """Parameters (members, B, horizon, size)."""
        return torch.stack([member(inputs, target, reads=read) for member, read in self._each(reads)])

    @torch.no_grad()
    def sample(
        self,
        inputs: ForecastInputs,
        paths: int,
        generator: torch.Generator | None = None,
        *,
        reads: Sequence[RecurrentOutput] = (),
    ) -> Tensor:
        """Sampled futures (B, horizon, paths), an equal share from each; of points, their mean."""
        if not self.head.draws:
            drawn = [member.sample(inputs, paths, generator, reads=read) for member, read in self._each(reads)]
            return torch.stack(drawn).mean(0)
        count = len(self.members)
        shares = [(paths + count - 1 - place) // count for place in range(count)]
        drawn = [
            member.sample(inputs, share, generator, reads=read)
            for (member, read), share in zip(self._each(reads), shares, strict=True)
            if share
        ]
        return torch.cat(drawn, -1)

    def _each(self, reads: Sequence[RecurrentOutput]) -> list[tuple[Forecaster, Sequence[RecurrentOutput]]]:
        own = [reads[place : place + 1] for place in range(len(self.members))]
        return list(zip(self.members, own, strict=True))


def points_of(head: Head, said: Tensor, unit: Tensor) -> Tensor:
    """What members say, (members, B, horizon, size), as points (B, horizon): the mean, of quantiles the median."""
    if isinstance(head, Quantiles) and len(said) > 1:
        return quantiles_of(head, said, (0.5,), unit)[..., 0]
    return torch.stack([head.point(one, unit) for one in said]).mean(0)


def quantiles_of(head: Head, said: Tensor, levels: Sequence[float], unit: Tensor) -> Tensor:
    """Those of the mixture of what members say, (B, horizon, levels); ``unit`` is (B, horizon)."""
    if len(said) == 1:
        return head.quantiles(said[0], levels, unit)
    grid = [(place + 0.5) / MIXED for place in range(MIXED)]
    pooled = torch.cat([head.quantiles(one, grid, unit) for one in said], -1).sort(-1).values
    number = pooled.shape[-1]
    place = (torch.tensor(levels, dtype=pooled.dtype, device=pooled.device) * number - 0.5).clamp(0, number - 1)
    low = place.floor().long()
    if head.counts:  # there is nothing between two counts
        return pooled[..., place.ceil().long()]
    return torch.lerp(pooled[..., low], pooled[..., (low + 1).clamp_max(number - 1)], place - low)


def make_forecaster(
    horizon: int,
    features: Features,
    options: ForecasterOptions,
    *,
    season: int = 1,
    context_length: int | None = None,
    cell: Cell | None = None,
) -> Forecaster | ForecasterEnsemble:
    """The network that the options describe: one, or several."""

    def make() -> Forecaster:
        return Forecaster(horizon, features, options, season=season, context_length=context_length, cell=cell)

    return make() if options.ensemble == 1 else ForecasterEnsemble([make() for _ in range(options.ensemble)])
