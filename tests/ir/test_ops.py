"""The table of ops: complete, and every derivative rule right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from rondo.ir import differentiate
from rondo.ir.build import Builder
from rondo.ir.graph import Graph, Parameter
from rondo.ir.interpret import run
from rondo.ir.ops import FUNCTIONS, OPS
from rondo.ir.verify import verify

SIZES = {"hidden": 4, "input": 3}
KINDS = {"leaf", "elementwise", "compare", "reduce", "product", "gradient"}
SMOOTH = [op.name for op in OPS.values() if op.kind in ("elementwise", "reduce", "product")]
POSITIVE = ("log", "sqrt", "div")  # tested on positive numbers


def test_the_table_is_complete() -> None:
    for name, op in OPS.items():
        assert op.name == name
        assert op.kind in KINDS
        assert op.text, name
        assert op.latex, name
        if op.kind == "leaf":
            assert op.arity == 0
            assert op.evaluate is None
            assert op.derive is None
        else:
            assert op.arity >= 1
            assert op.evaluate is not None, name
            assert (op.derive is None) == (op.kind == "gradient"), name
            holes = [f"{{{position}}}" for position in range(op.arity)]
            assert all(hole in op.text and hole in op.latex for hole in holes), name


def test_functions_of_the_language_are_ops_of_one_argument() -> None:
    assert all(OPS[name].kind == "elementwise" and OPS[name].arity == 1 for name in FUNCTIONS)


def graph_of(op: str) -> Graph:
    """An op alone in a graph, its arguments state parts a, b, c."""
    builder = Builder((Parameter("weight_hh", "matrix", ("r",), "hidden", "hidden"),))
    a, b, c = (builder.leaf("state", "hidden", name=name) for name in "abc")
    if op == "where":
        result = builder.apply("where", a < b, b * c, c)
    elif OPS[op].kind == "product":
        result = builder.product(a, "weight_hh", "r", transposed=op == "product_t")
    elif op in ("spread", "broadcast"):
        one = builder.apply("mean", a)
        result = one.spread(a) if op == "spread" else one.broadcast(a)
    elif OPS[op].kind == "reduce":
        result = builder.apply(op, a) * b  # broadcast again, so that the gradient is summed
    else:
        result = builder.apply(op, *(a, b, c)[: OPS[op].arity])
    return verify(builder.graph({"h": result}))


def leaves(op: str, seed: int = 0) -> dict[str, NDArray[np.float64]]:
    random = np.random.default_rng(seed)
    values = {name: random.normal(size=(5, 4)) for name in "abc"}
    return {name: np.abs(value) + 0.3 for name, value in values.items()} if op in POSITIVE else values


WEIGHTS = {"weight_hh": np.random.default_rng(9).normal(size=(4, 4))}


def outputs(
    graph: Graph, values: dict[str, NDArray[np.float64]], weights: dict[str, NDArray[np.float64]] = WEIGHTS
) -> dict[str, NDArray[np.float64]]:
    return run(graph, SIZES, weights, lambda node: values[node["name"]])


def error_of_derivative(op: str) -> float:
    """The largest difference between the derived gradients and central differences."""
    graph, values = graph_of(op), leaves(op)
    derivative = differentiate(graph)
    forward = outputs(derivative.forward, values)
    upstream = np.random.default_rng(1).normal(size=forward["h"].shape)
    given = {"state": values, "residual": forward, "grad": {"h": upstream}}
    found = run(derivative.backward, SIZES, WEIGHTS, lambda node: given[node.op][node["name"]])
    step, worst = 1e-6, 0.0

    def difference(name: str, position: tuple[int, ...]) -> float:
        sides = []
        for sign in (step, -step):
            moved = {key: value.copy() for key, value in {**values, **WEIGHTS}.items()}
            moved[name][position] += sign
            sides.append(float((outputs(graph, moved, moved)["h"] * upstream).sum()))
        return (sides[0] - sides[1]) / (2 * step)

    states = [(name, found[name]) for name in graph.leaves("state")]
    matrices = [("weight_hh", found["weight_hh.r"])] if "weight_hh.r" in found else []
    for name, gradient in states + matrices:
        full = np.broadcast_to(gradient, (WEIGHTS if name in WEIGHTS else values)[name].shape)
        for position in np.ndindex(full.shape):
            worst = max(worst, abs(full[position] - difference(name, position)))
    return worst


@pytest.mark.parametrize("op", SMOOTH)
def test_derivative_rule_against_central_differences(op: str) -> None:
    assert error_of_derivative(op) < 1e-7


@pytest.mark.parametrize(
    ("op", "derive"),
    [
        ("tanh", lambda y, a, g: (g * (1.0 - y),)),
        ("sigmoid", lambda y, a, g: (g * y,)),
        ("sub", lambda y, a, b, g: (g, g)),
        ("mul", lambda y, a, b, g: (g * b, None)),
        ("div", lambda y, a, b, g: (g / b, g * y / b)),
        ("where", lambda y, c, a, b, g: (None, g.where(c, 0.0, g), g.where(c, g, 0.0))),
        ("silu", lambda y, a, g: (g * a.apply("sigmoid", a),)),
        ("mean", lambda y, a, g: (g.broadcast(a),)),
        ("product", lambda y, v, g: (g.builder.product(g, y.node["parameter"], y.node["block"]),)),
    ],
)
def test_a_wrong_rule_is_noticed(op: str, derive: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPS, op, replace(OPS[op], derive=derive))  # type: ignore[arg-type]
    assert error_of_derivative(op) > 1e-3


@pytest.mark.parametrize(
    ("op", "argument", "expected"),
    [
        ("sigmoid", 800.0, 1.0),
        ("sigmoid", -800.0, 0.0),
        ("softplus", 800.0, 800.0),
        ("softplus", -800.0, 0.0),
        ("silu", -800.0, 0.0),
        ("relu", -0.5, 0.0),
        ("relu", float("nan"), float("nan")),
        ("sigmoid", float("nan"), float("nan")),
    ],
)
def test_extreme_arguments(op: str, argument: float, expected: float) -> None:
    with np.errstate(all="raise", under="ignore", invalid="ignore"):
        result = OPS[op].evaluate(np.array(argument))  # type: ignore[misc]
    assert np.array_equal(result, expected, equal_nan=True)


def test_ties_share_the_gradient_and_relu_is_flat_at_zero() -> None:
    for op, expected in (("maximum", 0.5), ("minimum", 0.5), ("relu", 0.0)):
        derivative = differentiate(graph_of(op))
        values = {name: np.zeros((1, 4)) for name in "abc"}
        given = {
            "state": values, "residual": outputs(derivative.forward, values), "grad": {"h": np.ones((1, 4))},
        }  # fmt: skip
        found = run(derivative.backward, SIZES, WEIGHTS, lambda node, given=given: given[node.op][node["name"]])  # type: ignore[misc]
        assert np.array_equal(found["a"], np.full((1, 4), expected)), op
