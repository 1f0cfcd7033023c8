"""Two gates of one sum: ``sigmoid(-d)`` beside ``sigmoid(d)`` is 1 less that, and needs no function of its own."""

from __future__ import annotations

from dataclasses import replace

from rondo.ir import Graph
from rondo.ir.build import Builder, Value
from rondo.ir.verify import verify_cell


def with_complements(graph: Graph) -> Graph:
    """The graph in which ``sigmoid(-d)`` is ``1 - sigmoid(d)`` where that is computed, too."""
    if not any(_twin(graph, index) is not None for index in range(len(graph.nodes))):
        return graph
    builder = Builder(graph.parameters)
    values: list[Value] = []
    for index, node in enumerate(graph.nodes):
        twin = _twin(graph, index)
        if twin is not None:
            values.append(1.0 - values[twin])
        else:
            values.append(builder.append(replace(node, args=tuple(values[arg].index for arg in node.args))))
    outputs = {name: values[index] for name, index in graph.outputs.items()}
    return verify_cell(builder.graph(outputs, {name: values[index] for name, index in graph.names.items()}))


def _twin(graph: Graph, index: int) -> int | None:
    """The earlier ``sigmoid(d)`` of a ``sigmoid(-d)``."""
    node = graph.nodes[index]
    if node.op != "sigmoid" or graph.nodes[node.args[0]].op != "neg":
        return None
    d = graph.nodes[node.args[0]].args
    return next((i for i, other in enumerate(graph.nodes[:index]) if (other.op, other.args) == ("sigmoid", d)), None)
