"""Weights from and to Keras layers and ONNX operators.

On Rondo's side weights are a dictionary of arrays named as in ``torch.nn``: ``weight_ih_l0``,
``weight_hh_l0``, ``bias_ih_l0``, ``bias_hh_l0``, for the backward direction with ``_reverse`` after it. One
call exchanges one layer, both directions of it where there are two; whether there are biases and a second
direction follows from the arrays. A state dict is such a dictionary once its tensors are NumPy arrays;
entries of other layers in it are left alone.

============================= ======================================= ==================================
cell                          Keras layer                             ONNX operator
============================= ======================================= ==================================
``rnn``                       ``SimpleRNN``                           ``RNN``
``lstm``                      ``LSTM``                                ``LSTM``
``lstm_peephole``                                                     ``LSTM`` with the input ``P``
``gru``                       ``GRU(reset_after=True)``, its default  ``GRU``, ``linear_before_reset=1``
``gru_reset_before``          ``GRU(reset_after=False)``              ``GRU``, ``linear_before_reset=0``
============================= ======================================= ==================================

In all these systems ``z = 1`` keeps the old state of a GRU. Gates are sigmoid and candidates tanh unless
asked otherwise: an activation is not a weight, and whoever exchanges a relu network (``rnn`` with
``nonlinearity="relu"``) says so on both sides.

Where the other system has one bias and Rondo two that are only ever added (Keras' ``SimpleRNN``, ``LSTM``
and ``GRU(reset_after=False)``), the sum goes out, and what comes in is ``bias_ih`` beside a zero ``bias_hh``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rondo.cells import registry
from rondo.errors import UsageError, nearest

__all__ = ["from_keras", "from_onnx", "onnx_operator", "to_keras", "to_onnx"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Layout:
    """How the other systems store a cell of Rondo's, their gates called by Rondo's names."""

    cell: str
    keras: tuple[str, ...] | None  # gates in Keras' order of columns; None: Keras has no such layer
    keras_biases: int  # 1: only their sum is stored; 2: both, as the rows of one array
    operator: str  # of ONNX
    onnx: tuple[str, ...]  # gates in that operator's order of rows
    attributes: tuple[tuple[str, int], ...] = ()
    peepholes: tuple[str, ...] = ()  # learned vectors, in the order of the operator's input P

    @property
    def gates(self) -> tuple[str, ...]:
        """The gates in Rondo's order of rows, which is that of the cell's equations."""
        return next(p.blocks for p in registry[self.cell].parameters if p.name == "weight_ih")


_H, _IFCO, _IOFC, _ZRH = ("h",), ("i", "f", "g", "o"), ("i", "o", "f", "g"), ("z", "r", "n")

LAYOUTS = {
    layout.cell: layout
    for layout in (
        Layout("rnn", _H, 1, "RNN", _H),
        Layout("lstm", _IFCO, 1, "LSTM", _IOFC),
        Layout("lstm_peephole", None, 0, "LSTM", _IOFC, peepholes=("p_i", "p_o", "p_f")),
        Layout("gru", _ZRH, 2, "GRU", _ZRH, (("linear_before_reset", 1),)),
        Layout("gru_reset_before", _ZRH, 1, "GRU", _ZRH, (("linear_before_reset", 0),)),
    )
}


def from_keras(cell: str, arrays: Sequence[Any], *, layer: int = 0) -> dict[str, Array]:
    """Rondo's weights from what ``get_weights()`` of a Keras layer returns.

    ``arrays`` is kernel, recurrent kernel and, unless the layer has none, bias; of a ``Bidirectional`` layer
    the forward layer's, then the backward layer's.
    """
    layout = _layout(cell, "Keras")
    if layout.keras is None:
        raise UsageError(f"Keras has no layer for the cell '{cell}'")
    if len(arrays) not in (2, 3, 4, 6):
        raise UsageError(
            f"{len(arrays)} arrays given; expected those of get_weights(): kernel, recurrent_kernel and bias "
            "(2 without a bias), twice as many for a Bidirectional layer"
        )
    each = 3 if len(arrays) % 3 == 0 else 2
    weights: dict[str, Array] = {}
    for start, suffix in zip(range(0, len(arrays), each), _suffixes(layer, len(arrays) > 3), strict=True):
        one = dict(zip(("kernel", "recurrent_kernel", "bias"), arrays[start : start + each], strict=False))
        where = "" if start == 0 else " of the backward layer"
        weights |= _direction_from_keras(layout, {n: _array(n + where, a) for n, a in one.items()}, suffix, where)
    return _one_width(weights, layer)


def to_keras(cell: str, weights: Mapping[str, Any], *, layer: int = 0) -> list[Array]:
    """What ``set_weights()`` of the Keras layer takes (of a ``Bidirectional`` one for two directions)."""
    layout = _layout(cell, "Keras")
    if layout.keras is None:
        raise UsageError(f"Keras has no layer for the cell '{cell}'")
    arrays = []
    for parts in _directions(layout, weights, layer):
        arrays.append(_reorder(parts["weight_ih"], layout.gates, layout.keras).T.copy())
        arrays.append(_reorder(parts["weight_hh"], layout.gates, layout.keras).T.copy())
        if "bias_ih" in parts:
            ours = parts["bias_ih"], parts["bias_hh"]
            both = [_reorder(bias, layout.gates, layout.keras) for bias in ours]
            arrays.append(np.stack(both) if layout.keras_biases == 2 else both[0] + both[1])
    return arrays


def from_onnx(cell: str, inputs: Mapping[str, Any], *, layer: int = 0) -> dict[str, Array]:
    """Rondo's weights from the inputs ``W``, ``R``, ``B`` (may be missing) and ``P`` of an ONNX operator.

    Two directions are two rows of the first axis. An operator with ``direction="reverse"`` has one; its
    weights get the names of a forward layer, which is then to be given the sequence from its end.
    """
    layout = _layout(cell, "ONNX")
    known = ["W", "R", "B", *(["P"] if layout.peepholes else [])]
    for name in inputs:
        if name not in known:
            raise UsageError(f"unknown input '{name}' for the cell '{cell}'{nearest(name, known)}")
    for name in known:
        if name not in inputs and name != "B":
            raise UsageError(f"the input '{name}' of the operator {layout.operator} is missing")
    arrays = {name: _array(name, inputs[name]) for name in known if name in inputs}
    shape = arrays["R"].shape
    if len(shape) != 3 or shape[0] not in (1, 2):
        raise UsageError(f"R has shape {shape}, expected (1 or 2 directions, gates * hidden, hidden)")
    directions, _, hidden = shape
    width = arrays["W"].shape[-1] if arrays["W"].ndim else 0
    rows = len(layout.gates) * hidden
    _check("W", arrays["W"], (directions, rows, width))
    _check("R", arrays["R"], (directions, rows, hidden))
    if "B" in arrays:
        _check("B", arrays["B"], (directions, 2 * rows))
    if "P" in arrays:
        _check("P", arrays["P"], (directions, len(layout.peepholes) * hidden))

    weights: dict[str, Array] = {}
    for index, suffix in enumerate(_suffixes(layer, directions == 2)):
        weights[f"weight_ih{suffix}"] = _reorder(arrays["W"][index], layout.onnx, layout.gates)
        weights[f"weight_hh{suffix}"] = _reorder(arrays["R"][index], layout.onnx, layout.gates)
        if "B" in arrays:
            for name, bias in zip(("bias_ih", "bias_hh"), np.split(arrays["B"][index], 2), strict=True):
                weights[name + suffix] = _reorder(bias, layout.onnx, layout.gates)
        if "P" in arrays:
            blocks = np.split(arrays["P"][index], len(layout.peepholes))
            weights |= {p + suffix: block.copy() for p, block in zip(layout.peepholes, blocks, strict=True)}
    return weights


def to_onnx(cell: str, weights: Mapping[str, Any], *, layer: int = 0) -> dict[str, Array]:
    """The inputs ``W``, ``R``, ``B`` and ``P`` of the ONNX operator that `onnx_operator` names."""
    layout = _layout(cell, "ONNX")
    each: dict[str, list[Array]] = {}
    for parts in _directions(layout, weights, layer):
        each.setdefault("W", []).append(_reorder(parts["weight_ih"], layout.gates, layout.onnx))
        each.setdefault("R", []).append(_reorder(parts["weight_hh"], layout.gates, layout.onnx))
        if "bias_ih" in parts:
            ours = parts["bias_ih"], parts["bias_hh"]
            both = [_reorder(bias, layout.gates, layout.onnx) for bias in ours]
            each.setdefault("B", []).append(np.concatenate(both))
        if layout.peepholes:
            each.setdefault("P", []).append(np.concatenate([parts[name] for name in layout.peepholes]))
    return {name: np.stack(arrays) for name, arrays in each.items()}


def onnx_operator(cell: str) -> tuple[str, dict[str, int]]:
    """The ONNX operator that computes ``cell``, and the attributes that make it do so."""
    layout = _layout(cell, "ONNX")
    return layout.operator, dict(layout.attributes)


def _layout(cell: str, system: str) -> Layout:
    if cell not in LAYOUTS:
        raise UsageError(f"weights of the cell '{cell}' cannot be exchanged with {system}{nearest(cell, LAYOUTS)}")
    return LAYOUTS[cell]


def _direction_from_keras(layout: Layout, arrays: dict[str, Array], suffix: str, where: str) -> dict[str, Array]:
    order = layout.keras or layout.gates
    kernel, recurrent = arrays["kernel"], arrays["recurrent_kernel"]
    if recurrent.ndim != 2:
        raise UsageError(f"recurrent_kernel{where} has shape {recurrent.shape}, expected (units, gates * units)")
    units, width = recurrent.shape[0], len(order) * recurrent.shape[0]
    _check("recurrent_kernel" + where, recurrent, (units, width))
    _check("kernel" + where, kernel, (kernel.shape[0] if kernel.ndim else 0, width))
    weights = {
        f"weight_ih{suffix}": _reorder(kernel.T, order, layout.gates),
        f"weight_hh{suffix}": _reorder(recurrent.T, order, layout.gates),
    }
    if "bias" in arrays:
        bias = arrays["bias"]
        one, two = (width,), (2, width)
        hint = ""
        if layout.operator == "GRU" and bias.shape in (one, two):
            hint = "; GRU(reset_after=True) has two rows of biases and is the cell 'gru', "
            hint += "GRU(reset_after=False) has one and is the cell 'gru_reset_before'"
        _check("bias" + where, bias, two if layout.keras_biases == 2 else one, hint)
        first, second = bias if layout.keras_biases == 2 else (bias, np.zeros_like(bias))
        weights[f"bias_ih{suffix}"] = _reorder(first, order, layout.gates)
        weights[f"bias_hh{suffix}"] = _reorder(second, order, layout.gates)
    return weights


def _directions(layout: Layout, weights: Mapping[str, Any], layer: int) -> list[dict[str, Array]]:
    """The checked arrays of one layer, a dictionary for each direction, their names without the suffix."""
    forward, backward = _suffixes(layer, True)
    two = any(name.endswith(backward) for name in weights)
    suffixes = (forward, backward) if two else (forward,)
    has_bias = any(f"{name}{suffix}" in weights for name in ("bias_ih", "bias_hh") for suffix in suffixes)
    names = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if has_bias else []), *layout.peepholes]
    expected = [name + suffix for suffix in suffixes for name in names]
    for name in expected:
        if name not in weights:
            raise UsageError(f"'{name}' is missing among the weights of layer {layer}{nearest(name, weights)}")
    for name in weights:
        if name.endswith((forward, backward)) and name not in expected:
            raise UsageError(f"'{name}' has no place in the other system's layer; it takes {', '.join(expected)}")

    directions = []
    for suffix in suffixes:
        parts = {name: _array(name + suffix, weights[name + suffix]) for name in names}
        inner = parts["weight_hh"]
        if inner.ndim != 2:
            raise UsageError(f"weight_hh{suffix} has shape {inner.shape}, expected (gates * hidden, hidden)")
        hidden = inner.shape[1]
        rows = len(layout.gates) * hidden
        outer = parts["weight_ih"]
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, outer.shape[-1] if outer.ndim else 0),
            "weight_hh": (rows, hidden),
            "bias_ih": (rows,),
            "bias_hh": (rows,),
            **dict.fromkeys(layout.peepholes, (hidden,)),
        }
        for name, part in parts.items():
            _check(name + suffix, part, shapes[name])
        directions.append(parts)
    _one_width({name: _array(name, weights[name]) for name in expected}, layer)
    return directions


def _one_width(weights: dict[str, Array], layer: int) -> dict[str, Array]:
    """Both directions of a layer read the same input and have the same width."""
    forward, backward = _suffixes(layer, True)
    for name in ("weight_ih", "weight_hh"):
        if name + backward in weights:
            _check(name + backward, weights[name + backward], weights[name + forward].shape)
    return weights


def _suffixes(layer: int, two: bool) -> tuple[str, ...]:
    return (f"_l{layer}", f"_l{layer}_reverse") if two else (f"_l{layer}",)


def _reorder(stacked: Array, given: tuple[str, ...], wanted: tuple[str, ...]) -> Array:
    """A copy of gates stacked on the first axis, brought from one order into another."""
    blocks = dict(zip(given, np.split(stacked, len(given)), strict=True))
    return np.concatenate([blocks[gate] for gate in wanted])


def _array(name: str, value: Any) -> Array:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"{name} cannot be read as an array: {error}") from error
    if not np.issubdtype(array.dtype, np.floating):
        raise UsageError(f"{name} holds {array.dtype}, expected floating-point numbers")
    return array


def _check(name: str, array: Array, expected: tuple[int, ...], hint: str = "") -> None:
    if array.shape != expected:
        raise UsageError(f"{name} has shape {array.shape}, expected {expected}{hint}")
