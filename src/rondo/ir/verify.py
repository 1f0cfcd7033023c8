"""Is a graph legal? Called after tracing, after every pass, and on every graph read from a file."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rondo.errors import CellError
from rondo.ir.graph import WIDTHS, Graph, Node, Parameter
from rondo.ir.ops import OPS

_LEAF_ATTRIBUTES = {
    "input": {"name"}, "state": {"name"}, "mask": {"name"}, "grad": {"name"}, "residual": {"name"},
    "const": {"value"}, "bias": {"parameter", "block"}, "vector": {"parameter", "block"},
}  # fmt: skip
_PRODUCT_ATTRIBUTES = {"parameter", "block"}


def joined(nodes: Iterable[Node]) -> tuple[str, bool]:
    """Width and batchedness of an elementwise result; an error if two widths do not go together."""
    width, batched = "one", False
    for node in nodes:
        batched = batched or node.batched
        if node.width == "one":
            continue
        if width not in ("one", node.width):
            raise CellError(f"widths '{width}' and '{node.width}' do not go together")
        width = node.width
    return width, batched


def verify(graph: Graph) -> Graph:
    """Return the graph unchanged, or raise `CellError` that says what is wrong where."""
    blocks = {(p.name, block): p for p in graph.parameters for block in p.blocks}
    if len({p.name for p in graph.parameters}) != len(graph.parameters):
        raise CellError("two parameters of the graph have one name")
    for parameter in graph.parameters:
        _verify_parameter(parameter)
    for index, node in enumerate(graph.nodes):
        try:
            _verify_node(graph, index, node, blocks)
        except (CellError, KeyError, TypeError) as error:
            raise CellError(f"illegal graph, node {index} ({node.op}): {error}") from None
    for name, index in [*graph.outputs.items(), *graph.names.items()]:
        if not 0 <= index < len(graph.nodes):
            raise CellError(f"illegal graph: '{name}' refers to node {index} of {len(graph.nodes)}")
    return graph


def verify_cell(graph: Graph) -> Graph:
    """`verify`, and that the graph is a cell's: each state part goes in and comes out as wide."""
    verify(graph)
    states = graph.leaves("state")
    if "h" not in graph.outputs:
        raise CellError("a cell returns a State with a part 'h'")
    if set(states) - set(graph.outputs):
        missing = ", ".join(sorted(set(states) - set(graph.outputs)))
        raise CellError(f"state part {missing} goes in but is not returned")
    for name, index in graph.outputs.items():
        node = graph.nodes[index]
        if OPS[node.op].kind in ("gradient", "compare") or not node.batched:
            raise CellError(f"the new state '{name}' does not depend on the sequence")
        if name in states and graph.nodes[states[name]].width != node.width:
            raise CellError(
                f"state '{name}' goes in with width '{graph.nodes[states[name]].width}' "
                f"and comes out with '{node.width}'"
            )
    return graph


def _verify_parameter(parameter: Parameter) -> None:
    wrong = (
        not all(name.isidentifier() for name in (parameter.name, *parameter.blocks))
        or len(set(parameter.blocks)) != len(parameter.blocks)
        or not parameter.blocks
        or parameter.kind not in ("matrix", "bias", "vector")
        or parameter.rows not in WIDTHS[1:]
        or (parameter.columns not in WIDTHS[1:] if parameter.kind == "matrix" else parameter.columns is not None)
        or parameter.heads < 1
        or (parameter.kind == "vector" and not isinstance(parameter.init, int | float | tuple))
    )
    if wrong:
        raise CellError(f"illegal graph, parameter {parameter}")


def _verify_node(graph: Graph, index: int, node: Node, blocks: dict[tuple[str, str], Parameter]) -> None:
    if node.op not in OPS:
        raise CellError("there is no such op")
    op = OPS[node.op]
    if len(node.args) != op.arity:
        raise CellError(f"takes {op.arity} arguments, has {len(node.args)}")
    if any(not 0 <= arg < index for arg in node.args):
        raise CellError("uses a node that does not come before it")
    if node.width not in WIDTHS:
        raise CellError(f"unknown width '{node.width}'")
    args = [graph.nodes[arg] for arg in node.args]
    wanted = _LEAF_ATTRIBUTES.get(node.op, _PRODUCT_ATTRIBUTES if op.kind == "product" else set())
    if op.kind != "gradient" and {key for key, _ in node.attributes} != wanted:
        raise CellError(f"has attributes {dict(node.attributes)}, needs {sorted(wanted)}")
    if "parameter" in wanted and (node["parameter"], node["block"]) not in blocks:
        raise CellError(f"no parameter block {node['parameter']}.{node['block']}")
    if node.op == "const" and not (isinstance(node["value"], int | float) and not math.isnan(node["value"])):
        raise CellError(f"a constant is a number, not {node['value']!r}")
    for position, arg in enumerate(args):
        if OPS[arg.op].kind == "gradient":
            raise CellError("a parameter's gradient is an end, nothing is computed from it")
        if (OPS[arg.op].kind == "compare") != (node.op == "where" and position == 0):
            raise CellError("the condition of 'where' is a comparison, and a comparison is only that")
    if op.kind in ("elementwise", "compare"):
        expected = joined(args)
        if (node.width, node.batched) != expected:
            raise CellError(f"is {node.width}/{node.batched}, its arguments give {expected}")
    if op.kind == "product":
        parameter = graph.parameter(node["parameter"])
        ends = (parameter.columns, parameter.rows)
        source, result = ends if node.op == "product" else ends[::-1]
        if parameter.kind != "matrix" or (args[0].width, node.width) != (source, result):
            raise CellError(f"{parameter.name} maps '{source}' to '{result}', not '{args[0].width}' to '{node.width}'")
