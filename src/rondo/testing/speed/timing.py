"""Times of several contenders in one process: interleaved rounds in random order, medians with intervals.

What drifts while one waits (the clock, other work on the machine) meets all contenders of a round alike;
therefore ratios are taken round by round, and the interval of a ratio comes from drawing rounds anew.
"""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np

Run = Callable[[], object]
"""One call of a contender."""
Gauge = Callable[[], float]
"""Measures a rate by itself, such as the multiply-adds a second that the machine reaches."""

RESAMPLES = 4000
RETAKES = 4
"""So often at most a sample is taken that the machine disturbs."""
WAIT = 0.5
"""Seconds at most that a sample waits for the machine."""


class Steady:
    """Knows whether the machine is whole: its gauge shows a rate near the best that it has shown so far.

    Virtual cores may share a real one, with each other or with another guest, for seconds; whatever is timed then is
    timed on another machine. A sample that such a time has touched is taken again.
    """

    def __init__(self, gauge: Gauge, *, share: float = 0.9) -> None:
        self.counts = {"samples": 0, "retaken": 0, "disturbed": 0}
        """Samples; times that one was taken again; samples whose every try was disturbed, so that the last counts."""
        self._gauge, self._share, self._best = gauge, share, 0.0

    def __call__(self) -> bool:
        rate = self._gauge()
        self._best = max(self._best, rate)
        return rate >= self._share * self._best

    def sample(self, take: Gauge) -> float:
        """What ``take`` gives, taken while the machine is whole where that can be had."""
        self.counts["samples"] += 1
        for tries in range(RETAKES):
            begun = time.perf_counter()
            whole = self()
            while not whole and time.perf_counter() - begun < WAIT:
                whole = self()
            taken = take()
            self.counts["retaken"] += tries > 0
            if self() and whole:
                return taken
        self.counts["disturbed"] += 1
        return taken


@dataclass(frozen=True)
class Effort:
    """How long one set of contenders is measured."""

    rounds: int = 15
    """Rounds at most; each takes one sample of every contender."""
    least_rounds: int = 7
    """Rounds at least, however long they take."""
    row_seconds: float = 20.0
    """Between these two, the rounds that fit into this time."""
    sample_seconds: float = 0.025
    """A sample is the mean over as many calls as take this long."""
    warm_seconds: float = 0.1
    """Calls before the first sample go on for so long, and are at least two."""
    seed: int = 0
    """Of the order within the rounds."""
    steady: Steady | None = None
    """Takes samples that the machine has disturbed again; None: they count."""


FULL = Effort()
SHORT = Effort(rounds=7, least_rounds=3, row_seconds=2.0)
QUICK = Effort(rounds=1, least_rounds=1, row_seconds=0.2, sample_seconds=0.005, warm_seconds=0.0)


@dataclass(frozen=True)
class Interval:
    """A median and the 95 % interval of it."""

    value: float
    low: float
    high: float

    def to_list(self) -> list[float]:
        return [self.value, self.low, self.high]


@dataclass(frozen=True)
class Samples:
    """What was measured: by contender the seconds a call, by gauge the rate, one of each a round."""

    seconds: Mapping[str, Sequence[float]]
    rates: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def rounds(self) -> int:
        return len(next(iter(self.seconds.values())))

    def median(self, name: str) -> float:
        """Seconds a call."""
        return float(np.median(self.seconds[name]))

    def quartiles(self, name: str) -> tuple[float, float]:
        """The middle half of the seconds a call."""
        low, high = np.percentile(self.seconds[name], [25, 75])
        return float(low), float(high)

    def ratio(self, slower: str, faster: str) -> Interval:
        """How many times as long ``slower`` takes, paired by round."""
        return interval(np.divide(self.seconds[slower], self.seconds[faster]))

    def share(self, work: float, name: str, gauge: str) -> Interval:
        """The rate of ``name``, which does ``work`` a call, as a part of the gauge's in the same round."""
        return interval(work / np.asarray(self.seconds[name]) / np.asarray(self.rates[gauge]))

    def fastest(self, names: Sequence[str]) -> str:
        """The contender with the smallest median."""
        return min(names, key=self.median)

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Median and quartiles by name, for a file of results."""
        return {
            name: {"median": self.median(name), "low": self.quartiles(name)[0], "high": self.quartiles(name)[1]}
            for name in self.seconds
        }


def interval(values: Sequence[float] | np.ndarray, *, seed: int = 0) -> Interval:
    """The median with its 95 % bootstrap interval: rounds drawn with replacement, percentiles."""
    given = np.asarray(values, float)
    drawn = np.random.default_rng(seed).integers(given.size, size=(RESAMPLES, given.size))
    low, high = np.percentile(np.median(given[drawn], axis=1), [2.5, 97.5])
    return Interval(float(np.median(given)), float(low), float(high))


def timed(contenders: Mapping[str, Run], effort: Effort, gauges: Mapping[str, Gauge] | None = None) -> Samples:
    """Warm all up, then take samples in rounds. Garbage is collected between rounds, not in a sample."""
    gauges = gauges or {}
    calls = {name: warmed(run, effort) for name, run in contenders.items()}
    rounds = _rounds(sum(max(effort.sample_seconds, seconds) for seconds in calls.values()), effort)
    repeats = {name: max(1, math.ceil(effort.sample_seconds / max(s, 1e-9))) for name, s in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    rates: dict[str, list[float]] = {name: [] for name in gauges}
    order, shuffle = [*contenders, *gauges], random.Random(effort.seed).shuffle
    with collected_by_hand():
        for _ in range(rounds):
            shuffle(order)
            for name in order:
                if name in gauges:
                    rates[name].append(steadily(gauges[name], effort))
                else:
                    seconds[name].append(steadily(partial(sample, contenders[name], repeats[name]), effort))
            gc.collect()
    return Samples(seconds, rates)


def warmed(run: Run, effort: Effort) -> float:
    """Seconds of the quickest call of some, at least two."""
    begun, quickest, calls = time.perf_counter(), math.inf, 0
    while calls < 2 or time.perf_counter() - begun < effort.warm_seconds:
        started = time.perf_counter()
        run()
        quickest = min(quickest, time.perf_counter() - started)
        calls += 1
    return quickest


def sample(run: Run, repeats: int) -> float:
    """Seconds a call, over several. Short ones first run once unmeasured, to have their data in the caches."""
    if repeats > 1:
        run()
    started = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - started) / repeats


@contextmanager
def collected_by_hand() -> Iterator[None]:
    """No garbage is collected inside but on request, and what is there already is not looked at again."""
    active = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if active:
            gc.enable()


def steadily(take: Gauge, effort: Effort) -> float:
    """What ``take`` gives, again if the machine disturbs it and the effort asks for that."""
    return take() if effort.steady is None else effort.steady.sample(take)


def _rounds(seconds: float, effort: Effort) -> int:
    fitting = int(effort.row_seconds / max(seconds, 1e-9))
    return max(min(fitting, effort.rounds), effort.least_rounds)
