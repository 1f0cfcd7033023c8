"""The best paths through a linear chain: exact, by dynamic programming (Viterbi 1967; Forney 1973).

The n best by keeping n paths to each tag, each the continuation of one of the n to a tag before it
(Schwartz and Chow 1990). Computed in float64 on the CPU, where it costs less than its calls would cost elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rondo.errors import DataError, UsageError
from rondo.layers.masks import checked_lengths
from rondo.layers.transitions import Transitions

PADDING = -100
"""What stands beyond a sequence's length, and in place of a path that there is not."""

Array = npt.NDArray[Any]


class Paths(NamedTuple):
    """Paths and their scores, on the device of the emissions; for the n best with a dimension more."""

    tags: Tensor
    """(B, T) or (B, n, T), int64; `PADDING` beyond the lengths."""
    score: Tensor
    """(B,) or (B, n), float64: what the path adds up to, the best first; -inf where there is no further path."""


def viterbi(emission: Tensor, transitions: Transitions, *, lengths: Tensor | Sequence[int] | None = None) -> Paths:
    """The best path of each sequence; emissions are (B, T, K), transitions -inf where they are forbidden."""
    steps = _Steps(emission, transitions, lengths)
    sums = np.empty_like(steps.emission)
    for t, n in enumerate(steps.counts):
        own = steps.emission[t, :n]
        if t:
            # Tags before stand first, so that the maximum is one of whole rows.
            own = (sums[t - 1, :n].T[:, :, None] + steps.between[:, None]).max(0) + own
        else:
            own = steps.start + own
        sums[t, :n] = own
    tags = np.full(sums.shape[:2], PADDING)
    score = np.zeros(sums.shape[1])
    after, active = np.empty(0, np.int64), 0
    for t in range(len(steps.counts) - 1, -1, -1):
        n = steps.counts[t]
        ended = sums[t, active:n] + steps.end
        score[active:n] = ended.max(1)
        last = ended.argmax(1)
        going_on = (sums[t, :active] + steps.between.T[after]).argmax(1)
        tags[t, :n] = after = np.concatenate([going_on, last])
        active = n
    return steps.paths(tags[:, :, None], score[:, None], lambda x: x[:, 0])


def n_best(
    emission: Tensor, transitions: Transitions, n: int, *, lengths: Tensor | Sequence[int] | None = None
) -> Paths:
    """The ``n`` best paths of each sequence, in order; their probabilities are exp(score - log partition)."""
    if n < 1:
        raise UsageError(f"n_best finds at least 1 path, not {n}")
    steps = _Steps(emission, transitions, lengths)
    T, B, K = steps.emission.shape
    first = np.append(0.0, np.full(n - 1, -np.inf))  # one path of one tag, however many are asked for
    sums = (steps.start + steps.emission[0])[:, :, None] + first if T else np.empty((B, K, n))
    tags, score = np.full((T, B, n), PADDING), np.tile(first, (B, 1))
    pointers: list[Array] = []
    chosen: list[Array] = []
    for t, count in enumerate(steps.counts):
        if t:
            ways = (sums[:count, None] + steps.between.T[:, :, None]).reshape(count, K, K * n)
            best = _largest(ways, n)
            pointers.append(best)
            sums = np.take_along_axis(ways, best, 2) + steps.emission[t, :count, :, None]
        ending = steps.counts[t + 1] if t + 1 < len(steps.counts) else 0
        ended = (sums[ending:count] + steps.end[:, None]).reshape(count - ending, K * n)
        best = _largest(ended, n)
        score[ending:count] = np.take_along_axis(ended, best, 1)
        chosen.append(best)
    at = np.empty((0, n), np.int64)  # tag * n + rank, of every path at a step
    for t in range(len(steps.counts) - 1, -1, -1):
        if t + 1 < len(steps.counts):
            at = pointers[t][np.arange(len(at))[:, None], at // n, at % n]
        at = np.concatenate([at, chosen[t]])
        tags[t, : len(at)] = at // n
    return steps.paths(tags, score, lambda x: x)


class _Steps:
    """Emissions with time first and the longest sequence first, and the way back."""

    def __init__(self, emission: Tensor, transitions: Transitions, lengths: Tensor | Sequence[int] | None) -> None:
        if emission.dim() != 3 or transitions.between.shape != (emission.shape[2],) * 2:
            shapes = f"{tuple(emission.shape)} and {tuple(transitions.between.shape)}"
            raise UsageError(f"emissions are (B, T, K) and transitions (K, K); got {shapes}")
        B, T, _ = emission.shape
        checked = checked_lengths(lengths, B, T)
        sizes = np.full(B, T) if checked is None else checked.numpy()
        self.device = emission.device
        self.order = np.argsort(-sizes, kind="stable")
        counts = (sizes > np.arange(T)[:, None]).sum(1).tolist()
        self.counts: list[int] = [count for count in counts if count]
        self.emission = _exact(emission).transpose(1, 0, 2)[:, self.order]  # a copy
        valid = np.arange(T)[:, None] < sizes[self.order]
        self.emission[~valid] = 0
        if np.isnan(self.emission).any():
            raise DataError("there is no best path: emissions are not numbers (NaN)")
        self.start, self.between, self.end = (_exact(scores) for scores in transitions)

    def paths(self, tags: Array, score: Array, only: Any) -> Paths:
        """From (T, B, n) in the order of lengths to (B, n, T) in the order given."""
        tags = np.where(np.isneginf(score), PADDING, tags).transpose(1, 2, 0)
        back = np.argsort(self.order)
        found = (torch.from_numpy(np.ascontiguousarray(only(x[back]))) for x in (tags, score))
        return Paths(*(x.to(self.device) for x in found))


def _exact(x: Tensor) -> Array:
    return x.detach().cpu().double().numpy()


def _largest(x: Array, n: int) -> Array:
    """Where the ``n`` largest stand along the last axis, the largest first."""
    if n < x.shape[-1]:
        some = np.sort(np.argpartition(-x, n - 1, axis=-1)[..., :n], axis=-1)
    else:
        some = np.broadcast_to(np.arange(x.shape[-1]), x.shape)
    order = np.argsort(-np.take_along_axis(x, some, -1), axis=-1, kind="stable")
    return np.take_along_axis(some, order, -1)
