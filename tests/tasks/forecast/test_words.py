"""The first sentence says where there is no skill."""

from __future__ import annotations

import pytest

from rondo.tasks.forecast.words import sentence


@pytest.mark.parametrize(
    ("interval", "words", "tone"),
    [
        ([0.01, 0.2], "better than the strongest baseline, drift", "good"),
        ([-0.05, 0.2], "No skill is shown: the model cannot be told from drift", "even"),
        ([-0.2, -0.01], "The model has no skill: drift is better", "bad"),
    ],
)
def test_the_interval_decides(interval: list[float], words: str, tone: str) -> None:
    result = {"baseline": "drift", "skill": 0.05, "skill_interval": interval, "metrics": {"mae": 1.25},
              "baselines": {"drift": {"mae": 1.5}, "mean": {"mae": 9.0}}}  # fmt: skip
    said, found = sentence(result)
    assert words in said
    assert "1.25" in said
    assert "1.5" in said
    assert found == tone


@pytest.mark.parametrize(
    ("skill", "words", "tone"),
    [(-2.57, "The model shows no skill: drift was better", "bad"), (0.17, "No skill can be told", "even")],
)
def test_without_an_interval_the_better_baseline_is_named(skill: float, words: str, tone: str) -> None:
    result = {"baseline": "drift", "skill": skill, "skill_interval": [None, None], "metrics": {"mae": 1.25},
              "baselines": {"drift": {"mae": 1.5}}}  # fmt: skip
    said, found = sentence(result)
    assert said.startswith(words)
    assert f"skill {skill:+.1%}; too few".replace("-", "−") in said
    assert found == tone


def test_without_figures_there_is_no_claim() -> None:
    result = {"baseline": "mean", "skill": None, "skill_interval": [None, None], "metrics": {"mae": 0.5},
              "baselines": {"mean": {"mae": 0.0}}}  # fmt: skip
    assert sentence(result) == ("No skill can be told: mean absolute error 0.5, mean 0.", "even")
