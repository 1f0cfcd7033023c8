"""Calibration: worked bins, and the temperature that a minimiser finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rondo.errors import DataError, UsageError
from rondo.evaluation.calibration import RANGE, fit_temperature, reliability, scaled
from rondo.evaluation.classification import MEASURES, Predictions


def test_worked_bins() -> None:
    probabilities = [[0.55, 0.45], [0.2, 0.8], [0.75, 0.25], [0.4, 0.6]]
    found = reliability(probabilities, [0, 1, 1, 0], bins=4)
    assert found.counts.tolist() == [0, 0, 3, 1]  # 0.75 is the upper end of the third
    np.testing.assert_allclose(found.confidence, [np.nan, np.nan, 1.9 / 3, 0.8])
    np.testing.assert_allclose(found.right, [np.nan, np.nan, 1 / 3, 1.0])
    assert found.error == pytest.approx(3 / 4 * 0.9 / 3 + 1 / 4 * 0.2)
    assert found.worst == pytest.approx(0.3)
    assert reliability(probabilities, [0, 1, 1, 0], bins=20).error != pytest.approx(found.error)
    with pytest.raises(UsageError, match="at least 1 bin"):
        reliability(probabilities, [0, 1, 1, 0], bins=0)


def test_bins_of_several_labels_are_about_each_label() -> None:
    found = reliability([[0.9, 0.1], [0.9, 0.1]], [[1, 0], [0, 0]], bins=2)
    assert found.counts.tolist() == [2, 2]
    np.testing.assert_allclose(found.right, [0, 0.5])
    assert found.error == pytest.approx(0.25)


def test_the_score_is_the_error_of_the_bins() -> None:
    rng = np.random.default_rng(0)
    sure = rng.dirichlet(np.ones(3), size=300)
    true = rng.integers(3, size=300)
    assert MEASURES["calibration_error"](Predictions(true, sure.argmax(1), (0, 1, 2), sure)) == pytest.approx(
        reliability(sure, true).error
    )
    labels = rng.random((300, 3)) < 0.4
    assert MEASURES["calibration_error"](Predictions(labels, sure > 0.5, (0, 1, 2), sure)) == pytest.approx(
        reliability(sure, labels).error
    )


def data(several: bool, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores of which the truth was drawn, made too sure by ``temperature``."""
    rng = np.random.default_rng(1)
    honest = rng.normal(size=(4000, 5)) * 1.5
    if several:
        return honest * temperature, rng.random(honest.shape) < scaled(honest, 1.0, several=True)
    true = (scaled(honest, 1.0).cumsum(axis=1) < rng.random((4000, 1))).sum(axis=1)
    return honest * temperature, true


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_was_put_in_is_found(several: bool, temperature: float) -> None:
    logits, true = data(several, temperature)
    found = fit_temperature(logits, true)
    assert found == pytest.approx(temperature, rel=0.06)
    if temperature != 1.0:
        before, after = (reliability(scaled(logits, t, several=several), true).error for t in (1.0, found))
        assert after < before / 2


@pytest.mark.parametrize("several", [False, True])
def test_it_is_the_least_of_the_loss(several: bool) -> None:
    logits, true = (torch.as_tensor(values) for values in data(several, 2.0))
    inverse = torch.ones((), dtype=torch.float64, requires_grad=True)
    minimiser = torch.optim.LBFGS([inverse], max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        minimiser.zero_grad()
        scores = logits * inverse
        value = F.binary_cross_entropy_with_logits(scores, true.double()) if several else F.cross_entropy(scores, true)
        value.backward()
        return value

    minimiser.step(loss)
    assert fit_temperature(logits.numpy(), true.numpy()) == pytest.approx(1 / inverse.item(), rel=1e-5)


def test_temperatures_have_ends() -> None:
    sure = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert fit_temperature(sure, [0, 1]) == RANGE[0]
    assert fit_temperature(sure, [1, 0]) == RANGE[1]
    assert fit_temperature([[1.0, -2.0]], [[1, 0]]) == RANGE[0]


def test_scaling() -> None:
    logits = np.array([[1e4, 0.0, -1e4], [1.0, 2.0, 3.0]])
    for temperature in (0.5, 1.0, 10.0):
        one, several = scaled(logits, temperature), scaled(logits, temperature, several=True)
        tensor = torch.as_tensor(logits) / temperature
        np.testing.assert_allclose(one, tensor.softmax(1).numpy(), atol=1e-12)
        np.testing.assert_allclose(several, tensor.sigmoid().numpy(), atol=1e-12)
    assert (scaled(logits, 7.0).argmax(axis=1) == logits.argmax(axis=1)).all()
    with pytest.raises(UsageError, match="above 0"):
        scaled(logits, 0.0)


def test_what_does_not_fit_is_refused() -> None:
    for scores, true in [([[0.5, 0.5]], [0, 1]), ([0.5], [0]), ([[0.5, 0.5]], [2]), ([[0.5, 0.5]], [[1, 0, 1]])]:
        with pytest.raises(DataError):
            reliability(scores, true)
        with pytest.raises(DataError):
            fit_temperature(scores, true)
