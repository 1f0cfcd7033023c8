"""The closed op set as one table: a row an op, a column for everything that must know it.

``evaluate`` is the definition, in NumPy. ``derive`` gives the gradient with respect to each
argument, written with the same ops, so that a derivative can be derived again; it receives the
result ``y``, the arguments and the gradient ``g`` of the result, and leaves out (None) what has
no derivative. ``text`` and ``latex`` print. Shapes follow `Node`: elementwise ops broadcast
``one`` against any width and an unbatched value against a batched one; the builder sums
gradients back over what was broadcast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Op:
    """One row. ``kind``: leaf, elementwise, compare, reduce, product or gradient."""

    name: str
    kind: str
    arity: int
    evaluate: Callable[..., Any] | None
    derive: Callable[..., tuple[Any, ...]] | None
    text: str
    latex: str
    precedence: int = 9
    """How tightly the printed form binds: 1 sums, 2 products, 3 signs, 9 calls."""


def _sigmoid(a: Any) -> Any:
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(a)))


def _softplus(a: Any) -> Any:
    return np.logaddexp(0.0, a)


def _relu_derivative(y: Any, a: Any, g: Any) -> tuple[Any, ...]:
    return (g.where(y > 0.0, g, 0.0),)


def _maximum_derivative(y: Any, a: Any, b: Any, g: Any) -> tuple[Any, ...]:
    half = 0.5 * g  # a tie shares the gradient, as torch does
    return (
        g.where(a > b, g, g.where(a < b, 0.0, half)),
        g.where(a < b, g, g.where(a > b, 0.0, half)),
    )


def _minimum_derivative(y: Any, a: Any, b: Any, g: Any) -> tuple[Any, ...]:
    to_b, to_a = _maximum_derivative(y, a, b, g)
    return to_a, to_b


def _silu_derivative(y: Any, a: Any, g: Any) -> tuple[Any, ...]:
    s = a.apply("sigmoid", a)
    return (g * (s + y * (1.0 - s)),)


def _compare(name: str, evaluate: Callable[..., Any], sign: str, latex: str) -> Op:
    return Op(name, "compare", 2, evaluate, lambda y, a, b, g: (None, None), f"{{0}} {sign} {{1}}", latex, 0)


def _call(name: str, evaluate: Any, derive: Any, latex: str | None = None, text: str | None = None) -> Op:
    printed = latex or rf"\operatorname{{{{{name}}}}}"
    return Op(name, "elementwise", 1, evaluate, derive, f"{text or name}({{0}})", rf"{printed}\left({{0}}\right)")


_ROWS = [
    # Leaves: values that come from outside. `grad` and `residual` stand only in derivatives.
    Op("input", "leaf", 0, None, None, "{name}", "{name}"),
    Op("state", "leaf", 0, None, None, "{name}", "{name}"),
    Op("bias", "leaf", 0, None, None, "{name}", "{name}"),
    Op("vector", "leaf", 0, None, None, "{name}", "{name}"),
    Op("mask", "leaf", 0, None, None, "{name}", "{name}"),
    Op("const", "leaf", 0, None, None, "{name}", "{name}"),
    Op("grad", "leaf", 0, None, None, "{name}", "{name}"),
    Op("residual", "leaf", 0, None, None, "{name}", "{name}"),
    # Elementwise arithmetic.
    Op("add", "elementwise", 2, np.add, lambda y, a, b, g: (g, g), "{0} + {1}", "{0} + {1}", 1),
    Op("sub", "elementwise", 2, np.subtract, lambda y, a, b, g: (g, -g), "{0} - {1}", "{0} - {1}", 1),
    Op(
        "mul",
        "elementwise",
        2,
        np.multiply,
        lambda y, a, b, g: (g * b, g * a),
        "{0} * {1}",
        r"{0} \odot {1}",
        2,
    ),
    Op(
        "div",
        "elementwise",
        2,
        np.divide,
        lambda y, a, b, g: (g / b, -(g * y / b)),
        "{0} / {1}",
        r"\frac{{{0}}}{{{1}}}",
        2,
    ),
    Op("neg", "elementwise", 1, np.negative, lambda y, a, g: (-g,), "-{0}", "-{0}", 3),
    Op(
        "maximum",
        "elementwise",
        2,
        np.maximum,
        _maximum_derivative,
        "max({0}, {1})",
        r"\max\left({0}, {1}\right)",
    ),
    Op(
        "minimum",
        "elementwise",
        2,
        np.minimum,
        _minimum_derivative,
        "min({0}, {1})",
        r"\min\left({0}, {1}\right)",
    ),
    Op(
        "where",
        "elementwise",
        3,
        np.where,
        lambda y, c, a, b, g: (None, g.where(c, g, 0.0), g.where(c, 0.0, g)),
        "({1} if {0} else {2})",
        r"\begin{{cases}} {1} & \text{{if }} {0} \\ {2} & \text{{otherwise}} \end{{cases}}",
    ),
    # Elementwise functions.
    _call("sigmoid", _sigmoid, lambda y, a, g: (g * (y * (1.0 - y)),), r"\sigma", "σ"),
    _call("tanh", np.tanh, lambda y, a, g: (g * (1.0 - y * y),), r"\tanh"),
    _call("relu", lambda a: np.maximum(a, 0.0), _relu_derivative),
    _call("exp", np.exp, lambda y, a, g: (g * y,), r"\exp"),
    _call("log", np.log, lambda y, a, g: (g / a,), r"\log"),
    _call("softplus", _softplus, lambda y, a, g: (g * a.apply("sigmoid", a),)),
    _call("silu", lambda a: a * _sigmoid(a), _silu_derivative),
    Op("sqrt", "elementwise", 1, np.sqrt, lambda y, a, g: (0.5 * g / y,), "sqrt({0})", r"\sqrt{{{0}}}"),
    # Comparisons: the condition of `where`, nothing else.
    _compare("lt", np.less, "<", "{0} < {1}"),
    _compare("le", np.less_equal, "<=", r"{0} \le {1}"),
    _compare("gt", np.greater, ">", "{0} > {1}"),
    _compare("ge", np.greater_equal, ">=", r"{0} \ge {1}"),
    # Over the last axis; `spread` is the transpose of `mean`, `broadcast` that of `sum`.
    Op(
        "mean",
        "reduce",
        1,
        lambda a, n: a.mean(-1, keepdims=True),
        lambda y, a, g: (g.spread(a),),
        "mean({0})",
        r"\overline{{{0}}}",
    ),
    Op(
        "sum",
        "reduce",
        1,
        lambda a, n: a.sum(-1, keepdims=True),
        lambda y, a, g: (g.broadcast(a),),
        "sum({0})",
        r"\textstyle\sum{0}",
    ),
    Op(
        "spread",
        "reduce",
        1,
        lambda a, n: np.repeat(a / n, n, axis=-1),
        lambda y, a, g: (g.apply("mean", g),),
        "spread({0})",
        r"\operatorname{{spread}}\left({0}\right)",
    ),
    Op(
        "broadcast",
        "reduce",
        1,
        lambda a, n: np.repeat(a, n, axis=-1),
        lambda y, a, g: (g.apply("sum", g),),
        "broadcast({0})",
        r"\operatorname{{broadcast}}\left({0}\right)",
    ),
    # Products with a block W of a learned matrix: W v, and its transpose.
    Op(
        "product",
        "product",
        1,
        lambda v, w: v @ w.T,
        lambda y, v, g: (g.transposed(y),),
        "{name} {0}",
        "{name} {0}",
        2,
    ),
    Op(
        "product_t",
        "product",
        1,
        lambda g, w: g @ w,
        lambda y, v, g: (g.transposed(y),),
        "{name}ᵀ {0}",
        r"{name}^\top {0}",
        2,
    ),
    # Ends of a backward graph: a matrix gradient g vᵀ and a vector gradient, summed over the batch.
    Op("outer", "gradient", 2, lambda g, v: g.T @ v, None, "{0} {1}ᵀ", r"{0}\,{1}^\top", 2),
    Op("sum_batch", "gradient", 1, lambda g: g.sum(0), None, "sum_batch({0})", r"\textstyle\sum_b {0}"),
]

OPS: dict[str, Op] = {row.name: row for row in _ROWS}

FUNCTIONS = ("sigmoid", "tanh", "relu", "exp", "log", "softplus", "silu", "sqrt")
"""Elementwise functions a cell may call."""
