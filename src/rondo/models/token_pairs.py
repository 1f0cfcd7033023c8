"""Pairs of neighbouring tokens that texts have often enough for a vector of their own."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Pairs = npt.NDArray[np.int64]
"""(pairs, 2): the ids of the first and the second token."""
COUNTED_AT_ONCE = 1 << 22
"""Tokens whose pairs are counted together."""


def frequent_pairs(texts: Iterable[npt.NDArray[np.generic]], size: int, *, least: int, most: int) -> Pairs:
    """The pairs that texts, ids (T,) below ``size``, have at least ``least`` times together; at most ``most``.

    The most frequent come first. The first token of a text has ``size`` before it.
    """
    base = size + 1
    keys, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    waiting: list[Pairs] = []
    held = 0
    for ids in texts:
        now = ids.astype(np.int64)
        waiting.append(np.concatenate([[size], now[:-1]]) * base + now if len(now) else now)
        held += len(now)
        if held > COUNTED_AT_ONCE:
            keys, counts = _counted(keys, counts, waiting)
            waiting, held = [], 0
    keys, counts = _counted(keys, counts, waiting)
    chosen = np.flatnonzero(counts >= least)
    chosen = chosen[np.lexsort((keys[chosen], -counts[chosen]))][:most]
    return np.stack(np.divmod(keys[chosen], base), 1)


def _counted(keys: Pairs, counts: Pairs, waiting: list[Pairs]) -> tuple[Pairs, Pairs]:
    """Counts with those of more pairs."""
    found, number = np.unique(np.concatenate([keys, *waiting]), return_inverse=True)
    weights = np.concatenate([counts, *(np.ones(len(each), np.int64) for each in waiting)])
    return found, np.bincount(number, weights, minlength=len(found)).astype(np.int64)
