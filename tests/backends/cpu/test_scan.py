"""The recurrence alone: of cells without a product with their state, from pre-activations that are given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rondo.backends import BACKENDS
from rondo.backends.cpu.describe import describe
from rondo.backends.cpu.interpret import Shape, run_backward, run_forward
from rondo.backends.cpu.native import why_not
from rondo.backends.cpu.plan import Code
from rondo.backends.cpu.scan import scan, scan_for
from rondo.cells import Cell, State, cell, get_cell, mean, project, recur, registry, sigmoid, tanh, vector
from rondo.errors import UsageError
from rondo.testing.tolerances import assert_close

REFERENCE = BACKENDS["reference"]
needs_engine = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@cell
def two_parts(x, c, h):
    """The output is the second part, and the first is read backward."""
    c = sigmoid(project("f", x)) * c + project("g", x)
    return State(h=tanh(c) * h + vector("p", init=(0.1, 0.9)) * c, c=c)


@cell
def averaging(x, h, c):
    """Units see each other through a mean: steps cannot be run unit by unit."""
    f = sigmoid(project("f", x) + vector("p", init=(0.1, 0.9)) * c)
    c = f * c + (1 - f) * project("g", x)
    return State(h=tanh(project("o", x)) * mean(c * c) + 0.5 * h, c=c)


@cell
def without_bias(x, h):
    """Two sums with x that are used twice."""
    a = project("a", x)
    return State(h=sigmoid(a) * h + (1 - a) * project("b", x))


@cell
def reading(x, h):
    """x enters by itself, too."""
    return State(h=sigmoid(project("a", x)) * h + mean(x))


@cell
def multiplying(x, h):
    """No scan at all."""
    return State(h=tanh(project("a", x) + recur("a", h)))


SCANS = [*(one for one in registry.values() if one.is_scan), two_parts, averaging, without_bias]
SHAPES = {"odd": (5, 7, 19), "panels": (4, 30, 64), "one": (1, 1, 1), "rows": (17, 40, 48), "long": (1, 200, 32)}


class Run:
    """A cell with random arrays, by the scan and by the reference."""

    def __init__(self, made: Cell, shape: tuple[int, int, int], dtype: torch.dtype = torch.float64) -> None:
        random = torch.Generator().manual_seed(11)
        self.cell, (B, T, H) = made, shape

        def normal(*of: int, scale: float = 1.0) -> Tensor:
            return (scale * torch.randn(*of, generator=random, dtype=torch.float64)).to(dtype).requires_grad_()

        self.weights = {p.name: normal(*p.shape({"input": 3, "hidden": H}), scale=0.5) for p in made.parameters}
        self.x = normal(B, T, 3)
        self.state = State(**{part: normal(B, H) for part in made.state_parts})
        self.dy, self.ends = normal(B, T, H).detach(), [normal(B, H).detach() for _ in made.state_parts]

    def sums(self) -> Tensor:
        return F.linear(self.x, self.weights["weight_ih"], self.weights["bias_ih"])

    def scanned(self, given: Tensor) -> tuple[Tensor, State]:
        return scan(self.cell, {p.name: self.weights[p.name] for p in scan_for(self.cell).vectors}, given, self.state)

    def results(self, given: Tensor | None) -> dict[str, Tensor]:
        """Outputs, ends, and gradients of everything, by the reference if nothing is given."""
        if given is None:
            sequence, end = REFERENCE.unroll(self.cell, self.weights, self.x, self.state)
        else:
            sequence, end = self.scanned(given)
        parts = {part: end.parts()[part] for part in self.cell.state_parts}
        total = (sequence * self.dy).sum() + sum((v * e).sum() for v, e in zip(parts.values(), self.ends, strict=True))
        leaves = {**self.weights, "x": self.x, **self.state.parts()}
        found = torch.autograd.grad(total, list(leaves.values()))
        gradients = {f"gradient of {name}": value for name, value in zip(leaves, found, strict=True)}
        return {"outputs": sequence, **{f"final {part}": value for part, value in parts.items()}, **gradients}


def agree(found: dict[str, Tensor], expected: dict[str, Tensor], dtype: torch.dtype) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert_close(found[name], value, dtype, what=name, gradients=name.startswith("gradient"))


@needs_engine
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("made", SCANS, ids=lambda made: made.name)
def test_is_what_the_reference_computes(made: Cell, shape: str) -> None:
    run = Run(made, SHAPES[shape])
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            agree(run.results(run.sums()), run.results(None), torch.float64)
    finally:
        torch.set_num_threads(before)


@needs_engine
@pytest.mark.parametrize("H", [1040, 1033])
def test_more_than_caches_hold(H: int) -> None:
    """Outputs and gradients of 8 MB and more go past the caches; rows of more panels than a tile has."""
    run = Run(get_cell("min_gru"), (4, 640, H), torch.float32)
    agree(run.results(run.sums()), run.results(None), torch.float32)


@needs_engine
def test_layouts_do_not_matter() -> None:
    """Sums with time first or among others in memory, and one gradient for all outputs."""
    run = Run(get_cell("min_lstm"), (6, 9, 32))
    expected = run.results(run.sums())
    agree(run.results(run.sums().transpose(0, 1).contiguous().transpose(0, 1)), expected, torch.float64)
    agree(run.results(torch.stack([run.sums()] * 2, 3)[..., 1]), expected, torch.float64)
    one = torch.autograd.grad(run.scanned(run.sums())[0].sum(), run.x)
    assert_close(one[0], torch.autograd.grad((run.scanned(run.sums())[0] * 1.0).sum(), run.x)[0], torch.float64)


@needs_engine
def test_in_pieces() -> None:
    run = Run(two_parts, (3, 12, 16))
    whole, end = run.scanned(run.sums())
    first, run.state = run.scanned(run.sums()[:, :5])
    second, last = run.scanned(run.sums()[:, 5:])
    assert_close(torch.cat([first, second], 1), whole, torch.float64)
    assert_close(last.c, end.c, torch.float64)


@needs_engine
@pytest.mark.parametrize("shape", [(0, 4, 5), (3, 0, 5)], ids=["nobody", "no-steps"])
def test_nothing_to_do(shape: tuple[int, int, int]) -> None:
    run = Run(two_parts, shape)
    sequence, end = run.scanned(run.sums())
    assert sequence.shape == shape
    assert torch.equal(end.c, run.state.c)
    gradient = torch.autograd.grad((end.c * run.ends[0]).sum(), run.state.c)[0]
    assert torch.equal(gradient, run.ends[0])


@needs_engine
def test_no_gradient_no_graph() -> None:
    run = Run(get_cell("min_gru"), (3, 4, 5))
    with torch.no_grad():
        sequence, _ = run.scanned(run.sums())
    assert not sequence.requires_grad
    assert_close(sequence, run.scanned(run.sums())[0], torch.float64)


@pytest.mark.parametrize("made", SCANS, ids=lambda made: made.name)
def test_plans_mean_the_same(made: Cell) -> None:
    """The plans in NumPy: the definition."""
    run, plans = Run(made, (3, 4, 19)), scan_for(made).plans
    expected, H = run.results(None), 19
    names = [f"a_{block}" for block in scan_for(made).blocks]
    sums = run.sums().transpose(0, 1)
    given = {name: sums[..., i * H : (i + 1) * H].detach().numpy() for i, name in enumerate(names)}
    sizes, weights = {"hidden": H}, {p.name: run.weights[p.name].detach().numpy() for p in scan_for(made).vectors}
    state = {part: value.detach().numpy() for part, value in run.state.parts().items()}
    forward = run_forward(plans.forward, sizes, weights, given, state, shape=Shape(3, 2, 1))
    np.testing.assert_allclose(forward.states["h"][1:], expected["outputs"].transpose(0, 1).detach(), atol=1e-12)
    assert plans.backward is not None
    ends = {part: end.numpy() for part, end in zip(made.state_parts, run.ends, strict=True)}
    backward = run_backward(
        plans.backward, sizes, weights, given, forward, ends, dy=run.dy.transpose(0, 1).numpy(), shape=Shape(3, 2, 1)
    )
    x = run.x.detach().transpose(0, 1).numpy()
    matrix = np.concatenate([np.einsum("tbh,tbi->hi", backward.inputs[name], x) for name in names])
    np.testing.assert_allclose(matrix, expected["gradient of weight_ih"], atol=1e-11)
    for part in made.state_parts:
        np.testing.assert_allclose(backward.state[part], expected[f"gradient of {part}"], atol=1e-11)
    for name, gradient in backward.weights.items():
        np.testing.assert_allclose(gradient, expected[f"gradient of {name}"], atol=1e-11)


@pytest.mark.parametrize("name", ["min_gru", "min_lstm", "indrnn"])
def test_nothing_is_kept_but_what_is_there(name: str) -> None:
    plans = scan_for(get_cell(name)).plans
    for plan in (plans.forward, plans.backward):
        assert plan is not None
        assert (plan.kept, plan.work) == ({}, {}), describe(plan)


def test_one_function_for_two_gates() -> None:
    """min_lstm's gates with their common sum, out of eight functions."""
    (stage,) = scan_for(get_cell("min_lstm")).plans.forward.stages
    assert [one.code for one in stage.code] == [Code.SHARE, Code.MUL_COMPLEMENT, Code.FMA]


def test_what_is_no_scan() -> None:
    given, state = torch.zeros(2, 3, 4), State(h=torch.zeros(2, 4))
    with pytest.raises(UsageError, match="besides one matrix with x"):
        scan(multiplying, {}, given, state)
    if why_not() is None:
        with pytest.raises(UsageError, match="reads x besides"):
            scan(reading, {}, given, state)


@needs_engine
def test_bad_input_is_told() -> None:
    made, state = get_cell("min_gru"), State(h=torch.zeros(2, 4))
    with pytest.raises(UsageError, match=r"expected \(2, time, 2 \* 4\), for z, h"):
        scan(made, {}, torch.zeros(2, 3, 4), state)
    with pytest.raises(UsageError, match=r"expected \(2, time"):
        scan(made, {}, torch.zeros(3, 3, 8), state)
    with pytest.raises(UsageError, match="float32 or float64"):
        scan(made, {}, torch.zeros(2, 3, 8).half(), State(h=torch.zeros(2, 4).half()))
    with pytest.raises(UsageError, match="all of one kind"):
        scan(made, {}, torch.zeros(2, 3, 8).double(), state)
