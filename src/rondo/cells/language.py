"""The cell language: the words a cell's equations are written in.

Besides ``+ - * /`` and comparisons inside `where`, these functions are all there is. They run on
tensors when the cell runs (the reference) and on symbols when it is traced; which of the two is
decided by the active algebra.
"""

from __future__ import annotations

from typing import Any

from rondo.ir import active_algebra

Value = Any
"""A tensor of shape (batch, width), or a symbol that stands for one."""


def project(name: str, x: Value, *, bias: bool = True, heads: int = 1) -> Value:
    """``W x + b``: the input into gate ``name``; rows ``name`` of ``weight_ih`` and ``bias_ih``."""
    return active_algebra().linear("weight_ih", name, x, bias="bias_ih" if bias else None, heads=heads)


def recur(name: str, h: Value, *, bias: bool = True, heads: int = 1) -> Value:
    """``U h + b'``: the state into gate ``name``; rows ``name`` of ``weight_hh`` and ``bias_hh``.

    With ``heads`` > 1 the matrix U is block-diagonal. Recurrent dropout acts on what enters here.
    """
    return active_algebra().linear("weight_hh", name, h, bias="bias_hh" if bias else None, heads=heads)


def affine(name: str, x: Value, h: Value, *, heads: int = 1) -> Value:
    """``W x + b + U h + b'``: `project` plus `recur`, the pre-activation of gate ``name``."""
    return project(name, x) + recur(name, h, heads=heads)


def product(name: str, value: Value, *, to: str = "hidden") -> Value:
    """A further learned matrix, ``weight_<name>``, without a bias; ``to`` is ``hidden`` or ``projection``."""
    return active_algebra().linear(f"weight_{name}", name, value, to=to)


def vector(name: str, *, init: float | tuple[float, float] = 0.0) -> Value:
    """A learned vector as wide as the hidden state; ``init`` is a number or (low, high) for uniform."""
    return active_algebra().vector(name, init)


def named(name: str, value: Value) -> Value:
    """The same value under a name, for formulas and inspection (local variables have theirs already)."""
    return active_algebra().named(name, value)


def layer_norm(name: str, a: Value, *, shift: bool = False, epsilon: float = 1e-5) -> Value:
    """Layer normalisation over the hidden axis (Ba et al. 2016, arXiv 1607.06450, equation 3).

    A learned gain ``gain_<name>`` starts at 1; with ``shift`` a learned ``shift_<name>`` at 0 is added.
    """
    centred = named(f"d_{name}", a - mean(a))
    deviation = named(f"s_{name}", sqrt(mean(centred * centred) + epsilon))
    normal = vector(f"gain_{name}", init=1.0) * (centred / deviation)
    return normal + vector(f"shift_{name}") if shift else normal


def sigmoid(a: Value) -> Value:
    """1 / (1 + exp(-a))."""
    return active_algebra().function("sigmoid", a)


def tanh(a: Value) -> Value:
    """The hyperbolic tangent."""
    return active_algebra().function("tanh", a)


def relu(a: Value) -> Value:
    """max(a, 0), with derivative 0 at 0."""
    return active_algebra().function("relu", a)


def exp(a: Value) -> Value:
    """The exponential."""
    return active_algebra().function("exp", a)


def log(a: Value) -> Value:
    """The natural logarithm."""
    return active_algebra().function("log", a)


def softplus(a: Value) -> Value:
    """log(1 + exp(a)); ``-softplus(-a)`` is the logarithm of `sigmoid`."""
    return active_algebra().function("softplus", a)


def silu(a: Value) -> Value:
    """a * sigmoid(a)."""
    return active_algebra().function("silu", a)


def sqrt(a: Value) -> Value:
    """The square root."""
    return active_algebra().function("sqrt", a)


def maximum(a: Value, b: Value) -> Value:
    """The larger of two, element by element; a tie shares the gradient."""
    return active_algebra().function("maximum", a, b)


def minimum(a: Value, b: Value) -> Value:
    """The smaller of two, element by element; a tie shares the gradient."""
    return active_algebra().function("minimum", a, b)


def where(condition: Value, a: Value, b: Value) -> Value:
    """``a`` where the comparison ``condition`` holds, else ``b``."""
    return active_algebra().function("where", condition, a, b)


def mean(a: Value) -> Value:
    """The mean over the hidden axis, one number a row of the batch."""
    return active_algebra().function("mean", a)
