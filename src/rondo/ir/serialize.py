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


def from_json(data: Mapping[str, Any]) -> Graph:
    """The graph back again, verified. Raises `CellError` for anything that is not a legal cell."""
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise CellError(f"this is not a cell graph of format {FORMAT}")
    try:
        parameters = tuple(
            Parameter(
                str(p["name"]), str(p["kind"]), tuple(map(str, p["blocks"])), str(p["rows"]), p["columns"],
                int(p["heads"]), tuple(p["init"]) if isinstance(p["init"], list) else p["init"],
            )
            for p in data["parameters"]
        )  # fmt: skip
        nodes = tuple(_node(node) for node in data["nodes"])
        graph = Graph(nodes, _indexes(data["outputs"]), parameters, _indexes(data["names"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CellError(f"a damaged cell graph: {type(error).__name__}: {error}") from None
    return verify_cell(graph)


def _node(data: Mapping[str, Any]) -> Node:
    rest = tuple((key, value) for key, value in data.items() if key not in ("op", "args", "width", "batched"))
    return Node(str(data["op"]), tuple(map(int, data["args"])), str(data["width"]), bool(data["batched"]), rest)


def _indexes(data: Mapping[str, Any]) -> dict[str, int]:
    return {str(name): int(index) for name, index in data.items()}
