"""Heads of forecasters: losses against scipy's distributions, quantiles that do not cross, samples that fit them."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rondo.errors import UsageError
from rondo.models.forecast_heads import HeadName, Quantiles, make_head

ONE = torch.ones(())
DISTRIBUTIONS = pytest.mark.parametrize("name", ["quantiles", "gaussian", "student_t", "negative_binomial"])


def parameters(name: Any, rows: int = 5, seed: int = 0) -> tuple[Any, torch.Tensor]:
    head = make_head(name).double()
    return head, torch.randn(rows, head.size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def exact(name: str, head: Any, said: torch.Tensor, unit: float) -> Any:
    if name == "gaussian":
        mean, scale = head.split(said)
        return stats.norm(mean.numpy(), scale.numpy())
    if name == "student_t":
        location, scale, degrees = head.split(said)
        return stats.t(degrees.numpy(), location.numpy(), scale.numpy())
    mean, shape = (one.numpy() for one in head.split(said, torch.tensor(unit)))
    return stats.nbinom(1 / shape, 1 / (1 + shape * mean))


@pytest.mark.parametrize("name", ["gaussian", "student_t", "negative_binomial"])
@pytest.mark.parametrize("unit", [1.0, 25.0])
def test_likelihoods_and_quantiles_are_scipys(name: Any, unit: float) -> None:
    head, said = parameters(name)
    scale = unit if name == "negative_binomial" else 1.0
    distribution = exact(name, head, said, unit)
    values = torch.tensor([0.0, 1, 2, 7, 30], dtype=torch.float64)
    logs = distribution.logpmf(values.numpy()) if name == "negative_binomial" else distribution.logpdf(values.numpy())
    np.testing.assert_allclose(head.loss(said, values / scale, torch.tensor(scale)), -logs, rtol=1e-6)
    levels = (0.025, 0.3, 0.5, 0.9)
    found = head.quantiles(said, levels, torch.tensor(scale).expand(5)) * scale
    np.testing.assert_allclose(found.T, [distribution.ppf(level) for level in levels], rtol=1e-6, atol=1e-9)
    if name != "student_t":
        np.testing.assert_allclose(head.point(said, torch.tensor(scale)) * scale, distribution.mean(), rtol=1e-9)


@DISTRIBUTIONS
def test_samples_fit_the_quantiles(name: Any) -> None:
    head, said = parameters(name, rows=3)
    many, unit = said.expand(20_000, 3, -1), torch.tensor(5000.0)
    drawn = head.sample(many, unit, torch.Generator().manual_seed(1))
    levels = (0.1, 0.5, 0.9)
    expected = head.quantiles(said, levels, unit.expand(3))
    shares = (drawn[..., None] <= expected).double().mean(0)
    np.testing.assert_allclose(shares, np.tile(levels, (3, 1)), atol=0.03)
    again = head.sample(many, unit, torch.Generator().manual_seed(1))
    assert torch.equal(drawn, again)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 50))
def test_quantiles_never_cross(seed: int, size: float) -> None:
    head = Quantiles()
    said = torch.randn(40, head.size, generator=torch.Generator().manual_seed(seed)) * size
    assert (head.values(said).diff(dim=-1) >= 0).all()
    finer = head.quantiles(said, [k / 50 for k in range(1, 50)], ONE)
    assert (finer.diff(dim=-1) >= -1e-5 * size).all()
    np.testing.assert_allclose(head.quantiles(said, head.levels, ONE), head.values(said), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", get_args(HeadName))
def test_each_loss_is_smallest_at_the_truth(name: Any) -> None:
    """Parameters fitted to values by gradient descent say where they lie."""
    rng = np.random.default_rng(0)
    values = rng.negative_binomial(6, 0.4, 400) if name == "negative_binomial" else rng.normal(3, 2, 400)
    target = torch.tensor(values, dtype=torch.float64)
    head = make_head(name).double()
    weights = torch.zeros(1, head.size, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([weights], lr=0.2)
    for _ in range(300):
        optimiser.zero_grad()
        head.loss(weights.expand(400, -1), target, ONE.double()).mean().backward()
        optimiser.step()
    said = weights.detach()
    middle = np.median(values) if name in ("mae", "quantiles") else np.mean(values)
    assert head.point(said, ONE).item() == pytest.approx(middle, abs=0.25)
    if head.draws:
        found = head.quantiles(said, (0.1, 0.9), ONE.expand(1))[0]
        np.testing.assert_allclose(found, np.quantile(values, [0.1, 0.9]), atol=1.1 if head.counts else 0.4)


@pytest.mark.parametrize("name", get_args(HeadName))
@pytest.mark.parametrize("size", [0.01, 1.0, 40.0])
def test_the_first_parameters_say_how_values_are_spread(name: Any, size: float) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.negative_binomial(6, 0.4, 4000) if name == "negative_binomial" else rng.normal(3, 2, 4000)
    head, values = make_head(name).double(), torch.tensor(drawn * size, dtype=torch.float64)
    unit = torch.full((4000,), 1 / size, dtype=torch.float64)
    said = head.start(values, unit)
    assert said.shape == (head.size,)
    assert head.point(said[None], unit[:1]).item() == pytest.approx(np.mean(drawn) * size, abs=0.1 * size)
    if head.draws:
        found = head.quantiles(said[None], (0.1, 0.9), unit[:1])[0]
        np.testing.assert_allclose(found, np.quantile(drawn, [0.1, 0.9]) * size, atol=0.6 * size)


@pytest.mark.parametrize("name", get_args(HeadName))
def test_the_first_parameters_of_values_that_are_all_the_same(name: Any) -> None:
    head = make_head(name)
    said = head.start(torch.zeros(5), torch.ones(5))
    assert torch.isfinite(said).all()
    assert head.point(said[None], torch.ones(1)).item() == pytest.approx(0, abs=0.01)


def test_losses_of_points_differ() -> None:
    target = torch.tensor([0.0, 3.0])
    said = torch.zeros(2, 1)
    losses = [make_head(name).loss(said, target, ONE).tolist() for name in ("mse", "mae", "huber")]
    assert losses == [[0, 9], [0, 3], [0, 2.5]]


def test_errors() -> None:
    with pytest.raises(UsageError, match="did you mean 'gaussian'"):
        make_head("gausian")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="levels of quantiles rise"):
        Quantiles((0.5, 0.1))
    with pytest.raises(UsageError, match="no quantiles"):
        make_head("mse").quantiles(torch.zeros(1, 1), [0.5], ONE)
