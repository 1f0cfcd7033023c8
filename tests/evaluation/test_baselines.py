"""The baselines of classifiers."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from rondo.errors import DataError
from rondo.evaluation.baselines import logistic_regression, majority


def test_majority_is_that_of_the_training_part() -> None:
    assert majority([1, 2, 2], [1, 1, 1, 2]) == 0.25
    assert majority(["a", "a", "b"], ["a", "b"]) == 0.5
    with pytest.raises(DataError):
        majority([], [1])


def parts(noise: float) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(600, 20)) * np.logspace(-3, 3, 20)
    classes = (features / np.logspace(-3, 3, 20) @ rng.normal(size=20) + noise * rng.normal(size=600) > 0).astype(int)
    return [(features[i : i + 200], classes[i : i + 200]) for i in (0, 200, 400)]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_learns_what_is_linear_at_any_scale() -> None:
    train, valid, test = parts(noise=0.5)
    unscaled = LogisticRegression().fit(*train).score(*test)
    assert logistic_regression(train, valid, test) > max(0.9, unscaled)


def test_the_validation_part_chooses_and_then_teaches() -> None:
    train, valid, test = parts(noise=8.0)
    usual = logistic_regression(train, valid, test)
    shuffled = (valid[0], np.random.default_rng(0).permutation(valid[1]))
    assert logistic_regression(train, shuffled, test) != usual
    assert logistic_regression(valid, valid, test) != usual
