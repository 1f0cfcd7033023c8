"""`Recurrent`: any cell, unrolled over time, stacked, in one direction or both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rondo.backends import BACKENDS, Choice, Request, StepBackend, Steps, choose, choose_inspecting
from rondo.backends.base import Weights
from rondo.backends.choose import checked_backend
from rondo.backends.segments import RecomputeSteps, checked_steps
from rondo.cells import Cell, State, get_cell
from rondo.errors import UsageError, nearest
from rondo.ir.graph import size_of
from rondo.ir.passes import visible
from rondo.layers.dropout import dropped, keep_mask, probability, zoneout_masks
from rondo.layers.inputs import autocast, check_input
from rondo.layers.masks import checked_lengths, checked_reset
from rondo.layers.stack import Extras, inspect_stack, last_in_pieces, unroll_stack
from rondo.layers.state import StackState, suffix
from rondo.layers.stepper import Stepper, Table

_RECURRENT = "weight_hh"
"""The array whose products with the state recurrent dropout and weight drop are about."""
_ONE_WAY = "a bidirectional layer needs the whole sequence: it cannot advance step by step"


class RecurrentOutput(NamedTuple):
    """What a recurrent layer returns, by name."""

    sequence: Tensor | None
    """(B, T, output_size): the outputs of the top layer at every step; zero beyond a sequence's length.

    None where only the last was asked for."""
    last: Tensor
    """(B, output_size): the output after each sequence's last step (in reverse: after its first)."""
    state: StackState
    """The state of all layers at the end, to be given to the next call."""


class Recurrent(nn.Module):
    """A stack of recurrent layers of any cell.

    ``cell`` is a name of the registry, ``"file.py:name"`` or a `Cell`; ``cell_options`` its own options.
    Parameters are named as in ``torch.nn``: ``weight_ih_l0``, ``weight_hh_l0_reverse``.

    What is dropped, in training only (rates are probabilities):

    ``input_dropout``      values of x
    ``layer_dropout``      outputs of each layer but the last, before they enter the next
    ``locked_dropout``     input and layer dropout take one mask for all steps of a sequence
    ``recurrent_dropout``  what enters the products with the state: one mask a sequence, the same at every
                           step and after a reset (Gal & Ghahramani 2016)
    ``zoneout``            each value of the state keeps its former value at a step with this probability;
                           in evaluation the expectation is taken, so it acts there too (Krueger et al. 2016);
                           refused for a cell whose state has a logarithmic scale (slstm)
    ``weight_drop``        elements of the recurrent matrix, once a call (Merity et al. 2017)

    ``learned_state``      the initial state is a parameter for each layer, zeros at first
    ``init``, ``forget_bias``, ``chrono``   see `Cell.initialise`
    ``recompute_steps``    what the backward pass needs is computed again, in segments of so many steps, from the
                           states that are kept before each; "auto" makes as many segments as each has steps.
                           Memory then grows with the root of T, a training step takes 1.1 to 1.6 times as long
    ``backend``            ``"auto"`` or the name of one; `explain` says which runs and why not another
    """

    def __init__(
        self,
        cell: str | Cell,
        input_size: int,
        hidden_size: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        projection_size: int | None = None,
        bias: bool = True,
        input_dropout: float = 0.0,
        layer_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        weight_drop: float = 0.0,
        locked_dropout: bool = False,
        learned_state: bool = False,
        cell_options: Mapping[str, Any] | None = None,
        init: str | None = None,
        forget_bias: float | None = None,
        chrono: int | None = None,
        recompute_steps: RecomputeSteps | None = None,
        backend: str = "auto",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.cell = get_cell(cell, **(cell_options or {})) if isinstance(cell, str) else get_cell(cell)
        if not isinstance(cell, str) and cell_options:
            raise UsageError("cell_options go with the name of a cell; a Cell has its options already")
        self.input_size = _positive("input_size", input_size)
        self.hidden_size = _positive("hidden_size", hidden_size)
        self.layers = _positive("layers", layers)
        self.projection_size = _projection(self.cell, projection_size)
        if not isinstance(bidirectional, bool):
            raise UsageError(f"bidirectional is True or False, not {bidirectional!r:.80}")
        self.bidirectional = bidirectional
        self.bias = bias
        self._parts = self.cell.state_parts
        self._widths = {part: size_of(width, self._sizes(0)) for part, width in self.cell.state_widths.items()}
        self.input_dropout = probability("input_dropout", input_dropout)
        self.layer_dropout = probability("layer_dropout", layer_dropout)
        self.recurrent_dropout = probability("recurrent_dropout", recurrent_dropout)
        self.zoneout = probability("zoneout", zoneout)
        self.weight_drop = probability("weight_drop", weight_drop)
        self.locked_dropout = locked_dropout
        self.learned_state = learned_state
        self.recompute_steps = checked_steps(recompute_steps)
        self.backend = checked_backend(backend)
        self._stored = [p for p in self.cell.parameters if bias or p.kind != "bias"]
        if not self._stored:
            raise UsageError(f"cell '{self.cell.name}' has no stored array: a layer of it has nothing to learn")
        for option in ("recurrent_dropout", "weight_drop"):
            if getattr(self, option) and not self.cell.has_recurrent_product:
                raise UsageError(f"{option}: cell '{self.cell.name}' has no product with its state to drop from")
        if self.zoneout and self.cell.log_scales:
            scales = " and ".join(self.cell.log_scales)
            why = f"{scales} is a logarithmic scale of the other parts of its state, whose mean has no meaning"
            raise UsageError(f"zoneout: not for cell '{self.cell.name}': {why}")
        self._choices: dict[tuple[Any, ...], Choice] = {}
        self._initialise = partial(self.cell.initialise, scheme=init, forget_bias=forget_bias, chrono=chrono)
        for layer, direction in self._places():
            for p in self._stored:
                value = torch.empty(p.shape(self._sizes(layer)), device=device, dtype=dtype)
                self.register_parameter(p.name + suffix(layer, direction), nn.Parameter(value))
            for part in self._parts if learned_state else ():
                value = torch.empty(self._widths[part], device=device, dtype=dtype)
                self.register_parameter(f"initial_{part}" + suffix(layer, direction), nn.Parameter(value))
        self.reset_parameters()
        self._choose(lengths=False, reset=False)  # a backend that cannot is refused now, not in training

    @property
    def directions(self) -> int:
        """1, or 2 if bidirectional."""
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """The width of ``sequence`` and ``last``."""
        return self._widths["h"] * self.directions

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw all weights anew, as the cell and the options ``init``, ``forget_bias``, ``chrono`` say."""
        for layer, direction in self._places():
            with torch.no_grad():
                weights = {p.name: self._parameter(p.name, layer, direction) for p in self._stored}
                self._initialise(weights, self._sizes(layer), generator=generator)
                for part in self._parts if self.learned_state else ():
                    self._parameter(f"initial_{part}", layer, direction).zero_()

    def initial_state(self, batch_size: int) -> StackState:
        """The state at the beginning of sequences: zeros, or what was learned."""
        return StackState.of_layers(self._states(None, batch_size))

    def forward(
        self,
        x: Tensor,
        state: StackState | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | Sequence[Sequence[bool]] | None = None,
        last_only: bool = False,
    ) -> RecurrentOutput:
        """Run over x (B, T, input_size).

        ``state``      where to begin, for instance what the call before returned; default `initial_state`
        ``lengths``    (B,): sequences end there, in any order, 0 allowed; what x holds beyond is not read
        ``reset``      (B, T) bool: at these steps a sequence starts anew, from this layer's initial state
        ``last_only``  the outputs of single steps are not wanted: ``sequence`` is None. In evaluation, where no
                       gradient is asked for, memory then does not grow with T, whatever the number of layers.
                       Layers below a bidirectional one keep theirs: it begins at both ends
        """
        checked, resets = self._checked(x, lengths, reset)
        given = checked is not None, resets is not None
        backend = BACKENDS[self._runs_on(self.backend, self.training, *given, torch.is_grad_enabled())]
        x = dropped(x, self.input_dropout if self.training else 0.0, locked=self.locked_dropout)
        special = resets is not None or self.zoneout or (self.recurrent_dropout and self.training)
        run = partial(
            unroll_stack,
            backend,
            self.cell,
            [[self._weights(layer, d) for d in range(self.directions)] for layer in range(self.layers)],
            extras=(lambda *place: self._extras(*place, reset=resets is not None)) if special else None,
            layer_dropout=self.layer_dropout if self.training else 0.0,
            locked=self.locked_dropout,
            outputs=not last_only,
            recompute_steps=self.recompute_steps,
        )
        states = self._states(state, x.shape[0])
        if last_only and self._forgets(x, states):
            sequence, after = None, last_in_pieces(run, x, states, lengths=checked, reset=resets)
        else:
            sequence, after = run(x, states, lengths=checked, reset=resets)
        top = [ended.h for ended in after[-1]]
        last = top[0] if len(top) == 1 else torch.cat(top, 1)
        return RecurrentOutput(None if last_only else sequence, last, StackState.of_layers(after))

    def _forgets(self, x: Tensor, states: list[list[State]]) -> bool:
        """Whether steps may be forgotten once they are run: nothing is drawn for all of them, and nothing derived."""
        if self.training or self.bidirectional or torch.compiler.is_compiling():
            return False
        if torch._C._get_tracing_state():  # how many pieces there are would be that of this x
            return False
        given = (part for of_layer in states for state in of_layer for part in state.parts().values())
        return not (torch.is_grad_enabled() and any(one.requires_grad for one in (x, *self.parameters(), *given)))

    @torch.no_grad()
    def inspect(
        self,
        x: Tensor,
        state: StackState | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | Sequence[Sequence[bool]] | None = None,
        values: str | Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """What the cell computes on the way: gates, candidates, all that its equations name, and its new state.

        In evaluation, without gradients, for each layer and direction: "r_l0" or "z_l1_reverse" is (B, T, width),
        zero beyond a sequence's length. ``values`` are the names that are asked for, without layer ("r"); default
        all. The rest is as in `forward`.
        """
        checked, resets = self._checked(x, lengths, reset)
        known = visible(self.cell.traced(bias=self.bias))
        asked = _names(known if values is None else values)
        for name in asked:
            if name not in known:
                raise UsageError(f"cell '{self.cell.name}' names no value '{name}'{nearest(name, known)}")
        request = self._request(lengths=checked is not None, reset=resets is not None)
        with self._evaluation():
            return inspect_stack(
                choose_inspecting(request, self.backend),
                self.cell,
                [[self._weights(layer, d) for d in range(self.directions)] for layer in range(self.layers)],
                x,
                self._states(state, x.shape[0]),
                asked,
                lengths=checked,
                reset=resets,
                extras=partial(self._extras, reset=resets is not None),
            )

    def step(self, x: Tensor, state: StackState | None = None) -> tuple[Tensor, StackState]:
        """One step for x (B, input_size): the output and the state. Stepping equals running the whole."""
        if self.bidirectional:
            raise UsageError(_ONE_WAY)
        drops = ("input_dropout", "layer_dropout", "recurrent_dropout", "zoneout", "weight_drop")
        if self.training and any(getattr(self, name) for name in drops):
            raise UsageError("step() draws no masks, which are for whole sequences; call .eval() first")
        check_input(x, self._parameter(self._stored[0].name, 0, 0))
        if x.dim() != 2 or x.shape[1] != self.input_size:
            raise UsageError(f"x has shape {tuple(x.shape)}; step() expects (batch, {self.input_size})")
        output = self.forward(x[:, None], state, last_only=True)
        return output.last, output.state

    def stepper(
        self, batch_size: int = 1, *, readout: nn.Linear | None = None, tables: Sequence[Table] = ()
    ) -> Stepper:
        """What goes on one step at a call, in microseconds: weights, state and memory are ready before the first.

        ``readout``  a dense layer on top, run in the same call
        ``tables``   where `Stepper.step_rows` is to be called: x is the sum of a row of each
        """
        if self.bidirectional:
            raise UsageError(_ONE_WAY)
        return Stepper(self, batch_size, self._prepare, self._step_evaluated, readout=readout, tables=tables)

    def _prepare(self, batch_size: int, readout: nn.Linear | None, tables: Sequence[Tensor]) -> Steps | None:
        self._check_shapes()
        backend = self._choose(lengths=False, reset=False, training=False).backend
        if not isinstance(backend, StepBackend):
            return None
        return backend.steps(
            self.cell,
            [{p.name: self._parameter(p.name, layer, 0) for p in self._stored} for layer in range(self.layers)],
            [self._sizes(layer) for layer in range(self.layers)],
            batch_size,
            zoneout=dict.fromkeys(self._parts, self.zoneout) if self.zoneout else None,
            readout=None if readout is None else (readout.weight, readout.bias),
            tables=tables,
        )

    def _check_shapes(self) -> None:
        """Whether each array is still of the shape it was made in: another may have been put in its place."""
        for layer, direction in self._places():
            expected = {p.name: p.shape(self._sizes(layer)) for p in self._stored}
            if self.learned_state:
                expected |= {f"initial_{part}": (width,) for part, width in self._widths.items()}
            for name, shape in expected.items():
                found = tuple(self._parameter(name, layer, direction).shape)
                if found != shape:
                    raise UsageError(f"{name}{suffix(layer, direction)} has shape {found}; this layer needs {shape}")

    def _step_evaluated(self, x: Tensor, state: StackState) -> tuple[Tensor, StackState]:
        with self._evaluation():
            return self.step(x, state)

    @contextmanager
    def _evaluation(self) -> Iterator[None]:
        training, self.training = self.training, False
        try:
            yield
        finally:
            self.training = training

    def explain(self, *, lengths: bool = False, reset: bool = False) -> str:
        """Which backend runs and why not another; say whether lengths or reset marks will be given."""
        where = f"{self.layers} layer(s), {'both directions' if self.bidirectional else 'forward'}"
        heading = f"Recurrent '{self.cell.name}', {self.input_size} -> {self.hidden_size}, {where}"
        choice = self._choose(lengths=lengths, reset=reset, gradients=torch.is_grad_enabled())
        lines = [heading, choice.explain()]
        if self.layer_dropout and self.layers == 1:
            lines.append("layer_dropout acts between layers: with one layer it changes nothing")
        if self.locked_dropout and not self.input_dropout and not (self.layer_dropout and self.layers > 1):
            lines.append(
                "locked_dropout is about input_dropout and layer_dropout: without them it changes nothing here"
            )
        return "\n".join(lines)

    def extra_repr(self) -> str:
        """The options that differ from their defaults."""
        shown = [f"'{self.cell.name}'", str(self.input_size), str(self.hidden_size), f"layers={self.layers}"]
        for name in ("bidirectional", "input_dropout", "layer_dropout", "locked_dropout", "recurrent_dropout",
                     "zoneout", "weight_drop", "learned_state", "projection_size", "recompute_steps"):  # fmt: skip
            if getattr(self, name):
                shown.append(f"{name}={getattr(self, name)}")
        return ", ".join(shown if self.bias else [*shown, "bias=False"])

    def _checked(self, x: Tensor, lengths: Any, reset: Any) -> tuple[Tensor | None, Tensor | None]:
        """Lengths and reset marks as backends take them, after a look at x."""
        check_input(x, self._parameter(self._stored[0].name, 0, 0))
        if x.dim() != 3 or x.shape[2] != self.input_size:
            raise UsageError(f"x has shape {tuple(x.shape)}; expected (batch, time, {self.input_size})")
        B, T, _ = x.shape
        return checked_lengths(lengths, B, T), checked_reset(reset, B, T, x.device)

    def _places(self) -> Iterator[tuple[int, int]]:
        return ((layer, direction) for layer in range(self.layers) for direction in range(self.directions))

    def _sizes(self, layer: int) -> dict[str, int]:
        sizes = {"input": self.input_size, "hidden": self.hidden_size}
        if self.projection_size is not None:
            sizes["projection"] = self.projection_size
        if layer:
            sizes["input"] = self.output_size
        return sizes

    def _parameter(self, name: str, layer: int, direction: int) -> Tensor:
        name += suffix(layer, direction)
        stored: Tensor | None = self._parameters.get(name)  # not there if something computes it (parametrizations)
        return getattr(self, name) if stored is None else stored

    def _weights(self, layer: int, direction: int) -> Weights:
        weights = {p.name: self._parameter(p.name, layer, direction) for p in self._stored}
        if self.weight_drop and self.training:
            weights[_RECURRENT] = F.dropout(weights[_RECURRENT], self.weight_drop)
        return weights

    def _initial(self, layer: int, direction: int, batch_size: int) -> State:
        like = self._parameter(self._stored[0].name, layer, direction)
        parts = {}
        for part in self._parts:
            if self.learned_state:
                parts[part] = self._parameter(f"initial_{part}", layer, direction).expand(batch_size, -1)
            else:
                parts[part] = like.new_zeros(batch_size, self._widths[part])
        return State(**parts)

    def _states(self, state: StackState | None, batch_size: int) -> list[list[State]]:
        if state is not None:
            if not isinstance(state, StackState):
                given = type(state).__name__
                raise UsageError(f"a state is a StackState, as initial_state() and each call give it; not {given}")
            like = self._parameter(self._stored[0].name, 0, 0)
            widths = {part + suffix(*place): N for place in self._places() for part, N in self._widths.items()}
            state.checked(widths, batch_size, dtype=None if autocast(like) else like.dtype, device=like.device)
        return [
            [
                self._initial(layer, d, batch_size) if state is None else state.layer(layer, d, self._parts)
                for d in range(self.directions)
            ]
            for layer in range(self.layers)
        ]

    def _extras(self, layer: int, direction: int, x: Tensor, *, reset: bool) -> Extras:
        B = x.shape[0]
        initial = self._initial(layer, direction, B) if reset else None
        masks, zoneout = None, None
        if self.recurrent_dropout and self.training:
            like = self._parameter(_RECURRENT, layer, direction).new_empty(B, self._widths["h"])
            masks = {"recurrent": keep_mask(like, self.recurrent_dropout)}
        if self.zoneout:
            zoneout = zoneout_masks(self._widths, self.zoneout, x, training=self.training)
        return Extras(initial, masks, zoneout)

    def _runs_on(self, backend: str, training: bool, lengths: bool, reset: bool, gradients: bool) -> str:
        """A function of its arguments, and so a constant for torch.compile, which need not see what is chosen how."""
        return self._choose(lengths=lengths, reset=reset, gradients=gradients).backend.name

    # As torch.compiler.assume_constant_result, which takes seconds to import.
    _runs_on._dynamo_marked_constant = True  # type: ignore[attr-defined]

    def _choose(self, *, lengths: bool, reset: bool, training: bool | None = None, gradients: bool = False) -> Choice:
        like = self._parameter(self._stored[0].name, 0, 0)
        masked = self.recurrent_dropout > 0 and (self.training if training is None else training)
        recompute = self.recompute_steps is not None
        key = (self.backend, lengths, reset, masked, recompute, gradients, like.dtype, like.device)
        if key not in self._choices:
            request = self._request(lengths=lengths, reset=reset, masked=masked, gradients=gradients)
            self._choices[key] = choose(request, self.backend)
        return self._choices[key]

    def _request(self, *, lengths: bool, reset: bool, masked: bool = False, gradients: bool = False) -> Request:
        like = self._parameter(self._stored[0].name, 0, 0)
        return Request(
            cell=self.cell,
            sizes=self._sizes(0),
            bias=self.bias,
            dtype=like.dtype,
            device=like.device,
            lengths=lengths,
            reset=reset,
            recurrent_dropout=masked,
            zoneout=self.zoneout > 0,
            gradients=gradients,
            recompute=self.recompute_steps is not None,
        )


def _positive(name: str, value: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(f"{name} is a whole number of at least 1, not {value!r}")
    return value


def _names(values: Any) -> list[str]:
    names = [values] if isinstance(values, str) else list(values) if isinstance(values, Iterable) else [values]
    if not all(isinstance(name, str) for name in names):
        raise UsageError(f"values are names of what the cell computes, such as 'h'; not {values!r:.80}")
    return names


def _projection(cell: Cell, size: int | None) -> int | None:
    if cell.has_projection and size is None:
        raise UsageError(f"cell '{cell.name}' needs projection_size")
    if size is not None and not cell.has_projection:
        raise UsageError(f"cell '{cell.name}' has no projection; 'lstm_projected' has one")
    return None if size is None else _positive("projection_size", size)
