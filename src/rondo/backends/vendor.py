"""torch's own fused layers, for the cells that are provably theirs.

The proof is a comparison of graphs: a cell qualifies when its traced equations and the layout of its
arrays are those of the registry's `rnn`, `lstm`, `lstm_projected` or `gru`, which the tests hold equal
to torch's. What a cell is called plays no part.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import _VF, Tensor
from torch.nn import functional as F

from rondo.backends.base import Request, Weights
from rondo.backends.matching import same_function
from rondo.backends.segments import RecomputeSteps
from rondo.cells import Cell, State, get_cell

_ORDER = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
"""The order in which torch's functions take the arrays of a layer."""


@dataclass(frozen=True)
class _Layer:
    """One of torch's layers: the cell it runs, torch's functions for sequences and for one step, its mode."""

    cell: str
    options: tuple[tuple[str, Any], ...]
    function: Callable[..., tuple[Tensor, ...]]
    step: Callable[..., Any] | None
    mode: str


_LAYERS = (
    _Layer("rnn", (("nonlinearity", "tanh"),), _VF.rnn_tanh, _VF.rnn_tanh_cell, "RNN_TANH"),
    _Layer("rnn", (("nonlinearity", "relu"),), _VF.rnn_relu, _VF.rnn_relu_cell, "RNN_RELU"),
    _Layer("lstm", (), _VF.lstm, _VF.lstm_cell, "LSTM"),
    _Layer("lstm_projected", (), _VF.lstm, None, "LSTM"),
    _Layer("gru", (), _VF.gru, _VF.gru_cell, "GRU"),
)

_found: WeakKeyDictionary[Cell, _Layer | None] = WeakKeyDictionary()


@lru_cache(maxsize=len(_LAYERS))
def _registered(layer: _Layer) -> Cell:
    return get_cell(layer.cell, **dict(layer.options))


def torch_layer(cell: Cell) -> _Layer | None:
    """The layer of torch's that computes exactly this cell, or None."""
    if cell not in _found:
        matches = (layer for layer in _LAYERS if same_function(cell, _registered(layer)))
        _found[cell] = next(matches, None)
    return _found[cell]


class VendorBackend:
    """Calls the function behind ``torch.nn.RNN``, ``LSTM`` and ``GRU``; lengths go through packing."""

    name = "vendor"
    summary = "torch's own fused layer (for second derivatives take 'reference')"

    def refuses(self, request: Request) -> str | None:
        """Refuses cells that torch does not have, and what its layers cannot do inside the time loop."""
        if torch_layer(request.cell) is None:
            return f"the equations of '{request.cell.name}' are not those of a layer of torch's"
        projection = request.sizes.get("projection", 0) if request.cell.has_projection else 0
        if projection >= request.sizes["hidden"]:
            return f"torch's projection must be narrower than the hidden size, {projection} is not"
        inside = {
            "reset marks": request.reset,
            "recurrent dropout": request.recurrent_dropout,
            "zoneout": request.zoneout,
            "recomputation": request.recompute,
        }
        wanted = [what for what, asked in inside.items() if asked]
        return f"torch's layers cannot do {' and '.join(wanted)}" if wanted else None

    def unroll(
        self,
        cell: Cell,
        weights: Weights,
        x: Tensor,
        state: State,
        *,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
        initial: State | None = None,
        masks: Mapping[str, Tensor] | None = None,
        zoneout: Mapping[str, Tensor | float] | None = None,
        reverse: bool = False,
        outputs: bool = True,
        recompute_steps: RecomputeSteps | None = None,
    ) -> tuple[Tensor, State]:
        """See `Backend.unroll`; reset, masks, zoneout and recomputation are refused beforehand."""
        if reset is not None or masks or zoneout or recompute_steps is not None:
            raise ValueError("the vendor backend was called with what it refuses")
        if reverse:
            x = reversed_in_time(x, lengths)
        sequence, states = self.unroll_stack(cell, [[weights]], x, [[state]], lengths=lengths)
        if not outputs:
            return sequence.new_empty(x.shape[0], 0, sequence.shape[2]), states[0][0]
        if reverse:
            sequence = reversed_in_time(sequence, lengths)
        return sequence, states[0][0]

    def unroll_stack(
        self,
        cell: Cell,
        weights: Sequence[Sequence[Weights]],
        x: Tensor,
        state: Sequence[Sequence[State]],
        *,
        lengths: Tensor | None = None,
        layer_dropout: float = 0.0,
    ) -> tuple[Tensor, list[list[State]]]:
        """See `StackBackend.unroll_stack`."""
        layer = torch_layer(cell)
        if layer is None:
            raise ValueError(f"the vendor backend was called for '{cell.name}', which it refuses")
        if layer.step is not None and x.shape[1] == 1 and lengths is None and x.device.type == "cpu":
            return _one_step(layer.step, cell, weights, x, state, layer_dropout)
        parts = cell.state_parts
        directions = len(weights[0])
        flat = [w[name] for of_layer in weights for w in of_layer for name in _ORDER if name in w]
        given = [[s.parts()[part] for of_layer in state for s in of_layer] for part in parts]
        hidden = [torch.stack(values) for values in given]
        run = _Run(layer, flat, "bias_ih" in weights[0][0], len(weights), layer_dropout, directions == 2)

        B, T, _ = x.shape
        if lengths is not None and T and B and int(lengths.min()) == T:
            lengths = None
        if B == 0 or T == 0:
            sequence, hidden = x.new_zeros(B, T, directions * hidden[0].shape[2]), list(hidden)
        elif lengths is None:
            sequence, hidden = run.padded(x, hidden)
        else:
            sequence, hidden = run.packed(x, hidden, lengths)
        flat_states = [State(**dict(zip(parts, values, strict=True))) for values in _rows(hidden)]
        return sequence, [flat_states[i : i + directions] for i in range(0, len(flat_states), directions)]


def _one_step(
    step: Callable[..., Any],
    cell: Cell,
    weights: Sequence[Sequence[Weights]],
    x: Tensor,
    state: Sequence[Sequence[State]],
    layer_dropout: float,
) -> tuple[Tensor, list[list[State]]]:
    """One step of a stack: torch's layers for sequences repack an LSTM's weights at each call."""
    inputs, after = x[:, 0], []
    for layer, of_layer in enumerate(weights):
        if layer and layer_dropout:
            inputs = F.dropout(inputs, layer_dropout)
        ended = []
        for stored, before in zip(of_layer, state[layer], strict=True):
            given = [before.parts()[part] for part in cell.state_parts]
            arrays = [stored.get(name) for name in _ORDER[:4]]
            result = step(inputs, given if len(given) > 1 else given[0], *arrays)
            values = result if len(given) > 1 else (result,)
            ended.append(State(**dict(zip(cell.state_parts, values, strict=True))))
        inputs = ended[0].h if len(ended) == 1 else torch.cat([one.h for one in ended], 1)
        after.append(ended)
    return inputs[:, None], after


def _rows(hidden: Iterable[Tensor]) -> Iterable[tuple[Tensor, ...]]:
    return zip(*(part.unbind(0) for part in hidden), strict=True)


@dataclass(frozen=True)
class _Run:
    """One call of torch's function, with what does not depend on the form of the input."""

    layer: _Layer
    weights: list[Tensor]
    bias: bool
    layers: int
    dropout: float
    bidirectional: bool

    def padded(self, x: Tensor, hidden: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        result = self._called(x, self._state(hidden), *self._options(), True)
        return result[0], list(result[1:])

    def packed(self, x: Tensor, hidden: list[Tensor], lengths: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Sequences sorted by length, empty ones set aside, the rest packed; and all that undone."""
        B, T, _ = x.shape
        lengths, order = torch.sort(lengths, descending=True, stable=True)
        n = int((lengths > 0).sum())
        if n == 0:
            directions = 2 if self.bidirectional else 1
            return hidden[0].new_zeros(B, T, directions * hidden[0].shape[2]), hidden
        order = order.to(x.device)
        back = torch.argsort(order)
        hidden = [part.index_select(1, order) for part in hidden]
        data, sizes = torch._VF._pack_padded_sequence(x.index_select(0, order[:n]), lengths[:n], True)
        running = [part[:, :n].contiguous() for part in hidden]
        result = self._called(data, sizes, self._state(running), *self._options())
        sequence, _ = torch._VF._pad_packed_sequence(result[0], sizes, True, 0.0, T)
        if n < B:
            sequence = torch.cat([sequence, sequence.new_zeros(B - n, T, sequence.shape[2])])
        ended = [torch.cat([new, part[:, n:]], 1) for new, part in zip(result[1:], hidden, strict=True)]
        return sequence.index_select(0, back), [part.index_select(1, back) for part in ended]

    def _called(self, *arguments: Any) -> tuple[Tensor, ...]:
        if self.layer.cell != "lstm_projected":
            return self.layer.function(*arguments)
        with warnings.catch_warnings():  # torch says which of its own ways it takes; the values are the same
            warnings.filterwarnings("ignore", message="LSTM with projections is not supported with oneDNN")
            return self.layer.function(*arguments)

    def _state(self, hidden: list[Tensor]) -> Any:
        return hidden if self.layer.mode == "LSTM" else hidden[0]

    def _options(self) -> tuple[Any, ...]:
        weights, bias, layers = self.weights, self.bias, self.layers
        training = torch.is_grad_enabled() or self.dropout > 0
        return weights, bias, layers, self.dropout, training, self.bidirectional


def reversed_in_time(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Each sequence backwards, its padding left at the end."""
    if lengths is None:
        return x.flip(1)
    steps = torch.arange(x.shape[1])
    backwards = lengths[:, None] - 1 - steps[None, :]
    index = torch.where(backwards >= 0, backwards, steps[None, :]).to(x.device)
    return x.gather(1, index[:, :, None].expand(-1, -1, x.shape[2]))
