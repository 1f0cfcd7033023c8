"""`Stepper`: a layer that is fed one step at a time, with everything prepared before the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parameter import is_lazy

from rondo.backends import Steps
from rondo.errors import UsageError
from rondo.layers.inputs import check_input
from rondo.layers.state import StackState

if TYPE_CHECKING:
    from rondo.layers.recurrent import Recurrent

Table = tuple[Tensor, float]
"""Rows that are added up to x, where x is given as their numbers; and what they are multiplied with."""
Slow = Callable[[Tensor, StackState], tuple[Tensor, StackState]]
Prepare = Callable[[int, nn.Linear | None, Sequence[Tensor]], Steps | None]


def _not_plain(_: Tensor) -> Tensor | None:
    return None


class Stepper:
    """Advances a stack of layers, and a read-out on top of it, by one step a call; `Recurrent.stepper` makes one.

    ``stepper(x)`` takes x (B, input_size) and returns the output (B, N). **The output is a buffer that the next
    step writes anew**: ``clone()`` what must stay. The state is inside: `state` gives and sets it, `reset` begins
    anew. Steps equal the run over the whole sequence in evaluation: nothing is dropped, and no gradient flows.

    The weights are those that were there when the stepper was made. Before each step it looks at torch's version
    counters, and takes the weights anew if one was changed in place, as optimisers and ``load_state_dict`` do.
    What these do not count (``parameter.data``, a module that is converted, another parameter in the place of
    one) needs `refresh`.

    One stepper is for one thread at a time. For many sessions keep a `state` for each, or let those that go on
    together be rows of one batch.
    """

    def __init__(
        self,
        layer: Recurrent,
        batch_size: int,
        prepare: Prepare,
        slow: Slow,
        *,
        readout: nn.Linear | None = None,
        tables: Sequence[Table] = (),
    ) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
            raise UsageError(f"batch_size is a whole number of at least 1, not {batch_size!r}")
        self.batch_size = batch_size
        self._layer, self._prepare, self._slow = layer, prepare, slow
        self._readout, self._tables = readout, _pairs(tables)
        self._shape = batch_size, layer.input_size
        self._slow_state: StackState
        self._build()
        self.reset()

    def __call__(self, x: Tensor) -> Tensor:
        """One step for x (B, input_size)."""
        output = self._step(x)
        return self._careful_step(x) if output is None else output

    def step_rows(self, numbers: Tensor) -> Tensor:
        """One step whose x is the sum of a row of each table: int64 (tables, B), or (B,) for one table."""
        output = self._step_rows(numbers)
        return self._careful_rows(numbers) if output is None else output

    @property
    def prepared(self) -> bool:
        """Whether the engine runs the steps; else the layer's backend is asked for one step at a time."""
        return self._steps is not None

    @property
    def state(self) -> StackState:
        """The state now, in tensors of its own. To be set to one of this kind, or to one that the layer returned."""
        if self._steps is None:
            return self._slow_state.map(torch.clone)
        return StackState.of_layers([[state] for state in self._steps.read()])

    @state.setter
    def state(self, state: StackState) -> None:
        if not isinstance(state, StackState):
            raise UsageError(f"a state is a StackState, as .state and each call of a layer give it; not {state!r:.80}")
        state.checked(self._widths, self.batch_size, dtype=self._dtype, device=self._like.device)
        if self._steps is None:
            self._slow_state = state.detach().map(torch.clone)
        else:
            self._steps.write([state.layer(layer, 0, parts) for layer, parts in enumerate(self._steps.parts)])

    def reset(self, mask: Tensor | Sequence[bool] | None = None) -> None:
        """Begin anew from the layer's initial state: all sequences, or those where ``mask`` (B,) is True."""
        fresh = self._layer.initial_state(self.batch_size).detach()
        self.state = fresh if mask is None else self.state.reset(mask, fresh)

    def refresh(self) -> None:
        """Take the weights anew; the state stays."""
        state = self.state
        self._build()
        self.state = state.to(self._like.device, self._dtype)

    @torch.no_grad()
    def _build(self) -> None:
        of_layer = list(self._layer.parameters())
        like = of_layer[0]
        if self._readout is not None:
            _check_readout(self._readout, self._layer.output_size, like)
        for number, (rows, _) in enumerate(self._tables):
            _check_table(number, rows, self._layer.input_size, like)
        of_readout = [] if self._readout is None else list(self._readout.parameters())
        parameters = [*of_layer, *of_readout, *(rows for rows, _ in self._tables)]
        self._like, self._dtype = like, like.dtype
        self._widths = {name: value.shape[1] for name, value in self._layer.initial_state(1).parts().items()}
        self._rows = [(rows if factor == 1.0 else rows * factor).detach().contiguous() for rows, factor in self._tables]
        self._watched = [(one, one._version) for one in parameters if not one.is_inference()]
        alike = all(one.dtype == self._dtype and one.device == self._like.device for one in of_layer)
        self._steps = self._prepare(self.batch_size, self._readout, self._rows) if alike else None
        self._slow_state = self._layer.initial_state(self.batch_size)
        self._step: Callable[[Tensor], Tensor | None] = _not_plain
        self._step_rows: Callable[[Tensor], Tensor | None] = _not_plain
        if self._steps is not None:
            watched = [one for one, _ in self._watched]
            self._step = self._steps.tensor_step(watched)
            if self._tables:
                numbers = (len(self._tables), self.batch_size) if len(self._tables) > 1 else (self.batch_size,)
                self._step_rows = self._steps.tensor_step(watched, rows=numbers)

    def _careful_step(self, x: Tensor) -> Tensor:
        self._notice_changes()
        check_input(x, self._like)
        if x.shape != self._shape:
            raise UsageError(f"x has shape {tuple(x.shape)}; this stepper expects {self._shape}")
        if self._steps is None:
            return self._slow_step(x)
        dense = x.detach().to(self._dtype).contiguous()
        self._steps.step(dense.data_ptr())
        return self._steps.output

    def _careful_rows(self, numbers: Tensor) -> Tensor:
        self._notice_changes()
        shape = len(self._tables), self.batch_size
        if not self._tables:
            raise UsageError("this stepper has no tables: stepper(tables=[(rows, factor)]) gives it some")
        if not isinstance(numbers, Tensor):
            raise UsageError(f"numbers are a tensor of int64 {shape}, not {type(numbers).__name__}")
        if numbers.dtype != torch.int64 or numbers.numel() != shape[0] * shape[1]:
            raise UsageError(f"numbers are {numbers.dtype} {tuple(numbers.shape)}; this stepper expects int64 {shape}")
        if self._steps is None:
            chosen = [F.embedding(one, rows) for one, rows in zip(numbers.reshape(shape), self._rows, strict=True)]
            return self._slow_step(torch.stack(chosen).sum(0))
        dense = numbers.cpu().contiguous()
        self._steps.step_rows(dense.data_ptr())
        return self._steps.output

    def _notice_changes(self) -> None:
        if any(parameter._version != version for parameter, version in self._watched):
            self.refresh()

    @torch.no_grad()
    def _slow_step(self, x: Tensor) -> Tensor:
        output, self._slow_state = self._slow(x, self._slow_state)
        return output if self._readout is None else self._readout(output)


def _pairs(tables: Any) -> tuple[Table, ...]:
    """``tables`` if they are pairs of rows and a factor; what the rows are is looked at where weights are taken."""
    pairs: tuple[Any, ...]
    try:
        pairs = tuple(tuple(pair) for pair in tables)
    except TypeError:
        pairs = ((),)
    for pair in pairs:
        factor = pair[1] if len(pair) == 2 and isinstance(pair[0], Tensor) else None
        if not isinstance(factor, int | float) or isinstance(factor, bool):
            raise UsageError(f"tables are pairs of a tensor and a factor, [(rows, 1.0)]; not {tables!r:.80}")
    return pairs


def _check_readout(readout: Any, width: int, like: Tensor) -> None:
    """Nothing past this looks at shapes: the engine would read beyond a matrix that is too narrow."""
    if not isinstance(readout, nn.Linear) or type(readout).forward is not nn.Linear.forward:
        raise UsageError(f"readout is a torch.nn.Linear, not {type(readout).__name__}")
    if is_lazy(readout.weight):
        raise UsageError(f"readout has no weights yet: call it once, or make it nn.Linear({width}, ...)")
    weight, bias = readout.weight, readout.bias
    if weight.dim() != 2 or weight.shape[1] != width:
        raise UsageError(f"readout has weights of shape {tuple(weight.shape)}; the layer needs (outputs, {width})")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise UsageError(f"readout has a bias of shape {tuple(bias.shape)}; its weights need ({len(weight)},)")
    for one in (weight,) if bias is None else (weight, bias):
        _check_kind("readout", one, like)


def _check_table(number: int, rows: Tensor, width: int, like: Tensor) -> None:
    if rows.dim() != 2 or rows.shape[1] != width:
        raise UsageError(f"table {number} has shape {tuple(rows.shape)}; the layer needs (rows, {width})")
    _check_kind(f"table {number}", rows, like)


def _check_kind(what: str, given: Tensor, like: Tensor) -> None:
    if given.device != like.device:
        raise UsageError(f"{what} is on {given.device}, the layer on {like.device}")
    if given.dtype != like.dtype:
        raise UsageError(f"{what} has dtype {given.dtype}, the layer {like.dtype}: convert one of them with .to()")
