"""The verifier refuses each kind of illegal graph, and the reader of JSON each kind of damage."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from rondo.errors import CellError
from rondo.ir import State, trace
from rondo.ir.serialize import from_json, to_json
from tests.ir.words import affine, call, vector

Data = dict[str, Any]


def small(x: Any, h: Any, c: Any) -> State:
    f = call("sigmoid", affine("f", x, h) + vector("p_f", (0.0, 1.0)) * c)
    c = f * c + (1 - f) * call("tanh", affine("g", x, h))
    return State(h=call("where", c > 0.5, c, c * 0.5 - call("mean", c)), c=c)


GRAPH = trace(small, {})
DATA: Data = json.loads(json.dumps(to_json(GRAPH)))


def find(data: Data, op: str) -> Data:
    return next(node for node in data["nodes"] if node["op"] == op)


def parameter(data: Data, name: str) -> Data:
    return next(p for p in data["parameters"] if p["name"] == name)


def change(**values: Any) -> Callable[[Data], None]:
    return lambda data: data.update(values)


def change_node(kind: str, /, **values: Any) -> Callable[[Data], None]:
    return lambda data: find(data, kind).update(values)


def change_parameter(name: str, /, **values: Any) -> Callable[[Data], None]:
    return lambda data: parameter(data, name).update(values)


def remove(data: Data, *path: Any) -> None:
    for key in path[:-1]:
        data = data[key]
    del data[path[-1]]


WRONG: dict[str, tuple[Callable[[Data], Any], str]] = {
    "another format": (change(format=2), "format 1"),
    "no format": (lambda d: remove(d, "format"), "format 1"),
    "nodes missing": (lambda d: remove(d, "nodes"), "'nodes' is missing"),
    "outputs missing": (lambda d: remove(d, "outputs"), "'outputs' is missing"),
    "nodes of another type": (change(nodes={"0": 1}), "list was expected"),
    "a node of another type": (lambda d: d["nodes"].append(3), "Mapping was expected"),
    "unknown op": (change_node("tanh", op="system"), "no such op"),
    "op not a word": (change_node("tanh", op=["tanh"]), "str was expected"),
    "too few arguments": (change_node("add", args=[0]), "takes 2 arguments, has 1"),
    "argument from later": (change_node("tanh", args=[len(DATA["nodes"])]), "does not come before it"),
    "argument itself": (lambda d: d["nodes"][5].update(args=[5] * len(d["nodes"][5]["args"])), "takes|before it"),
    "negative argument": (change_node("tanh", args=[-1]), "does not come before it"),
    "argument not an index": (change_node("tanh", args=[1.0]), "int was expected"),
    "argument a truth": (change_node("tanh", args=[True]), "int was expected"),
    "arguments a string": (change_node("tanh", args="1"), "list was expected"),
    "unknown width": (change_node("tanh", width="wide"), "unknown width"),
    "wrong width": (change_node("tanh", width="input"), "must be 'hidden'"),
    "wrong batch axis": (change_node("sigmoid", batched=False), "must be 'hidden' with a batch axis"),
    "batched vector": (change_node("vector", batched=True), "without a batch axis"),
    "batched constant": (change_node("const", batched=True), "without a batch axis"),
    "unbatched state": (change_node("state", batched=False), "with a batch axis"),
    "batched a word": (change_node("tanh", batched="false"), "bool was expected"),
    "wide bias": (change_node("bias", width="input"), "must be 'hidden'"),
    "wide mean": (change_node("mean", width="hidden"), "must be 'one'"),
    "unknown block": (change_node("product", block="q"), "no parameter block weight_ih.q"),
    "unknown parameter": (change_node("product", parameter="weight_xx"), "no parameter block"),
    "product with a bias": (change_node("product", parameter="bias_ih"), "bias_ih maps"),
    "bias that is a matrix": (change_node("bias", parameter="weight_ih"), "weight_ih is a matrix"),
    "parameter a list": (change_node("product", parameter=["weight_ih"]), "a name is a word"),
    "attribute too many": (change_node("tanh", value=1), "has attributes"),
    "attribute missing": (lambda d: remove(find(d, "const"), "value"), "has attributes"),
    "constant not a number": (change_node("const", value="1"), "finite number"),
    "constant a truth": (change_node("const", value=False), "finite number"),
    "constant infinite": (change_node("const", value=float("inf")), "finite number"),
    "constant NaN": (change_node("const", value=float("nan")), "finite number"),
    "name not a word": (change_node("state", name="<script>"), "a name is a word"),
    "name a list": (change_node("input", name=["x"]), "a name is a word"),
    "two states of one name": (change_node("state", name="c"), "have one name"),
    "another input": (change_node("input", name="y"), "one input, x"),
    "condition that is a value": (lambda d: find(d, "where")["args"].__setitem__(0, 1), "condition"),
    "comparison used as a value": (change_node("gt", op="add"), "condition"),
    "an op of derivatives": (change_node("mean", op="sum"), "only in derivatives"),
    "a residual": (change_node("state", op="residual"), "only in derivatives"),
    "output beyond": (lambda d: d["outputs"].update(h=999), "refers to node 999"),
    "output negative": (lambda d: d["outputs"].update(h=-1), "refers to node -1"),
    "output a word": (lambda d: d["outputs"].update(h="1"), "int was expected"),
    "output missing": (lambda d: remove(d, "outputs", "c"), "goes in as h, c and comes out as h"),
    "output too many": (lambda d: d["outputs"].update(q=3), "comes out as h, c, q"),
    "no h": (lambda d: d["outputs"].update({"k": d["outputs"].pop("h")}), "a part 'h'"),
    "output a constant": (
        lambda d: d["outputs"].update(h=d["nodes"].index(find(d, "const"))), "does not depend on the sequence",
    ),
    "output another width": (lambda d: d["outputs"].update(c=0), "goes in with width 'hidden' and comes out"),
    "name of a value": (lambda d: d["names"].update({"a b": 3}), "a name is a word"),
    "name beyond": (lambda d: d["names"].update(f=999), "refers to node 999"),
    "two parameters of one name": (lambda d: d["parameters"].append(d["parameters"][0]), "one name"),
    "parameter without rows": (change_parameter("weight_ih", rows="one"), "illegal graph, parameter"),
    "parameter of unknown kind": (change_parameter("weight_ih", kind="tensor"), "illegal graph, parameter"),
    "matrix without columns": (change_parameter("weight_ih", columns=None), "illegal graph, parameter"),
    "bias with columns": (change_parameter("bias_ih", columns="input"), "illegal graph, parameter"),
    "blocks twice": (change_parameter("weight_ih", blocks=["f", "f"]), "illegal graph, parameter"),
    "no blocks": (change_parameter("weight_ih", blocks=[]), "illegal graph, parameter"),
    "no heads": (change_parameter("weight_hh", heads=0), "illegal graph, parameter"),
    "heads a fraction": (change_parameter("weight_hh", heads=1.5), "int was expected"),
    "vector without init": (change_parameter("p_f", init=None), "illegal graph, parameter"),
    "vector with three": (change_parameter("p_f", init=[0.0, 1.0, 2.0]), "illegal graph, parameter"),
    "vector with words": (change_parameter("p_f", init=["a", "b"]), "illegal graph, parameter"),
    "vector of input width": (change_parameter("p_f", rows="input"), "illegal graph, parameter"),
    "matrix with init": (change_parameter("weight_ih", init=1.0), "illegal graph, parameter"),
    "parameter name a path": (change_parameter("weight_ih", name="../x"), "a name is a word"),
}  # fmt: skip


def test_the_graph_itself_is_legal() -> None:
    assert from_json(DATA).same_as(GRAPH)
    assert from_json(DATA) == GRAPH


@pytest.mark.parametrize("case", WRONG)
def test_illegal_graphs_are_refused(case: str) -> None:
    spoil, message = WRONG[case]
    data = copy.deepcopy(DATA)
    spoil(data)
    assert data != DATA
    with pytest.raises(CellError, match=message):
        from_json(data)


@pytest.mark.parametrize("data", [None, [], "x", 3, {}, {"format": 1}, {"format": 1, "nodes": [], "parameters": []}])
def test_what_is_not_a_graph_is_refused(data: Any) -> None:
    with pytest.raises(CellError):
        from_json(data)


def leaves_of(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(leaf for key, value in items for leaf in leaves_of(value, (*path, key)))]


@pytest.mark.parametrize("junk", [None, {}, [], "junk", -7, 1e300, {"a": []}, [[0]]], ids=repr)
def test_junk_anywhere_is_an_error_for_people_or_harmless(junk: Any) -> None:
    """Each value of the JSON in turn is replaced; nothing but a CellError may come out."""
    refused = 0
    for path in leaves_of(DATA)[1:]:
        data = copy.deepcopy(DATA)
        place: Any = data
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = junk
        try:
            from_json(data)
        except CellError:
            refused += 1
    assert refused > 0.8 * len(leaves_of(DATA))
