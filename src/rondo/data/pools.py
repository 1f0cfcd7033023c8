"""Sequences on their way to a network that is used: those of like length at once, of a stream only a part in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

I = TypeVar("I")

BATCH_ITEMS, BATCH_STEPS = 256, 1 << 14
"""What is run at once: so many sequences at most, and so many steps with their padding."""
POOL_ITEMS, POOL_STEPS = 1 << 12, 1 << 20
"""What a stream keeps in memory, to be sorted by length."""


def pooled(items: Iterable[I], steps: Callable[[I], int], *, at_once: int | None = None) -> Iterator[list[I]]:
    """The items of a stream in order, some thousand at a time, or ``at_once``; ``steps`` says how long one is."""
    most = POOL_ITEMS if at_once is None else at_once
    pool: list[I] = []
    held = 0
    for item in items:
        pool.append(item)
        held += steps(item)
        if len(pool) >= most or held >= POOL_STEPS:
            yield pool
            pool, held = [], 0
    if pool:
        yield pool


def batches(lengths: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """The numbers of the sequences to run at once, longest first: memory that is too little is noticed at once."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        size = max(1, min(BATCH_ITEMS, BATCH_STEPS // longest))
        yield order[start : start + size]
        start += size


def padded(sequences: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """(B, T, ...), zeros behind the end of each."""
    first = sequences[0]
    kind = np.dtype(np.int64) if np.issubdtype(first.dtype, np.integer) else first.dtype
    wide = np.zeros((len(sequences), max(map(len, sequences)), *first.shape[1:]), kind)
    for row, sequence in zip(wide, sequences, strict=True):
        row[: len(sequence)] = sequence
    return wide
