"""Time warping against its definition, cell by cell."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rondo.evaluation import time_warping as module
from rondo.evaluation.time_warping import cells, euclidean, time_warping


def plain(first: np.ndarray, second: np.ndarray, window: float) -> float:
    """Least costs over all paths within the window, by the textbook's three neighbours."""
    n, m = len(first), len(second)
    longer, shorter = max(n, m), min(n, m)
    wide = window * longer
    if n != m:
        wide = max(wide, ((longer - 1) / (shorter - 1) + 1) / 2) if shorter > 1 else longer
    table = np.full((n + 1, m + 1), np.inf)
    table[0, 0] = 0
    for i in range(n):
        for j in range(m):
            along = [k * (longer - 1) / max(length - 1, 1) for k, length in ((i, n), (j, m))]
            if abs(along[0] - along[1]) <= wide + 1e-6 or shorter == 1:
                cost = ((first[i] - second[j]) ** 2).sum()
                table[i + 1, j + 1] = cost + min(table[i, j], table[i, j + 1], table[i + 1, j])
    return float(table[n, m])


def signals(rng: np.random.Generator, lengths: list[int], channels: int) -> list[np.ndarray]:
    return [rng.normal(size=(length, channels)).cumsum(axis=0) for length in lengths]


@pytest.mark.parametrize("window", [0.0, 0.07, 0.3, 1.0])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "lengths",
    [([9] * 4, [9] * 6), ([5, 12, 12, 7], [12, 6, 5, 13, 9, 5]), ([1, 2, 8], [3, 1, 2, 20])],
    ids=["even", "odd", "short"],
)
def test_is_its_definition(window: float, channels: int, lengths: tuple[list[int], list[int]]) -> None:
    rng = np.random.default_rng(0)
    ours, theirs = (signals(rng, part, channels) for part in lengths)
    expected = [[plain(a, b, window) for b in theirs] for a in ours]
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(time_warping(ours, theirs, window=window), expected, rtol=2e-5)


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    ours, theirs = (signals(rng, rng.integers(4, 20, size=size).tolist(), 2) for size in (9, 14))
    whole = time_warping(ours, theirs, window=0.2)
    monkeypatch.setattr(module, "PAIRS", 3)
    monkeypatch.setattr(module, "ALIKE", 1.0)
    np.testing.assert_array_equal(time_warping(ours, theirs, window=0.2), whole)


def test_a_wider_window_is_never_farther_and_none_is_euclidean() -> None:
    rng = np.random.default_rng(2)
    ours, theirs = signals(rng, [15] * 3, 2), signals(rng, [15] * 5, 2)
    by_window = [time_warping(ours, theirs, window=window) for window in (0.0, 0.1, 0.3, 1.0)]
    np.testing.assert_allclose(by_window[0], euclidean(ours, theirs), rtol=1e-5)
    for narrow, wide in itertools.pairwise(by_window):
        assert (wide <= narrow + 1e-4).all()
    assert (by_window[-1] < by_window[0] / 2).any()


def test_euclidean_distances() -> None:
    rng = np.random.default_rng(3)
    ours, theirs = signals(rng, [7] * 3, 2), signals(rng, [7] * 4, 2)
    expected = [[((a - b) ** 2).sum() for b in theirs] for a in ours]
    np.testing.assert_allclose(euclidean(ours, theirs), expected)
    assert (euclidean(ours, ours).diagonal() >= 0).all()


def test_the_work_is_counted() -> None:
    ours, theirs = [np.zeros((10, 1))] * 3, [np.zeros((20, 1))] * 2
    assert cells(ours, theirs, window=1.0) == 10 * 3 * 20 * 2
    assert cells(ours, theirs, window=0.1) == 10 * 3 * 7 * 2
