"""Rounds, samples and intervals, with clocks that are known."""

from __future__ import annotations

import gc
import itertools
import time

import numpy as np
import pytest

from rondo.testing.speed import timing
from rondo.testing.speed.timing import RETAKES, WAIT, Effort, Samples, Steady, interval, sample, timed, warmed


class Clock:
    """Time that passes only where a contender says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def contender(self, *seconds: float) -> timing.Run:
        takes = itertools.cycle(seconds)

        def run() -> None:
            self.now += next(takes)

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: made.now)
    return made


def test_a_median_lies_in_its_interval_and_more_spread_widens_it() -> None:
    random = np.random.default_rng(1)
    values = random.normal(10.0, 1.0, 15)
    found = interval(values)
    assert found.value == np.median(values)
    assert values.min() <= found.low < found.value < found.high <= values.max()
    wide = interval(10.0 + 5 * (values - 10.0))
    assert wide.high - wide.low == pytest.approx(5 * (found.high - found.low))
    assert interval([2.0, 2.0, 2.0]).to_list() == [2.0, 2.0, 2.0]
    assert interval(values).to_list() == found.to_list()


def test_the_interval_covers_the_median_in_nearly_all_cases() -> None:
    random = np.random.default_rng(2)
    covered = 0
    for _ in range(60):
        found = interval(random.normal(3.0, 1.0, 15))
        covered += found.low <= 3.0 <= found.high
    assert 50 <= covered <= 60


def test_ratios_are_taken_round_by_round() -> None:
    # The machine slows down for both together.
    samples = Samples({"a": [1.0, 2.0, 40.0], "b": [3.0, 6.0, 120.0]}, {"peak": [100.0, 50.0, 2.5]})
    assert samples.ratio("b", "a").to_list() == pytest.approx([3.0, 3.0, 3.0])
    assert samples.share(20.0, "a", "peak").to_list() == pytest.approx([0.2, 0.2, 0.2])
    uneven = Samples({"a": [1.0, 2.0, 4.0], "b": [3.0, 2.0, 4.0]})  # the medians alone would say 1.5
    assert uneven.ratio("b", "a").value == 1.0
    assert (samples.median("a"), samples.rounds, samples.fastest(["a", "b"])) == (2.0, 3, "a")
    assert samples.to_dict()["b"] == {"median": 6.0, "low": 4.5, "high": 63.0}


def test_a_sample_is_the_mean_of_its_calls_and_short_ones_run_in_first(clock: Clock) -> None:
    assert sample(clock.contender(5.0, 1.0, 3.0), 2) == 2.0
    assert sample(clock.contender(5.0, 1.0), 1) == 5.0


def test_warming_up_takes_its_time_and_at_least_two_calls(clock: Clock) -> None:
    assert warmed(clock.contender(9.0, 1.0), Effort(warm_seconds=0.0)) == 1.0
    begun = clock.now
    warmed(clock.contender(0.25), Effort(warm_seconds=2.0))
    assert clock.now - begun == 2.0


@pytest.mark.parametrize(
    ("row_seconds", "expected"), [(1.0, 3), (60.0, 6), (1000.0, 8)], ids=["at least", "what fits", "at most"]
)
def test_rounds_fit_into_the_time_of_a_row(clock: Clock, row_seconds: float, expected: int) -> None:
    effort = Effort(rounds=8, least_rounds=3, row_seconds=row_seconds, sample_seconds=1.0, warm_seconds=0.0)
    samples = timed({"slow": clock.contender(9.0), "quick": clock.contender(0.5)}, effort)
    assert samples.rounds == expected
    assert samples.median("slow") == 9.0
    assert samples.median("quick") == 0.5


def test_every_round_has_all_contenders_in_changing_order(clock: Clock) -> None:
    order: list[str] = []

    def of(name: str) -> timing.Run:
        def run() -> None:
            order.append(name)
            clock.now += 1.0

        return run

    def gauge() -> float:
        order.append("gauge")
        return 7.0

    effort = Effort(rounds=6, least_rounds=6, sample_seconds=0.5, warm_seconds=0.0)
    samples = timed({"a": of("a"), "b": of("b")}, effort, {"gauge": gauge})
    rounds = [order[i : i + 3] for i in range(4, len(order), 3)]  # two calls each to warm up
    assert len(rounds) == 6
    assert all(sorted(one) == ["a", "b", "gauge"] for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1
    assert samples.rates["gauge"] == [7.0] * 6
    order.clear()
    timed({"a": of("a"), "b": of("b")}, Effort(rounds=6, least_rounds=6, seed=1, warm_seconds=0.0), {"gauge": gauge})
    assert [order[i : i + 3] for i in range(4, len(order), 3)] != rounds


def test_a_sample_is_taken_again_where_the_machine_was_not_whole(clock: Clock) -> None:
    rates = iter([100.0, 100.0, 98.0, 70.0, 95.0, 91.0])  # before and after: whole; disturbed; whole
    steady = Steady(lambda: next(rates), share=0.9)
    takes = iter([1.0, 50.0, 2.0])
    assert [steady.sample(lambda: next(takes)) for _ in range(2)] == [1.0, 2.0]
    assert steady.counts == {"samples": 2, "retaken": 1, "disturbed": 0}
    assert [*rates, *takes] == []


def test_a_sample_waits_for_the_machine_but_not_for_ever(clock: Clock) -> None:
    rates = iter([100.0, 100.0, *[60.0] * 3, 99.0, 99.0])

    def gauge() -> float:
        clock.now += WAIT / 10
        return next(rates, 60.0)

    taken: list[float] = []

    def take() -> float:
        taken.append(clock.now)
        return clock.now

    steady = Steady(gauge)
    assert steady.sample(take) == taken[0]
    assert steady.sample(take) == taken[1] == pytest.approx(taken[0] + 5 * WAIT / 10)  # one look after, four before
    assert steady.counts == {"samples": 2, "retaken": 0, "disturbed": 0}
    begun = clock.now
    assert steady.sample(take) == taken[-1]
    assert len(taken) == 2 + RETAKES
    assert clock.now - begun <= RETAKES * (WAIT + 3 * WAIT / 10)
    assert steady.counts == {"samples": 3, "retaken": RETAKES - 1, "disturbed": 1}


def test_rounds_have_their_samples_taken_steadily(clock: Clock) -> None:
    steady = Steady(lambda: 1.0)
    effort = Effort(rounds=3, least_rounds=3, sample_seconds=0.5, warm_seconds=0.0, steady=steady)
    samples = timed({"a": clock.contender(1.0), "b": clock.contender(2.0)}, effort, {"gauge": lambda: 7.0})
    assert samples.rounds == 3
    assert steady.counts == {"samples": 9, "retaken": 0, "disturbed": 0}


def test_no_garbage_is_collected_in_a_sample() -> None:
    seen: list[bool] = []
    timed(
        {"a": lambda: seen.append(gc.isenabled())}, Effort(rounds=2, least_rounds=2, sample_seconds=0, warm_seconds=0)
    )
    assert seen == [True, True, False, False]
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
