"""Figures beside their baselines, and the honest sentence about who is ahead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rondo.inspect.wording import label, number

Role = Literal["ours", "baseline", "yardstick"]
Tone = Literal["good", "even", "bad"]


@dataclass(frozen=True)
class Metric:
    """What is measured and how its figures are written."""

    name: str
    """As it stands above a column, for instance ``validation loss``."""
    better: Literal["lower", "higher"]
    unit: str = ""
    """For instance ``nats per character``."""
    digits: int = 3
    percent: bool = False
    """The values are fractions and are shown times 100."""

    def format(self, value: float | None) -> str:
        return number(value, digits=self.digits, percent=self.percent)

    @property
    def title(self) -> str:
        return f"{self.name} ({self.unit})" if self.unit else self.name


@dataclass(frozen=True)
class Score:
    """One line of a comparison."""

    name: str
    value: float
    low: float | None = None
    """Lower end of the interval, if one was computed."""
    high: float | None = None
    role: Role = "baseline"
    """``yardstick`` is neither: held-out human poems, a longer run, a published figure."""
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """The first sentence of a report."""

    text: str
    tone: Tone


def _better(a: float, b: float, metric: Metric) -> bool:
    return a < b if metric.better == "lower" else a > b


def ranked(scores: Sequence[Score], metric: Metric) -> list[Score]:
    """Best first; what is not a number comes last."""
    sign = 1 if metric.better == "lower" else -1
    return sorted(scores, key=lambda s: (math.isnan(s.value), 0 if math.isnan(s.value) else sign * s.value))


def best(scores: Sequence[Score], metric: Metric) -> Score | None:
    """The best of our own results and the baselines; yardsticks do not compete."""
    able = [s for s in scores if s.role != "yardstick" and math.isfinite(s.value)]
    return ranked(able, metric)[0] if able else None


def _within(value: float, score: Score) -> bool:
    return score.low is not None and score.high is not None and score.low <= value <= score.high


def compare(scores: Sequence[Score], metric: Metric, language: str = "en") -> Verdict:
    """Say plainly whether our best result beats the strongest baseline, is level with it, or loses."""
    mine = ranked([s for s in scores if s.role == "ours"], metric)
    if not mine:
        raise ValueError("compare() needs a score with the role 'ours'")
    ours = mine[0]
    rival = best([s for s in scores if s.role == "baseline"], metric)
    unit = f" {metric.unit}" if metric.unit else ""
    words = {
        "ours": ours.name,
        "ours_inside": ours.name,
        "value": f"{metric.format(ours.value)}{unit}",
        "metric": metric.name,
    }
    if language == "en" and ours.name == label("network"):
        words["ours_inside"] = "the network"
    if not math.isfinite(ours.value):
        return Verdict(label("not_finite", language, **words), "bad")
    if rival is None:
        return Verdict(label("no_baseline", language, **words), "even")
    words |= {"rival": rival.name, "rival_value": metric.format(rival.value)}
    if ours.value == rival.value:
        return Verdict(label("tied", language, **words), "even")
    if _within(rival.value, ours) or _within(ours.value, rival):
        return Verdict(label("level", language, **words), "even")
    if _better(ours.value, rival.value, metric):
        return Verdict(label("ahead", language, **words), "good")
    return Verdict(label("behind", language, **words), "bad")
