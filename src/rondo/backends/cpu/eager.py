"""The short way: plain tensors in eager mode, without the cost of an operator's dispatch.

What it computes is what the operators of `rondo.backends.cpu.operators` compute; they serve tracing,
transforms and higher derivatives.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import torch
from torch import Tensor

from rondo.backends.cpu.spec import Spec
from rondo.backends.cpu.unroll import Inputs, run_backward, run_forward

_PLAIN = (Tensor, torch.nn.Parameter)


def takes(inputs: Inputs) -> bool:
    """Whether no one but eager mode itself wants to see what happens."""
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return False
    if torch._C._len_torch_dispatch_stack():
        return False
    return type(inputs.x) in _PLAIN and all(type(weight) in _PLAIN for weight in inputs.weights)


def unroll(spec: Spec, inputs: Inputs, *, reverse: bool, training: bool) -> list[Tensor]:
    """The outputs and the parts of the state at the end."""
    if not training:
        return run_forward(spec, inputs, reverse=reverse, training=False)[:-1]
    x, weights, given, fresh, masks, lengths, reset = inputs
    counts = (1, len(weights), len(given), len(fresh), len(masks))
    run = _Run(spec, counts, lengths, reset, reverse)
    made: list[Tensor] = _Unroll.apply(run, x, *weights, *given, *fresh, *masks)
    return made


class _Run:
    """A run without the tensors that autograd watches."""

    __slots__ = ("counts", "lengths", "reset", "reverse", "spec")

    def __init__(
        self, spec: Spec, counts: tuple[int, ...], lengths: Tensor | None, reset: Tensor | None, reverse: bool
    ) -> None:
        self.spec, self.counts, self.lengths, self.reset, self.reverse = spec, counts, lengths, reset, reverse

    def inputs(self, tensors: Any) -> Inputs:
        x, weights, given, fresh, masks = (list(islice(tensors, count)) for count in self.counts)
        return Inputs(x[0], weights, given, fresh, masks, self.lengths, self.reset)


class _Unroll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, run: _Run, *tensors: Tensor) -> tuple[Tensor, ...]:
        *outputs, rest = run_forward(run.spec, run.inputs(iter(tensors)), reverse=run.reverse, training=True)
        ctx.run = run
        ctx.save_for_backward(*tensors, outputs[0], rest)
        ctx.set_materialize_grads(False)
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        run: _Run = ctx.run
        tensors = iter(ctx.saved_tensors)
        inputs = run.inputs(tensors)
        sequence, rest = tensors
        needs_x = ctx.needs_input_grad[1]
        if torch.is_grad_enabled():
            found = torch.ops.rondo.unroll_backward(
                run.spec.cell.key(), *inputs, run.spec.zoneout, run.spec.dropout, run.reverse,
                [grad for grad in grads if grad is not None], [grad is not None for grad in grads],
                needs_x, sequence, rest,
            )  # fmt: skip
        else:
            found = run_backward(
                run.spec, inputs, grads, reverse=run.reverse, needs_x=needs_x, sequence=sequence, rest=rest
            )
        return None, found[0] if needs_x else None, *found[1:], *(None for _ in inputs.masks)
