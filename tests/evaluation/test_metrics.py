"""Metrics against worked figures, intervals against how often they hold."""

from __future__ import annotations

import pytest

from rondo.errors import DataError, UsageError
from rondo.evaluation.metrics import (
    confusion,
    proportion_interval,
)


def test_confusion() -> None:
    true, predicted = [0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 0, 2]
    assert confusion(predicted, true, classes=3).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 2]]


def test_wilson_s_interval_by_published_figures() -> None:
    # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for successes, trials, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert proportion_interval(successes, trials) == pytest.approx((low, high), abs=6e-5)
    assert proportion_interval(20, 20)[1] == 1
    narrow, wide = proportion_interval(5, 9, level=0.5), proportion_interval(5, 9, level=0.99)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    with pytest.raises(DataError):
        proportion_interval(3, 2)
    with pytest.raises(UsageError, match="between 0 and 1"):
        proportion_interval(1, 2, level=95)
