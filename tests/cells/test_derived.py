"""The derived graphs, run by the interpreter, are what torch's autograd makes of the same equations."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rondo.cells import Cell, State, cell, get_cell, product, project, registry, tanh
from rondo.cells.torch_algebra import TORCH
from rondo.ir import Graph, Node
from rondo.ir.ops import OPS
from tests.cells.derived import SIZES, differences, make_run, variants
from tests.cells.random_cells import random_cell

CELLS = variants()
TOLERANCE = 1e-10
each_cell = pytest.mark.parametrize("name", CELLS)


@each_cell
def test_values_and_all_gradients(name: str) -> None:
    run = make_run(CELLS[name], seed=1)
    found = differences(run, CELLS[name].graph)
    assert max(found.values()) < TOLERANCE, found


@each_cell
def test_without_bias(name: str) -> None:
    run = make_run(CELLS[name], bias=False, seed=2)
    found = differences(run, CELLS[name].traced(bias=False))
    assert max(found.values()) < TOLERANCE, found


@pytest.mark.parametrize("name", [name for name, cell in CELLS.items() if cell.has_recurrent_product])
def test_with_a_recurrent_mask(name: str) -> None:
    run = make_run(CELLS[name], mask=True, seed=3)
    masked = differences(run, CELLS[name].traced(recurrent_dropout=True))
    assert max(masked.values()) < TOLERANCE, masked
    unmasked = differences(run, CELLS[name].graph)
    assert max(unmasked.values()) > 1e-3  # the mask does something


def test_cells_without_a_recurrent_product_are_scans() -> None:
    assert [name for name, cell in CELLS.items() if not cell.has_recurrent_product] == ["indrnn", "min_gru", "min_lstm"]
    assert [name for name, cell in CELLS.items() if cell.is_scan] == ["indrnn", "min_gru", "min_lstm"]

    @cell
    def hidden_product(x, h):
        return State(h=tanh(project("a", x) + product("v", h)))

    assert not hidden_product.has_recurrent_product
    assert not hidden_product.is_scan


@each_cell
def test_second_derivatives(name: str) -> None:
    run = make_run(CELLS[name], seed=4, steps=2)
    leaves = [run.x, *run.state.parts().values(), *run.weights.values()]

    def loss(*values: torch.Tensor) -> torch.Tensor:
        run.x, state, weights = values[0], values[1 : 1 + len(list(run.state))], values[1 + len(list(run.state)) :]
        run.state = State(**dict(zip(run.state, state, strict=True)))
        run.weights = dict(zip(run.weights, weights, strict=True))
        return torch.cat([part for after in run.unrolled() for part in after.parts().values()], 1)

    assert torch.autograd.gradgradcheck(loss, leaves, fast_mode=True)


@each_cell
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_a_graph_replays_to_the_last_bit(name: str, dtype: torch.dtype) -> None:
    run = make_run(CELLS[name], seed=5, mask=CELLS[name].has_recurrent_product)
    loaded = Cell.from_json(CELLS[name].to_json())
    run.weights = {key: weight.detach().to(dtype) for key, weight in run.weights.items()}
    run.x, run.state = run.x.detach().to(dtype), run.state.map(lambda part: part.detach().to(dtype))
    run.masks = {key: mask.to(dtype) for key, mask in run.masks.items()}
    original = run.unrolled()
    run.cell = loaded
    for one, other in zip(original, run.unrolled(), strict=True):
        for part in one:
            assert one.parts()[part].dtype == dtype
            assert torch.equal(one.parts()[part], other.parts()[part])
    assert loaded.traced().same_as(CELLS[name].graph)


@each_cell
def test_a_loaded_cell_is_the_same_in_all_that_is_known_of_it(name: str) -> None:
    original = CELLS[name]
    for other in (Cell.from_json(original.to_json()), pickle.loads(pickle.dumps(original))):
        assert other.graph == original.graph
        assert other.to_json() == original.to_json()
        assert (other.name, other.state_parts, other.state_widths) == (
            original.name, original.state_parts, original.state_widths,
        )  # fmt: skip
        assert other.traced(bias=False).same_as(original.traced(bias=False))
        assert other.traced(recurrent_dropout=True).same_as(original.traced(recurrent_dropout=True))
    assert copy.deepcopy(original) is original


def test_numbers_meet_tensors_in_the_tensors_type() -> None:
    """Neither a number's place nor its being folded may change the precision or the type of a result."""

    @cell
    def numbers(x, h):
        from rondo.cells import exp, maximum, project, recur, sigmoid, where

        a = project("a", x) + recur("a", h)
        chosen = where(a > 0.0, 0.1, 0.3)  # two numbers
        return State(h=sigmoid(0.3) * a + maximum(0.1, a) * exp(-0.7) + chosen)

    for dtype, tolerance in ((torch.float64, 1e-15), (torch.bfloat16, 2e-2)):
        run = make_run(numbers, seed=6, steps=1)
        exact = run.unrolled()[0].h
        run.weights = {key: weight.to(dtype) for key, weight in run.weights.items()}
        run.x, run.state = run.x.to(dtype), run.state.map(lambda part, dtype=dtype: part.to(dtype))
        found = run.unrolled()[0].h
        assert found.dtype == dtype
        assert (found.double() - exact).abs().max() <= tolerance * exact.abs().max()
    run = make_run(numbers, seed=6)
    assert max(differences(run, numbers.graph).values()) < TOLERANCE


def test_the_torch_algebra_has_the_language_s_ops_and_no_other() -> None:
    language = {op.name for op in OPS.values() if op.kind in ("elementwise", "compare")} | {"mean", "sum"}
    assert set(TORCH) == language


@pytest.mark.parametrize("op", TORCH)
def test_the_torch_algebra_computes_what_the_table_says(op: str) -> None:
    random = torch.Generator().manual_seed(7)
    values = [torch.randn(6, 5, generator=random, dtype=torch.float64) for _ in range(3)]
    values[1][0] = values[0][0]  # ties
    if op in ("log", "sqrt"):
        values[0] = values[0].abs()
    if op == "where":
        values[0] = values[0] > 0
    args = values[: OPS[op].arity]
    found = TORCH[op](*args)
    arrays = [value.numpy() for value in args]
    expected = OPS[op].evaluate(*arrays, *([5] if op in ("mean", "sum") else []))  # type: ignore[misc]
    assert torch.allclose(found.double(), torch.tensor(expected).double(), rtol=1e-14, atol=1e-15)


# Random cells.


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.data())
def test_random_cells(data: st.DataObject) -> None:
    made = random_cell(data)
    run = make_run(made, seed=8, steps=3)
    found = differences(run, made.graph)
    size = max(1.0, *(float(part.detach().abs().max()) for state in run.unrolled() for part in state.parts().values()))
    assert max(found.values()) < TOLERANCE * size**2, (found, made.to_json()["graph"]["nodes"])


# Mutations: what a mistake in the table, the derivative or the storage would look like.


def error_with(graph: Graph, name: str = "lstm", seed: int = 9) -> float:
    return max(differences(make_run(CELLS[name], seed=seed), graph).values())


def swap_blocks(graph: Graph, one: str, other: str) -> Graph:
    """The graph with two gates' rows exchanged in every stored array."""
    swapped = {one: other, other: one}
    parameters = tuple(replace(p, blocks=tuple(swapped.get(b, b) for b in p.blocks)) for p in graph.parameters)
    return replace(graph, parameters=parameters)


def test_the_mutations_start_from_a_sound_graph() -> None:
    assert error_with(CELLS["lstm"].graph) < TOLERANCE


@pytest.mark.parametrize(("one", "other"), [("i", "f"), ("g", "o"), ("i", "o")])
def test_mutation_two_gates_exchanged(one: str, other: str) -> None:
    assert error_with(swap_blocks(CELLS["lstm"].graph, one, other)) > 1e-3


def test_mutation_transposed_recurrent_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    def transposed(v, w):
        return v @ (w if w.shape[0] == w.shape[1] else w.T)

    monkeypatch.setitem(OPS, "product", replace(OPS["product"], evaluate=transposed))
    assert error_with(CELLS["lstm"].graph) > 1e-3


def test_mutation_recurrent_gradient_not_transposed(monkeypatch: pytest.MonkeyPatch) -> None:
    def straight(g, w):
        return g @ (w.T if w.shape[0] == w.shape[1] else w)

    monkeypatch.setitem(OPS, "product_t", replace(OPS["product_t"], evaluate=straight))
    assert error_with(CELLS["lstm"].graph) > 1e-3


DROPPED: dict[str, Callable[..., tuple[object, ...]]] = {
    "mul": lambda y, a, b, g: (g * b, None),
    "add": lambda y, a, b, g: (g, None),
    "sub": lambda y, a, b, g: (g, None),
    "product": lambda y, v, g: (None,),
}


@pytest.mark.parametrize("op", DROPPED)
@pytest.mark.parametrize("name", ["gru", "lstm_coupled"])
def test_mutation_a_gradient_term_dropped(op: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPS, op, replace(OPS[op], derive=DROPPED[op]))
    assert error_with(CELLS[name].graph, name) > 1e-3


def test_mutation_one_gate_with_the_wrong_function() -> None:
    graph = CELLS["gru"].graph
    index = graph.names["z"]
    nodes = list(graph.nodes)
    nodes[index] = Node("tanh", nodes[index].args, "hidden", True)
    assert error_with(replace(graph, nodes=tuple(nodes)), "gru") > 1e-3


def test_mutation_two_heads_read_as_one_block_order() -> None:
    graph = CELLS["slstm_2_heads"].graph
    four = tuple(replace(p, heads=4 if p.heads == 2 else p.heads) for p in graph.parameters)
    run = make_run(CELLS["slstm_2_heads"], seed=10)
    with pytest.raises(ValueError):
        differences(run, replace(graph, parameters=four))
    assert max(differences(run, graph).values()) < TOLERANCE


# Storage, against torch.nn.

TWINS = {
    "rnn": (torch.nn.RNN, {}, {}),
    "rnn_relu": (torch.nn.RNN, {"nonlinearity": "relu"}, {}),
    "lstm": (torch.nn.LSTM, {}, {}),
    "gru": (torch.nn.GRU, {}, {}),
    "lstm_projected": (torch.nn.LSTM, {"proj_size": 2}, {}),
}


@pytest.mark.parametrize("name", TWINS)
def test_parameters_have_torch_s_names_order_and_shapes(name: str) -> None:
    made, options, _ = TWINS[name]
    layer = made(SIZES["input"], SIZES["hidden"], **options)
    expected = {key.removesuffix("_l0"): tuple(value.shape) for key, value in layer.state_dict().items()}
    found = {p.name: p.shape(SIZES) for p in CELLS[name].parameters}
    assert list(found.items()) == list(expected.items())


STEPPERS = {"rnn": torch.nn.RNNCell, "lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell, "rnn_relu": torch.nn.RNNCell}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", STEPPERS)
def test_a_step_equals_torch_s_cell(name: str, bias: bool) -> None:
    options = {"nonlinearity": "relu"} if name == "rnn_relu" else {}
    theirs = STEPPERS[name](SIZES["input"], SIZES["hidden"], bias=bias, dtype=torch.float64, **options)  # type: ignore[arg-type]
    run = make_run(CELLS[name], bias=bias, seed=11, steps=1)
    theirs.load_state_dict({key: weight.detach() for key, weight in run.weights.items()})
    state = tuple(run.state.parts().values())
    expected = theirs(run.x[:, 0], state if len(state) > 1 else state[0])
    found = tuple(run.unrolled()[0].parts().values())
    for one, other in zip(found, expected if isinstance(expected, tuple) else (expected,), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-14)


def test_a_tap_sees_the_named_values() -> None:
    from rondo.cells import TorchAlgebra
    from rondo.ir import activate

    run = make_run(Cell.from_json(get_cell("gru").to_json()), seed=12)
    algebra = TorchAlgebra(run.cell.parameters, run.weights, run.sizes)
    algebra.taps = {}
    with activate(algebra):
        after = run.cell.function(run.x[:, 0], run.state.h)
    taps = algebra.taps
    assert set(taps) == {"r", "z", "n"}
    assert torch.allclose((1 - taps["z"]) * taps["n"] + taps["z"] * run.state.h, after.h)
    assert len(registry) == 16
