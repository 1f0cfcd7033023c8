"""Whether two cells are the same function of the same stored arrays.

Names play no part: not the cell's, not those of its gates or of the parts of its state. Each value of a
graph gets a number, equal for equal values, with the operands of sums and products in any order. The
comparison can say no for two cells that are equal by some algebra it does not know; it never says yes
for two that differ.
"""

from __future__ import annotations

from collections.abc import Hashable

from rondo.cells import Cell
from rondo.ir.graph import Graph, Node

_ANY_ORDER = ("add", "mul")
_EITHER_SIDE = ("maximum", "minimum")
_LONGEST = 64
"""Sums and products of more terms are compared as they were written: ``a = a + a`` doubles them each time."""


def same_function(one: Cell, other: Cell) -> bool:
    """Whether both cells compute the same from the same arrays (up to rounding in sums and products)."""
    if _layout(one.graph) != _layout(other.graph) or _state(one) != _state(other):
        return False
    numbers: dict[Hashable, int] = {}
    return _results(one, numbers) == _results(other, numbers)


def _layout(graph: Graph) -> set[tuple[Hashable, ...]]:
    """How the arrays are stored: equal layouts can be exchanged between the cells as they are."""
    return {(p.name, p.kind, len(p.blocks), p.rows, p.columns, p.heads) for p in graph.parameters}


def _state(cell: Cell) -> list[tuple[str, bool]]:
    """The width of each part of the state, and which of them is the output."""
    return [(cell.state_widths[part], part == "h") for part in cell.state_parts]


def _results(cell: Cell, numbers: dict[Hashable, int]) -> list[int]:
    """The numbers of the cell's outputs; ``numbers`` is shared between the cells that are compared."""
    graph = cell.graph
    of_node: list[int] = []
    terms: list[tuple[int, ...]] = []
    for node in graph.nodes:
        args = [of_node[arg] for arg in node.args]
        if node.op in _ANY_ORDER:
            parts = [
                terms[arg] if graph.nodes[arg].op == node.op else (number,)
                for arg, number in zip(node.args, args, strict=True)
            ]
            flat = sum(map(len, parts)) <= _LONGEST
            args = sorted(term for part in parts for term in part) if flat else sorted(args)
        elif node.op in _EITHER_SIDE:
            args.sort()
        terms.append(tuple(args))
        key = (node.op, tuple(args), node.width, _meaning(cell, node))
        of_node.append(numbers.setdefault(key, len(numbers)))
    return [of_node[graph.outputs[part]] for part in cell.state_parts]


def _meaning(cell: Cell, node: Node) -> Hashable:
    """What a node's attributes say, with names replaced by places."""
    attributes = dict(node.attributes)
    if node.op == "state":
        attributes["name"] = cell.state_parts.index(attributes["name"])
    elif node.op == "input":
        attributes.pop("name", None)
    if "block" in attributes:
        attributes["block"] = cell.graph.parameter(attributes["parameter"]).blocks.index(attributes["block"])
    return tuple(sorted(attributes.items()))
