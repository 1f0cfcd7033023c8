"""Residuals that are computed again: the same results, less memory, all that autograd can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch._dynamo.testing
from torch import Tensor

from rondo.backends import BACKENDS
from rondo.backends.cpu.native import engine_module, why_not
from rondo.backends.cpu.spec import floats_kept
from rondo.cells import State, get_cell, registry
from rondo.cells.describe import describe
from rondo.layers import Recurrent
from rondo.testing.conformance import make_case
from rondo.testing.tolerances import assert_close

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

OPTIONS: dict[str, dict[str, Any]] = {
    "stack": {"cell": "gru", "layers": 2, "bidirectional": True, "learned_state": True},
    "masks": {"cell": "lstm", "recurrent_dropout": 0.3, "zoneout": 0.2, "layer_dropout": 0.2, "layers": 2},
    "projected": {"cell": "lstm_projected", "projection_size": 5, "weight_drop": 0.2},
    "reductions": {"cell": "gru_layer_norm"},
    "three-parts": {"cell": "slstm", "cell_options": {"heads": 2}},
    "scan": {"cell": "min_gru", "bias": False},
}
RAGGED: dict[str, Callable[[int, int], dict[str, Tensor]]] = {
    "dense": lambda B, T: {},
    "lengths": lambda B, T: {"lengths": torch.linspace(0, T, B).round().long().roll(2)},
    "short": lambda B, T: {"lengths": torch.linspace(0, T // 3, B).round().long()},
    "reset": lambda B, T: {"reset": torch.arange(B * T).view(B, T) % 4 == 0},
    "both": lambda B, T: {**RAGGED["lengths"](B, T), **RAGGED["reset"](B, T)},
}


def results(layer: Recurrent, x: Tensor, **options: Any) -> list[Tensor]:
    """Outputs, the state at the end, and all gradients, with the same masks each time."""
    torch.manual_seed(7)
    output = layer(x, **options)
    values = [output.sequence, *output.state.parts().values()]
    total = sum((value * torch.randn_like(value)).sum() for value in values)
    found = torch.autograd.grad(total, [x, *layer.parameters()], allow_unused=True)
    return [*values, *(one for one in found if one is not None)]


@pytest.mark.parametrize("steps", [1, 5, "auto", 100])
@pytest.mark.parametrize("ragged", RAGGED)
@pytest.mark.parametrize("name", OPTIONS)
def test_results_are_those_without_it(name: str, ragged: str, steps: int | str) -> None:
    layer = Recurrent(input_size=3, hidden_size=18, dtype=torch.float64, backend="cpu", **OPTIONS[name])
    x = torch.randn(5, 17, 3, dtype=torch.float64).requires_grad_()
    options = RAGGED[ragged](5, 17)
    expected = results(layer, x, **options)
    layer.recompute_steps = steps
    found = results(layer, x, **options)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert_close(ours, theirs, torch.float64, gradients=True)
    if ragged == "dense":
        assert torch.equal(found[0], expected[0])


@pytest.mark.parametrize("name", registry)
def test_what_is_repeated_is_the_same_to_the_bit(name: str) -> None:
    cell = registry[name]
    layer = Recurrent(cell, 5, 40, projection_size=24 if cell.has_projection else None, backend="cpu")
    x = torch.randn(3, 30, 5)
    expected = layer(x)
    layer.recompute_steps = 7
    found = layer(x)
    assert torch.equal(found.sequence, expected.sequence)
    for part, value in expected.state.parts().items():
        assert torch.equal(found.state[part], value)


def peak_of(run: Callable[[], Any]) -> int:
    """Bytes of the engine's pool that were in use at once, besides those in use before."""
    module: Any = engine_module()
    run()  # what is made once
    module.release_memory()
    before = module.memory()[0]
    run()
    return int(module.memory()[2]) - before


def trained(layer: Recurrent, x: Tensor, **options: Any) -> None:
    output = layer(x, **options)
    kept = output.last if options.get("last_only") else output.sequence
    kept.sum().backward()


def bytes_of_a_step(layer: Recurrent, B: int) -> int:
    """What a run for training keeps of each step, the states included."""
    return 4 * B * floats_kept(layer.cell, {"input": layer.input_size, "hidden": layer.hidden_size})


@pytest.mark.parametrize("name", registry)
def test_what_is_said_to_be_kept_is_what_is_held(name: str) -> None:
    """By the engine, which keeps what the cell's description counts, or less, in rows of 16."""
    cell, sizes = registry[name], {"input": 16, "hidden": 64, "projection": 32}
    layer = Recurrent(cell, 16, 64, projection_size=32 if cell.has_projection else None, backend="cpu")
    B, T = 3, 1000
    sequence = layer(torch.randn(B, T, 16)).sequence
    *_, rest = sequence.grad_fn.saved_tensors
    held = (rest.numel() + sequence.untyped_storage().nbytes()) / (4 * B * T)
    assert held == pytest.approx(floats_kept(cell, sizes), rel=1e-2)  # one state more than there are steps
    states = sum(sizes[width] for width in cell.state_widths.values())
    description = describe(cell, sizes)
    if all(residual.width != "1" for residual in description.residuals):  # which take a row each
        assert floats_kept(cell, sizes) <= description.kept_count + states


@pytest.mark.parametrize(("B", "T"), [(32, 400), (8, 2500), (64, 200), (1, 10_000)])
@pytest.mark.parametrize("name", ["lstm", "gru", "lstm_layer_norm"])
def test_at_most_four_roots_of_steps_are_alive(name: str, B: int, T: int) -> None:
    """At the peak of forward and backward, with outputs that nobody keeps; weights and a chunk come on top."""
    layer = Recurrent(name, 16, 64, backend="cpu")
    x = torch.randn(B, T, 16)
    step = bytes_of_a_step(layer, B)
    whole = peak_of(lambda: trained(layer, x, last_only=True))
    assert whole > T * step
    layer.recompute_steps = "auto"
    beside = 1 << 20
    assert beside < T * step / 8
    segmented = peak_of(lambda: trained(layer, x, last_only=True))
    assert segmented <= 4 * T**0.5 * step + beside
    # With outputs: they, and their gradient, are all that comes on top.
    outputs = 4 * 64 * B * (T + 1)
    assert peak_of(lambda: trained(layer, x)) <= segmented + outputs + beside


@pytest.mark.parametrize("ragged", ["lengths", "reset", "both"])
def test_memory_of_ragged_batches_is_bounded_too(ragged: str) -> None:
    B, T = 32, 400
    layer = Recurrent("lstm", 16, 64, backend="cpu", recompute_steps="auto")
    x = torch.randn(B, T, 16)
    peak = peak_of(lambda: trained(layer, x, last_only=True, **RAGGED[ragged](B, T)))
    assert peak <= 4 * T**0.5 * bytes_of_a_step(layer, B) + (1 << 20)


def test_where_outputs_are_all_that_is_kept_nothing_is_repeated() -> None:
    layer, x = Recurrent("rnn", 16, 64, backend="cpu", recompute_steps="auto"), torch.randn(32, 400, 16)
    peak = peak_of(lambda: trained(layer, x))
    assert peak_of(lambda: trained(layer, x, last_only=True)) < peak / 2
    layer.recompute_steps = None
    assert peak_of(lambda: trained(layer, x)) == peak


@pytest.mark.parametrize("asked", [(), ("lengths", "reset", "initial", "reverse")], ids=["plain", "cut"])
@pytest.mark.parametrize("name", ["lstm", "gru_reset_before", "min_lstm"])
def test_gradcheck(name: str, asked: tuple[str, ...]) -> None:
    case = make_case(registry[name], (2, 5, 2, 3), (*asked, "recompute")).cast(torch.float64)
    leaves, parts = case.leaves(), case.cell.state_parts

    def run(*tensors: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(leaves, tensors, strict=True))
        options = {**case.options, "recompute_steps": 2}
        if "initial" in asked:
            options["initial"] = State(**{part: named["initial_" + part] for part in parts})
        weights = {key: named[key] for key in case.weights}
        state = State(**{part: named[part] for part in parts})
        sequence, after = BACKENDS["cpu"].unroll(case.cell, weights, named["x"], state, **options)
        return sequence, *after.parts().values()

    assert torch.autograd.gradcheck(run, tuple(leaves.values()))


@pytest.mark.parametrize("path", ["eager", "operator", "reference"])
@pytest.mark.parametrize("options", [{}, {"lengths": [3, 1]}], ids=["dense", "lengths"])
def test_second_derivatives(path: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    if path == "operator":
        monkeypatch.setattr("rondo.backends.cpu.eager.takes", lambda _: False)
    backend = "reference" if path == "reference" else "cpu"
    layer = Recurrent("gru", 1, 2, bidirectional=True, dtype=torch.float64, backend=backend, recompute_steps=2)
    x = torch.randn(2, 3, 1, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda value: layer(value, **options).sequence, (x,))


def test_twice_through_one_graph() -> None:
    layer = Recurrent("gru", 3, 6, backend="cpu", recompute_steps=4)
    x = torch.randn(2, 11, 3).requires_grad_()
    total = layer(x).sequence.square().sum()
    (first,) = torch.autograd.grad(total, x, retain_graph=True)
    assert torch.equal(torch.autograd.grad(total, x)[0], first)


def test_gradients_of_each_example() -> None:
    layer = Recurrent("gru", 3, 5, dtype=torch.float64, backend="cpu", recompute_steps=4)
    x = torch.randn(3, 9, 3, dtype=torch.float64)
    weights = dict(layer.named_parameters())

    def loss(given: dict[str, Tensor], one: Tensor) -> Tensor:
        return torch.func.functional_call(layer, given, (one[None],)).sequence.square().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, x)
    for i in range(3):
        alone = torch.autograd.grad(loss(weights, x[i]), list(weights.values()))
        for key, gradient in zip(weights, alone, strict=True):
            assert_close(each[key][i], gradient, torch.float64, gradients=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("steps", [4, "auto"])
@pytest.mark.parametrize("options", [{}, {"last_only": True}], ids=["sequence", "last"])
def test_it_is_compiled_without_a_break_and_once_for_all_lengths(steps: int | str, options: dict[str, Any]) -> None:
    torch._dynamo.reset()
    layer = Recurrent("lstm", 3, 6, layers=2, backend="cpu", recompute_steps=steps)
    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(layer, fullgraph=True, backend=counter)
    for T, compilations in ((7, 1), (9, 2), (30, 2), (100, 2)):
        x, found = torch.randn(4, T, 3).requires_grad_(), []
        for run in (compiled, layer):
            output = run(x, **options)
            total = output.last.square().sum() + (output.sequence.sum() if output.sequence is not None else 0)
            found.append([output.last, *torch.autograd.grad(total, [x, *layer.parameters()])])
        for ours, theirs in zip(*found, strict=True):
            assert_close(ours, theirs, torch.float32, gradients=True)
        assert counter.frame_count == compilations, T
    torch._dynamo.reset()


def test_the_reference_keeps_less_of_a_step() -> None:
    """By torch's own checkpointing, whose inner saving is not seen from outside."""
    x, saved = torch.randn(2, 40, 3), []
    for steps in (None, "auto"):
        layer = Recurrent("lstm", 3, 6, backend="reference", recompute_steps=steps)
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: s.append(t.numel()) or t, lambda t: t):  # type: ignore[misc,func-returns-value]
            layer(x).sequence.sum().backward()
        saved.append(sum(sizes))
    assert saved[1] < saved[0] / 3


def test_torchs_own_layers_are_not_taken() -> None:
    layer = Recurrent("gru", 3, 6, recompute_steps=2)
    assert "torch's layers cannot do recomputation" in layer.explain()
    assert "recompute_steps=2" in repr(layer)
    cell = get_cell("gru")
    weights = {p.name: torch.randn(p.shape({"input": 3, "hidden": 4})) for p in cell.parameters}
    with pytest.raises(ValueError, match="refuses"):
        BACKENDS["vendor"].unroll(cell, weights, torch.zeros(2, 5, 3), State(h=torch.zeros(2, 4)), recompute_steps=2)
