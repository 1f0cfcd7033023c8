"""A run whose residuals are computed again: in segments of time, of which the backward run repeats each.

The forward run keeps the state before each segment and nothing else. The backward run goes over the segments from
the last to the first: forward again from that state, then backward, whose gradient of the state is what arrives at
the segment before. Both forward runs follow the plan for training, so that what is repeated is the same to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rondo.backends.cpu.native import forced
from rondo.backends.cpu.spec import Spec, backward_step, forward_step, padded, room_for
from rondo.backends.cpu.unroll import (
    NOWHERE,
    Inputs,
    Layout,
    addresses,
    array,
    dense,
    empty,
    empty_bytes,
    gradient_for_x,
    layout_for,
    no_outputs,
    outputs_for,
    room_like,
)
from rondo.backends.segments import RecomputeSteps, Segment, segment_length, segments

NEVER, AUTO = 0, -1
"""What stands for `Backend.unroll`'s ``recompute_steps`` None and "auto" where it is a number."""


def recompute_number(steps: RecomputeSteps | None) -> int:
    """``recompute_steps`` as a number."""
    return NEVER if steps is None else AUTO if steps == "auto" else steps


def entries(T: Any, recompute: int) -> Any:
    """For how many segments there is room for the states before them; T may be a symbol."""
    length = recompute if recompute != AUTO else torch.sym_max(1, math.ceil(torch.sym_sqrt(T)))
    return T // length + 1


def in_segments(spec: Spec, inputs: Inputs, *, recompute: int, outputs: bool) -> bool:
    """Whether there is anything to compute again, besides outputs that are wanted anyway."""
    restarts = inputs.lengths is not None or inputs.reset is not None
    return recompute != NEVER and (restarts or not outputs or spec.keeps_more)


def forward_in_segments(
    spec: Spec, inputs: Inputs, *, reverse: bool, recompute: int, outputs: bool = True
) -> list[Tensor]:
    """As `run_forward`; the bytes are the states before each segment."""
    run = _Segments(spec, inputs, reverse, recompute)
    x, B = inputs.x, inputs.x.shape[0]
    state = list(inputs.given)
    kept = entries(x.shape[1], recompute) * B * sum(run.step.widths)
    rest = empty_bytes(kept * x.element_size(), x)
    befores = run.befores(rest)
    sequence = no_outputs(x, run.step)
    if outputs:
        sequence, _ = outputs_for(x, run.step.widths[0], restarts=run.restarts, reverse=reverse)
        sequence[:, max(segment.end for segment in run.cut) :] = 0  # where no segment writes
    for segment in run.cut:
        before = [part[segment.begin // run.length] for part in befores]
        for to, part in zip(before, run.begun(state, segment), strict=True):
            to.copy_(part)
        state = [x.new_empty(B, units) for units in run.step.widths]
        run.forward(segment, before, state, sequence if outputs else None)
    return [sequence, *state, rest]


def backward_in_segments(
    spec: Spec,
    inputs: Inputs,
    grads: Sequence[Tensor | None],
    *,
    reverse: bool,
    recompute: int,
    needs_x: bool,
    rest: Tensor,
) -> list[Tensor]:
    """As `run_backward`."""
    run = _Segments(spec, inputs, reverse, recompute)
    x = inputs.x
    dy = grads[0]
    threads = torch.get_num_threads()
    step = backward_step(spec, run.sizes, x.dtype, run.restarts, dy is not None, needs_x, threads, forced())
    tight = addresses(step, run.weights)
    packed = step.native.pack(tight, x.shape[0] * x.shape[1])
    befores = run.befores(rest)
    carried = [None if grad is None else grad.contiguous() for grad in grads[1:]]
    dx = gradient_for_x(x, restarts=run.restarts) if needs_x else x.new_empty(0)
    dweights, dfresh = room_like(run.weights), [torch.zeros_like(part) for part in run.fresh]
    sums = empty(step.native.sums_size, x)
    for segment in reversed(run.cut):
        begin, end = segment.begin, segment.end
        before = [part[begin // run.length] for part in befores]
        layout = run.forward(segment, before, room_like(before), None)
        inside, covers = run.inside(segment)
        arrived = None if dy is None else dense(dy[:, begin:end])
        dgiven, dfresh_here = room_like(before), room_like(run.fresh)
        step.native.backward(
            tight,
            layout.native,
            array(inside),
            [array(covers[i]) for i in step.masks],
            step.all_steps,
            0,
            run.residuals.data_ptr(),
            NOWHERE if arrived is None else array(arrived),
            [0 if grad is None else grad.data_ptr() for grad in carried],
            array(dx[:, begin:end]) if needs_x else NOWHERE,
            [part.data_ptr() for part in dgiven],
            [part.data_ptr() for part in dfresh_here] or [0] * len(dgiven),
            addresses(step, dweights),
            packed=packed,
            sums=sums.data_ptr(),
            first=segment is run.cut[-1],
            last=segment is run.cut[0],
        )
        for total, gradient in zip(dfresh, dfresh_here, strict=True):
            total += gradient
        if segment.anew is not None:
            anew = segment.anew[:, None]
            for total, gradient in zip(dfresh, dgiven if dfresh else [], strict=True):
                total += gradient.masked_fill(~anew, 0)
            dgiven = [gradient.masked_fill(anew, 0) for gradient in dgiven]
        carried = list(dgiven)
    return [dx, *dweights, *dgiven, *dfresh]


class _Segments:
    """The segments of a run, and its forward run over one of them, which leaves residuals."""

    def __init__(self, spec: Spec, inputs: Inputs, reverse: bool, recompute: int) -> None:
        x, weights, given, fresh, _, lengths, reset = inputs
        self._inputs, self._reverse = inputs, reverse
        self._recompute, T = recompute, x.shape[1]
        self.length = segment_length("auto" if recompute == AUTO else recompute, x.shape[0], T)
        self.cut = segments(T, self.length, lengths, reset, reverse=reverse)
        self.restarts = lengths is not None or reset is not None
        self.sizes = spec.fitting_sizes(x, weights, given, fresh)
        self.step = forward_step(spec, self.sizes, x.dtype, True, self.restarts, torch.get_num_threads(), forced())
        self.weights = [weight.contiguous() for weight in weights]
        self._packed = self.step.native.pack(addresses(self.step, self.weights), x.shape[0] * T)
        self._room = room_for(spec, self.sizes, self.restarts)
        self.fresh = [part.contiguous() for part in fresh]
        self.residuals = x.new_empty(0, dtype=torch.uint8)
        """Of the segment that was run last."""

    def befores(self, rest: Tensor) -> list[Tensor]:
        """The states before each segment: (segments, B, units) by part, in the bytes of ``rest``."""
        x = self._inputs.x
        B, many = x.shape[0], entries(x.shape[1], self._recompute)
        pieces = rest.view(x.dtype).split([many * B * units for units in self.step.widths])
        return [piece.view(many, B, units) for piece, units in zip(pieces, self.step.widths, strict=True)]

    def begun(self, state: Sequence[Tensor], segment: Segment) -> Sequence[Tensor]:
        """The state with which the segment begins, from the one with which the former has ended."""
        if segment.anew is None:
            return state
        anew = segment.anew[:, None]
        fresh = self.fresh or [part.new_zeros(()) for part in state]
        return [torch.where(anew, other, part) for other, part in zip(fresh, state, strict=True)]

    def inside(self, segment: Segment) -> tuple[Tensor, list[Tensor]]:
        """x and the masks of these steps."""
        here = slice(segment.begin, segment.end)
        x, masks = self._inputs.x, self._inputs.masks
        return dense(x[:, here]), [dense((mask[:, here] if mask.dim() == 3 else mask).to(x.dtype)) for mask in masks]

    def forward(
        self, segment: Segment, before: Sequence[Tensor], after: Sequence[Tensor], sequence: Tensor | None
    ) -> Layout:
        """Writes the state ``after``, its part of ``sequence`` if there is one, and the residuals."""
        x, covers = self.inside(segment)
        B, T, _ = x.shape
        layout = layout_for(B, T, self._reverse, segment.lengths, segment.reset, again=not self.restarts)
        N = padded(self.step.widths[0])
        apart = sequence is None and not self.restarts  # the states of h, which else are outputs or residuals
        room = layout.rows * (
            layout.steps * self._room.each
            + (layout.steps + 1) * (self._room.states + (N if apart else 0))
            + 2 * self._room.ends
        )
        if self.residuals.numel() < room * x.element_size():
            self.residuals = x.new_empty(0, dtype=torch.uint8)  # given back first
            self.residuals = empty_bytes(room * x.element_size(), x)
        place, outputs = NOWHERE, 0
        if sequence is not None and self.restarts:
            place = array(sequence[:, segment.begin : segment.end])
        elif sequence is not None:
            outputs = sequence.untyped_storage().data_ptr() + segment.begin * B * N * x.element_size()
        self.step.native.forward(
            addresses(self.step, self.weights),
            layout.native,
            array(x),
            [array(covers[i]) for i in self.step.masks],
            [part.data_ptr() for part in before],
            [part.data_ptr() for part in self.fresh] or [0] * len(before),
            self.step.all_steps,
            [part.data_ptr() for part in after],
            place,
            outputs,
            self.residuals.data_ptr(),
            packed=self._packed,
        )
        return layout
