"""Division by a number a row, as layer normalisation has it: the reciprocal once a row, a product for each unit."""

from __future__ import annotations

from dataclasses import replace

from rondo.ir import Graph
from rondo.ir.build import Builder, Value
from rondo.ir.verify import verify_cell


def with_reciprocals(graph: Graph) -> Graph:
    """The graph in which ``a / s``, s of width one, is ``a * (1 / s)``. Its derivative divides as rarely."""
    if not any(_divides_rows(graph, index) for index in range(len(graph.nodes))):
        return graph
    builder = Builder(graph.parameters)
    values: list[Value] = []
    for index, node in enumerate(graph.nodes):
        args = [values[arg] for arg in node.args]
        if _divides_rows(graph, index):
            values.append(args[0] * (1.0 / args[1]))
        else:
            values.append(builder.append(replace(node, args=tuple(arg.index for arg in args))))
    outputs = {name: values[index] for name, index in graph.outputs.items()}
    return verify_cell(builder.graph(outputs, {name: values[index] for name, index in graph.names.items()}))


def _divides_rows(graph: Graph, index: int) -> bool:
    node = graph.nodes[index]
    if node.op != "div" or node.width == "one":
        return False
    divisor = graph.nodes[node.args[1]]
    return divisor.width == "one" and divisor.batched
