"""One run of a cell over time, forward or backward: from tensors to addresses, and the native call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rondo.backends.cpu.lower import Plans, plans_for
from rondo.backends.cpu.native import engine_for, engine_module, forced
from rondo.backends.cpu.plan import Plan
from rondo.backends.cpu.zoneout import MASK
from rondo.cells import Cell
from rondo.errors import UsageError
from rondo.ir.graph import WIDTHS, Parameter

ABSENT, MASKED = -1.0, -2.0
"""What stands for a part of the state in a list of zoneout rates: none, or a mask says so."""

PANEL = 16
NOWHERE = (0, 0, 0)
POOLED_FROM = 1 << 15
"""Elements from which on fresh memory would cost page faults, so that the engine's own pool serves."""


class Inputs(NamedTuple):
    """The tensors of a run; see `Backend.unroll`. Lists are in the order that `Spec` says."""

    x: Tensor
    weights: Sequence[Tensor]
    given: Sequence[Tensor]
    fresh: Sequence[Tensor]
    masks: Sequence[Tensor]
    lengths: Tensor | None
    reset: Tensor | None


@dataclass(frozen=True, eq=False)
class Spec:
    """What is run: everything but tensors and sizes. `spec_for` makes one for each."""

    cell: Cell
    bias: bool
    dropout: bool
    zoneout: tuple[float, ...]
    """By part of the state: the rate, ABSENT or MASKED."""

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The output first."""
        return "h", *(part for part in self.cell.state_parts if part != "h")

    @cached_property
    def stored(self) -> tuple[Parameter, ...]:
        """What the weights are, in their order."""
        return tuple(p for p in self.cell.parameters if self.bias or p.kind != "bias")

    @cached_property
    def masks(self) -> tuple[str, ...]:
        """Names of the masks, in their order."""
        masked = (MASK + part for part, rate in zip(self.parts, self.zoneout, strict=True) if rate == MASKED)
        return (*(["recurrent"] if self.dropout else []), *masked)

    def plans(self, *, training: bool, restarts: bool, dy: bool = True, dx: bool = True) -> Plans:
        """See `plans_for`."""
        rates = zip(self.parts, self.zoneout, strict=True)
        return plans_for(
            self.cell,
            bias=self.bias,
            recurrent_dropout=self.dropout,
            zoneout=tuple((part, None if rate == MASKED else rate) for part, rate in rates if rate != ABSENT),
            training=training,
            dy=dy,
            dx=dx,
            restarts=restarts,
        )

    @cached_property
    def _widths(self) -> tuple[tuple[int, int, int], ...]:
        """For each width where its number is read: 1 none, 2 x, 3 a state, 4 rows of a weight; which; divided by."""
        found = {self.cell.state_widths[part]: (3, i, 1) for i, part in enumerate(self.parts)}
        found |= {p.rows: (4, i, len(p.blocks)) for i, p in enumerate(self.stored)}
        found |= {"one": (1, 0, 1), "input": (2, 0, 1)}
        return tuple(found.get(width, (0, 0, 1)) for width in WIDTHS)

    def sizes(self, x: Tensor, weights: Sequence[Tensor], given: Sequence[Tensor]) -> tuple[int, ...]:
        """The numbers behind the symbolic widths, in the order of `WIDTHS`."""
        sizes = []
        for kind, index, divisor in self._widths:
            if kind == 4:
                sizes.append(weights[index].shape[0] // divisor)
            elif kind == 3:
                sizes.append(given[index].shape[1])
            else:
                sizes.append(x.shape[2] if kind == 2 else kind)
        return tuple(sizes)


@lru_cache(maxsize=4096)
def spec_for(key: str, bias: bool, dropout: bool, zoneout: tuple[float, ...]) -> Spec:
    """The spec of a cell by its key, always the same object."""
    return Spec(Cell.of_key(key), bias, dropout, zoneout)


@dataclass(frozen=True)
class Step:
    """A plan with its engine, and how tensors are handed to it."""

    native: Any
    parameters: tuple[int, ...]
    """For each parameter of the plan which weight it is, or -1."""
    masks: tuple[int, ...]
    widths: tuple[int, ...]
    """Units of each part of the state."""
    all_steps: list[bool]
    """By part: whether the states of all steps are kept, or the last alone."""


@dataclass(frozen=True)
class Room:
    """What a run for training keeps, besides the states that are its outputs; see `Engine::place`."""

    each: int
    """Elements for each row and step."""
    states: int
    """Elements for each row and entry of those states of which all steps are kept."""
    ends: int
    """Elements for each row of the others."""

    def elements(self, B: Any, T: Any, lengths: bool, reset: bool) -> Any:
        """Enough for any lengths and resets: sizes of tensors must not depend on what stands in tensors.

        Pieces of sequences are laid into rows; two rows hold more than one row's length, so rows times steps
        are at most twice the steps of all sequences and a row.
        """
        if reset:
            steps = 2 * B * T + T
            return steps * (self.each + 2 * (self.states + self.ends))
        return B * T * self.each + B * (T + 1) * self.states + 2 * B * self.ends


@lru_cache(maxsize=4096)
def forward_step(
    spec: Spec, sizes: tuple[int, ...], dtype: torch.dtype, training: bool, restarts: bool, threads: int, isa: str
) -> Step:
    """The step of a forward run. ``threads`` and ``isa`` are those in force, and part of what is cached by."""
    plans = spec.plans(training=training, restarts=restarts)
    return _step(spec, plans.forward, sizes, dtype, _all_steps(spec, plans))


@lru_cache(maxsize=4096)
def backward_step(
    spec: Spec, sizes: tuple[int, ...], dtype: torch.dtype, restarts: bool, dy: bool, dx: bool, threads: int, isa: str
) -> Step:
    """The step of a backward run."""
    plans = spec.plans(training=True, restarts=restarts, dy=dy, dx=dx)
    if plans.backward is None:
        raise RuntimeError("plans for training have no backward plan")
    return _step(spec, plans.backward, sizes, dtype, _all_steps(spec, plans))


@lru_cache(maxsize=4096)
def room_for(spec: Spec, sizes: tuple[int, ...], restarts: bool) -> Room:
    """What a forward run for training with these sizes keeps."""
    plans = spec.plans(training=True, restarts=restarts)
    units = dict(zip(WIDTHS, sizes, strict=True))
    each = sum(padded(units[width]) * slots for width, slots in plans.forward.kept.items())
    kept = _all_steps(spec, plans)
    widths = [padded(units[width]) for width in plans.forward.parts.values()]
    apart = range(0 if restarts else 1, len(widths))  # the states of h are the outputs, if nothing restarts
    return Room(each, sum(widths[i] for i in apart if kept[i]), sum(widths[i] for i in apart if not kept[i]))


def padded(units: Any) -> Any:
    """A row of a row buffer."""
    return (units + PANEL - 1) // PANEL * PANEL


def run_forward(spec: Spec, inputs: Inputs, *, reverse: bool, training: bool) -> list[Tensor]:
    """The outputs (B, T, H), the parts of the state at the end, and bytes of residuals (none if not training)."""
    x, weights, given, fresh, masks, lengths, reset = inputs
    x = dense(x)
    B, T, _ = x.shape
    restarts = lengths is not None or reset is not None
    sizes = spec.sizes(x, weights, given)
    step = forward_step(spec, sizes, x.dtype, training, restarts, torch.get_num_threads(), forced())
    layout = layout_for(B, T, reverse, lengths, reset)
    tight = [weight.contiguous() for weight in weights]
    begin = [part.contiguous() for part in given]
    anew = [part.contiguous() for part in fresh]
    covers = [dense(mask.to(x.dtype)) for mask in masks]
    final = [x.new_empty(B, units) for units in step.widths]
    H = step.widths[0]
    N = padded(H)
    if restarts:
        outputs, sequence = 0, empty(B * T * H, x).view(B, T, H).zero_()
        place = array(sequence)
    else:
        states = empty((T + 1) * B * N, x)
        outputs, place = states.data_ptr(), NOWHERE
        sequence = states.as_strided((B, T, H), (N, B * N, 1), 0 if reverse else B * N)
    rest = x.new_empty(0, dtype=torch.uint8)
    if training:
        room = room_for(spec, sizes, restarts).elements(B, T, lengths is not None, reset is not None)
        rest = empty_bytes(room * x.element_size(), x)
    step.native.forward(
        step.native.pack([0 if i < 0 else tight[i].data_ptr() for i in step.parameters]),
        layout,
        array(x),
        [array(covers[i]) for i in step.masks],
        [part.data_ptr() for part in begin],
        [part.data_ptr() for part in anew] or [0] * len(begin),
        step.all_steps,
        [part.data_ptr() for part in final],
        place,
        outputs,
        rest.data_ptr(),
    )
    return [sequence, *final, rest]


def run_backward(
    spec: Spec,
    inputs: Inputs,
    grads: Sequence[Tensor | None],
    *,
    reverse: bool,
    needs_x: bool,
    sequence: Tensor,
    rest: Tensor,
) -> list[Tensor]:
    """Gradients of x (empty where not wanted), of the weights, the given state and the fresh one."""
    x, weights, given, fresh, masks, lengths, reset = inputs
    x = dense(x)
    B, T, I = x.shape
    restarts = lengths is not None or reset is not None
    dy = None if grads[0] is None else dense(grads[0])
    sizes = spec.sizes(x, weights, given)
    step = backward_step(spec, sizes, x.dtype, restarts, dy is not None, needs_x, torch.get_num_threads(), forced())
    layout = layout_for(B, T, reverse, lengths, reset)
    tight = [weight.contiguous() for weight in weights]
    covers = [dense(mask.to(x.dtype)) for mask in masks]
    dfinal = [None if grad is None else grad.contiguous() for grad in grads[1:]]
    states = None if restarts else _states(sequence, given[0], reverse)
    dx = empty(B * T * I if needs_x else 0, x)
    if needs_x:
        dx = dx.view(T, B, I).transpose(0, 1)
        if restarts:
            dx.zero_()
    dweights = [torch.empty_like(weight, memory_format=torch.contiguous_format) for weight in weights]
    dgiven = [torch.empty_like(part, memory_format=torch.contiguous_format) for part in given]
    dfresh = [torch.empty_like(part, memory_format=torch.contiguous_format) for part in fresh]
    step.native.backward(
        step.native.pack([0 if i < 0 else tight[i].data_ptr() for i in step.parameters]),
        layout,
        array(x),
        [array(covers[i]) for i in step.masks],
        step.all_steps,
        0 if states is None else states.data_ptr(),
        rest.data_ptr(),
        NOWHERE if dy is None else array(dy),
        [0 if grad is None else grad.data_ptr() for grad in dfinal],
        array(dx) if needs_x else NOWHERE,
        [part.data_ptr() for part in dgiven],
        [part.data_ptr() for part in dfresh] or [0] * len(dgiven),
        [0 if i < 0 else dweights[i].data_ptr() for i in step.parameters],
    )
    return [dx, *dweights, *dgiven, *dfresh]


def _states(sequence: Tensor, given: Tensor, reverse: bool) -> Tensor:
    """All T + 1 states of h, lowest first, of which the outputs are T: they still lie side by side in memory.

    Unless someone has moved the outputs meanwhile (hooks that pack what is saved, transforms): then they are
    put together again.
    """
    B, T, H = sequence.shape
    N = padded(H)
    first = sequence.storage_offset() - (0 if reverse else B * N)
    room = sequence.untyped_storage().nbytes() // sequence.element_size()
    if sequence.stride() == (N, B * N, 1) and first >= 0 and first + (T + 1) * B * N <= room:
        states = sequence.as_strided((T + 1, B, N), (B * N, N, 1), first)
        if torch.equal(states[T if reverse else 0, :, :H], given):
            return states
    states = sequence.new_zeros(T + 1, B, N)
    states[T if reverse else 0, :, :H] = given
    steps = states[:T] if reverse else states[1:]
    steps[:, :, :H] = sequence.transpose(0, 1)
    return states


def layout_for(B: int, T: int, reverse: bool, lengths: Tensor | None, reset: Tensor | None) -> Any:
    """Which sequence stands where. The same for all layers of a stack, so the last ones are kept."""
    if max(B, T, B * T) >= 1 << 31:
        raise UsageError(f"a batch of {B} sequences of {T} steps is too large; at most 2^31 steps in all")
    marks = None if reset is None else reset.contiguous().numpy().tobytes()
    return _layout(B, T, reverse, None if lengths is None else tuple(lengths.tolist()), marks)


@lru_cache(maxsize=32)
def _layout(B: int, T: int, reverse: bool, lengths: tuple[int, ...] | None, marks: bytes | None) -> Any:
    module: Any = engine_module()
    lanes = None
    if lengths is not None or marks is not None:
        if lengths and not 0 <= min(lengths) <= max(lengths) <= T:
            raise UsageError(f"lengths go from {min(lengths)} to {max(lengths)}; x has {T} steps")
        ends = None if lengths is None else torch.tensor(lengths, dtype=torch.int64)
        cuts = None if marks is None else torch.frombuffer(bytearray(marks or b"\0"), dtype=torch.uint8)
        lanes = module.make_lanes(
            B, T, 0 if ends is None else ends.data_ptr(), 0 if cuts is None else cuts.data_ptr(), reverse
        )
    return module.Layout(B, T, reverse, lanes)


def _step(spec: Spec, plan: Plan, sizes: tuple[int, ...], dtype: torch.dtype, all_steps: list[bool]) -> Step:
    encoded, native = engine_for(plan, sizes, dtype)
    place = {parameter.name: i for i, parameter in enumerate(spec.stored)}
    units = dict(zip(WIDTHS, sizes, strict=True))
    return Step(
        native,
        tuple(place.get(name, -1) for name in encoded.parameters),
        tuple(spec.masks.index(name) for name in encoded.masks),
        tuple(units[width] for width in plan.parts.values()),
        all_steps,
    )


def _all_steps(spec: Spec, plans: Plans) -> list[bool]:
    read = {row.name for row in plans.backward.rows if row.role == "state"} if plans.backward else set()
    return [part == "h" or part in read for part in spec.parts]


def empty(elements: int, like: Tensor) -> Tensor:
    """Memory of the type of ``like``, not initialised."""
    if elements < POOLED_FROM:
        return like.new_empty(elements)
    module: Any = engine_module()
    made: Tensor = (module.emptyFloat32 if like.dtype == torch.float32 else module.emptyFloat64)(elements)
    return made


def empty_bytes(count: int, like: Tensor) -> Tensor:
    """Bytes, not initialised."""
    if count < POOLED_FROM * 4:
        return like.new_empty(count, dtype=torch.uint8)
    module: Any = engine_module()
    made: Tensor = module.empty_bytes(count)
    return made


def dense(tensor: Tensor) -> Tensor:
    """With the units of a step side by side."""
    return tensor if tensor.dim() > 2 and tensor.stride(-1) == 1 else tensor.contiguous()


def array(tensor: Tensor) -> tuple[int, int, int]:
    """Address, and the distances from sequence to sequence and from step to step (0: the same at each)."""
    return tensor.data_ptr(), tensor.stride(0), tensor.stride(1) if tensor.dim() == 3 else 0
