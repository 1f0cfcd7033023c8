"""What the derived step is: which values it keeps, what it names, what it gives for unused leaves."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from rondo.ir import Graph, State, differentiate, size_of, trace
from rondo.ir.interpret import backpropagate, block_of, unroll
from rondo.ir.ops import OPS
from rondo.ir.serialize import from_json
from tests.golden.write_cells import FOLDER
from tests.ir.words import affine, call, project, recur, vector


def shipped(name: str) -> Graph:
    return from_json(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("cell", "kept"),
    [
        ("rnn", ["h"]),
        ("rnn_relu", ["h"]),
        ("lstm", ["i", "f", "g", "o", "s0"]),  # s0 is tanh(c)
        ("lstm_peephole", ["i", "f", "g", "c", "o", "s0"]),
        ("lstm_coupled", ["f", "g", "o", "s0"]),
        ("gru", ["r", "z", "s0", "n"]),  # s0 is U_n h + b'_n
        ("gru_reset_before", ["r", "z", "n"]),
        ("mgu", ["f", "n"]),
        ("indrnn", ["h"]),
        ("min_gru", ["z", "n"]),
    ],
)
def test_no_more_is_kept_than_hand_written_cells_keep(cell: str, kept: list[str]) -> None:
    assert list(differentiate(shipped(cell)).residuals) == kept


def test_what_is_cheap_is_computed_again() -> None:
    graph = shipped("gru")
    derivative = differentiate(graph)
    subtractions = [node for node in derivative.backward.nodes if node.op == "sub"]
    assert any(derivative.backward.nodes[node.args[0]].op == "const" for node in subtractions)
    kept = {graph.nodes[derivative.forward.outputs[name]].op for name in derivative.residuals}
    assert "sub" not in kept


@pytest.mark.parametrize("cell", [path.stem for path in sorted(FOLDER.glob("*.json"))])
def test_computed_again_instead_of_kept(cell: str) -> None:
    """Only what is no function of single units is kept then, and new states; the gradients are the same."""
    graph = shipped(cell)
    usual, lean = differentiate(graph), differentiate(graph, recompute=True)
    for name in lean.residuals:
        index = lean.forward.outputs[name]
        assert index in graph.outputs.values() or OPS[graph.nodes[index].op].kind in ("product", "reduce", "leaf")
    assert (lean.residuals == usual.residuals) == (cell in ("rnn", "rnn_relu", "indrnn"))
    heads = max(p.heads for p in graph.parameters)
    sizes, random = {"input": 3, "hidden": 2 * heads, "projection": 2}, np.random.default_rng(1)
    weights = {p.name: random.normal(size=p.shape(sizes)) for p in graph.parameters}
    widths = {name: graph.nodes[index].width for name, index in graph.leaves("state").items()}
    x = random.normal(size=(4, 5, 3))
    state = {name: random.uniform(0.5, 1.5, size=(4, size_of(width, sizes))) for name, width in widths.items()}
    arriving = [{"h": random.normal(size=state["h"].shape)} for _ in range(5)]
    found = []
    for derivative in (usual, lean):
        states, residuals = unroll(derivative, sizes, weights, x, state)
        found.append(backpropagate(derivative, sizes, weights, x, states, residuals, arriving))
    (of_x, of_state, of_weights), (of_x_too, of_state_too, of_weights_too) = found
    np.testing.assert_allclose(of_x_too, of_x, atol=1e-12)
    for one, other in ((of_state, of_state_too), (of_weights, of_weights_too)):
        for name, gradient in one.items():
            np.testing.assert_allclose(other[name], gradient, atol=1e-11)


@pytest.mark.parametrize("cell", ["lstm_layer_norm", "slstm", "gru"])
def test_the_backward_step_needs_nothing_but_its_leaves(cell: str) -> None:
    derivative = differentiate(shipped(cell))
    backward = derivative.backward
    assert set(backward.leaves("residual")) == set(derivative.residuals)
    assert set(backward.leaves("grad")) <= set(derivative.forward.leaves("state"))
    forward_only = {"tanh", "sigmoid", "exp", "log", "sqrt", "product"}
    assert not forward_only & {node.op for node in backward.nodes if node.op != "sigmoid"}
    ends = [name for name in backward.outputs if "." in name]
    assert set(ends) == {f"{p.name}.{block}" for p in backward.parameters for block in p.blocks}
    assert all(OPS[backward.nodes[backward.outputs[name]].op].kind == "gradient" for name in ends)


def test_leaves_that_nothing_depends_on_get_zeros() -> None:
    def forgetful(x: Any, h: Any, c: Any) -> State:
        return State(h=call("tanh", project("h", x)), c=call("tanh", project("c", x)))

    derivative, sizes = differentiate(trace(forgetful, {})), {"input": 2, "hidden": 3}
    random = np.random.default_rng(0)
    weights = {p.name: random.normal(size=p.shape(sizes)) for p in derivative.forward.parameters}
    x, state = random.normal(size=(4, 5, 2)), {name: random.normal(size=(4, 3)) for name in "hc"}
    states, residuals = unroll(derivative, sizes, weights, x, state)
    ones = [{"h": np.ones((4, 3))}] * 5
    gradient_x, first, _ = backpropagate(derivative, sizes, weights, x, states, residuals, ones)
    assert first["h"].shape == (4, 3)
    assert not first["h"].any()
    assert not first["c"].any()
    assert gradient_x.all()


def test_block_diagonal_matrices_are_written_out() -> None:
    graph = trace(lambda x, h: State(h=project("h", x) + recur("h", h, heads=2)), {})
    stored = np.arange(1.0, 9.0).reshape(4, 2)
    full = block_of(graph.parameter("weight_hh"), "h", {"input": 1, "hidden": 4}, {"weight_hh": stored})
    assert full.tolist() == [[1, 2, 0, 0], [3, 4, 0, 0], [0, 0, 5, 6], [0, 0, 7, 8]]


def test_values_of_vectors_alone_are_differentiated() -> None:
    """Nodes without a batch axis: their gradient is summed over the batch at the end, and only once."""

    def cell(x: Any, h: Any) -> State:
        decay = call("exp", -call("softplus", vector("a", 0.5))) * call("sigmoid", vector("b", (0.0, 1.0)))
        spread = vector("a", 0.5) - call("mean", vector("a", 0.5))
        return State(h=decay * h + project("h", x) * spread)

    derivative, sizes = differentiate(trace(cell, {})), {"input": 2, "hidden": 3}
    random = np.random.default_rng(1)
    weights = {p.name: random.normal(size=p.shape(sizes)) for p in derivative.forward.parameters}
    x, state = random.normal(size=(4, 3, 2)), {"h": random.normal(size=(4, 3))}
    upstream = random.normal(size=(4, 3))

    def loss(changed: dict[str, Any]) -> float:
        states, _ = unroll(derivative, sizes, changed, x, state)
        return float((states[-1]["h"] * upstream).sum())

    states, residuals = unroll(derivative, sizes, weights, x, state)
    outer = [{}, {}, {"h": upstream}]
    _, _, found = backpropagate(derivative, sizes, weights, x, states, residuals, outer)  # type: ignore[arg-type]
    for name in ("a", "b"):
        for position in range(3):
            moved = [{**weights, name: weights[name] + sign * 1e-6 * np.eye(3)[position]} for sign in (1, -1)]
            expected = (loss(moved[0]) - loss(moved[1])) / 2e-6
            assert found[name][position] == pytest.approx(expected, abs=1e-7), name


def test_derivatives_name_their_values() -> None:
    backward = differentiate(trace(lambda x, h: State(h=call("tanh", affine("h", x, h))), {})).backward
    assert list(backward.names) == ["grad_a_h"]
    assert set(backward.outputs) == {"x", "h", "weight_ih.h", "bias_ih.h", "weight_hh.h", "bias_hh.h"}
