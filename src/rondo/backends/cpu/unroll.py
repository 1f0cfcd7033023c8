"""One run of a cell over time, forward or backward: from tensors to addresses, and the native call."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from rondo.backends.cpu.native import engine_module, forced
from rondo.backends.cpu.spec import Spec, Step, backward_step, forward_step, padded, room_for
from rondo.errors import UsageError

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


def run_forward(
    spec: Spec, inputs: Inputs, *, reverse: bool, training: bool, outputs: bool = True, into: Tensor | None = None
) -> list[Tensor]:
    """The outputs (B, T, H), the parts of the state at the end, and bytes of residuals (none if not training).

    ``outputs``  False: those of single steps are not wanted; unless they are residuals, too, there are none (B, 0, H)
    ``into``     where the outputs are written, if sequences begin or end inside the batch
    """
    x, weights, given, fresh, masks, lengths, reset = inputs
    x = dense(x)
    B, T, _ = x.shape
    restarts = lengths is not None or reset is not None
    sizes = spec.fitting_sizes(x, weights, given, fresh)
    step = forward_step(spec, sizes, x.dtype, training, restarts, torch.get_num_threads(), forced())
    layout = layout_for(B, T, reverse, lengths, reset)
    tight = [weight.contiguous() for weight in weights]
    begin = [part.contiguous() for part in given]
    anew = [part.contiguous() for part in fresh]
    covers = [dense(mask.to(x.dtype)) for mask in masks]
    final = [x.new_empty(B, units) for units in step.widths]
    wanted = outputs or (training and not restarts)
    if restarts and into is not None:
        sequence, states = into, 0
    elif wanted:
        sequence, states = outputs_for(x, step.widths[0], restarts=restarts, reverse=reverse)
    else:
        sequence, states = no_outputs(x, step), 0
    # Where sequences begin and end inside, outputs are copied out of the states step by step.
    all_steps = step.all_steps if training or (wanted and not restarts) else [False] * len(final)
    if training:
        room = room_for(spec, sizes, restarts).elements(B, T, lengths is not None, reset is not None)
        rest = empty_bytes(room * x.element_size(), x)
    else:
        rest = x.new_empty(0, dtype=torch.uint8)
    step.native.forward(
        addresses(step, tight),
        layout.native,
        array(x),
        [array(covers[i]) for i in step.masks],
        [part.data_ptr() for part in begin],
        [part.data_ptr() for part in anew] or [0] * len(begin),
        all_steps,
        [part.data_ptr() for part in final],
        array(sequence) if wanted and restarts else NOWHERE,
        states,
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
    B, T, _ = x.shape
    restarts = lengths is not None or reset is not None
    dy = None if grads[0] is None else dense(grads[0])
    sizes = spec.sizes(x, weights, given)
    step = backward_step(spec, sizes, x.dtype, restarts, dy is not None, needs_x, torch.get_num_threads(), forced())
    layout = layout_for(B, T, reverse, lengths, reset)
    tight = [weight.contiguous() for weight in weights]
    covers = [dense(mask.to(x.dtype)) for mask in masks]
    dfinal = [None if grad is None else grad.contiguous() for grad in grads[1:]]
    begin = [part.contiguous() for part in given]
    anew = [part.contiguous() for part in fresh]
    states, address = (None, 0) if restarts else _states(sequence, begin[0], reverse)
    dx = gradient_for_x(x, restarts=restarts) if needs_x else x.new_empty(0)
    dweights, dgiven, dfresh = room_like(tight), room_like(begin), room_like(anew)
    step.native.backward(
        addresses(step, tight),
        layout.native,
        array(x),
        [array(covers[i]) for i in step.masks],
        step.all_steps,
        address,
        rest.data_ptr(),
        NOWHERE if dy is None else array(dy),
        [0 if grad is None else grad.data_ptr() for grad in dfinal],
        array(dx) if needs_x else NOWHERE,
        [part.data_ptr() for part in dgiven],
        [part.data_ptr() for part in dfresh] or [0] * len(dgiven),
        addresses(step, dweights),
    )
    del states  # which may be nowhere else
    return [dx, *dweights, *dgiven, *dfresh]


def addresses(step: Step, tensors: Sequence[Tensor]) -> list[int]:
    """Of weights or their gradients, all without gaps, in the order of the plan's parameters."""
    return [0 if i < 0 else tensors[i].data_ptr() for i in step.parameters]


def outputs_for(x: Tensor, H: int, *, restarts: bool, reverse: bool) -> tuple[Tensor, int]:
    """(B, T, H), not written yet: alone, or among the T + 1 states in one piece of memory, whose address comes too."""
    B, T, _ = x.shape
    if restarts:
        return empty(B * T * H, x).view(B, T, H), 0
    N = padded(H)
    states = empty((T + 1) * B * N, x)
    address = states.data_ptr()
    # Not a view of its own for autograd: who changes it in place changes what is saved, and is told so.
    states.set_(states.untyped_storage(), 0 if reverse else B * N, (B, T, H), (N, B * N, 1))
    return states, address


def no_outputs(x: Tensor, step: Step) -> Tensor:
    """In place of outputs that nobody wants."""
    return x.new_empty(x.shape[0], 0, step.widths[0])


def gradient_for_x(x: Tensor, *, restarts: bool) -> Tensor:
    """(B, T, I), not written yet; where not every step of every sequence is run, zero."""
    B, T, I = x.shape
    dx = empty(B * T * I, x).view(T, B, I).transpose(0, 1)
    return dx.zero_() if restarts else dx


def room_like(tensors: Sequence[Tensor]) -> list[Tensor]:
    """For the gradients of ``tensors``, which have no gaps, nor do these."""
    return [
        torch.empty_like(tensor) if tensor.numel() < POOLED_FROM else empty(tensor.numel(), tensor).view(tensor.shape)
        for tensor in tensors
    ]


def _states(sequence: Tensor, given: Tensor, reverse: bool) -> tuple[Tensor, int]:
    """All T + 1 states of h, lowest first, of which the outputs are T: whose memory they are, and where it begins.

    They still lie side by side with the outputs, unless someone has moved these meanwhile (hooks that pack what is
    saved, transforms): then they are put together again. ``given`` has no gaps.
    """
    B, T, H = sequence.shape
    N, bytes_each, storage = padded(H), sequence.element_size(), sequence.untyped_storage()
    first = int(sequence.storage_offset()) - (0 if reverse else B * N)
    there = first >= 0 and (first + (T + 1) * B * N) * bytes_each <= storage.nbytes()
    if there and sequence.stride() == (N, B * N, 1):
        address = storage.data_ptr() + first * bytes_each
        begin = address + (T * B * N * bytes_each if reverse else 0)
        module: Any = engine_module()
        if module.same_rows(begin, given.data_ptr(), B, H * bytes_each, N * bytes_each):
            return sequence, address
    states = sequence.new_zeros(T + 1, B, N)
    states[T if reverse else 0, :, :H] = given
    steps = states[:T] if reverse else states[1:]
    steps[:, :, :H] = sequence.transpose(0, 1)
    return states, states.data_ptr()


class Layout(NamedTuple):
    """Which sequence stands where."""

    native: Any
    rows: int
    steps: int


def layout_for(
    B: int, T: int, reverse: bool, lengths: Tensor | None, reset: Tensor | None, *, again: bool = True
) -> Layout:
    """Which sequence stands where. ``again``: as for the other layers of a stack, so the last ones are kept."""
    if max(B, T, B * T) >= 1 << 31:
        raise UsageError(f"a batch of {B} sequences of {T} steps is too large; at most 2^31 steps in all")
    if lengths is not None and lengths.shape != (B,):
        raise UsageError(f"lengths have shape {tuple(lengths.shape)}; expected ({B},)")
    if reset is not None and reset.shape != (B, T):
        raise UsageError(f"reset has shape {tuple(reset.shape)}; expected ({B}, {T})")
    marks = None if reset is None else reset.contiguous().numpy().tobytes()
    make = _layout if again else _layout.__wrapped__
    return make(B, T, reverse, None if lengths is None else tuple(lengths.tolist()), marks)


@lru_cache(maxsize=32)
def _layout(B: int, T: int, reverse: bool, lengths: tuple[int, ...] | None, marks: bytes | None) -> Layout:
    module: Any = engine_module()
    lanes, rows, steps = None, B, T
    if lengths is not None or marks is not None:
        if lengths and not 0 <= min(lengths) <= max(lengths) <= T:
            raise UsageError(f"lengths go from {min(lengths)} to {max(lengths)}; x has {T} steps")
        ends = None if lengths is None else torch.tensor(lengths, dtype=torch.int64)
        cuts = None if marks is None else torch.frombuffer(bytearray(marks or b"\0"), dtype=torch.uint8)
        lanes = module.make_lanes(
            B, T, 0 if ends is None else ends.data_ptr(), 0 if cuts is None else cuts.data_ptr(), reverse
        )
        rows, steps = lanes.rows, lanes.steps
    return Layout(module.Layout(B, T, reverse, lanes), rows, steps)


def empty(elements: int, like: Tensor) -> Tensor:
    """Memory of the type of ``like``, not initialised (but for torch's deterministic mode, which fills it)."""
    if elements < POOLED_FROM or torch.are_deterministic_algorithms_enabled():
        return like.new_empty(elements)
    module: Any = engine_module()
    make = module.emptyFloat32 if like.dtype == torch.float32 else module.emptyFloat64
    return from_dlpack(make(elements))


def empty_bytes(count: int, like: Tensor) -> Tensor:
    """Bytes, as `empty`."""
    if count < POOLED_FROM * 4 or torch.are_deterministic_algorithms_enabled():
        return like.new_empty(count, dtype=torch.uint8)
    module: Any = engine_module()
    return from_dlpack(module.empty_bytes(count))


def dense(tensor: Tensor) -> Tensor:
    """With the units of a step side by side."""
    return tensor if tensor.dim() > 2 and tensor.stride(-1) == 1 else tensor.contiguous()


def array(tensor: Tensor) -> tuple[int, int, int]:
    """Address, and the distances from sequence to sequence and from step to step (0: the same at each)."""
    strides = tensor.stride()
    return tensor.data_ptr(), strides[0], strides[1] if len(strides) == 3 else 0
