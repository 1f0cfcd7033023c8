"""A graph played back as a function of the cell language: how a loaded model's cell runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rondo.ir import Graph, State, active_algebra


def replayed(graph: Graph) -> Callable[..., State]:
    """A function ``f(x, *state) -> State`` that does what the graph says, in any algebra.

    A bias is added by itself here, as the graph has it, so that ``bias=False`` leaves it out.
    """
    heads = {parameter.name: parameter.heads for parameter in graph.parameters}
    init = {parameter.name: parameter.init for parameter in graph.parameters}
    parts = tuple(graph.leaves("state"))
    names = {index: name for name, index in graph.names.items()}

    def function(x: Any, *state: Any) -> State:
        algebra = active_algebra()
        leaves = {"x": x, **dict(zip(parts, state, strict=True))}
        values: list[Any] = []
        for index, node in enumerate(graph.nodes):
            args = [values[arg] for arg in node.args]
            if node.op in ("input", "state"):
                value = leaves[node["name"]]
            elif node.op == "const":
                value = node["value"]
            elif node.op == "vector":
                value = algebra.vector(node["parameter"], init[node["parameter"]])
            elif node.op == "bias":
                value = algebra.bias(node["parameter"], node["block"], node.width)
            elif node.op == "product":
                matrix = node["parameter"]
                value = algebra.linear(matrix, node["block"], *args, heads=heads[matrix], to=node.width)
            else:
                value = algebra.function(node.op, *args)
            values.append(algebra.named(names[index], value) if index in names else value)
        return State(**{name: values[graph.outputs[name]] for name in parts})

    return function
