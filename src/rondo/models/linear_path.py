"""A forecast that is linear in the context, for all series the same: a forecaster's network adds a correction to it.

As the autoregressive part of LSTNet (Lai et al. 2018, "Modeling Long- and Short-Term Temporal Patterns with Deep Neural
Networks", section 3.6), but found by ridge regression (Hoerl and Kennard 1970) before the network learns, and left as
it is: the network begins from the best linear forecast instead of having to find it by gradient descent.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

LEAST = 1e-9
"""Added to each input's variance at least: contexts of which some values never vary have a solution, too."""


class LinearPath(nn.Module):
    """From a context (B, context_length) to a forecast (B, horizon), in scaled values."""

    def __init__(self, context_length: int, horizon: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(horizon, context_length), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(horizon), requires_grad=False)

    def forward(self, context: Tensor) -> Tensor:
        return nn.functional.linear(context, self.weight, self.bias)

    @torch.no_grad()
    def fit(self, pieces: Iterable[tuple[Tensor, Tensor]], ridge: float) -> None:
        """By least squares over pairs of contexts and targets; windows with a missing target (NaN) are left out.

        ``ridge`` is what is added to each input's variance, in units of their mean variance.
        """
        horizon, length = self.weight.shape
        squares, products = torch.zeros(length, length).double(), torch.zeros(length, horizon).double()
        sums, totals, number = torch.zeros(length).double(), torch.zeros(horizon).double(), 0
        for context, target in pieces:
            whole = ~target.isnan().any(1)
            inputs, wanted = context[whole].double().cpu(), target[whole].double().cpu()
            squares += inputs.T @ inputs
            products += inputs.T @ wanted
            sums += inputs.sum(0)
            totals += wanted.sum(0)
            number += len(inputs)
        if not number:
            return
        middle, centre = sums / number, totals / number
        squares -= number * torch.outer(middle, middle)
        products -= number * torch.outer(middle, centre)
        added = ridge * float(squares.diagonal().mean()) + LEAST * number
        weight = torch.linalg.solve(squares + added * torch.eye(length).double(), products)
        self.weight.copy_(weight.T)
        self.bias.copy_(centre - middle @ weight)
