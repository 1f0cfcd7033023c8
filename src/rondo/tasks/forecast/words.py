"""What a backtest says in words: the first sentence of a page and of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rondo.inspect.scores import Tone


def sentence(result: Mapping[str, Any]) -> tuple[str, Tone]:
    """Whether the model is better than the strongest baseline, and that it is not where it is not."""
    name, gain = result["baseline"], result["skill"]
    low, high = result["skill_interval"]
    ours, theirs = result["metrics"]["mae"], result["baselines"][name]["mae"]
    figures = f"mean absolute error {ours:.4g}, {name} {theirs:.4g}"
    if gain is None:
        return f"No skill can be told: {figures}.", "even"
    if low is None or high is None:
        few = f"skill {gain:+.1%}; too few forecasts that do not overlap for an interval".replace("-", "−")
        if gain < 0:
            return f"The model shows no skill: {name} was better ({figures}; {few}).", "bad"
        return f"No skill can be told: {figures} ({few}).", "even"
    skill = f"skill {gain:+.1%}, 95 % interval {low:+.1%} to {high:+.1%}".replace("-", "−")
    if low > 0:
        return f"The model is better than the strongest baseline, {name}: {figures} ({skill}).", "good"
    if high < 0:
        return f"The model has no skill: {name} is better ({figures}; {skill}).", "bad"
    return f"No skill is shown: the model cannot be told from {name} ({figures}; {skill}).", "even"
