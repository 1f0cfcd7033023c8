"""The definition of a graph: NumPy, one op after the other, and its use over time.

Slow on purpose and short enough to be read at once. `run` executes one step; `unroll` and
`backpropagate` execute a cell and its derivative over a sequence. Every faster executor must
agree with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rondo.ir.derivative import Derivative
from rondo.ir.graph import Graph, Node, Parameter, size_of
from rondo.ir.ops import OPS

Array = NDArray[Any]
Arrays = Mapping[str, Array]


def run(graph: Graph, sizes: Mapping[str, int], weights: Arrays, leaf: Callable[[Node], Array]) -> dict[str, Array]:
    """The outputs of one step. ``leaf`` gives the value of input, state, mask, grad and residual leaves."""
    values: list[Array] = []
    for node in graph.nodes:
        op = OPS[node.op]
        args = [values[arg] for arg in node.args]
        if node.op == "const":
            value = np.asarray(node["value"])
        elif node.op in ("bias", "vector"):
            value = block_of(graph.parameter(node["parameter"]), node["block"], sizes, weights)
        elif op.kind == "leaf":
            value = leaf(node)
        elif op.kind == "product":
            matrix = block_of(graph.parameter(node["parameter"]), node["block"], sizes, weights)
            value = op.evaluate(args[0], matrix)  # type: ignore[misc]
        elif op.kind == "reduce":
            width = node.width if node.width != "one" else graph.nodes[node.args[0]].width
            value = op.evaluate(np.atleast_1d(args[0]), size_of(width, sizes))  # type: ignore[misc]
        else:
            value = op.evaluate(*args)  # type: ignore[misc]
        values.append(value)
    return {name: values[index] for name, index in graph.outputs.items()}


def block_of(parameter: Parameter, block: str, sizes: Mapping[str, int], weights: Arrays) -> Array:
    """One block of a stored array; a block-diagonal matrix is written out with its zeros."""
    rows = weights[parameter.name][parameter.block_rows(block, sizes)]
    if parameter.heads == 1 or parameter.columns is None:
        return rows
    full = np.zeros((rows.shape[0], size_of(parameter.columns, sizes)), rows.dtype)
    for target, part in _diagonal(parameter, full, rows):
        target[...] = part
    return full


def _diagonal(parameter: Parameter, full: Array, rows: Array) -> list[tuple[Array, Array]]:
    """Pairs of views: a diagonal block of the full matrix, and where it is stored."""
    height, width = rows.shape[0] // parameter.heads, rows.shape[1]
    return [
        (
            full[k * height : (k + 1) * height, k * width : (k + 1) * width],
            rows[k * height : (k + 1) * height],
        )
        for k in range(parameter.heads)
    ]


def unroll(
    derivative: Derivative,
    sizes: Mapping[str, int],
    weights: Arrays,
    x: Array,
    state: Arrays,
    masks: Arrays | None = None,
) -> tuple[list[dict[str, Array]], list[dict[str, Array]]]:
    """Run the cell over ``x`` (batch, time, input). Returns the states before each step and after the
    last, and the residuals of each step. ``masks`` (batch, width) are the same at every step.
    """
    graph = derivative.forward
    parts = graph.leaves("state")
    states: list[dict[str, Array]] = [dict(state)]
    residuals: list[dict[str, Array]] = []
    for t in range(x.shape[1]):
        given = {"input": {"x": x[:, t]}, "state": states[-1], "mask": masks or {}}
        result = run(graph, sizes, weights, lambda node, given=given: given[node.op][node["name"]])  # type: ignore[misc]
        states.append({name: np.broadcast_to(result[name], state[name].shape) for name in parts})
        residuals.append({name: result[name] for name in derivative.residuals})
    return states, residuals


def backpropagate(
    derivative: Derivative,
    sizes: Mapping[str, int],
    weights: Arrays,
    x: Array,
    states: list[dict[str, Array]],
    residuals: list[dict[str, Array]],
    outer_gradients: list[dict[str, Array]],
    masks: Arrays | None = None,
) -> tuple[Array, dict[str, Array], dict[str, Array]]:
    """Backpropagation through time. ``outer_gradients[t]`` are the loss's own gradients of the state
    after step t. Returns the gradients of x, of the initial state, and of the stored weights.
    """
    graph = derivative.backward
    gradient_x = np.zeros_like(x)
    gradient_weights = {name: np.zeros_like(value) for name, value in weights.items()}
    carried = {name: np.zeros_like(part) for name, part in states[0].items()}
    for t in reversed(range(x.shape[1])):
        total = {name: carried[name] + outer_gradients[t].get(name, 0.0) for name in carried}
        given = {
            "input": {"x": x[:, t]}, "state": states[t], "mask": masks or {}, "grad": total, "residual": residuals[t],
        }  # fmt: skip
        result = run(graph, sizes, weights, lambda node, given=given: given[node.op][node["name"]])  # type: ignore[misc]
        gradient_x[:, t] = result["x"]
        carried = {name: np.broadcast_to(result[name], part.shape) for name, part in carried.items()}
        for parameter in graph.parameters:
            for block in parameter.blocks:
                if parameter.name in weights and f"{parameter.name}.{block}" in result:
                    gradient = result[f"{parameter.name}.{block}"]
                    accumulate(parameter, gradient_weights[parameter.name], block, sizes, gradient)
    return gradient_x, carried, gradient_weights


def accumulate(parameter: Parameter, total: Array, block: str, sizes: Mapping[str, int], gradient: Array) -> None:
    """Add the gradient of one block to that of the stored array; of a block-diagonal matrix only what is stored."""
    rows = total[parameter.block_rows(block, sizes)]
    if parameter.heads == 1 or parameter.columns is None:
        rows += gradient
        return
    for part, target in _diagonal(parameter, gradient, rows):
        target += part
