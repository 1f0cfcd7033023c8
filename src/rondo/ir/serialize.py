"""Graphs as JSON, so that a saved model holds its cell. Reading verifies and never runs code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rondo.errors import CellError
from rondo.ir.graph import Graph, Node, Parameter
from rondo.ir.verify import verify_cell

FORMAT = 1


def to_json(graph: Graph) -> dict[str, Any]:
    """A graph as nested lists and dicts of plain values."""
    return {
        "format": FORMAT,
        "nodes": [
            {
                "op": node.op, "args": list(node.args), "width": node.width, "batched": node.batched,
                **dict(node.attributes),
            }
            for node in graph.nodes
        ],
        "outputs": dict(graph.outputs),
        "names": dict(graph.names),
        "parameters": [
            {
                "name": p.name, "kind": p.kind, "blocks": list(p.blocks), "rows": p.rows, "columns": p.columns,
                "heads": p.heads, "init": list(p.init) if isinstance(p.init, tuple) else p.init,
            }
            for p in graph.parameters
        ],
    }  # fmt: skip


def from_json(data: Any) -> Graph:
    """The graph back again, verified. Raises `CellError` for anything that is not a legal cell."""
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise CellError(f"this is not a cell graph of format {FORMAT}")
    parameters = tuple(_parameter(entry) for entry in _get(data, "parameters", list))
    nodes = tuple(_node(entry) for entry in _get(data, "nodes", list))
    return verify_cell(Graph(nodes, _indexes(data, "outputs"), parameters, _indexes(data, "names")))


def _node(data: Any) -> Node:
    rest = {key: value for key, value in _mapping(data).items() if key not in ("op", "args", "width", "batched")}
    args = tuple(_checked(arg, int) for arg in _get(data, "args", list))
    return Node(_get(data, "op", str), args, _get(data, "width", str), _get(data, "batched", bool), tuple(rest.items()))


def _parameter(data: Any) -> Parameter:
    blocks = tuple(_checked(block, str) for block in _get(data, "blocks", list))
    columns = None if _mapping(data).get("columns") is None else _get(data, "columns", str)
    init = data.get("init")
    return Parameter(
        _get(data, "name", str), _get(data, "kind", str), blocks, _get(data, "rows", str), columns,
        _get(data, "heads", int), tuple(init) if isinstance(init, list) else init,
    )  # fmt: skip


def _indexes(data: Mapping[str, Any], key: str) -> dict[str, int]:
    return {_checked(name, str): _checked(index, int) for name, index in _get(data, key, Mapping).items()}


def _get(data: Any, key: str, kind: type) -> Any:
    if key not in _mapping(data):
        raise CellError(f"a damaged cell graph: '{key}' is missing")
    return _checked(data[key], kind)


def _mapping(data: Any) -> Mapping[str, Any]:
    checked: Mapping[str, Any] = _checked(data, Mapping)
    return checked


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise CellError(f"a damaged cell graph: {value!r} stands where a {kind.__name__} was expected")
    return value
