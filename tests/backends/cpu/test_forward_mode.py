"""Derivatives carried forwards through layers that the engine runs: the reference's, or a refusal; never nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

import rondo.nn
from rondo.backends.cpu.native import why_not
from rondo.errors import UsageError
from rondo.layers import Recurrent
from rondo.testing.tolerances import assert_close

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

LAYERS: dict[str, Callable[[], nn.Module]] = {
    "gru": lambda: Recurrent("gru", 3, 4, layers=2, bidirectional=True, dtype=torch.float64, backend="cpu"),
    "lstm_layer_norm": lambda: Recurrent("lstm_layer_norm", 3, 4, zoneout=0.2, dtype=torch.float64, backend="cpu"),
    "min_lstm": lambda: Recurrent("min_lstm", 3, 4, learned_state=True, dtype=torch.float64, backend="cpu"),
    "recomputed": lambda: Recurrent("rnn", 3, 4, recompute_steps=2, dtype=torch.float64, backend="cpu"),
    "rondo.nn.LSTM": lambda: rondo.nn.LSTM(3, 4, batch_first=True, dtype=torch.float64),
}


@pytest.fixture(params=LAYERS)
def layer(request: Any) -> nn.Module:
    torch.manual_seed(0)
    return LAYERS[request.param]().eval()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def uncompiled() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def output(layer: nn.Module, **options: Any) -> Callable[[Tensor], Tensor]:
    return lambda x: layer(x, **options)[0]


def difference(run: Callable[[Tensor], Tensor], x: Tensor, tangent: Tensor) -> Tensor:
    """The derivative along the tangent, from values alone."""
    step = 1e-6
    with torch.no_grad():
        return (run(x + step * tangent) - run(x - step * tangent)) / (2 * step)


def test_along_a_tangent(layer: nn.Module, x: Tensor) -> None:
    run, tangent = output(layer), torch.randn_like(x)
    value, found = torch.func.jvp(run, (x,), (tangent,))
    assert_close(value, run(x), torch.float64)
    torch.testing.assert_close(found, difference(run, x, tangent), rtol=1e-6, atol=1e-8)
    for switch in (torch.no_grad, torch.enable_grad):
        with switch(), forward_ad.dual_level():
            dual = forward_ad.unpack_dual(run(forward_ad.make_dual(x, tangent)))
            assert_close(dual.tangent, found, torch.float64, gradients=True)


def test_of_the_weights(layer: nn.Module, x: Tensor) -> None:
    weights = {name: one.detach() for name, one in layer.named_parameters()}
    tangents = {name: torch.randn_like(one) for name, one in weights.items()}

    def run(w: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(layer, w, (x,))[0].square().sum()

    _, found = torch.func.jvp(run, (weights,), (tangents,))
    gradients = torch.func.grad(run)(weights)
    assert_close(found, sum((gradients[n] * tangents[n]).sum() for n in weights), torch.float64, gradients=True)


def test_of_ragged_batches_with_resets(x: Tensor) -> None:
    layer = Recurrent("lstm", 3, 4, dtype=torch.float64, backend="cpu")
    run = output(layer, lengths=torch.tensor([3, 5]), reset=torch.tensor([[0, 1, 0, 1, 0], [0, 0, 1, 0, 0]]).bool())
    assert_close(torch.func.jacfwd(run)(x), torch.func.jacrev(run)(x), torch.float64, gradients=True)
    assert not torch.func.jacfwd(run)(x)[0, 4].any()


def test_forwards_over_backwards(x: Tensor) -> None:
    layer = Recurrent("gru", 3, 4, dtype=torch.float64, backend="cpu")

    def run(x: Tensor) -> Tensor:
        return layer(x).sequence.square().sum()

    twice = torch.func.jacrev(torch.func.jacrev(run))(x)
    assert twice.abs().max() > 0.1
    assert_close(torch.func.hessian(run)(x), twice, torch.float64, gradients=True)


def test_a_layer_that_ran_before_refuses(x: Tensor) -> None:
    layer = Recurrent("gru", 3, 4, dtype=torch.float64, backend="cpu")
    sequence, weights = layer(x).sequence, list(layer.parameters())
    with forward_ad.dual_level():
        arrived = forward_ad.make_dual(torch.ones_like(sequence), torch.randn_like(sequence))
        for again in (False, True):
            with pytest.raises(UsageError, match="before forward-mode differentiation began"):
                torch.autograd.grad(sequence, weights, arrived, create_graph=again, retain_graph=True)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.filterwarnings("ignore")
def test_compiled_layers(x: Tensor) -> None:
    """What was compiled for values is not taken for derivatives, and its gradient refuses rather than to drop them."""
    layer = Recurrent("gru", 3, 4, dtype=torch.float64, backend="cpu")
    compiled, tangent = torch.compile(layer, backend="aot_eager"), torch.randn_like(x)
    sequence = compiled(x).sequence
    with forward_ad.dual_level():
        arrived = forward_ad.make_dual(torch.ones_like(sequence), torch.randn_like(sequence))
        with pytest.raises(UsageError, match="no forward-mode derivatives"):
            torch.autograd.grad(sequence, list(layer.parameters()), arrived)
    found = torch.func.jvp(output(compiled), (x,), (tangent,))
    for ours, theirs in zip(found, torch.func.jvp(output(layer), (x,), (tangent,)), strict=True):
        assert_close(ours, theirs, torch.float64, gradients=True)


def test_it_is_said(layer: nn.Module) -> None:
    assert "forward-mode derivatives are the reference's" in layer.explain()
