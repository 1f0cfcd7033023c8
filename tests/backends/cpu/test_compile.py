"""torch.compile, autocast and torch.func over layers that the engine runs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch._dynamo.testing
from torch import Tensor, nn

import rondo.nn
from rondo.backends.cpu.native import why_not
from rondo.layers import Recurrent
from rondo.testing.tolerances import assert_close

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

OPTIONS: dict[str, dict[str, Any]] = {
    "stack": {"cell": "gru", "layers": 2, "bidirectional": True},
    "masks": {"cell": "lstm", "recurrent_dropout": 0.3, "learned_state": True, "weight_drop": 0.2},
    "zoneout": {"cell": "mgu", "zoneout": 0.2},
    "norm": {"cell": "lstm_layer_norm"},
    "scan": {"cell": "min_gru"},
}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's compiler warns of itself
        yield
    torch._dynamo.reset()


def counted(module: nn.Module) -> tuple[Any, Any]:
    """Compiled without a graph break, by everything but the code generator; and how often."""
    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    return torch.compile(module, fullgraph=True, backend=counter), counter


def same(compiled: Any, module: nn.Module, x: Tensor, **options: Any) -> None:
    """Values and gradients, compiled and not."""
    results = []
    for run in (compiled, module):
        torch.manual_seed(5)
        leaf = x.clone().requires_grad_()
        sequence = run(leaf, **options)[0]
        found = torch.autograd.grad(sequence.square().sum(), [leaf, *module.parameters()], allow_unused=True)
        results.append([sequence, *(one for one in found if one is not None)])
    for ours, theirs in zip(*results, strict=True):
        assert_close(ours, theirs, torch.float32, gradients=True)


@pytest.mark.parametrize("name", OPTIONS)
def test_no_graph_break_and_few_compilations(name: str) -> None:
    """One more when the length first changes, one for T = 1, and no other."""
    layer = Recurrent(input_size=3, hidden_size=6, backend="cpu", **OPTIONS[name])
    compiled, counter = counted(layer)
    for T, compilations in ((7, 1), (9, 2), (5, 2), (30, 2), (1, 3), (12, 3), (1, 3)):
        same(compiled, layer, torch.randn(4, T, 3))
        assert counter.frame_count == compilations, T


@pytest.mark.parametrize("asked", ["lengths", "reset", "both"])
def test_ragged_batches_are_compiled(asked: str) -> None:
    layer = Recurrent("lstm", 3, 6, layers=2, backend="cpu")
    compiled, counter = counted(layer)
    for T in (7, 9, 12):
        options: dict[str, Tensor] = {}
        if asked != "reset":
            options["lengths"] = torch.randint(0, T + 1, (4,))
        if asked != "lengths":
            options["reset"] = torch.rand(4, T) < 0.3
        same(compiled, layer, torch.randn(4, T, 3), **options)
    assert counter.frame_count == 2
    with pytest.raises(Exception, match="lengths go from 3 to 90"):
        compiled(torch.randn(4, 9, 3), lengths=torch.tensor([3, 4, 90, 5]))


def test_evaluation_is_compiled() -> None:
    layer = Recurrent("gru", 3, 6, zoneout=0.1, backend="cpu").eval()
    compiled, _ = counted(layer)
    x = torch.randn(2, 5, 3)
    with torch.no_grad():
        assert_close(compiled(x).sequence, layer(x).sequence, torch.float32)
        state = layer(x).state
        assert_close(compiled(x, state).sequence, layer(x, state).sequence, torch.float32)


def test_another_backend_is_compiled_anew() -> None:
    """What was chosen is a constant of the compiled code, but not beyond what it depends on."""
    layer = Recurrent("gru", 3, 6, backend="cpu")
    compiled = torch.compile(layer, backend="aot_eager")
    x = torch.randn(2, 2, 3)
    before = compiled(x).sequence
    layer.backend = "no such backend"
    with pytest.raises(Exception, match="no such backend"):
        compiled(x)
    layer.backend = "reference"
    assert_close(compiled(x).sequence, before, torch.float32)


def test_code_is_generated_around_the_engine() -> None:
    """The whole way down, once: the code generator calls the operator between its own kernels."""
    model = nn.Sequential(nn.Linear(3, 5), Recurrent("gru", 5, 6, backend="cpu"))
    compiled = torch.compile(model, fullgraph=True)
    try:
        same(compiled, model, torch.randn(2, 7, 3))
    except Exception as error:
        if "compiler" in str(error).lower() or "InvalidCxxCompiler" in type(error).__name__:
            pytest.skip(f"torch has no compiler here: {str(error)[:80]}")
        raise


@pytest.mark.parametrize("make", [lambda: Recurrent("lstm", 3, 6), lambda: rondo.nn.LSTM(3, 6, batch_first=True)])
def test_under_autocast_the_engine_stays_in_the_type_of_the_weights(make: Any) -> None:
    layer = make()
    x = torch.randn(2, 5, 3)
    plain = layer(x)[0]
    with torch.autocast("cpu", torch.bfloat16):
        mixed = layer(nn.functional.linear(x, torch.eye(3)))[0]
        again = layer(x)[0]
    assert torch.equal(again, plain)
    assert mixed.dtype == torch.float32
    assert_close(mixed, plain, torch.bfloat16)
    mixed.sum().backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in layer.parameters())


def loss(layer: nn.Module, weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """Of one sequence (T, I)."""
    return torch.func.functional_call(layer, weights, (x[None],)).sequence.square().sum()


@pytest.mark.parametrize("name", ["gru", "lstm_peephole", "min_lstm"])
def test_gradients_of_each_example(name: str) -> None:
    layer = Recurrent(name, 3, 5, layers=2, dtype=torch.float64, backend="cpu")
    x = torch.randn(4, 6, 3, dtype=torch.float64)
    weights = dict(layer.named_parameters())
    each = torch.func.vmap(torch.func.grad(lambda w, one: loss(layer, w, one)), in_dims=(None, 0))(weights, x)
    for i in range(4):
        alone = torch.autograd.grad(loss(layer, weights, x[i]), list(weights.values()))
        for key, gradient in zip(weights, alone, strict=True):
            assert_close(each[key][i], gradient, torch.float64, gradients=True)


def test_an_ensemble_in_one_call() -> None:
    layers = [Recurrent("gru", 3, 5, backend="cpu") for _ in range(3)]
    stacked, _ = torch.func.stack_module_state(layers)
    x = torch.randn(2, 4, 3)
    together = torch.func.vmap(lambda w: torch.func.functional_call(layers[0], w, (x,)).sequence)(stacked)
    for ours, layer in zip(together, layers, strict=True):
        assert_close(ours, layer(x).sequence, torch.float32)


def test_derivatives_by_transforms() -> None:
    layer = Recurrent("rnn", 2, 3, dtype=torch.float64, backend="cpu")
    reference = Recurrent("rnn", 2, 3, dtype=torch.float64, backend="reference")
    reference.load_state_dict(layer.state_dict())
    x = torch.randn(3, 2, dtype=torch.float64)
    for transform in (torch.func.grad, torch.func.jacrev):
        found, expected = (transform(lambda one, run=run: loss(run, dict(run.named_parameters()), one))(x)
                           for run in (layer, reference))  # fmt: skip
        assert_close(found, expected, torch.float64, gradients=True)
    found, expected = (
        torch.func.jacrev(torch.func.grad(lambda one, run=run: loss(run, dict(run.named_parameters()), one)))(x)
        for run in (layer, reference)
    )
    assert_close(found, expected, torch.float64, gradients=True)
