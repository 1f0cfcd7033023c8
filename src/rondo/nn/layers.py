"""`RNN`, `LSTM` and `GRU` with the signature, defaults, shapes and state dict of ``torch.nn``.

Each is a subclass of torch's class, so that its parameters, its checks and its checkpoints are torch's to
the letter; what runs it is chosen as for every layer of Rondo's. Set ``module.backend`` to ``"reference"``
or another name to choose it yourself, and read ``module.explain()``. Set ``module.recompute_steps`` for long
sequences, as `rondo.Recurrent` has it.

torch.compile breaks its graph at whatever is a ``torch.nn.RNN``, ``LSTM`` or ``GRU``; at these it does so only where
torch's own fused layer runs, or a sequence is packed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from rondo.backends import BACKENDS, Backend, Choice, Request, choose
from rondo.backends.base import Weights
from rondo.backends.segments import RecomputeSteps, checked_steps
from rondo.cells import Cell, State, get_cell
from rondo.errors import RondoError
from rondo.layers.recurrent import Recurrent
from rondo.layers.stack import unroll_stack
from rondo.layers.state import suffix
from rondo.layers.stepper import Stepper
from rondo.nn.compiling import let_in

_KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")


class _Layers:
    """What the three classes share: which cell they are, which backend runs, and running it."""

    backend: str = "auto"
    recompute_steps: RecomputeSteps | None = None

    def explain(self: Any) -> str:
        """Which backend runs, and why not another."""
        return f"rondo.nn.{self!r}\n{self._choose(gradients=torch.is_grad_enabled()).explain()}"

    def forward(self: Any, input: Any, hx: Any = None) -> Any:
        """As torch's: ``input`` padded, unbatched or packed, ``hx`` the state at the beginning."""
        backend = self._runs_on(self.backend, isinstance(input, PackedSequence), torch.is_grad_enabled())
        if backend == "vendor":
            return super().forward(input, hx)  # type: ignore[misc]  # torch's class, next in line
        if isinstance(input, PackedSequence):
            run = _run_packed_untraced if torch.compiler.is_compiling() else _run_packed
            return run(self, BACKENDS[backend], input, hx)
        return _run_padded(self, BACKENDS[backend], input, hx)

    def stepper(self: Any, batch_size: int = 1, *, readout: torch.nn.Linear | None = None) -> Stepper:
        """What goes on one step at a call, x (B, input_size), from zeros and in evaluation; see `Recurrent.stepper`.

        ``readout``  a dense layer on top, run in the same call
        """
        return _View(self).stepper(batch_size, readout=readout)

    def inspect(
        self: Any,
        input: Tensor,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        values: str | Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """Gates, candidates and states of each step, from zeros and in evaluation; see `Recurrent.inspect`.

        Batch and time stand in ``input``, and in what is found, as ``batch_first`` says.
        """
        x = input if self.batch_first else input.transpose(0, 1)
        found = _View(self).inspect(x, lengths=lengths, values=values)
        return found if self.batch_first else {name: value.transpose(0, 1) for name, value in found.items()}

    def _runs_on(self: Any, backend: str, lengths: bool, gradients: bool) -> str:
        """A function of its arguments, and so a constant for torch.compile, which need not see what is chosen how."""
        return self._choose(lengths=lengths, gradients=gradients).backend.name

    # As torch.compiler.assume_constant_result, which takes seconds to import.
    _runs_on._dynamo_marked_constant = True  # type: ignore[attr-defined]

    def _choose(self: Any, *, lengths: bool = False, gradients: bool = False) -> Choice:
        weight = _stored(self, "weight_hh_l0")
        known: dict[Any, Choice] = self.__dict__.setdefault("_rondo_choices", {})
        recompute = checked_steps(self.recompute_steps) is not None
        key = (self.backend, lengths, gradients, recompute, weight.dtype, weight.device)
        if key not in known:
            sizes = {"input": self.input_size, "hidden": self.hidden_size}
            if self.proj_size:
                sizes["projection"] = self.proj_size
            request = Request(
                cell=_cell(self),
                sizes=sizes,
                bias=self.bias,
                dtype=weight.dtype,
                device=weight.device,
                lengths=lengths,
                gradients=gradients,
                recompute=recompute,
            )
            known[key] = choose(request, self.backend)
        return known[key]

    def __getstate__(self: Any) -> dict[str, Any]:
        """Without what was chosen on this machine: another one may have another choice."""
        state: Any = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_rondo_choices"}


class RNN(_Layers, torch.nn.RNN):
    """Stands in for ``torch.nn.RNN``."""


class LSTM(_Layers, torch.nn.LSTM):
    """Stands in for ``torch.nn.LSTM``."""


class GRU(_Layers, torch.nn.GRU):
    """Stands in for ``torch.nn.GRU``."""


def _can_be_traced(module: Any) -> bool:
    """Whether it is one of these, and torch's own layer does not run it."""
    if not isinstance(module, _Layers):
        return False
    try:
        return module._runs_on(module.backend, False, torch.is_grad_enabled()) != "vendor"
    except RondoError:
        return True  # its forward says what is wrong


let_in(_can_be_traced)


_CELLS = {
    ("LSTM", False): get_cell("lstm"),
    ("LSTM", True): get_cell("lstm_projected"),
    ("GRU", False): get_cell("gru"),
    ("RNN_TANH", False): get_cell("rnn", nonlinearity="tanh"),
    ("RNN_RELU", False): get_cell("rnn", nonlinearity="relu"),
}


def _cell(module: Any) -> Cell:
    return _CELLS[module.mode, module.proj_size > 0]


class _View(Recurrent):
    """The same layers as a `Recurrent`, whose weights are the module's, whatever these are at the time."""

    def __init__(self, module: Any) -> None:
        super().__init__(
            _cell(module),
            module.input_size,
            module.hidden_size,
            layers=module.num_layers,
            bidirectional=module.bidirectional,
            projection_size=module.proj_size or None,
            bias=module.bias,
            device="meta",  # nothing is drawn
        )
        self._parameters.clear()
        self.module, self.backend = module, module.backend

    def _parameter(self, name: str, layer: int, direction: int) -> Tensor:
        stored: Tensor = getattr(self._modules.get("module", self), name + suffix(layer, direction))
        return stored


def _run_packed(module: Any, backend: Backend, packed: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
    """Unpacked in the order in which it was packed, longest first; packed again the same way."""
    data, sizes, order, back = packed
    B = int(sizes[0])
    if hx is None:
        hx = _zeros(module, B, data)
    else:
        hx = module.permute_hidden(hx, order)
    module.check_forward_args(data, hx, sizes)
    x, lengths = torch._VF._pad_packed_sequence(data, sizes, True, 0.0, len(sizes))
    sequence, hidden = _run(module, backend, x, hx, lengths)
    output, _ = torch._VF._pack_padded_sequence(sequence, lengths, True)
    return PackedSequence(output, sizes, order, back), module.permute_hidden(hidden, back)


# Not traced: how many rows a step has, and so every shape, stands in a tensor.
_run_packed_untraced = torch._disable_dynamo(_run_packed)


def _run_padded(module: Any, backend: Backend, x: Tensor, hx: Any) -> tuple[Tensor, Any]:
    if x.dim() not in (2, 3):
        raise ValueError(f"{type(module).__name__}: Expected input to be 2D or 3D, got {x.dim()}D instead")
    single = x.dim() == 2
    batch_dim = 0 if module.batch_first else 1
    if hx is not None:
        parts = hx if module.mode == "LSTM" else (hx,)
        if any(part.dim() != x.dim() for part in parts):
            got = ", ".join(f"{part.dim()}-D" for part in parts)
            raise RuntimeError(f"For {x.dim()}-D input, hx should also be {x.dim()}-D but got {got}")
        if single:
            hx = tuple(part.unsqueeze(1) for part in hx) if module.mode == "LSTM" else hx.unsqueeze(1)
    x = x.unsqueeze(batch_dim) if single else x
    if hx is not None or x.shape[2] != module.input_size or x.dtype != _stored(module, "weight_ih_l0").dtype:
        module.check_forward_args(x, _zeros(module, x.shape[batch_dim], x) if hx is None else hx, None)
    if x.shape[1 - batch_dim] == 0:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    sequence, hidden = _run(module, backend, x if module.batch_first else x.transpose(0, 1), hx, None)
    sequence = sequence if module.batch_first else sequence.transpose(0, 1)
    if single:
        sequence = sequence.squeeze(batch_dim)
        hidden = tuple(part.squeeze(1) for part in hidden) if module.mode == "LSTM" else hidden.squeeze(1)
    return sequence, hidden


def _zeros(module: Any, B: int, like: Tensor) -> Any:
    places = module.num_layers * (2 if module.bidirectional else 1)
    h = like.new_zeros(places, B, module.proj_size or module.hidden_size)
    return (h, like.new_zeros(places, B, module.hidden_size)) if module.mode == "LSTM" else h


def _run(module: Any, backend: Backend, x: Tensor, hx: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
    """Between torch's form of the state, stacked over layers and directions, and named parts by layer."""
    cell = _cell(module)
    directions = 2 if module.bidirectional else 1
    states = _begun(module, cell, x.shape[0], x) if hx is None else _unstacked(module, cell, x, hx)
    layers = range(module.num_layers)
    sequence, after = unroll_stack(
        backend,
        cell,
        [[_weights(module, layer, d) for d in range(directions)] for layer in layers],
        x,
        [states[layer * directions : (layer + 1) * directions] for layer in layers],
        lengths=lengths,
        layer_dropout=module.dropout if module.training else 0.0,
        recompute_steps=module.recompute_steps,
    )
    ended = [state.parts() for of_layer in after for state in of_layer]
    if len(ended) == 1:
        hidden = tuple(ended[0][part].unsqueeze(0) for part in cell.state_parts)
    else:
        hidden = tuple(torch.stack([state[part] for state in ended]) for part in cell.state_parts)
    return sequence, hidden if module.mode == "LSTM" else hidden[0]


def _begun(module: Any, cell: Cell, B: int, like: Tensor) -> list[State]:
    """Zeros for each layer and direction."""
    H = module.hidden_size
    widths = [((module.proj_size or H) if part == "h" else H, part) for part in cell.state_parts]
    places = module.num_layers * (2 if module.bidirectional else 1)
    return [State(**{part: like.new_zeros(B, units) for units, part in widths}) for _ in range(places)]


def _unstacked(module: Any, cell: Cell, x: Tensor, hx: Any) -> list[State]:
    """What was given, by layer and direction."""
    parts = hx if module.mode == "LSTM" else (hx,)
    if any(part.dtype != x.dtype for part in parts) and not torch.is_autocast_enabled(x.device.type):
        found = " and ".join(str(part.dtype) for part in parts)
        raise RuntimeError(f"Input and hidden tensors are not the same dtype: {x.dtype}, hidden {found}")
    rows = zip(*(part.unbind(0) for part in parts), strict=True)
    return [State(**dict(zip(cell.state_parts, row, strict=True))) for row in rows]


def _weights(module: Any, layer: int, direction: int) -> Weights:
    there = {"bias_ih": module.bias, "bias_hh": module.bias, "weight_hr": module.proj_size > 0}
    end = suffix(layer, direction)
    return {kind: _stored(module, kind + end) for kind in _KINDS if there.get(kind, True)}


def _stored(module: Any, name: str) -> Tensor:
    """A parameter, where torch keeps it. It is not there if something computes it (parametrizations)."""
    stored: Tensor | None = module._parameters.get(name)
    return getattr(module, name) if stored is None else stored
