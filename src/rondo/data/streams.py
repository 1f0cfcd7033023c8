"""A long text as batches for truncated backpropagation through time.

The text is cut into ``batch_size`` rows of equal length, read side by side, a window of ``bptt_length``
tokens at a time: row b of a batch goes on where row b of the batch before ended, so the state is carried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rondo.errors import DataError, UsageError


@dataclass(frozen=True)
class Batch:
    """A window of every row."""

    inputs: Tensor
    """(B, T), int64."""
    targets: Tensor
    """(B, T), int64: the token that follows each input."""
    fresh: bool
    """Whether the rows begin here, so that no state is carried in."""


class TokenStream:
    """Batches of a text as a pure function of epoch and index, so that training can continue anywhere.

    The windows of an epoch are all full. The tokens for which that leaves no room are left out at the
    beginning and the end, each epoch differently: ``seed`` decides how.
    """

    def __init__(
        self, tokens: npt.NDArray[np.integer[Any]], *, batch_size: int, bptt_length: int, seed: int = 0
    ) -> None:
        if batch_size < 1 or bptt_length < 1:
            raise UsageError(f"batch size and BPTT length are at least 1, not {batch_size} and {bptt_length}.")
        predicted = len(tokens) - 1
        self.batches_per_epoch = predicted // (batch_size * bptt_length)
        if self.batches_per_epoch < 1:
            raise DataError(
                f"a text of {len(tokens)} tokens is too short for one batch of {batch_size} rows of {bptt_length} "
                f"tokens (--batch-size, --bptt-length): that takes {batch_size * bptt_length + 1}. "
                "Give more text, or make the batch smaller."
            )
        self.tokens = tokens
        self.batch_size = batch_size
        self.bptt_length = bptt_length
        self.seed = seed
        self._row_length = self.batches_per_epoch * bptt_length
        self._spare = predicted - batch_size * self._row_length

    def batch(self, epoch: int, index: int) -> Batch:
        """Batch ``index`` of an epoch."""
        if not 0 <= index < self.batches_per_epoch:
            raise IndexError(f"batch {index} of {self.batches_per_epoch}")
        offset = int(np.random.default_rng((self.seed, epoch)).integers(self._spare + 1))
        starts = offset + index * self.bptt_length + np.arange(self.batch_size) * self._row_length
        windows = np.stack([self.tokens[start : start + self.bptt_length + 1] for start in starts])
        both = torch.from_numpy(windows.astype(np.int64))
        return Batch(both[:, :-1].contiguous(), both[:, 1:].contiguous(), fresh=index == 0)
