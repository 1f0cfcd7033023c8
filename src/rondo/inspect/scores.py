"""Figures beside their baselines, and the honest sentence about who is ahead."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

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

    def difference(self, value: float, language: str = "en") -> str:
        """A difference of two values with its sign, for instance ``+1.5 points``."""
        text = _signed(value, self)
        if self.percent:
            return f"{text}{label('points', language)}"
        return f"{text} {self.unit}" if self.unit else text


@dataclass(frozen=True)
class Lead:
    """Our score less that of the strongest baseline, compared item by item."""

    value: float
    low: float | None = None
    """Lower end of the interval of the difference, over the same draws for both; None where there is none."""
    high: float | None = None

    @property
    def certain(self) -> bool:
        """Whether the interval says which of the two is better."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high

    def text(self, metric: Metric, language: str = "en") -> str:
        """For instance ``+1.5 points [−0.2, +3.1]``."""
        said = metric.difference(self.value, language)
        if self.low is None or self.high is None:
            return said
        return f"{said} [{_signed(self.low, metric)}, {_signed(self.high, metric)}]"


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
    lead: Lead | None = None
    """Of our own score: how far it is above the strongest baseline, where both were compared item by item."""


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


def metric_of(result: Mapping[str, Any]) -> Metric:
    """How the score of a trained or evaluated classifier or tagger is written."""
    return Metric(result["metric"], "higher", digits=1, percent=True)


def scores_of(result: Mapping[str, Any]) -> list[Score]:
    """The network beside its baselines, on the same items, from the figures of a training or an evaluation."""
    low, high = result["score_interval"] or (None, None)
    lead = None
    if result.get("lead") is not None:
        lead = Lead(result["lead"], *(result["lead_interval"] or ()))
    ours = Score("this model", result["score"], low, high, role="ours", lead=lead)
    return [ours, *(Score(name, value) for name, value in result["baselines"].items())]


def compare(scores: Sequence[Score], metric: Metric, language: str = "en") -> Verdict:
    """Say plainly whether our best result beats the strongest baseline, is level with it, or loses.

    What decides is the difference item by item, where it was taken (`Score.lead`): scores whose intervals overlap
    can differ for certain. A baseline with the better score is never called level.
    """
    mine = ranked([s for s in scores if s.role == "ours"], metric)
    if not mine:
        raise ValueError("compare() needs a score with the role 'ours'")
    ours = mine[0]
    rival = best([s for s in scores if s.role == "baseline"], metric)
    unit = f" {metric.unit}" if metric.unit else ""
    words = {
        "ours": ours.name[:1].upper() + ours.name[1:],
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
    if metric.format(ours.value) == metric.format(rival.value):
        return Verdict(label("tied", language, **words), "even")
    ahead = _better(ours.value, rival.value, metric)
    certain, doubt = _doubt(ours, rival, metric, language)
    if certain:
        return Verdict(label("ahead" if ahead else "behind", language, **words), "good" if ahead else "bad")
    said = label("level" if ahead else "behind_perhaps", language, **words)
    return Verdict(said + doubt, "even" if ahead else "bad")


def _doubt(ours: Score, rival: Score, metric: Metric, language: str) -> tuple[bool, str]:
    """Whether the difference is more than chance, and the sentence that says so where it may be chance."""
    lead = ours.lead
    if lead is None:
        within = _within(rival.value, ours) or _within(ours.value, rival)
        return not within, label("within", language)
    if lead.low is None:
        return False, label("unknown_chance", language, difference=lead.text(metric, language))
    return lead.certain, label("perhaps_chance", language, difference=lead.text(metric, language))


def _within(value: float, score: Score) -> bool:
    return score.low is not None and score.high is not None and score.low <= value <= score.high


def _signed(value: float, metric: Metric) -> str:
    text = number(100 * value if metric.percent else value, digits=metric.digits)
    return text if text.startswith("−") or not value else f"+{text}"
