"""Whole sequences as batches: those of like length together, so that little is padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rondo.errors import DataError, UsageError

IGNORED = -100
"""What stands in the padding of targets: torch's losses pass over it."""

POOL = 32
"""How many batches are drawn together at random before they are sorted by length."""


@dataclass(frozen=True)
class PaddedBatch:
    """Sequences beside each other, padded at their ends to the longest."""

    inputs: Tensor
    """(B, T) or (B, T, features)."""
    targets: Tensor
    """(B, T, ...) padded with `IGNORED`, where each step has its target; else (B, ...)."""
    lengths: Tensor
    """(B,), int64."""
    indices: Tensor
    """(B,), int64: which sequences these are."""
    fresh: bool = True
    """Always: no state is carried between whole sequences."""


class LengthBuckets:
    """Batches of whole sequences as a pure function of epoch and index.

    Each epoch the sequences are shuffled, sorted by length within pools of `POOL` batches, cut into batches
    whose sizes differ by at most one, and the batches shuffled. ``targets`` are one value a sequence, or
    one array a sequence that is as long as it: then they are padded too. Arrays that are no values of steps,
    but by chance may be as long as sequences, need ``stepwise=False``. With ``batch_tokens`` in place of
    ``batch_size``, a batch holds as many sequences as fit in that many steps, padding included.
    """

    def __init__(
        self,
        sequences: Sequence[npt.ArrayLike],
        targets: Sequence[Any],
        *,
        batch_size: int | None = None,
        batch_tokens: int | None = None,
        seed: int = 0,
        padding: float = 0,
        stepwise: bool | None = None,
    ) -> None:
        self.sequences = [np.asarray(sequence) for sequence in sequences]
        self.targets = [np.asarray(target) for target in targets]
        self.lengths = np.array([len(sequence) for sequence in self.sequences], dtype=np.int64)
        self.seed = seed
        self.padding = padding
        if not self.sequences:
            raise DataError("there are no sequences to make batches of.")
        if len(self.targets) != len(self.sequences):
            raise DataError(f"{len(self.sequences)} sequences have {len(self.targets)} targets.")
        fitting = (t.ndim and len(t) == length for t, length in zip(self.targets, self.lengths, strict=True))
        self._stepwise = all(fitting) if stepwise is None else stepwise
        if (batch_size is None) == (batch_tokens is None):
            raise UsageError("a batch is measured either in sequences or in tokens: give one of the two.")
        self._batch_size = batch_size
        self._cuts = self._by_size(batch_size) if batch_size is not None else self._by_tokens(batch_tokens or 0)
        self.batches_per_epoch = len(self._cuts) - 1
        self._plan: tuple[int, list[npt.NDArray[np.int64]]] | None = None

    def batch(self, epoch: int, index: int) -> PaddedBatch:
        """Batch ``index`` of an epoch."""
        if not 0 <= index < self.batches_per_epoch:
            raise IndexError(f"batch {index} of {self.batches_per_epoch}")
        if self._plan is None or self._plan[0] != epoch:
            self._plan = epoch, self._planned(epoch)
        chosen = self._plan[1][index]
        inputs = _padded([self.sequences[i] for i in chosen], self.padding)
        targets = [self.targets[i] for i in chosen]
        return PaddedBatch(
            inputs=inputs,
            targets=_padded(targets, IGNORED) if self._stepwise else _tensor(np.stack(targets)),
            lengths=torch.from_numpy(self.lengths[chosen]),
            indices=torch.from_numpy(chosen),
        )

    def _by_size(self, size: int) -> npt.NDArray[np.int64]:
        if size < 1:
            raise UsageError(f"the batch size is at least 1, not {size}.")
        batches = -(-len(self.sequences) // size)
        return np.arange(batches + 1) * len(self.sequences) // batches

    def _by_tokens(self, tokens: int) -> npt.NDArray[np.int64]:
        """Cuts through the sequences sorted by length: they are the same in every epoch."""
        longest = int(self.lengths.max())
        if longest > tokens:
            raise UsageError(f"a batch of {tokens} tokens has no room for the longest sequence, of {longest}.")
        cuts = [0]
        for place, length in enumerate(np.sort(self.lengths)):
            if (place + 1 - cuts[-1]) * length > tokens:
                cuts.append(place)
        return np.array([*cuts, len(self.lengths)])

    def _planned(self, epoch: int) -> list[npt.NDArray[np.int64]]:
        rng = np.random.default_rng((self.seed, epoch))
        order = rng.permutation(len(self.sequences))
        # Cuts by tokens hold for one sorted pool only; there chance decides between equal lengths.
        pool = len(order) if self._batch_size is None else POOL * self._batch_size
        pools = [order[start : start + pool] for start in range(0, len(order), pool)]
        order = np.concatenate([part[np.argsort(self.lengths[part], kind="stable")] for part in pools])
        batches = [order[start:stop] for start, stop in zip(self._cuts[:-1], self._cuts[1:], strict=True)]
        return [batches[place] for place in rng.permutation(len(batches))]


def _padded(arrays: list[npt.NDArray[Any]], padding: float) -> Tensor:
    shape = (len(arrays), max(len(array) for array in arrays), *arrays[0].shape[1:])
    padded = np.full(shape, padding, dtype=_type(arrays[0].dtype))
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return torch.from_numpy(padded)


def _tensor(array: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(array.astype(_type(array.dtype)))


def _type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What a network takes: ids as int64, numbers as they are."""
    return np.dtype(np.int64) if np.issubdtype(dtype, np.integer) else dtype
