"""Distances between signals: Euclidean, and dynamic time warping, one signal against many at a time.

Dynamic time warping (Sakoe and Chiba 1978) pairs the steps of two signals in order, each at least once, so
that the squared differences add up to the least; all channels are warped together. A window bounds how far a
pair may lie from the straight line between the two ends, as a share of the longer signal. Without a window and
with equal lengths it is the Euclidean distance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Distances = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]

PAIRS = 1 << 13
"""How many pairs of signals are worked on at once."""
ALIKE = 1.15
"""Signals are worked on together whose lengths differ by no more than this."""


def euclidean(queries: Sequence[npt.ArrayLike], references: Sequence[npt.ArrayLike]) -> Distances:
    """The squared distances (queries, references) of signals that all have the same length."""
    ours, theirs = (np.stack([np.ravel(item) for item in part]).astype(np.float64) for part in (queries, references))
    return np.maximum((ours**2).sum(axis=1)[:, None] + (theirs**2).sum(axis=1) - 2 * ours @ theirs.T, 0)


def time_warping(
    queries: Sequence[npt.NDArray[np.floating]], references: Sequence[npt.NDArray[np.floating]], *, window: float
) -> Distances:
    """The squared distances (queries, references) of signals (T, channels) of any lengths."""
    distances = np.empty((len(queries), len(references)), np.float32)
    asked, known = (np.array([len(item) for item in part]) for part in (queries, references))
    for theirs in _tiles(known, PAIRS):
        padded = _padded(references, theirs)
        for ours in _tiles(asked, max(1, PAIRS // len(theirs))):
            block = _padded(queries, ours)
            distances[np.ix_(ours, theirs)] = _warped(block, asked[ours], padded, known[theirs], window)
    return distances


def cells(queries: Sequence[npt.ArrayLike], references: Sequence[npt.ArrayLike], *, window: float) -> int:
    """About how many pairs of steps `time_warping` looks at."""
    ours, theirs = (np.array([len(np.asarray(item)) for item in part], np.float64) for part in (queries, references))
    width = np.minimum(2 * window * max(ours.max(), theirs.max()) + 3, theirs)
    return int(ours.sum() * width.sum())


def half_width(first: Integers, second: Integers, window: float) -> Distances:
    """How many steps of the second signal the window is wide to either side, of signals of these lengths.

    It is never so narrow that no path is left.
    """
    longer, shorter = np.maximum(first, second), np.minimum(first, second)
    wide = np.maximum(window * longer, np.where(first == second, 0, (_ratio(longer, shorter) + 1) / 2))
    wide = np.where(shorter == 1, longer, wide)
    return wide * np.minimum(_ratio(second, first), 1)


def _ratio(above: Integers, below: Integers) -> Distances:
    return np.where(below > 1, (above - 1) / np.maximum(below - 1, 1), 1.0)


def _tiles(lengths: Integers, room: int) -> Iterator[Integers]:
    """Signals of like length, the shortest first, as many as there is room for."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        alike = np.searchsorted(lengths[order], ALIKE * lengths[order[start]], side="right")
        stop = min(int(alike), start + room)
        yield order[start:stop]
        start = stop


def _padded(signals: Sequence[npt.NDArray[np.floating]], chosen: Integers) -> npt.NDArray[np.float32]:
    """Signals as (channels, longest, number)."""
    longest = max(len(signals[index]) for index in chosen)
    padded = np.zeros((signals[0].shape[1], longest, len(chosen)), np.float32)
    for place, index in enumerate(chosen):
        padded[:, : len(signals[index]), place] = signals[index].T
    return padded


def _warped(
    queries: npt.NDArray[np.float32],
    sizes: Integers,
    references: npt.NDArray[np.float32],
    lengths: Integers,
    window: float,
) -> npt.NDArray[np.float32]:
    """The distances of padded signals, (channels, n, Q) of these sizes and (channels, m, R) of these lengths.

    The table of least costs goes on a row a step of the queries, and in it cell by cell: each is one operation
    on all pairs, where a running minimum along the row would be one number after the other.
    """
    longest = references.shape[1]
    wide = half_width(sizes[:, None], lengths, window) + 1e-9
    slope = (lengths - 1) / np.maximum(sizes - 1, 1)[:, None]
    found = np.empty((len(sizes), len(lengths)), np.float32)
    row = np.full((longest + 1, *found.shape), np.inf, np.float32)  # row[j + 1] is of step j
    row[0] = 0
    left = 0
    for i in range(queries.shape[1]):
        centre = np.minimum(i * slope, lengths - 1)  # the shorter of the queries wait at their end
        low, high = np.ceil(centre - wide).astype(np.int64), np.floor(centre + wide).astype(np.int64)
        start, stop = max(0, int(low.min())), min(longest, int(high.max()) + 1)
        cost = np.square(references[0, start:stop, None] - queries[0, i, :, None])
        for reference, query in zip(references[1:], queries[1:], strict=True):
            cost += np.square(reference[start:stop, None] - query[i, :, None])
        for j in (*range(start, int(low.max())), *range(max(start, int(high.min()) + 1), stop)):
            np.copyto(cost[j - start], np.inf, where=(j < low) | (j > high))
        entered = np.minimum(row[start + 1 : stop + 1], row[start:stop])
        row[left : start + 1] = np.inf
        before = row[start]
        for best, paid, here in zip(entered, cost, row[start + 1 : stop + 1], strict=True):
            np.minimum(best, before, out=best)
            before = np.add(best, paid, out=here)
        left = start + 1
        for ended in np.flatnonzero(sizes == i + 1):
            found[ended] = row[lengths, ended, np.arange(len(lengths))]
    return found
