"""Is a graph legal? Called after tracing, after every pass, and on every graph read from a file."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rondo.errors import CellError
from rondo.ir.graph import WIDTHS, Graph, Node, Parameter
from rondo.ir.ops import OPS

_ATTRIBUTES = {
    "input": {"name"}, "state": {"name"}, "mask": {"name"}, "grad": {"name"}, "residual": {"name"},
    "const": {"value"}, "bias": {"parameter", "block"}, "vector": {"parameter", "block"},
    "product": {"parameter", "block"}, "product_t": {"parameter", "block"},
}  # fmt: skip
_ONLY_IN_DERIVATIVES = ("grad", "residual", "product_t", "outer", "sum_batch", "sum", "spread", "broadcast")


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
        except CellError as error:
            raise CellError(f"illegal graph, node {index} ({node.op}): {error}") from None
    for op in ("input", "state", "mask", "grad", "residual"):
        if len(graph.leaves(op)) != sum(node.op == op for node in graph.nodes):
            raise CellError(f"illegal graph: two leaves of kind '{op}' have one name")
    for name, index in [*graph.outputs.items(), *graph.names.items()]:
        if not 0 <= index < len(graph.nodes):
            raise CellError(f"illegal graph: '{name}' refers to node {index} of {len(graph.nodes)}")
    for name in graph.names:
        _verify_name(name)
    return graph


def verify_cell(graph: Graph) -> Graph:
    """`verify`, and that the graph is a cell's: each state part goes in and comes out as wide."""
    verify(graph)
    for node in graph.nodes:
        if node.op in _ONLY_IN_DERIVATIVES:
            raise CellError(f"'{node.op}' stands only in derivatives, not in a cell")
    states = graph.leaves("state")
    if list(graph.leaves("input")) != ["x"]:
        raise CellError("a cell has one input, x")
    if "h" not in graph.outputs:
        raise CellError("a cell returns a State with a part 'h'")
    if set(states) != set(graph.outputs):
        raise CellError(f"the state goes in as {', '.join(states)} and comes out as {', '.join(graph.outputs)}")
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


def _verify_name(name: object) -> None:
    if not (isinstance(name, str) and name.isidentifier()):
        raise CellError(f"illegal graph: a name is a word like 'r' or 'p_i', not {name!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _verify_parameter(parameter: Parameter) -> None:
    for name in (parameter.name, *parameter.blocks):
        _verify_name(name)
    init = parameter.init if isinstance(parameter.init, tuple) else (parameter.init,)
    wrong = (
        len(set(parameter.blocks)) != len(parameter.blocks)
        or not parameter.blocks
        or parameter.kind not in ("matrix", "bias", "vector")
        or parameter.rows not in WIDTHS[1:]
        or (parameter.columns not in WIDTHS[1:] if parameter.kind == "matrix" else parameter.columns is not None)
        or parameter.heads < 1
        or (parameter.kind == "vector" and not (len(init) in (1, 2) and all(map(_is_number, init))))
        or (parameter.kind != "vector" and parameter.init is not None)
        or (parameter.kind == "vector" and (parameter.blocks != (parameter.name,) or parameter.rows != "hidden"))
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
    wanted = _ATTRIBUTES.get(node.op, set())
    if len(node.attributes) != len(wanted) or {key for key, _ in node.attributes} != wanted:
        raise CellError(f"has attributes {dict(node.attributes)}, needs {sorted(wanted)}")
    if "name" in wanted:
        _verify_name(node["name"])
    if "parameter" in wanted:
        _verify_name(node["parameter"])
        _verify_name(node["block"])
    if "parameter" in wanted and (node["parameter"], node["block"]) not in blocks:
        raise CellError(f"no parameter block {node['parameter']}.{node['block']}")
    if node.op == "const" and not _is_number(node["value"]):
        raise CellError(f"a constant is a finite number, not {node['value']!r}")
    for position, arg in enumerate(args):
        if OPS[arg.op].kind == "gradient":
            raise CellError("a parameter's gradient is an end, nothing is computed from it")
        if (OPS[arg.op].kind == "compare") != (node.op == "where" and position == 0):
            raise CellError("the condition of 'where' is a comparison, and a comparison is only that")
    if op.kind == "product":
        parameter = blocks[node["parameter"], node["block"]]
        ends = (parameter.columns, parameter.rows)
        source, result = ends if node.op == "product" else ends[::-1]
        if parameter.kind != "matrix" or (args[0].width, node.width) != (source, result):
            raise CellError(f"{parameter.name} maps '{source}' to '{result}', not '{args[0].width}' to '{node.width}'")
        if not args[0].batched:
            raise CellError("multiplies a value that has no batch axis")
    expected = _shape(node, args, blocks)
    if (node.width, node.batched) != expected:
        raise CellError(f"is {_words(node.width, node.batched)}, must be {_words(*expected)}")


def _shape(node: Node, args: list[Node], blocks: dict[tuple[str, str], Parameter]) -> tuple[str, bool]:
    """The width and batchedness that a node must have, as far as they follow from its op and arguments."""
    kind = OPS[node.op].kind
    if kind in ("elementwise", "compare"):
        return joined(args)
    if node.op in ("bias", "vector"):
        parameter = blocks[node["parameter"], node["block"]]
        if parameter.kind != node.op:
            raise CellError(f"{parameter.name} is a {parameter.kind}")
        return parameter.rows, False
    if node.op == "const":
        return "one", False
    if node.op in ("mean", "sum"):
        if args[0].width == "one":
            raise CellError("is over the hidden axis of a value that has none")
        return "one", args[0].batched
    if node.op in ("spread", "broadcast"):
        if args[0].width != "one" or node.width == "one":
            raise CellError(f"makes '{node.width}' of '{args[0].width}'")
        return node.width, args[0].batched
    if kind == "gradient":
        if not all(arg.batched for arg in args):
            raise CellError("sums over the batch axis of a value that has none")
        return args[-1].width, False
    return node.width, node.op != "residual" or node.batched


def _words(width: str, batched: bool) -> str:
    return f"'{width}' {'with' if batched else 'without'} a batch axis"
