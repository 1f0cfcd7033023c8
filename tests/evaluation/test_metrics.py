"""Metrics against worked figures, intervals against how often they hold."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rondo.errors import DataError, UsageError
from rondo.evaluation.metrics import (
    accuracy,
    bits,
    bootstrap_interval,
    confusion,
    distinct_n,
    perplexity,
    proportion_interval,
)


def test_units() -> None:
    assert bits(math.log(8)) == pytest.approx(3)
    assert perplexity(math.log(7)) == pytest.approx(7)
    assert perplexity(1e6) == math.inf


def test_accuracy_and_confusion() -> None:
    true, predicted = [0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 0, 2]
    assert accuracy(predicted, true) == pytest.approx(4 / 6)
    assert confusion(predicted, true, classes=3).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 2]]
    with pytest.raises(DataError, match="cannot be held against"):
        accuracy([1, 2], [1])
    with pytest.raises(DataError):
        accuracy([], [])


def test_distinct_n() -> None:
    assert distinct_n(["abab", "b"], 1) == pytest.approx(2 / 5)
    assert distinct_n(["abab", "b"], 2) == pytest.approx(2 / 3)
    assert distinct_n(["ab", "ab"], 2) == pytest.approx(1 / 2)
    assert distinct_n(["a"], 2) == 0


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


def test_the_bootstrap_agrees_with_the_normal_interval() -> None:
    values = np.random.default_rng(0).exponential(size=4000)
    half = 1.96 * values.std() / math.sqrt(len(values))
    expected = (values.mean() - half, values.mean() + half)
    assert bootstrap_interval(values) == pytest.approx(expected, abs=half / 8)


def test_options_of_the_bootstrap() -> None:
    values = np.random.default_rng(0).normal(size=300)
    usual = bootstrap_interval(values)
    assert bootstrap_interval(values) == usual
    assert bootstrap_interval(values, seed=1) != usual
    assert bootstrap_interval(values, resamples=100) != usual
    low, high = bootstrap_interval(values, level=0.5)
    assert usual[0] < low < high < usual[1]


def test_blocks_widen_the_interval_of_dependent_values() -> None:
    noise = np.random.default_rng(0).normal(size=5000)
    values = np.convolve(noise, np.ones(50) / 50, mode="same")
    (a, b), (c, d) = bootstrap_interval(values), bootstrap_interval(values, block=250)
    true_half = 1.96 / math.sqrt(5000)
    assert b - a < true_half
    assert d - c == pytest.approx(2 * true_half, rel=0.4)


def test_all_values_weigh_the_same_in_blocks() -> None:
    values = np.zeros(10)
    values[-1] = 1
    low, high = bootstrap_interval(values, block=10)
    assert (low, high) == pytest.approx((0.1, 0.1))


def test_bad_arguments() -> None:
    with pytest.raises(DataError):
        bootstrap_interval([])
    with pytest.raises(UsageError, match="between 0 and 1"):
        bootstrap_interval([1.0], level=95)
    with pytest.raises(UsageError, match="blocks"):
        bootstrap_interval([1.0, 2.0], block=3)
