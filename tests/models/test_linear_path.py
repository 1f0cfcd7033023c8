"""The linear path of a forecaster: ridge regression, and what a network adds to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from rondo.errors import UsageError
from rondo.models.forecast_heads import HEADS, make_head
from rondo.models.forecaster import Forecaster, ForecasterOptions
from rondo.models.linear_path import LinearPath
from tests.models.test_forecaster import FEATURES, B, H, L, inputs


def pairs() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Contexts of unequal variance, with targets that follow from them; in two pieces."""
    generator = torch.Generator().manual_seed(3)
    context = torch.randn(90, L, generator=generator) * torch.linspace(0.2, 3, L) + 1
    target = context @ torch.randn(L, H, generator=generator) + torch.randn(90, H, generator=generator)
    return [(context[:70], target[:70]), (context[70:], target[70:])]


def path(ridge: float) -> LinearPath:
    made = LinearPath(L, H)
    made.fit(pairs(), ridge)
    return made


@pytest.mark.parametrize("ridge", [0.0, 0.1, 3.0])
def test_it_is_ridge_regression(ridge: float) -> None:
    context, target = (torch.cat(part).double().numpy() for part in zip(*pairs(), strict=True))
    added = ridge * context.var(axis=0).mean() * len(context)
    wanted = Ridge(alpha=added).fit(context, target).predict(context)
    np.testing.assert_allclose(path(ridge)(torch.from_numpy(context).float()).numpy(), wanted, rtol=1e-3, atol=1e-3)


def test_the_ridge_counts() -> None:
    assert path(3.0).weight.norm() < 0.9 * path(0.1).weight.norm() < 0.9 * path(0.0).weight.norm()


def test_windows_with_a_hole_after_them_are_left_out() -> None:
    made, (context, target) = LinearPath(L, H), pairs()[0]
    holed = target.clone()
    holed[20:, 2] = torch.nan
    made.fit([(context, holed)], 0.1)
    alone = LinearPath(L, H)
    alone.fit([(context[:20], target[:20])], 0.1)
    torch.testing.assert_close(made.weight, alone.weight)
    assert alone.weight.abs().min() > 0
    nothing = LinearPath(L, H)
    nothing.fit([(context, target * torch.nan)], 0.1)
    assert not nothing.weight.any()


def test_values_that_never_vary_have_no_weight() -> None:
    made, (context, target) = LinearPath(L, H), pairs()[0]
    context[:, 4] = 7.0
    made.fit([(context, target)], 0.0)
    assert made.weight[:, 4].abs().max() < 1e-3
    assert made.weight.isfinite().all()


@pytest.mark.parametrize("strategy", ["segments", "direct", "decoder"])
def test_the_network_is_added_to_it(strategy: Any) -> None:
    options = ForecasterOptions(strategy=strategy, head="student_t", hidden=8, linear_path=True)
    torch.manual_seed(0)
    made, given = Forecaster(H, FEATURES, options, season=6, context_length=L).eval(), inputs()
    with torch.no_grad():
        before = made(given)
        assert made.linear is not None
        made.linear.load_state_dict(path(0.1).state_dict())
        said, line = made(given), made.linear(given.context)
    torch.testing.assert_close(said[..., 0] - before[..., 0], line)
    torch.testing.assert_close(said[..., 1:], before[..., 1:])
    torch.testing.assert_close(
        made.sample(given, 500, torch.Generator().manual_seed(0)).median(2).values, said[..., 0], atol=0.5, rtol=0
    )


def test_it_does_not_learn_with_the_network() -> None:
    made = Forecaster(
        H, FEATURES, ForecasterOptions(hidden=8, head="mse", linear_path=True), season=6, context_length=L
    )
    made(inputs()).sum().backward()
    assert {name for name, value in made.named_parameters() if value.grad is None} == {"linear.weight", "linear.bias"}


def test_the_first_forecast_is_about_it() -> None:
    """What the network begins with is spread as what the linear path leaves, not as the targets."""
    torch.manual_seed(0)
    options = ForecasterOptions(hidden=8, head="gaussian", linear_path=True, strategy="direct")
    made, given = Forecaster(H, FEATURES, options, season=6, context_length=L).eval(), inputs(batch=300)
    assert made.linear is not None
    made.linear.load_state_dict(path(0.1).state_dict())
    left = 0.3 * torch.randn(300, H, generator=torch.Generator().manual_seed(1)) + 2
    with torch.no_grad():
        targets = made.linear(given.context) + left
        made.begin(targets, given.unit, given.context)
        low, high = made.head.quantiles(made(given), (0.1, 0.9), given.unit[:, None]).unbind(-1)
    assert 0.7 < ((low <= targets) & (targets <= high)).float().mean() < 0.9
    assert (high - low).mean() < 1.2


@pytest.mark.parametrize("name", [name for name in HEADS if name != "negative_binomial"])
def test_heads_are_moved(name: Any) -> None:
    head = make_head(name)
    parameters = torch.randn(B, H, head.size, generator=torch.Generator().manual_seed(2))
    by, unit = torch.linspace(-2, 2, B * H).reshape(B, H), torch.ones(B, H)
    torch.testing.assert_close(head.point(head.moved(parameters, by), unit), head.point(parameters, unit) + by)
    if head.draws:
        levels = (0.05, 0.5, 0.8)
        moved, before = (head.quantiles(one, levels, unit) for one in (head.moved(parameters, by), parameters))
        torch.testing.assert_close(moved, before + by[..., None])


def test_errors() -> None:
    for given in ({"strategy": "recursive"}, {"head": "negative_binomial"}):
        with pytest.raises(UsageError, match="goes neither with"):
            ForecasterOptions(linear_path=True, **given)  # type: ignore[arg-type]
    for ridge, linear in ((0.1, False), (-1.0, True)):
        with pytest.raises(UsageError, match="belongs to --linear-path"):
            ForecasterOptions(linear_ridge=ridge, linear_path=linear)
    with pytest.raises(UsageError, match="context_length"):
        Forecaster(H, FEATURES, ForecasterOptions(linear_path=True))
    with pytest.raises(UsageError, match="counts are not moved"):
        make_head("negative_binomial").moved(torch.ones(2, 2), torch.ones(2))
