"""Mistakes of classifiers: which are the worst, what they are called, and what drove them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from rondo.evaluation.classification import Predictions
from rondo.tasks.classification.mistakes import Mistake, colours, worst_mistakes
from rondo.tasks.classification.report import instead_of

NAMES = ("film", "music", "story")


def run(predictions: Predictions, known: tuple[str, ...] = NAMES) -> Any:
    return SimpleNamespace(judgement=SimpleNamespace(predictions=predictions), model=SimpleNamespace(classes=known))


def test_of_several_classes_each_wrong_yes_or_no_is_a_mistake() -> None:
    true = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 0]], bool)
    sure = np.array([[0.9, 0.7, 0.1], [0.2, 0.1, 0.95], [0.4, 0.8, 0.3]])
    found = run(Predictions(true, sure >= 0.5, NAMES, sure))
    mistakes = worst_mistakes(found)
    assert [one.text(NAMES) for one in mistakes] == [
        "said story (95.0%), has no class",
        "did not say story (90.0%), has film, story",
        "said music (70.0%), has film, story",
        "did not say film (60.0%), has film, music",
    ]
    assert [(one.index, one.said, one.true) for one in mistakes] == [
        (1, 2, None),
        (0, 2, None),
        (0, 1, None),
        (2, 0, None),
    ]
    assert len(worst_mistakes(found, most=2)) == 2
    assert "spoke for the decision" in colours(found)


def test_classes_that_training_has_not_seen_are_no_decisions() -> None:
    true = np.array([[0, 1], [1, 0]], bool)
    sure = np.array([[0.9, 0.0], [0.8, 0.0]])
    (only,) = worst_mistakes(run(Predictions(true, sure >= 0.5, ("film", "new"), sure), known=("film",)))
    assert (only.index, only.said, only.name) == (0, 0, ("new",))


def test_of_one_class_an_item_the_surest_come_first() -> None:
    sure = np.array([[0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.2, 0.1, 0.7]])
    found = run(Predictions(np.array([1, 1, 0]), np.array([0, 1, 2]), NAMES, sure))
    assert [one.text(NAMES) for one in worst_mistakes(found)] == [
        "said story (70.0%), is film",
        "said film (60.0%), is music",
    ]


def test_what_drove_a_miss_spoke_against_the_class() -> None:
    def drive(network: Any, sequence: Any, towards: int, against: int | None) -> np.ndarray:
        return np.array([float(towards), -1.0 if against is None else float(against)])

    said, missed = (Mistake(0, 2, None, ("film",), 0.9, missed=missed) for missed in (False, True))
    np.testing.assert_array_equal(said.driven(drive, None, np.zeros(2)), [2, -1])  # type: ignore[arg-type]
    np.testing.assert_array_equal(missed.driven(drive, None, np.zeros(2)), [-2, 1])  # type: ignore[arg-type]
    np.testing.assert_array_equal(Mistake(0, 2, 1, "music", 0.9).driven(drive, None, np.zeros(2)), [2, 1])  # type: ignore[arg-type]


def test_what_was_said_instead_of_what() -> None:
    true = np.array([[1, 0, 1], [1, 0, 0], [0, 0, 0], [0, 1, 0], [1, 1, 0]])
    said = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]])
    assert instead_of(true, said).tolist() == [
        [1, 0, 1, 1],  # film: once right, once missed for story, once for nothing
        [0, 2, 0, 0],
        [0, 1, 0, 0],  # story: missed for music
        [0, 0, 1, 0],  # nothing was missed, and story invented
    ]
