"""The forecaster's network: each strategy reads what it should, no more, and learns a wave."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch

from rondo.errors import UsageError
from rondo.models.forecast_heads import HeadName, make_head
from rondo.models.forecast_inputs import Features, ForecastInputs
from rondo.models.forecaster import Forecaster, ForecasterOptions, Strategy
from rondo.models.forecaster_ensemble import make_forecaster, points_of, quantiles_of

B, L, H = 3, 11, 5
FEATURES = Features(past=2, future=3, static=1, past_kinds=(4,), future_kinds=(2, 9), static_kinds=(3,), masked=True)
STRATEGIES = pytest.mark.parametrize("strategy", get_args(Strategy))


def inputs(
    features: Features = FEATURES, *, batch: int = B, length: int = L, horizon: int = H, seed: int = 0
) -> ForecastInputs:
    generator = torch.Generator().manual_seed(seed)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    def codes(sizes: tuple[int, ...], *shape: int) -> torch.Tensor:
        drawn = [torch.randint(0, size + 1, shape, generator=generator) for size in sizes]
        return torch.stack(drawn, -1) if drawn else torch.zeros(*shape, 0, dtype=torch.int64)

    known = (torch.rand(batch, length, generator=generator) < 0.8).float()
    return ForecastInputs(
        context=numbers(batch, length) * known, known=known, past=numbers(batch, length, features.past),
        future=numbers(batch, length + horizon, features.future), static=numbers(batch, features.static),
        past_codes=codes(features.past_kinds, batch, length),
        future_codes=codes(features.future_kinds, batch, length + horizon),
        static_codes=codes(features.static_kinds, batch), unit=torch.ones(batch) * 3,
    )  # fmt: skip


def network(strategy: Any, features: Features = FEATURES, **options: Any) -> Forecaster:
    torch.manual_seed(0)
    options = {"hidden": 8, "head": "gaussian", **options}
    return Forecaster(H, features, ForecasterOptions(strategy=strategy, **options), season=6).eval()


def said(model: Forecaster, given: ForecastInputs) -> torch.Tensor:
    target = torch.linspace(-1, 1, H).expand(len(given.context), H)
    with torch.no_grad():
        return model(given, target)


@STRATEGIES
@pytest.mark.parametrize("cell", ["lstm", "min_gru"])
@pytest.mark.parametrize("features", [FEATURES, Features()], ids=["covariates", "values"])
def test_shapes(strategy: Any, cell: str, features: Features) -> None:
    model = network(strategy, features, cell=cell, layers=2)
    given = inputs(features)
    assert said(model, given).shape == (B, H, 2)
    drawn = model.sample(given, 7, torch.Generator().manual_seed(0))
    assert drawn.shape == (B, H, 7)
    assert torch.equal(drawn, model.sample(given, 7, torch.Generator().manual_seed(0)))
    assert not torch.equal(drawn, model.sample(given, 7, torch.Generator().manual_seed(1)))


@STRATEGIES
@pytest.mark.parametrize(
    "name", ["context", "known", "past", "future", "static", "past_codes", "future_codes", "static_codes"]
)
def test_everything_that_is_given_is_read(strategy: Any, name: str) -> None:
    model = network(strategy)
    given = inputs()
    value = getattr(given, name)
    other = (value + 1) % 3 if "codes" in name else value + 1.0
    assert not torch.allclose(said(model, given), said(model, replace(given, **{name: other})))


@STRATEGIES
def test_what_is_known_in_advance_is_read_at_its_step(strategy: Any) -> None:
    """What is known of the last step changes the last step alone, where the network has the steps in order."""
    model = network(strategy, segment=1) if strategy == "segments" else network(strategy)
    given = inputs()
    future = given.future.clone()
    future[:, -1] += 1
    changed = (said(model, given) - said(model, replace(given, future=future))).abs().amax(dim=(0, 2))
    assert (changed[:-1] < 1e-6).all()
    assert changed[-1] > 1e-4


@STRATEGIES
def test_rows_of_a_batch_do_not_see_each_other(strategy: Any) -> None:
    model, given = network(strategy), inputs()
    alone = ForecastInputs(**{name: value[1:2] for name, value in vars(given).items()})
    torch.testing.assert_close(said(model, alone)[0], said(model, given)[1])


@pytest.mark.parametrize("head", ["mse", "quantiles", "student_t", "negative_binomial"])
def test_heads_go_with_the_network(head: HeadName) -> None:
    model = network("segments", head=head)
    assert said(model, inputs()).shape == (B, H, model.head.size)
    assert model.head.loss(said(model, inputs()), torch.ones(B, H), torch.ones(B, 1)).shape == (B, H)


def test_a_path_follows_from_its_own_values() -> None:
    """A head of points says what it said before, if it is taught what it said."""
    model, given = network("recursive", head="mse"), inputs()
    path = model.sample(given, 1)[..., 0]
    with torch.no_grad():
        torch.testing.assert_close(model(given, path)[..., 0], path)


def test_a_missing_value_of_the_target_is_read_as_missing() -> None:
    model, given = network("recursive"), inputs()
    target = torch.linspace(-1, 1, H).repeat(B, 1)
    holed = target.clone()
    holed[:, 1] = torch.nan
    with torch.no_grad():
        found, plain = model(given, holed), model(given, target)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found[:, :2], plain[:, :2])
    assert not torch.allclose(found[:, 2], plain[:, 2])


def test_sampled_paths_hang_together() -> None:
    """Of a network that has learned a random walk, values far ahead are spread wider, and follow on each other."""
    torch.manual_seed(0)
    features = Features()
    model = Forecaster(4, features, ForecasterOptions(strategy="recursive", head="gaussian", hidden=8), season=1)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for seed in range(250):
        walk = torch.randn(64, 10, generator=torch.Generator().manual_seed(seed)).cumsum(1)
        given = inputs(features, batch=64, length=6, horizon=4)
        given = replace(given, context=walk[:, :6] - walk[:, 5:6], known=torch.ones(64, 6))
        target = walk[:, 6:] - walk[:, 5:6]
        optimiser.zero_grad()
        model.head.loss(model(given, target), target, given.unit[:, None]).mean().backward()
        optimiser.step()
    drawn = model.eval().sample(given, 200, torch.Generator().manual_seed(0)).flatten(0, 0)
    deviation = drawn.std(dim=2).mean(dim=0)
    assert 1.4 < deviation[3] / deviation[0] < 2.8
    centred = drawn - drawn.mean(dim=2, keepdim=True)
    assert (centred[:, 2] * centred[:, 3]).mean() / (centred[:, 2].std() * centred[:, 3].std()) > 0.6


@STRATEGIES
def test_a_wave_is_learned(strategy: Any) -> None:
    torch.manual_seed(1)
    features = Features()
    model = Forecaster(H, features, ForecasterOptions(strategy=strategy, head="mse", hidden=24), season=6)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for seed in range(150):
        phase = torch.rand(32, 1, generator=torch.Generator().manual_seed(seed)) * 6.28
        wave = torch.sin(phase + torch.arange(L + H) * 0.7)
        given = inputs(features, batch=32)
        given = replace(given, context=wave[:, :L], known=torch.ones(32, L))
        optimiser.zero_grad()
        loss = model.head.loss(model(given, wave[:, L:]), wave[:, L:], given.unit[:, None]).mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] > 0.3
    assert losses[-1] < 0.02


@STRATEGIES
@pytest.mark.parametrize("head", ["quantiles", "student_t"])
def test_the_first_forecast_is_about_what_targets_are(strategy: Any, head: HeadName) -> None:
    model = network(strategy, head=head)
    targets = 0.2 * torch.randn(400, H, generator=torch.Generator().manual_seed(5)) + 3
    targets[::7] = torch.nan
    given = inputs(batch=400)

    def covered() -> float:
        parameters = model(given, targets.nan_to_num(3.0))
        low, high = model.head.quantiles(parameters, (0.1, 0.9), given.unit[:, None].expand(400, H)).unbind(-1)
        known = ~targets.isnan()
        return float(((low <= targets) & (targets <= high))[known].float().mean())

    with torch.no_grad():
        before = covered()
        model.begin(targets, given.unit, given.context)
        assert before < 0.5
        assert 0.7 < covered() < 0.9


def test_targets_that_are_all_missing_say_nothing() -> None:
    model = network("direct")
    before = model.leave.bias.clone()
    model.begin(torch.full((4, H), torch.nan), torch.ones(4), torch.zeros(4, L))
    assert torch.equal(model.leave.bias, before)


@pytest.mark.parametrize(("option", "value"), [("hidden", 9), ("segment", 2), ("head", "student_t"), ("layers", 2)])
def test_options_change_the_network(option: str, value: Any) -> None:
    plain = sum(p.numel() for p in network("segments").parameters())
    assert sum(p.numel() for p in network("segments", **{option: value}).parameters()) != plain


def test_dropout_in_training_only() -> None:
    for strategy in get_args(Strategy):
        model, given = network(strategy, output_dropout=0.5), inputs()
        torch.testing.assert_close(said(model, given), said(model, given))
        model.train()
        assert not torch.allclose(said(model, given), said(model, given))


def test_errors() -> None:
    with pytest.raises(UsageError, match="did you mean 'segments'"):
        ForecasterOptions(strategy="segment")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="belongs to --strategy segments"):
        ForecasterOptions(strategy="direct", segment=3)
    with pytest.raises(UsageError, match="does not fit into a context"):
        network("segments", segment=4)(inputs(length=3))
    with pytest.raises(UsageError, match="sampled from"):
        network("recursive")(inputs())
    with pytest.raises(UsageError, match="horizon"):
        Forecaster(0, FEATURES, ForecasterOptions())


def gaussians(means: list[float], scale: float) -> torch.Tensor:
    """What members say of one value: normal distributions."""
    raw = math.log(math.expm1(scale - 1e-4))
    return torch.tensor([[[[mean, raw]]] for mean in means], dtype=torch.float64)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_members_that_agree_say_what_each_says(count: int) -> None:
    head, said, unit = make_head("gaussian").double(), gaussians([1.0] * count, 2.0), torch.ones(1, 1)
    levels = (0.025, 0.1, 0.5, 0.9)
    alone = quantiles_of(head, said[:1], levels, unit)
    torch.testing.assert_close(alone[0, 0], 1 + 2 * torch.special.ndtri(torch.tensor(levels, dtype=torch.float64)))
    torch.testing.assert_close(quantiles_of(head, said, levels, unit), alone, atol=0.15, rtol=0)


def test_members_that_disagree_say_a_mixture() -> None:
    """Its quantiles are those of the mean of the distribution functions, not the mean of the quantiles."""
    head, said, unit = make_head("gaussian").double(), gaussians([0.0, 4.0], 0.5), torch.ones(1, 1)
    levels = [0.1, 0.4, 0.6, 0.95]
    found = quantiles_of(head, said, levels, unit)[0, 0]
    below = (torch.special.ndtr(found / 0.5) + torch.special.ndtr((found - 4) / 0.5)) / 2
    torch.testing.assert_close(below, torch.tensor(levels, dtype=torch.float64), atol=0.01, rtol=0)
    assert points_of(head, said, unit).item() == pytest.approx(2)


def test_the_point_of_quantiles_is_the_median_of_the_mixture() -> None:
    head = make_head("quantiles")
    said = (
        torch.randn(3, 2, 4, head.size, generator=torch.Generator().manual_seed(0))
        * torch.tensor([1.0, 3, 9])[:, None, None, None]
    )
    unit = torch.ones(2, 4)
    torch.testing.assert_close(points_of(head, said, unit), quantiles_of(head, said, (0.5,), unit)[..., 0])
    mean = torch.stack([head.point(one, unit) for one in said]).mean(0)
    assert not torch.allclose(points_of(head, said, unit), mean, atol=0.05)
    points = make_head("mae")
    torch.testing.assert_close(points_of(points, said[..., :1], unit), said[..., 0].mean(0))


def test_quantiles_of_mixed_counts_are_counts() -> None:
    head = make_head("negative_binomial")
    said = torch.randn(3, 2, 4, 2, generator=torch.Generator().manual_seed(0)) + 3
    found = quantiles_of(head, said, (0.13, 0.5, 0.77), torch.full((2, 4), 10.0)) * 10
    torch.testing.assert_close(found, found.round())


def test_quantiles_of_an_ensemble_are_those_of_its_samples() -> None:
    torch.manual_seed(0)
    options = ForecasterOptions(hidden=6, head="student_t", ensemble=3)
    model, given = make_forecaster(H, FEATURES, options, season=6).eval(), inputs()
    with torch.no_grad():
        found = quantiles_of(model.head, model(given), (0.1, 0.5, 0.9), given.unit[:, None].expand(B, H))
    drawn = model.sample(given, 6000, torch.Generator().manual_seed(0))
    shares = (drawn[..., None] <= found[:, :, None]).double().mean(2)
    torch.testing.assert_close(
        shares, torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64).expand(B, H, 3), atol=0.03, rtol=0
    )
