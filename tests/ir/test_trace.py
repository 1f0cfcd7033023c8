"""Tracing without torch: parameters, widths, names, variants; and that no torch is needed at all."""

from __future__ import annotations

import cProfile
import subprocess
import sys
from typing import Any

import pytest

from rondo.errors import CellError
from rondo.ir import State, active_algebra, trace
from rondo.ir.passes import after_state, simplify
from rondo.ir.verify import verify
from tests.ir.words import affine, call, project, recur, vector


def gru(x: Any, h: Any) -> State:
    r = call("sigmoid", affine("r", x, h))
    z = call("sigmoid", affine("z", x, h))
    n = call("tanh", project("n", x) + r * recur("n", h))
    return State(h=(1 - z) * n + z * h)


def test_parameters_are_stored_as_torch_stores_them() -> None:
    stored = trace(gru, {}).parameters
    assert [p.name for p in stored] == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    assert all(p.blocks == ("r", "z", "n") for p in stored)
    sizes = {"input": 3, "hidden": 5}
    assert [p.shape(sizes) for p in stored] == [(15, 3), (15, 5), (15,), (15,)]
    assert stored[0].block_rows("z", sizes) == slice(5, 10)


def test_names_are_those_of_local_variables() -> None:
    graph = trace(gru, {})
    assert list(graph.names) == ["r", "z", "n"]
    assert graph.nodes[graph.names["n"]].op == "tanh"


def test_without_bias() -> None:
    graph = trace(gru, {}, bias=False)
    assert [p.name for p in graph.parameters] == ["weight_ih", "weight_hh"]
    assert "bias" not in {node.op for node in graph.nodes}


def test_recurrent_dropout_masks_what_enters_each_recurrent_product() -> None:
    graph = trace(gru, {}, recurrent_dropout=True)
    (mask,) = graph.leaves("mask").values()
    entering = [node.args[0] for node in graph.nodes if node.op == "product" and node["parameter"] == "weight_hh"]
    assert len(entering) == 3
    assert all(mask in graph.nodes[index].args for index in entering)
    assert sum(node.op == "mul" and mask in node.args for node in graph.nodes) == 1  # the same for all gates


def test_widths_of_the_state_are_found() -> None:
    def projected(x: Any, h: Any, c: Any) -> State:
        c = call("tanh", affine("g", x, h)) + c
        return State(h=active_algebra().linear("weight_hr", "hr", c, to="projection"), c=c)

    graph = trace(projected, {})
    assert {name: graph.nodes[index].width for name, index in graph.leaves("state").items()} == {
        "h": "projection", "c": "hidden",
    }  # fmt: skip
    assert graph.parameter("weight_hh").columns == "projection"
    assert graph.parameter("weight_hh").shape({"input": 3, "hidden": 8, "projection": 2}) == (8, 2)


def test_what_waits_for_the_state_is_known() -> None:
    graph = trace(gru, {})
    waits = after_state(graph)
    products = {(n["parameter"], n["block"]): i in waits for i, n in enumerate(graph.nodes) if n.op == "product"}
    assert products == {(p, b): p == "weight_hh" for p in ("weight_ih", "weight_hh") for b in "rzn"}


def test_dead_values_go_away_and_the_interface_stays() -> None:
    def cell(x: Any, h: Any, c: Any) -> State:
        call("exp", recur("unused", h))
        return State(h=call("tanh", project("h", x)), c=c)

    graph = trace(cell, {})
    assert "exp" not in {node.op for node in graph.nodes}
    assert list(graph.leaves("state")) == ["h", "c"]
    assert simplify(graph) == graph
    assert verify(graph) is graph


def test_options_are_read_while_tracing() -> None:
    def cell(x: Any, h: Any, *, depth: int = 1) -> State:
        for number in range(depth):
            h = call("tanh", recur(f"h{number}", h))
        return State(h=h + project("x", x))

    assert trace(cell, {"depth": 3}).parameter("weight_hh").blocks == ("h0", "h1", "h2")


@pytest.mark.parametrize("heads", [0, -1, 2.0, True])
def test_the_number_of_heads_is_refused_with_the_line(heads: object) -> None:
    def cell(x, h):
        a = project("h", x)
        return State(h=a + recur("h", h, heads=heads))

    line = cell.__code__.co_firstlineno + 2
    with pytest.raises(CellError, match=rf"test_trace.py:{line}, cell 'cell': heads is a whole number of at least 1"):
        trace(cell, {})


def test_the_sizes_of_heads_must_divide() -> None:
    graph = trace(lambda x, h: State(h=project("h", x) + recur("h", h, heads=3)), {})
    assert graph.parameter("weight_hh").shape({"input": 2, "hidden": 6}) == (6, 2)
    with pytest.raises(CellError, match="3 heads do not divide hidden = 4"):
        graph.parameter("weight_hh").shape({"input": 2, "hidden": 4})
    with pytest.raises(CellError, match="needs a size for 'hidden'"):
        graph.parameter("weight_hh").shape({"input": 2})


def test_the_language_needs_a_cell_around_it() -> None:
    with pytest.raises(CellError, match="@cell"):
        vector("p")


def test_a_state_is_immutable_and_says_what_it_lacks() -> None:
    state = State(h=1, c=2)
    assert state.parts() == {"h": 1, "c": 2}
    assert list(state) == ["h", "c"]
    assert state.map(lambda part: part * 10).c == 20
    with pytest.raises(AttributeError, match="no state part 'n'"):
        _ = state.n
    with pytest.raises(AttributeError, match="make a new State"):
        state.h = 3


def test_the_ir_runs_without_torch() -> None:
    """In a process in which torch cannot be imported: trace, derive, print, draw, interpret."""
    program = """
import sys
sys.modules["torch"] = None
import numpy as np
from rondo.ir import State, differentiate, trace
from rondo.ir.diagram import to_svg
from rondo.ir.interpret import backpropagate, unroll
from rondo.ir.printing import to_latex
from rondo.ir.serialize import from_json, to_json
from tests.ir.words import affine, call

def cell(x, h):
    return State(h=call("tanh", affine("h", x, h)))

graph = from_json(to_json(trace(cell, {})))
derivative, sizes = differentiate(graph), {"input": 2, "hidden": 3}
weights = {p.name: np.ones(p.shape(sizes)) for p in graph.parameters}
x = np.ones((1, 4, 2))
states, residuals = unroll(derivative, sizes, weights, x, {"h": np.zeros((1, 3))})
ones = [{"h": np.ones((1, 3))}] * 4
backpropagate(derivative, sizes, weights, x, states, residuals, ones)
print(len(to_latex(graph)) > 0, to_svg(graph).startswith("<svg"), "torch" in sys.modules and sys.modules["torch"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.split() == ["True", "True", "None"]


def test_a_profiler_that_is_running_does_not_disturb_and_goes_on() -> None:
    profiler = cProfile.Profile()
    with profiler:
        under = trace(gru, {})
        sorted([3, 1, 2])

    assert under == trace(gru, {})
    assert any("sorted" in str(entry.code) for entry in profiler.getstats())
