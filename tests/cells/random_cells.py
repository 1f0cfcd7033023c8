"""Cells drawn at random from the language, for Hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from rondo.cells import (
    Cell,
    State,
    affine,
    cell,
    exp,
    layer_norm,
    log,
    maximum,
    mean,
    minimum,
    product,
    project,
    recur,
    relu,
    sigmoid,
    silu,
    softplus,
    sqrt,
    tanh,
    vector,
    where,
)

UNARY = {
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": relu,
    "exp": lambda a: exp(tanh(a)),
    "log": lambda a: log(softplus(a) + 0.1),
    "softplus": softplus,
    "silu": silu,
    "sqrt": lambda a: sqrt(a * a + 0.2),
    "neg": lambda a: -a,
    "mean": lambda a: a - mean(a),
    "scaled": lambda a: 0.5 * a - 0.25,
    "inverse": lambda a: 1.0 / (1.5 + sigmoid(a)),
}
BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: tanh(a) * b,
    "div": lambda a, b: a / (1.0 + exp(tanh(b))),
    "maximum": maximum,
    "minimum": minimum,
    "lt": lambda a, b: where(a < b, tanh(a), 0.3 * b),
    "le": lambda a, b: where(a <= b, 0.5 * a, tanh(b)),
    "gt": lambda a, b: where(a > 0.1, b, 0.5 * a),
    "ge": lambda a, b: where(a >= b, 0.25, b),
    "mixed": lambda a, b: sigmoid(a) * b + (1 - sigmoid(a)) * mean(b),
}


JUMPS = ("relu", "maximum", "minimum", "lt", "ge")
"""Where rounding decides which side a number is on, and values or gradients are others there."""


def random_cell(data: st.DataObject, *, smooth: bool = False) -> Cell:
    """A cell of two state parts and up to twelve drawn ops: of all of the language, or of those without `JUMPS`."""
    every = [*UNARY, *BINARY, "recur", "vector", "norm", "low rank", "affine"]
    ops = [op for op in every if not (smooth and op in JUMPS)]
    program = [
        (
            data.draw(st.sampled_from(ops)),
            data.draw(st.integers(0, 30)),
            data.draw(st.integers(0, 30)),
        )
        for _ in range(data.draw(st.integers(1, 12)))
    ]
    heads = data.draw(st.sampled_from([1, 2, 4]))

    @cell
    def drawn(x: Any, h: Any, c: Any) -> State:
        values = [project("a", x), recur("a", h, heads=heads), h, c]
        for number, (op, first, second) in enumerate(program):
            a, b = values[first % len(values)], values[second % len(values)]
            if op in UNARY:
                values.append(UNARY[op](a))
            elif op in BINARY:
                values.append(BINARY[op](a, b))
            elif op == "recur":
                values.append(recur(f"u{number}", a, heads=heads))
            elif op == "vector":
                values.append(vector(f"v{number}", init=(0.5, 1.0)) * a + tanh(vector(f"v{number}", init=(0.5, 1.0))))
            elif op == "norm":
                values.append(layer_norm(f"n{number}", a, shift=True, epsilon=0.1))
            elif op == "low rank":
                values.append(product(f"up{number}", product(f"down{number}", a, to="projection")))
            else:
                values.append(affine(f"w{number}", x, a, heads=heads))
        return State(h=tanh(values[-1] + 0.5 * values[-2]), c=sigmoid(values[len(values) // 2]) * c + values[1])

    return drawn
