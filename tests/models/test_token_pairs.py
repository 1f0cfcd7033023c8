"""Pairs of neighbouring tokens are counted as the plain loop counts them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from rondo.models import token_pairs
from rondo.models.token_pairs import frequent_pairs

SIZE = 7


@pytest.mark.parametrize("at_once", [4, 1 << 20])
@pytest.mark.parametrize(("least", "most"), [(1, 999), (3, 999), (2, 5)])
def test_the_most_frequent_are_kept(least: int, most: int, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_pairs, "COUNTED_AT_ONCE", at_once)
    random = np.random.default_rng(0)
    texts = [random.integers(SIZE, size=length).astype(np.uint16) for length in (9, 0, 40, 1, 30, 25)]
    counts = Counter(pair for text in texts for pair in zip([SIZE, *text.tolist()], text.tolist(), strict=False))
    kept = sorted((-count, pair) for pair, count in counts.items() if count >= least)[:most]
    assert frequent_pairs(texts, SIZE, least=least, most=most).tolist() == [list(pair) for _, pair in kept]
    assert 0 < len(kept) < len(counts) or least == 1


def test_no_texts_have_no_pairs() -> None:
    assert frequent_pairs([], SIZE, least=1, most=9).shape == (0, 2)
