"""Passes over graphs. Each returns a new graph that has been verified."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from rondo.ir.graph import Graph, Node
from rondo.ir.ops import OPS
from rondo.ir.verify import verify


def reachable(graph: Graph, roots: Iterable[int]) -> set[int]:
    """All nodes that ``roots`` depend on, themselves included."""
    seen: set[int] = set()
    todo = list(roots)
    while todo:
        index = todo.pop()
        if index not in seen:
            seen.add(index)
            todo.extend(graph.nodes[index].args)
    return seen


def after_state(graph: Graph) -> set[int]:
    """All nodes that depend on the state. The others can be computed for all time steps at once."""
    found: set[int] = set()
    for index, node in enumerate(graph.nodes):
        if node.op == "state" or found.intersection(node.args):
            found.add(index)
    return found


def visible(graph: Graph) -> dict[str, int]:
    """The values of a step that can be looked at, by name: what the equations name, and the new parts of the state.

    A comparison is no number that could be shown.
    """
    named = {name: index for name, index in graph.names.items() if OPS[graph.nodes[index].op].kind != "compare"}
    return {**named, **{part: graph.outputs[part] for part in graph.leaves("state")}}


def log_scales(graph: Graph) -> tuple[str, ...]:
    """Parts of the state that enter an ``exp`` as a summand: logarithms of a scale, such as a stabiliser.

    The other parts have a meaning only together with them, so a mean over states, part by part, has none.
    """
    linear = ("add", "sub", "neg", "maximum", "minimum", "where")
    found: set[int] = set()
    seen: set[int] = set()
    todo = [node.args[0] for node in graph.nodes if node.op == "exp"]
    while todo:
        index = todo.pop()
        node = graph.nodes[index]
        if index in seen:
            continue
        seen.add(index)
        if node.op == "state":
            found.add(index)
        elif node.op in linear:
            todo.extend(node.args[1:] if node.op == "where" else node.args)
    return tuple(graph.nodes[index]["name"] for index in sorted(found))


def simplify(graph: Graph) -> Graph:
    """Without nodes that no output needs. Leaves of the state and the input stay: they are the interface.

    Names whose node goes away go with it. (Equal nodes and constants are already folded by the builder.)
    """
    interface = [i for i, node in enumerate(graph.nodes) if node.op in ("input", "state")]
    return verify(renumbered(graph, sorted(reachable(graph, graph.outputs.values()) | set(interface))))


def renumbered(graph: Graph, keep: list[int], replaced: Mapping[int, Node] | None = None) -> Graph:
    """The graph of the nodes ``keep``, in that order; ``replaced`` puts other nodes in place of some."""
    number = {old: new for new, old in enumerate(keep)}
    nodes = []
    for old in keep:
        node = (replaced or {}).get(old, graph.nodes[old])
        nodes.append(replace(node, args=tuple(number[arg] for arg in node.args)))
    return Graph(
        tuple(nodes),
        {name: number[index] for name, index in graph.outputs.items() if index in number},
        graph.parameters,
        {name: number[index] for name, index in graph.names.items() if index in number},
    )
