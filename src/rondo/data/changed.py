"""Batches whose inputs are changed at random: augmentation that a resumed training repeats exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np
from torch import Tensor

from rondo.data.bucket import PaddedBatch

Change = Callable[[Tensor, Tensor, np.random.Generator], Tensor]
"""From inputs (B, T, ...), their lengths and random numbers to changed inputs of the same shape."""

_STREAM = 1
"""Sets the random numbers apart from those by which the batches are drawn."""


class Batches(Protocol):
    """Padded batches as a pure function of their place."""

    @property
    def batches_per_epoch(self) -> int: ...

    def batch(self, epoch: int, index: int) -> PaddedBatch: ...


class ChangedBatches:
    """The batches of ``source`` with ``change`` done to their inputs, as a pure function of epoch and index."""

    def __init__(self, source: Batches, change: Change, *, seed: int) -> None:
        self.source, self.change, self.seed = source, change, seed
        self.batches_per_epoch = source.batches_per_epoch

    def batch(self, epoch: int, index: int) -> PaddedBatch:
        """Batch ``index`` of an epoch."""
        batch = self.source.batch(epoch, index)
        rng = np.random.default_rng((self.seed, epoch, index, _STREAM))
        return replace(batch, inputs=self.change(batch.inputs, batch.lengths, rng))
