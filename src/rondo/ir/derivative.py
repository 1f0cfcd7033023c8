"""Reverse differentiation of a cell's graph: backpropagation through time is the derived cell.

From a graph of one step come two graphs. ``forward`` is the step itself, with further outputs:
the residuals, values that the backward step needs. ``backward`` takes the residuals, the step's
own leaves (x, state, masks, vectors) and the gradients of the new state, and gives the gradients
of x, of the old state, and of each block of each parameter for this step. Run from the last step
to the first, with parameter gradients added up, it is backpropagation through time (Werbos 1990,
"Backpropagation through time: what it does and how to do it").
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from rondo.errors import CellError
from rondo.ir.build import Builder, Value
from rondo.ir.graph import Graph, Node
from rondo.ir.ops import OPS
from rondo.ir.passes import reachable, renumbered
from rondo.ir.verify import verify

_CHEAP = ("add", "sub", "mul", "div", "neg", "maximum", "minimum", "where", "relu")
"""Ops that cost less than reading back a kept result; their comparisons go with them."""

_GIVEN = ("input", "state", "mask", "vector", "const")
"""Leaves that are there again when the step runs backward: they need no residual."""


@dataclass(frozen=True)
class Derivative:
    """The step with residuals, and the step of backpropagation. See the module's text."""

    forward: Graph
    backward: Graph
    residuals: tuple[str, ...]


def differentiate(graph: Graph, *, recompute: bool = False) -> Derivative:
    """Derive a verified cell graph. Gradients are keyed ``x``, ``h``, ``weight_ih.r``, ``p_i.p_i``.

    ``recompute``: elementwise values are computed again from what they are made of rather than kept. Where
    memory is what takes time, that is faster.
    """
    return _split(graph, _joint(graph), recompute)


def _joint(graph: Graph) -> Graph:
    """The forward nodes, and behind them the gradient nodes that use them, as one graph."""
    builder = Builder.continuing(graph)
    gradients: dict[int, Value] = {}
    ends: dict[str, Value] = {}

    def add(index: int, gradient: Value) -> None:
        gradient = builder.fitted(gradient, graph.nodes[index])
        gradients[index] = gradients[index] + gradient if index in gradients else gradient

    for name, index in graph.outputs.items():
        add(index, builder.leaf("grad", graph.nodes[index].width, name=name))
    for index in sorted(gradients.keys() | reachable(graph, graph.outputs.values()), reverse=True):
        if index not in gradients:
            continue
        node, gradient = graph.nodes[index], gradients[index]
        derive = OPS[node.op].derive
        if derive is not None:
            args = [builder.value(arg) for arg in node.args]
            for arg, part in zip(node.args, derive(builder.value(index), *args, gradient), strict=True):
                if part is not None and graph.nodes[arg].op != "const":
                    add(arg, builder.lift(part))
        if end := _end(builder, node, gradient):
            key = f"{node['parameter']}.{node['block']}"
            if key in ends:
                raise CellError(f"{key} is used twice; its gradient would need a sum of two products")
            ends[key] = end
    leaves = {**graph.leaves("input"), **graph.leaves("state")}
    inputs = {name: gradients.get(index) or _zero(builder, graph.nodes[index]) for name, index in leaves.items()}
    return builder.graph(inputs | ends, _names(graph, gradients))


def _names(graph: Graph, gradients: dict[int, Value]) -> dict[str, Value]:
    """Names for gradients: ``grad_r`` of a value r, ``grad_a_r`` of what r is a function of (its
    pre-activation), ``grad_c_all`` of a new state part with what later parts add to it.
    """
    names = {f"grad_{name}": gradients[index] for name, index in graph.names.items() if index in gradients}
    for name, index in graph.outputs.items():
        if gradients[index].node.op != "grad":
            names[f"grad_{name}_all"] = gradients[index]
    named = {*graph.names.values(), *graph.outputs.values()}
    for name, index in [*graph.names.items(), *graph.outputs.items()]:
        args = graph.nodes[index].args
        is_function = OPS[graph.nodes[index].op].kind == "elementwise" and len(args) == 1
        if is_function and args[0] in gradients and args[0] not in named:
            names[f"grad_a_{name}"] = gradients[args[0]]
    return {name: value for name, value in names.items() if OPS[value.node.op].kind != "leaf"}


def _end(builder: Builder, node: Node, gradient: Value) -> Value | None:
    """What this node contributes to the gradient of the parameter it uses, if it uses one."""
    if node.op in ("product", "product_t"):
        left, right = gradient.index, node.args[0]
        if node.op == "product_t":
            left, right = right, left
        return builder.append(Node("outer", (left, right), builder.nodes[right].width, False))
    if node.op in ("bias", "vector"):
        if not gradient.node.batched:
            return gradient
        return builder.append(Node("sum_batch", (gradient.index,), node.width, False))
    return None


def _zero(builder: Builder, leaf: Node) -> Value:
    """The gradient of a leaf that the new state does not depend on."""
    return builder.append(Node("broadcast", (builder.const(0.0).index,), leaf.width, False))


def _split(graph: Graph, joint: Graph, recompute: bool) -> Derivative:
    """Cut the joint graph where backward nodes use forward values: those are the residuals."""
    size = len(graph.nodes)
    live = reachable(joint, joint.outputs.values())
    used = {arg for index in live if index >= size for arg in joint.nodes[index].args if arg < size}
    # A condition is not kept but asked again, of operands that are.
    used |= {arg for index in used if OPS[joint.nodes[index].op].kind == "compare" for arg in joint.nodes[index].args}
    if recompute:
        used, again = _all_again(graph, used)
    else:
        again = _again(joint, used)
        used |= {arg for index in again for arg in joint.nodes[index].args}
    kept = sorted(arg for arg in used - again if joint.nodes[arg].op not in _GIVEN)
    residuals = _named(graph, kept)
    leaves = {
        index: Node("residual", (), joint.nodes[index].width, joint.nodes[index].batched, (("name", name),))
        for index, name in residuals.items()
    }
    needed = {index for index in live if index >= size or index in used}
    forward = replace(graph, outputs={**graph.outputs, **{name: index for index, name in residuals.items()}})
    return Derivative(verify(forward), verify(renumbered(joint, sorted(needed), leaves)), tuple(residuals.values()))


def _named(graph: Graph, kept: list[int]) -> dict[int, str]:
    """The residuals' names: those of the cell where it gives one, so that a new state is seen to be one."""
    known = {index: name for name, index in [*graph.names.items(), *graph.outputs.items()]}
    taken = {*graph.names, *graph.outputs}
    free = (name for name in (f"s{number}" for number in itertools.count()) if name not in taken)
    return {index: known[index] if index in known else next(free) for index in kept}


def _again(joint: Graph, used: set[int]) -> set[int]:
    """Those of the forward values ``used`` that the backward step computes again from others of them.

    ``1 - z`` is not kept beside ``z``. Nothing else has to be kept for it: the operands are there. Of ``-a``
    it is a that is kept. A number a row is kept: that costs next to nothing, and to compute it again would come
    before everything else.
    """
    again: set[int] = set()
    for index in sorted(used):
        node = joint.nodes[index]
        cheap = (node.op in _CHEAP and (node.width != "one" or not node.batched)) or OPS[node.op].kind == "compare"
        there = all(arg in used or joint.nodes[arg].op in _GIVEN for arg in node.args)
        if cheap and (there or node.op == "neg"):
            again.add(index)
    return again


def _all_again(graph: Graph, used: set[int]) -> tuple[set[int], set[int]]:
    """The values ``used`` with all that they are made of, and those of them that can be computed again.

    Products and means are kept, and new states, which are there anyway.
    """
    ends = set(graph.outputs.values())
    found: set[int] = set()
    again: set[int] = set()
    todo = list(used)
    while todo:
        index = todo.pop()
        node = graph.nodes[index]
        if index not in found:
            found.add(index)
            if index not in ends and OPS[node.op].kind in ("elementwise", "compare"):
                again.add(index)
                todo.extend(node.args)
    return found, again
