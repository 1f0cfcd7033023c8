"""The engine's operators as torch sees them: registered by its rules, differentiable, traceable, transformable."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from rondo.backends import BACKENDS
from rondo.backends.cpu.native import why_not
from rondo.cells import Cell, State, cell, get_cell, registry, sigmoid, tanh
from rondo.cells import affine as both
from rondo.layers import Recurrent
from rondo.testing.conformance import Case, all_cells, gradients, make_case
from rondo.testing.tolerances import assert_close

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

SITUATIONS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "reverse": ("reverse",),
    "lengths": ("lengths", "zoneout"),
    "everything": ("lengths", "reset", "initial", "masks", "zoneout", "reverse"),
}
SMALL = (3, 4, 2, 16)
"""A full panel of units: opcheck compares residuals, and lanes that fill up a panel hold anything."""


def through_the_operator(case: Case, monkeypatch: pytest.MonkeyPatch) -> tuple[Tensor, State]:
    """As where someone watches: not by the short way of eager mode."""
    monkeypatch.setattr("rondo.backends.cpu.eager.takes", lambda _: False)
    return case.run(BACKENDS["cpu"])


def arguments(case: Case, *, training: bool = True, outputs: bool = True, recompute: int = 0) -> tuple[Any, ...]:
    """What the operator is called with for a case without masks."""
    cell, options = case.cell, case.options
    parts = ("h", *(part for part in cell.state_parts if part != "h"))
    given = [case.state.parts()[part] for part in parts]
    fresh = [] if options.get("initial") is None else [options["initial"].parts()[part] for part in parts]
    lengths, reset = options.get("lengths"), options.get("reset")
    weights = list(case.weights.values())
    return (
        cell.key(), case.x, weights, given, fresh, [], lengths, reset, [-1.0] * len(parts), False,
        options["reverse"], recompute, training, outputs,
    )  # fmt: skip


@pytest.fixture
def filled() -> Iterator[None]:
    """Fresh memory is filled, so that residuals can be compared where nothing has a meaning."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("asked", [(), ("reverse",), ("lengths", "no_bias"), ("lengths", "reset", "initial")])
@pytest.mark.parametrize("name", ["lstm", "slstm"])
def test_opcheck(name: str, asked: tuple[str, ...]) -> None:
    case = make_case(get_cell(name), SMALL, asked).cast(torch.float64)
    torch.library.opcheck(torch.ops.rondo.unroll.default, arguments(case))
    with torch.no_grad():
        quiet = make_case(get_cell(name), SMALL, asked)
        for outputs in (True, False):
            torch.library.opcheck(torch.ops.rondo.unroll.default, arguments(quiet, training=False, outputs=outputs))


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("asked", [(), ("lengths", "reset", "initial", "reverse")], ids=["plain", "cut"])
@pytest.mark.parametrize("recompute", [0, -1, 3], ids=["never", "auto", "three"])
@pytest.mark.parametrize("outputs", [True, False], ids=["outputs", "last"])
def test_opcheck_of_what_is_computed_again(outputs: bool, recompute: int, asked: tuple[str, ...]) -> None:
    case = make_case(get_cell("lstm"), SMALL, asked).cast(torch.float64)
    torch.library.opcheck(torch.ops.rondo.unroll.default, arguments(case, outputs=outputs, recompute=recompute))
    if not recompute:
        return
    *run, training, _ = arguments(case, recompute=recompute)
    quiet = [[one.detach() for one in arg] if isinstance(arg, list) and arg and torch.is_tensor(arg[0]) else arg
             for arg in (run[0], run[1].detach(), *run[2:])]  # fmt: skip
    sequence, h, _, rest = torch.ops.rondo.unroll(*quiet, training, outputs)
    grads = [torch.randn_like(sequence), torch.randn_like(h)] if outputs else [torch.randn_like(h)]
    has = [outputs, True, False]
    torch.library.opcheck(torch.ops.rondo.unroll_backward.default, (*quiet, grads, has, True, None, rest))


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("asked", [(), ("lengths", "reset", "initial", "reverse")])
def test_opcheck_of_the_derivative(asked: tuple[str, ...]) -> None:
    case = make_case(get_cell("gru"), SMALL, asked).cast(torch.float64)
    *run, training, outputs = arguments(case)
    sequence, h, rest = torch.ops.rondo.unroll(*run, training, outputs)
    grads = [torch.randn_like(sequence), torch.randn_like(h)]
    operator = torch.ops.rondo.unroll_backward.default
    quiet = [[one.detach() for one in arg] if isinstance(arg, list) and arg and torch.is_tensor(arg[0]) else arg
             for arg in (run[0], run[1].detach(), *run[2:])]  # fmt: skip
    for has, needs_x in (([True, True], True), ([False, True], False)):
        given = [grad.detach() for grad, there in zip(grads, has, strict=True) if there]
        torch.library.opcheck(operator, (*quiet, given, has, needs_x, sequence.detach(), rest))
        # The derivative of the derivative is a loop over what stands in lengths: it runs, but is not traced.
        given = [grad.clone().requires_grad_() for grad in given]
        torch.library.opcheck(
            operator, (*run, given, has, needs_x, sequence.detach(), rest),
            test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
        )  # fmt: skip


@pytest.mark.parametrize("asked", SITUATIONS)
@pytest.mark.parametrize("name", all_cells())
def test_the_operator_computes_what_eager_mode_computes(name: str, asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the two is what the conformance suite holds against the definition."""
    if name == "min_gru" and asked == "everything":
        asked = "lengths"
    made = make_case(all_cells()[name], asked=SITUATIONS[asked])
    if "masks" in SITUATIONS[asked] and not made.cell.has_recurrent_product:
        del made.options["masks"]
    results = []
    for run in (lambda case: case.run(BACKENDS["cpu"]), lambda case: through_the_operator(case, monkeypatch)):
        case = made.cast(torch.float64)
        sequence, state = run(case)
        results.append({"sequence": sequence, **state.parts(), **gradients(case, sequence, state)})
    for key, value in results[0].items():
        assert torch.equal(results[1][key], value), key


@pytest.mark.parametrize("name", registry)
def test_gradcheck(name: str) -> None:
    case = make_case(registry[name], (2, 3, 2, 3), ("lengths", "reset", "initial")).cast(torch.float64)
    leaves = case.leaves()

    def run(*tensors: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(leaves, tensors, strict=True))
        states = [
            State(**{part: named[before + part] for part in case.cell.state_parts}) for before in ("", "initial_")
        ]
        options = {**case.options, "initial": states[1]}
        weights = {key: named[key] for key in case.weights}
        sequence, state = BACKENDS["cpu"].unroll(case.cell, weights, named["x"], states[0], **options)
        return sequence, *state.parts().values()

    assert torch.autograd.gradcheck(run, tuple(leaves.values()))


@pytest.mark.parametrize("path", ["eager", "operator"])
@pytest.mark.parametrize("options", [{}, {"lengths": [3, 1]}, {"zoneout": 0.2}], ids=["plain", "lengths", "zoneout"])
def test_second_derivatives(path: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    if path == "operator":
        monkeypatch.setattr("rondo.backends.cpu.eager.takes", lambda _: False)
    lengths = options.pop("lengths", None)
    layer = Recurrent("lstm", 2, 3, bidirectional=True, dtype=torch.float64, backend="cpu", **options).eval()
    x = torch.randn(2, 3, 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda value: layer(value, lengths=lengths).sequence, (x,))
    weight = layer.weight_hh_l0
    assert torch.autograd.gradgradcheck(
        lambda value: torch.func.functional_call(layer, {"weight_hh_l0": value}, (x.detach(),)).sequence,
        (weight.detach().requires_grad_(),),
    )


def test_a_penalty_on_gradients_trains_as_the_reference() -> None:
    found = []
    for backend in ("cpu", "reference"):
        torch.manual_seed(0)
        layer = Recurrent("gru", 3, 5, dtype=torch.float64, backend=backend)
        x = torch.randn(2, 4, 3, dtype=torch.float64).requires_grad_()
        (first,) = torch.autograd.grad(layer(x).sequence.square().sum(), x, create_graph=True)
        first.square().sum().backward()
        found.append([parameter.grad for parameter in layer.parameters()])
    for ours, theirs in zip(*found, strict=True):
        assert_close(ours, theirs, torch.float64, gradients=True)


def test_third_derivatives() -> None:
    layer = Recurrent("rnn", 1, 2, dtype=torch.float64, backend="cpu")
    reference = Recurrent("rnn", 1, 2, dtype=torch.float64, backend="reference")
    reference.load_state_dict(layer.state_dict())
    x = torch.randn(1, 3, 1, dtype=torch.float64)

    def third(run: Recurrent) -> Tensor:
        leaf = x.clone().requires_grad_()
        value = run(leaf).sequence.sum()
        for _ in range(3):
            (gradient,) = torch.autograd.grad(value, leaf, create_graph=True)
            value = gradient.sum()
        return value

    assert_close(third(layer), third(reference), torch.float64, gradients=True)


def test_without_training_nothing_is_kept_and_the_derivative_says_so() -> None:
    case = make_case(get_cell("gru"), SMALL).cast(torch.float32)
    *outputs, rest = torch.ops.rondo.unroll(*arguments(case, training=False))
    assert rest.numel() == 0
    with pytest.raises(RuntimeError, match="nothing was kept"):
        outputs[0].sum().backward()


@cell
def memory_first(x, c, h):
    """The output is not the first part of the state."""
    i = sigmoid(both("i", x, h))
    c = (1 - i) * c + i * tanh(both("g", x, h))
    return State(c=c, h=i * tanh(c))


@pytest.mark.parametrize("asked", SITUATIONS)
def test_the_output_is_h_wherever_it_stands(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_case(memory_first, asked=SITUATIONS[asked])
    runs: list[Callable[[Case], Any]] = [
        lambda case: case.run(BACKENDS["reference"]),
        lambda case: case.run(BACKENDS["cpu"]),
        lambda case: through_the_operator(case, monkeypatch),
    ]
    results = []
    for run in runs:
        case = made.cast(torch.float64)
        sequence, state = run(case)
        results.append({"sequence": sequence, **state.parts(), **gradients(case, sequence, state)})
    for other in results[1:]:
        for key, value in results[0].items():
            assert_close(other[key], value, torch.float64, what=key, gradients=True)


def test_a_key_is_of_the_equations() -> None:
    """By it operators find the cell; it must not stand for two."""
    keys = {made.key() for made in all_cells().values()}
    assert len(keys) == len(all_cells())
    assert all(Cell.of_key(made.key()).graph == made.graph for made in all_cells().values())
    read = Cell.from_json(get_cell("mgu").to_json())
    assert read.key() == get_cell("mgu").key()
    assert pickle.loads(pickle.dumps(memory_first)).key() == memory_first.key()
