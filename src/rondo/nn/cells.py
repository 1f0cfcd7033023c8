"""`RNNCell`, `LSTMCell` and `GRUCell` with the signature, defaults, shapes and state dict of ``torch.nn``.

A loop of one's own over time takes them a step at a time. Torch's own step is then the fastest there is,
since it does not lay out the weights anew at each call, so ``"auto"`` takes it; what makes such a loop fast
is a `rondo.Recurrent` in its place, or its stepper.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rondo.backends import Choice, Request, choose
from rondo.cells import Cell, State, get_cell

_CELLS = {
    "LSTMCell": get_cell("lstm"),
    "GRUCell": get_cell("gru"),
    "tanh": get_cell("rnn", nonlinearity="tanh"),
    "relu": get_cell("rnn", nonlinearity="relu"),
}
_STORED = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class _OneStep:
    """What the three classes share."""

    backend: str = "auto"

    def explain(self: Any) -> str:
        """Which backend runs, and why not another."""
        reason = "\n'auto' takes torch's own step: the others lay out the weights at each call"
        return f"rondo.nn.{self!r}\n{self._choose().explain()}{reason if self.backend == 'auto' else ''}"

    def forward(self: Any, input: Tensor, hx: Any = None) -> Any:
        """As torch's: ``input`` (batch, input) or (input,), ``hx`` the state before."""
        choice = self._choose()
        if choice.backend.name == "vendor":
            return super().forward(input, hx)  # type: ignore[misc]  # torch's class, next in line
        cell = self._cell()
        single = input.dim() == 1
        if input.dim() not in (1, 2):
            raise ValueError(f"{type(self).__name__}: Expected input to be 1D or 2D, got {input.dim()}D instead")
        x = input[None] if single else input
        if hx is None:
            zeros = x.new_zeros(len(x), self.hidden_size)
            hx = (zeros,) * len(cell.state_parts)
        else:
            hx = hx if isinstance(hx, tuple | list) else (hx,)
            if any(part.dim() not in (1, 2) for part in hx):
                raise ValueError(f"{type(self).__name__}: Expected hidden to be 1D or 2D")
            hx = tuple(part[None] if single else part for part in hx)
        mixed = torch.is_autocast_enabled(x.device.type)
        for part in hx:
            one_type = mixed or part.dtype == x.dtype == self.weight_hh.dtype
            if part.shape != (len(x), self.hidden_size) or x.shape[1] != self.input_size or not one_type:
                raise RuntimeError(
                    f"{type(self).__name__}: input {tuple(x.shape)} and hidden {tuple(part.shape)} do not fit "
                    f"{self.input_size} inputs and {self.hidden_size} units of type {self.weight_hh.dtype}"
                )
        weights = {name: getattr(self, name) for name in _STORED if getattr(self, name) is not None}
        state = State(**dict(zip(cell.state_parts, hx, strict=True)))
        _, after = choice.backend.unroll(cell, weights, x[:, None], state)
        parts = tuple(after.parts()[part][0] if single else after.parts()[part] for part in cell.state_parts)
        return parts if len(parts) > 1 else parts[0]

    def _cell(self: Any) -> Cell:
        return _CELLS[getattr(self, "nonlinearity", None) or _kind(self)]

    def _choose(self: Any) -> Choice:
        like = self.weight_hh
        request = Request(
            cell=self._cell(),
            sizes={"input": self.input_size, "hidden": self.hidden_size},
            bias=self.bias,
            dtype=like.dtype,
            device=like.device,
            gradients=torch.is_grad_enabled(),
        )
        return choose(request, "vendor" if self.backend == "auto" else self.backend)


def _kind(module: Any) -> str:
    return "LSTMCell" if isinstance(module, torch.nn.LSTMCell) else "GRUCell"


class RNNCell(_OneStep, torch.nn.RNNCell):
    """Stands in for ``torch.nn.RNNCell``."""


class LSTMCell(_OneStep, torch.nn.LSTMCell):
    """Stands in for ``torch.nn.LSTMCell``."""


class GRUCell(_OneStep, torch.nn.GRUCell):
    """Stands in for ``torch.nn.GRUCell``."""
