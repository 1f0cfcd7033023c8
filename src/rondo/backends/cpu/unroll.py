"""One run of a cell over time, forward or backward: from tensors to addresses, and the native call."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rondo.backends.cpu.native import engine_module, forced
from rondo.backends.cpu.spec import Spec, backward_step, forward_step, padded, room_for
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
        # Not a view of its own for autograd: who changes it in place changes what is saved, and is told so.
        place_of_h = 0 if reverse else B * N
        sequence = x.new_empty(0).set_(states.untyped_storage(), place_of_h, (B, T, H), (N, B * N, 1))
    rest = x.new_empty(0, dtype=torch.uint8)
    if training:
        room = room_for(spec, sizes, restarts).elements(B, T, lengths is not None, reset is not None)
        rest = empty_bytes(room * x.element_size(), x)
    step.native.forward(
        [0 if i < 0 else tight[i].data_ptr() for i in step.parameters],
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
    dweights = [empty(weight.numel(), x).view(weight.shape) for weight in weights]
    dgiven = [torch.empty_like(part, memory_format=torch.contiguous_format) for part in given]
    dfresh = [torch.empty_like(part, memory_format=torch.contiguous_format) for part in fresh]
    step.native.backward(
        [0 if i < 0 else tight[i].data_ptr() for i in step.parameters],
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


def empty(elements: int, like: Tensor) -> Tensor:
    """Memory of the type of ``like``, not initialised (but for torch's deterministic mode, which fills it)."""
    if elements < POOLED_FROM or torch.are_deterministic_algorithms_enabled():
        return like.new_empty(elements)
    module: Any = engine_module()
    made: Tensor = (module.emptyFloat32 if like.dtype == torch.float32 else module.emptyFloat64)(elements)
    return made


def empty_bytes(count: int, like: Tensor) -> Tensor:
    """Bytes, as `empty`."""
    if count < POOLED_FROM * 4 or torch.are_deterministic_algorithms_enabled():
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
