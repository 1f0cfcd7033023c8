"""What is done to signals in training, so that each epoch shows them a little different."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class SignalChanges:
    """Noise on every value, and another speed for every signal; lengths stay as they are."""

    noise: float
    """Deviation of the noise."""
    stretch: float
    """The most by which a signal becomes faster or slower, as a share."""

    def __call__(self, inputs: Tensor, lengths: Tensor, rng: np.random.Generator) -> Tensor:
        """A batch (B, T, channels) with these lengths; its padding is not looked at by anyone."""
        if self.stretch:
            inputs = self._stretched(inputs, lengths, rng)
        if self.noise:
            drawn = rng.standard_normal(inputs.shape, dtype=np.float32)
            inputs = inputs + self.noise * torch.from_numpy(drawn).to(inputs.dtype)
        return inputs

    def _stretched(self, inputs: Tensor, lengths: Tensor, rng: np.random.Generator) -> Tensor:
        """Read at another speed from a place such that as much as possible of the signal is seen.

        A faster reading stands still at the ends of the signal, a slower one leaves out part of it.
        """
        batch, steps, _ = inputs.shape
        speed = 1 + self.stretch * (2 * torch.from_numpy(rng.random((batch, 1))) - 1)
        last = (lengths - 1).clamp(min=0)[:, None].double()
        start = (last - speed * last) * torch.from_numpy(rng.random((batch, 1)))
        places = (start + speed * torch.arange(steps)).clamp(min=0).minimum(last)
        below = places.floor()
        share = (places - below).to(inputs.dtype)[..., None]
        index = below.long()[..., None].expand_as(inputs)
        above = (below + 1).minimum(last).long()[..., None].expand_as(inputs)
        return inputs.gather(1, index) * (1 - share) + inputs.gather(1, above) * share
