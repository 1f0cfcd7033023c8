"""Sizes and layouts at the edge, memory, and copies of layers."""

from __future__ import annotations

import copy
import io
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import rondo.nn
from rondo.backends import BACKENDS, Backend
from rondo.backends.cpu.native import engine_module, why_not
from rondo.cells import State, affine, cell, get_cell, mean, product, registry, tanh
from rondo.errors import UsageError
from rondo.layers import Recurrent
from rondo.testing.conformance import Case, gradients, make_case
from rondo.testing.tolerances import assert_close

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

CPU, REFERENCE = BACKENDS["cpu"], BACKENDS["reference"]


Results = dict[str, Tensor]


def results_of(case: Case, backend: Backend) -> Results:
    own = case.cast(torch.float64)
    sequence, state = own.run(backend)
    parts = {f"state {part}": value for part, value in state.parts().items()}
    return {"sequence": sequence, **parts, **gradients(own, sequence, state)}


def agree(found: Results, expected: Results) -> None:
    for name, value in expected.items():
        assert_close(found[name], value, torch.float64, what=name, gradients=True)


SHAPES = {"chunks": (7, 60, 4, 20), "long": (1, 400, 3, 40), "many": (40, 12, 5, 33), "panels": (3, 5, 70, 130)}


@pytest.mark.parametrize("asked", [(), ("reverse",), ("lengths", "reset", "initial")], ids=["plain", "reverse", "cut"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["gru", "lstm_projected", "gru_reset_before", "lstm_layer_norm", "slstm", "min_lstm"])
def test_many_chunks_tiles_and_threads(name: str, shape: str, asked: tuple[str, ...]) -> None:
    case = make_case(registry[name], SHAPES[shape], asked)
    expected = results_of(case, REFERENCE)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            agree(results_of(case, CPU), expected)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", registry)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 1, 3, 5), (1, 3, 1, 1)], ids=["ones", "one-step", "one-unit"])
def test_ones(name: str, shape: tuple[int, int, int, int]) -> None:
    case = make_case(registry[name], shape)
    agree(results_of(case, CPU), results_of(case, REFERENCE))


@cell
def averaging(x, h):
    """Nothing is learned."""
    return State(h=0.9 * h + 0.1 * mean(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_cell_without_arrays(dtype: torch.dtype) -> None:
    x = torch.randn(3, 6, 4, dtype=dtype, requires_grad=True)
    state = State(h=torch.randn(3, 5, dtype=dtype))
    found, expected = (backend.unroll(averaging, {}, x, state)[0] for backend in (CPU, REFERENCE))
    assert_close(found, expected, dtype)
    of_x = [torch.autograd.grad(y.square().sum(), x)[0] for y in (found, expected)]
    assert_close(*of_x, dtype, gradients=True)


@cell
def one_source(x, h):
    """Products of one value with matrices of two heights."""
    a = tanh(affine("a", x, h))
    return State(h=tanh(product("up", product("down", a, to="projection")) + product("same", a) + affine("b", x, a)))


@pytest.mark.parametrize("sizes", [(1, 2), (40, 3), (3, 40), (20, 33)], ids=str)
@pytest.mark.parametrize(("B", "T"), [(1, 1), (2, 5), (20, 30)])
def test_matrices_of_different_heights_with_one_source(B: int, T: int, sizes: tuple[int, int]) -> None:
    all_sizes = {"input": 3, "hidden": sizes[0], "projection": sizes[1]}
    random = torch.Generator().manual_seed(0)

    def leaf(*shape: int) -> Tensor:
        return (0.1 * torch.randn(*shape, generator=random, dtype=torch.float64)).requires_grad_()

    weights = {p.name: leaf(*p.shape(all_sizes)) for p in one_source.parameters}
    x, state = leaf(B, T, 3), State(h=leaf(B, sizes[0]))
    results = []
    for backend in (CPU, REFERENCE):
        sequence, _ = backend.unroll(one_source, weights, x, state)
        results.append([sequence, *torch.autograd.grad(sequence.square().sum(), [x, state.h, *weights.values()])])
    for ours, theirs in zip(*results, strict=True):
        assert_close(ours, theirs, torch.float64, gradients=True)


@pytest.mark.parametrize("asked", [(), ("lengths",), ("reset", "initial")], ids=["plain", "lengths", "reset"])
@pytest.mark.parametrize(("B", "T"), [(0, 4), (3, 0), (0, 0)])
def test_nothing(B: int, T: int, asked: tuple[str, ...]) -> None:
    """The state and its gradient pass through; the weights' gradients are zero."""
    case = make_case(get_cell("lstm"), (3, 4, 2, 5), asked).cast(torch.float64)
    case.x = case.x[:B, :T]
    case.state = case.state.select(slice(B))
    options = {"reverse": False}
    if "lengths" in asked:
        options["lengths"] = torch.zeros(B, dtype=torch.int64)
    if "reset" in asked:
        options["reset"] = case.options["reset"][:B, :T]
    sequence, state = CPU.unroll(case.cell, case.weights, case.x, case.state, **options)
    assert sequence.shape == (B, T, 5)
    assert torch.equal(state.h, case.state.h)
    leaves = [case.x, case.state.h, *case.weights.values()]
    found = torch.autograd.grad(state.h.sum() + sequence.sum(), leaves, allow_unused=True)
    assert torch.equal(found[1], torch.ones(B, 5, dtype=torch.float64))
    assert not any(gradient.any() for gradient in (found[0], *found[2:]) if gradient is not None)


def strided(x: Tensor, how: str) -> Tensor:
    """The same values, lying otherwise in memory."""
    if x.dim() < 3:
        return strided(x[None], how)[0]
    B, T, I = x.shape
    if how == "time first":
        return x.transpose(0, 1).contiguous().transpose(0, 1)
    if how == "units apart":
        return torch.stack([x, x * 0 + 9], 3)[..., 0]
    if how == "misaligned":
        whole = torch.empty(x.numel() + 1, dtype=x.dtype)
        return whole[1:].view(B, T, I).copy_(x)
    if how == "misaligned bytes":
        raw = torch.empty(x.numel() * x.element_size() + 64, dtype=torch.uint8)
        odd = torch.frombuffer(memoryview(raw.numpy())[4:], dtype=x.dtype, count=x.numel())
        return odd.view(B, T, I).copy_(x)
    if how == "steps apart":
        return torch.cat([x, x * 0 + 9], 2)[:, :, :I]
    return x.flip(1).flip(1)


LAYOUTS = ["time first", "units apart", "misaligned", "misaligned bytes", "steps apart"]


@pytest.mark.parametrize("how", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_layouts_in_memory(how: str, dtype: torch.dtype) -> None:
    case = make_case(get_cell("lstm"), (3, 5, 4, 18)).cast(dtype)
    expected, state = case.run(CPU)
    wanted = gradients(case, expected, state)
    values = [strided(value.detach(), how) for value in case.weights.values()]
    weights = dict(zip(case.weights, values, strict=True))
    other = Case(case.cell, case.sizes, weights, strided(case.x.detach(), how),
                 case.state.map(lambda part: strided(part.detach(), how)), case.options)  # fmt: skip
    for leaf in other.leaves().values():
        leaf.requires_grad_()
    sequence, after = other.run(CPU)
    assert torch.equal(sequence, expected)
    for name, gradient in gradients(other, sequence, after).items():
        assert torch.equal(gradient, wanted[name]), name


def test_gradients_that_arrive_in_any_layout() -> None:
    layer = Recurrent("gru", 3, 7, dtype=torch.float64, backend="cpu")
    x = torch.randn(4, 5, 3, dtype=torch.float64).requires_grad_()
    grad = torch.randn(4, 5, 7, dtype=torch.float64)
    (expected,) = torch.autograd.grad(layer(x).sequence, x, grad)
    for how in LAYOUTS:
        (found,) = torch.autograd.grad(layer(x).sequence, x, strided(grad, how))
        assert torch.equal(found, expected), how
    (ones,) = torch.autograd.grad(layer(x).sequence.sum(), x)  # of which one number is all there is in memory
    (others,) = torch.autograd.grad(layer(x).sequence, x, torch.ones_like(grad))
    assert torch.equal(ones, others)


def test_one_tensor_in_several_places() -> None:
    """The state is part of x's memory, both parts of the state are one tensor, and two matrices are one."""
    cell = get_cell("lstm")
    found = []
    for backend in (CPU, REFERENCE):
        torch.manual_seed(0)
        w = torch.randn(20, 5, dtype=torch.float64).mul(0.3).requires_grad_()
        b = torch.randn(20, dtype=torch.float64).requires_grad_()
        x = torch.randn(3, 4, 5, dtype=torch.float64).requires_grad_()
        weights = {"weight_ih": w, "weight_hh": w, "bias_ih": b, "bias_hh": b}
        sequence, state = backend.unroll(cell, weights, x, State(h=x[:, 1], c=x[:, 1]))
        total = sequence.square().sum() + state.c.sum()
        found.append([sequence, *torch.autograd.grad(total, [w, b, x])])
    for ours, theirs in zip(*found, strict=True):
        assert_close(ours, theirs, torch.float64, gradients=True)


def test_outputs_changed_in_place_are_noticed() -> None:
    """Outputs are what the backward pass reads: as for torch's own fused layers, a change is an error."""
    layer = Recurrent("gru", 3, 7, backend="cpu")
    sequence = layer(torch.randn(2, 4, 3)).sequence
    sequence.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        sequence.sum().backward()


@pytest.mark.parametrize("lengths", [None, [4, 0, 2]], ids=["whole", "lengths"])
@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_saved_tensors_may_be_moved(name: str, lengths: list[int] | None) -> None:
    """Hooks that pack what is saved: the states then no longer lie where the outputs are part of them."""
    layer = Recurrent(name, 3, 7, bidirectional=True, dtype=torch.float64, backend="cpu")
    x = torch.randn(3, 4, 3, dtype=torch.float64)
    found = []
    for hooked in (False, True):
        pack = (lambda t: t.clone(memory_format=torch.contiguous_format)) if hooked else (lambda t: t)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            total = layer(x, lengths=lengths).sequence.square().sum()
        found.append(torch.autograd.grad(total, list(layer.parameters())))
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours, theirs)


def test_sizes_beyond_what_is_counted_and_beyond_memory() -> None:
    cell = get_cell("gru")
    weights = {p.name: torch.randn(p.shape({"input": 1, "hidden": 1})) for p in cell.parameters}
    many = 1 << 31
    with pytest.raises(UsageError, match="too large"):
        CPU.unroll(cell, weights, torch.zeros(1, 1, 1).expand(1, many, 1), State(h=torch.zeros(1, 1)))
    wide = {p.name: torch.randn(p.shape({"input": 1, "hidden": 64})) for p in cell.parameters}
    x = torch.zeros(1, 1, 1).expand(1 << 15, 1 << 15, 1)  # 2^30 steps of 64 units: 256 GiB
    with pytest.raises((MemoryError, RuntimeError), match=r"(?i)memory|bad_alloc|bad allocation"):
        _with_little_memory(lambda: CPU.unroll(cell, wide, x, State(h=torch.zeros(1 << 15, 64))))
    sequence, _ = CPU.unroll(cell, wide, torch.zeros(2, 3, 1), State(h=torch.zeros(2, 64)))
    assert sequence.isfinite().all()


def _with_little_memory(run: Any) -> None:
    """A machine that promises more memory than it has would stop the process instead of raising."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 37, before[1]))
    try:
        run()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


FAR = 1 << 31  # elements, as counted by an int
DISTANCES = {"sequences": (FAR + 9, 64), "steps": (64, FAR + 9), "many steps": (64, 1 << 27)}
"""From sequence to sequence, and from step to step."""


@pytest.mark.skipif(os.name == "nt", reason="a file with holes takes no space only where the system has such files")
@pytest.mark.parametrize("asked", [(), ("reverse",), ("lengths", "reset")], ids=["plain", "reverse", "cut"])
@pytest.mark.parametrize("far", DISTANCES)
@pytest.mark.parametrize("name", ["gru", "min_gru"])
def test_arrays_that_go_on_beyond_what_an_int_counts(
    name: str, far: str, asked: tuple[str, ...], tmp_path: Path
) -> None:
    """x and the gradients of the outputs lie in files that are all holes, but for the pages that are written."""
    B, T = {"sequences": (3, 40), "steps": (18, 3), "many steps": (18, 25)}[far]
    case = make_case(get_cell(name), (B, T, 5, 20), asked).cast(torch.float32)
    dy = torch.randn(B, T, 20, generator=torch.Generator().manual_seed(1))

    def results(x: Tensor, arriving: Tensor) -> list[Tensor]:
        leaf = x.detach().requires_grad_()
        sequence, state = CPU.unroll(case.cell, case.weights, leaf, case.state, **case.options)
        of = [leaf, *case.state.parts().values(), *case.weights.values()]
        found = torch.autograd.grad([sequence, state.h], of, [arriving, torch.ones_like(state.h)])
        with torch.no_grad():
            _, last = CPU.unroll(case.cell, case.weights, leaf, case.state, **case.options, outputs=False)
        return [sequence, state.h, last.h, *found]

    expected = results(case.x, dy)
    distances = DISTANCES[far]
    with (
        far_apart(tmp_path / "x", case.x.detach(), distances) as far_x,
        far_apart(tmp_path / "dy", dy, distances) as far_dy,
    ):
        for ours, theirs in zip(results(far_x, far_dy), expected, strict=True):
            assert torch.equal(ours, theirs)


@contextmanager
def far_apart(path: Path, x: Tensor, distances: tuple[int, int]) -> Iterator[Tensor]:
    """The same values with these strides, in a file that is as large as that takes."""
    B, T, I = x.shape
    elements = (B - 1) * distances[0] + (T - 1) * distances[1] + I
    assert elements > FAR
    try:
        whole = torch.from_file(str(path), shared=True, size=elements, dtype=x.dtype)
    except RuntimeError as error:
        pytest.skip(f"there is no file of {elements * x.element_size():,} bytes here, not even an empty one: {error}")
    try:
        yield whole.as_strided((B, T, I), (*distances, 1)).copy_(x)
    finally:
        path.unlink()


def test_memory_is_given_back() -> None:
    module: Any = engine_module()
    layer = Recurrent("lstm", 16, 64, backend="cpu")
    x = torch.randn(8, 200, 16)
    layer(x).sequence.sum().backward()
    before = module.memory()[0]
    output = layer(x)
    assert module.memory()[0] > before
    output.sequence.sum().backward()
    del output
    assert module.memory()[0] == before


def test_copies_and_pickles() -> None:
    x = torch.randn(2, 5, 3)
    for layer in (Recurrent("lstm_peephole", 3, 6, layers=2, backend="cpu"), rondo.nn.GRU(3, 6, batch_first=True)):
        expected = layer(x)[0]
        saved = io.BytesIO()
        torch.save(layer, saved)
        saved.seek(0)
        for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), torch.load(saved, weights_only=False)):
            assert torch.equal(other(x)[0], expected)
            other(x)[0].sum().backward()
        assert all(parameter.grad is None for parameter in layer.parameters())


WRONG = {
    "few rows": lambda weight: torch.zeros(3, 3),
    "columns": lambda weight: torch.zeros(weight.shape[0], 7),
    "a vector": lambda weight: torch.zeros(weight.shape[0]),
    "float64": Tensor.double,
    "half": Tensor.half,
    "nothing in it": lambda weight: weight.to("meta"),
}


@pytest.mark.parametrize("where", ["forward", "training", "recomputed", "inspect", "torch.nn's form", "functional"])
@pytest.mark.parametrize("name", ["weight_ih_l0", "weight_hh_l0"])
@pytest.mark.parametrize("wrong", WRONG)
def test_weights_that_do_not_fit_are_refused(wrong: str, name: str, where: str) -> None:
    # They are read by address: what lies behind one that is too small would be taken for it.
    recompute = 2 if where == "recomputed" else None
    layer: Any = Recurrent("gru", 4, 300, backend="cpu", recompute_steps=recompute)
    if where == "torch.nn's form":
        layer = rondo.nn.GRU(4, 300, batch_first=True)
        layer.backend = "cpu"
    x = torch.randn(3, 5, 4)
    weight = WRONG[wrong](getattr(layer, name).detach())
    parameters = {name: weight}
    if where != "functional":
        setattr(layer, name, torch.nn.Parameter(weight))
        parameters = {}
    refused = (UsageError, RuntimeError, ValueError) if where == "torch.nn's form" else UsageError
    with torch.set_grad_enabled(where in ("training", "recomputed")), pytest.raises(refused):
        layer.inspect(x) if where == "inspect" else torch.func.functional_call(layer, parameters, (x,))


def test_what_an_operator_is_given_fits() -> None:
    layer, x = Recurrent("gru", 4, 300, backend="cpu"), torch.randn(3, 5, 4)
    weights = list(layer.parameters())

    def run(h: Tensor, lengths: Tensor | None = None, reset: Tensor | None = None) -> None:
        torch.ops.rondo.unroll(
            layer.cell.key(), x, weights, [h], [], [], lengths, reset, [-1.0], False, False, 0, False, True
        )

    run(torch.zeros(3, 300), torch.tensor([5, 0, 2]), torch.zeros(3, 5, dtype=torch.bool))
    for given in [
        (torch.zeros(1, 300),),
        (torch.zeros(3, 2),),
        (torch.zeros(3, 300, dtype=torch.float64),),
        (torch.zeros(3, 300), torch.tensor([5, 2])),
        (torch.zeros(3, 300), torch.tensor([5, 2, 6])),
        (torch.zeros(3, 300), None, torch.zeros(1, 5, dtype=torch.bool)),
    ]:
        with pytest.raises(UsageError):
            run(*given)
