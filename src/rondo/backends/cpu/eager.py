"""The way of eager mode and of `torch.func`, without the cost of an operator's dispatch.

The operators of `rondo.backends.cpu.operators` compute the same, for what traces programs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._functorch.utils import unwrap_dead_wrappers
from torch.autograd import forward_ad

from rondo.backends.cpu.recompute import NEVER, backward_in_segments, forward_in_segments, in_segments
from rondo.backends.cpu.reduced import run_reduced
from rondo.backends.cpu.second import second_derivative
from rondo.backends.cpu.spec import Spec
from rondo.backends.cpu.unroll import Inputs, empty, run_backward, run_forward
from rondo.errors import UsageError

_PLAIN = frozenset((Tensor, torch.nn.Parameter))
_BEGUN_BEFORE = (
    "a layer ran on the engine before forward-mode differentiation began, and its derivative is asked for inside. "
    "Run the layer inside too (torch.func.jvp, or under dual_level), or set its backend to 'reference'"
)


def takes(inputs: Inputs) -> bool:
    """Whether no tracer wants to see what happens."""
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() or torch._C._get_tracing_state():
        return False
    if inputs.x.dtype == torch.bfloat16 and torch._C._are_functorch_transforms_active():
        return False
    return type(inputs.x) in _PLAIN and _PLAIN.issuperset(map(type, inputs.weights))


def forward_mode() -> bool:
    """Whether derivatives are carried forwards (`torch.func.jvp`, dual tensors): the engine has none of these."""
    return forward_ad._current_level >= 0


# As torch.compiler.assume_constant_result, which takes seconds to import. Compiled code is guarded by the level anyway.
forward_mode._dynamo_marked_constant = True  # type: ignore[attr-defined]


def unroll(
    spec: Spec,
    inputs: Inputs,
    *,
    reverse: bool,
    training: bool,
    outputs: bool = True,
    recompute: int = NEVER,
    into: Tensor | None = None,
) -> Sequence[Tensor]:
    """The outputs and the parts of the state at the end. ``into`` is as in `run_forward`."""
    if spec.reduced:
        return run_reduced(spec, inputs, reverse=reverse, training=training, outputs=outputs)[:-1]
    if not training and not torch._C._are_functorch_transforms_active():
        return run_forward(spec, inputs, reverse=reverse, training=training, outputs=outputs, into=into)[:-1]
    x, weights, given, fresh, masks, lengths, reset = inputs
    recompute = recompute if in_segments(spec, inputs, recompute=recompute, outputs=outputs) else NEVER
    ends = tuple(accumulate((1, len(weights), len(given), len(fresh), len(masks))))
    run = _Run(spec, reverse, outputs, recompute, ends)
    made: Sequence[Tensor] = _applied(_Unroll, run, lengths, reset, x, *weights, *given, *fresh, *masks)
    return made[:-1]


def _applied(function: type[torch.autograd.Function], run: _Run, *tensors: Tensor | None) -> Any:
    """`apply` without its binding of default arguments, which takes longer than a small run."""
    if torch._C._are_functorch_transforms_active():
        return function.apply(run, *tensors)
    plain: Any = super(torch.autograd.Function, function)
    return plain.apply(run, *unwrap_dead_wrappers(tensors))


def room_for_both(x: Tensor, weights: Sequence[Tensor], shape: tuple[int, int, int]) -> Tensor | None:
    """Memory for the outputs of both directions, not written yet, whose pages are there already.

    None where something records, traces or transforms what happens.
    """
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack():
        return None
    if torch._C._are_functorch_transforms_active() or forward_mode() or torch._C._get_tracing_state():
        return None
    if not _PLAIN.issuperset(map(type, (x, *weights))) or weights[0].dtype == torch.bfloat16:
        return None
    return empty(math.prod(shape), weights[0].detach()).view(shape)


class _Run(NamedTuple):
    """What is run, and how its tensors stand in one list."""

    spec: Spec
    reverse: bool
    outputs: bool
    recompute: int
    ends: tuple[int, ...]
    """How far x, the weights, the given state, the fresh one and the masks go in it."""

    def inputs(self, lengths: Tensor | None, reset: Tensor | None, tensors: Sequence[Tensor]) -> Inputs:
        x, weights, given, fresh, masks = self.ends
        return Inputs(
            tensors[0], tensors[x:weights], tensors[weights:given], tensors[given:fresh], tensors[fresh:masks],
            lengths, reset,
        )  # fmt: skip

    def without_gradient(self) -> list[None]:
        """One for each mask."""
        return [None] * (self.ends[-1] - self.ends[-2])

    def forward(self, inputs: Inputs) -> list[Tensor]:
        if self.recompute:
            return forward_in_segments(
                self.spec, inputs, reverse=self.reverse, recompute=self.recompute, outputs=self.outputs
            )
        return run_forward(self.spec, inputs, reverse=self.reverse, training=True, outputs=self.outputs)

    def backward(
        self, inputs: Inputs, grads: Sequence[Tensor | None], needs_x: bool, sequence: Tensor | None, rest: Tensor
    ) -> list[Tensor]:
        if sequence is None:
            return backward_in_segments(
                self.spec, inputs, grads, reverse=self.reverse, recompute=self.recompute, needs_x=needs_x, rest=rest
            )
        return run_backward(
            self.spec, inputs, grads, reverse=self.reverse, needs_x=needs_x, sequence=sequence, rest=rest
        )


class _Unroll(torch.autograd.Function):
    """Outputs, parts of the state at the end, and residuals."""

    @staticmethod
    def forward(run: _Run, lengths: Tensor | None, reset: Tensor | None, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(run.forward(run.inputs(lengths, reset, tensors)))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.run = inputs[0]
        ctx.mark_non_differentiable(output[-1])
        ctx.save_for_backward(*inputs[1:], None if inputs[0].recompute else output[0], output[-1])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        run: _Run = ctx.run
        lengths, reset, *tensors, sequence, rest = ctx.saved_tensors
        arrived, needs_x = grads[:-1], ctx.needs_input_grad[3]
        if torch.is_grad_enabled() or torch._C._are_functorch_transforms_active() or forward_mode():
            found = _Derivative.apply(run, needs_x, lengths, reset, sequence, rest, *tensors, *arrived)
        else:
            found = run.backward(run.inputs(lengths, reset, tensors), arrived, needs_x, sequence, rest)
        return None, None, None, found[0] if needs_x else None, *found[1:], *run.without_gradient()

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise UsageError(_BEGUN_BEFORE)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        return _one_by_one(_Unroll, info.batch_size, in_dims, args)


class _Derivative(torch.autograd.Function):
    """Gradients of x, the weights, the given state and the fresh one."""

    @staticmethod
    def forward(
        run: _Run,
        needs_x: bool,
        lengths: Tensor | None,
        reset: Tensor | None,
        sequence: Tensor | None,
        rest: Tensor,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        many = run.ends[-1]
        inputs = run.inputs(lengths, reset, tensors[:many])
        return tuple(run.backward(inputs, tensors[many:], needs_x, sequence, rest))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.run, ctx.needs_x, lengths, reset, _, _, *tensors = inputs
        ctx.save_for_backward(lengths, reset, *tensors)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *seconds: Tensor | None) -> tuple[Tensor | None, ...]:
        run: _Run = ctx.run
        lengths, reset, *tensors = ctx.saved_tensors
        many = run.ends[-1]
        inputs = run.inputs(lengths, reset, tensors[:many])
        leaves, arriving = second_derivative(
            run.spec, inputs, tensors[many:], seconds, reverse=run.reverse, needs_x=ctx.needs_x
        )
        return *([None] * 6), *leaves, *run.without_gradient(), *arriving

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise UsageError(_BEGUN_BEFORE)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        return _one_by_one(_Derivative, info.batch_size, in_dims, args)


def _one_by_one(
    function: type[torch.autograd.Function], examples: int, in_dims: tuple[Any, ...], args: tuple[Any, ...]
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """For each of the examples, which may differ in every tensor."""
    # in_dims of a tuple that is an argument are a tuple; only tensors have a dimension.
    dims = [dim if isinstance(arg, Tensor) else None for arg, dim in zip(args, in_dims, strict=True)]
    runs = [
        function.apply(*(arg if dim is None else arg.select(dim, i) for arg, dim in zip(args, dims, strict=True)))
        for i in range(examples)
    ]
    stacked = tuple(torch.stack(values) for values in zip(*runs, strict=True))
    return stacked, (0,) * len(stacked)
