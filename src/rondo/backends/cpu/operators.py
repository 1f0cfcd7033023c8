"""The engine as operators of torch's: what automatic differentiation, tracing and transforms see of it.

``rondo::unroll`` runs a cell over time, ``rondo::unroll_backward`` is its derivative. Second and higher
derivatives are those of the reference, a loop over time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rondo.backends.cpu.eager import forward_mode
from rondo.backends.cpu.recompute import backward_in_segments, entries, forward_in_segments, in_segments
from rondo.backends.cpu.reduced import run_reduced
from rondo.backends.cpu.second import second_derivative
from rondo.backends.cpu.spec import Spec, padded, room_for, spec_for
from rondo.backends.cpu.unroll import Inputs, run_backward, run_forward
from rondo.cells import Cell
from rondo.errors import UsageError

_RUN = (
    "str cell, Tensor x, Tensor[] weights, Tensor[] given, Tensor[] fresh, Tensor[] masks, "
    "Tensor? lengths, Tensor? reset, float[] zoneout, bool dropout, bool reverse, int recompute"
)
_LIBRARY = torch.library.Library("rondo", "DEF")
_LIBRARY.define(f"unroll({_RUN}, bool training, bool outputs) -> Tensor[]", tags=(torch.Tag.pt2_compliant_tag,))
_LIBRARY.define(
    f"unroll_backward({_RUN}, Tensor[] grads, bool[] has_grad, bool needs_x, Tensor? sequence, Tensor rest)"
    " -> Tensor[]",
    tags=(torch.Tag.pt2_compliant_tag,),
)


def _spec(cell: str, weights: Sequence[Tensor], zoneout: Sequence[float], dropout: bool) -> Spec:
    whole = len(weights) == len(Cell.of_key(cell).parameters)
    reduced = any(weight.dtype == torch.bfloat16 for weight in weights[:1])
    return spec_for(cell, whole, dropout, tuple(zoneout), reduced)


class _Asked(NamedTuple):
    """The arguments that both operators begin with."""

    cell: str
    x: Tensor
    weights: Sequence[Tensor]
    given: Sequence[Tensor]
    fresh: Sequence[Tensor]
    masks: Sequence[Tensor]
    lengths: Tensor | None
    reset: Tensor | None
    zoneout: Sequence[float]
    dropout: bool
    reverse: bool
    recompute: int

    @property
    def inputs(self) -> Inputs:
        return Inputs(*self[1:8])

    @property
    def spec(self) -> Spec:
        return _spec(self.cell, self.weights, self.zoneout, self.dropout)

    def in_segments(self, training: bool, outputs: bool) -> bool:
        return training and in_segments(self.spec, self.inputs, recompute=self.recompute, outputs=outputs)


_MANY = len(_Asked._fields)


def _forward(*arguments: Any) -> list[Tensor]:
    _refuse_forward_mode()
    *asked, training, outputs = arguments
    run = _Asked(*asked)
    how: dict[str, Any] = {"reverse": run.reverse, "outputs": outputs}
    if run.in_segments(training, outputs):
        return forward_in_segments(run.spec, run.inputs, recompute=run.recompute, **how)
    forward = run_reduced if run.spec.reduced else run_forward
    return forward(run.spec, run.inputs, training=training, **how)


def _backward(*arguments: Any) -> list[Tensor]:
    _refuse_forward_mode()
    *asked, grads, has_grad, needs_x, sequence, rest = arguments
    run = _Asked(*asked)
    arrived = _spread(grads, has_grad)
    how: dict[str, Any] = {"reverse": run.reverse, "needs_x": needs_x, "rest": rest}
    if sequence is None:
        return backward_in_segments(run.spec, run.inputs, arrived, recompute=run.recompute, **how)
    return run_backward(run.spec, run.inputs, arrived, sequence=sequence, **how)


def _refuse_forward_mode() -> None:
    """Torch would take an operator without forward derivatives for one whose derivatives are zero."""
    if forward_mode():
        raise UsageError("rondo::unroll has no forward-mode derivatives; a layer that is called has the reference's")


def _spread(grads: Sequence[Tensor], has_grad: Sequence[bool]) -> list[Tensor | None]:
    found = iter(grads)
    return [next(found) if has else None for has in has_grad]


def _forward_meta(*arguments: Any) -> list[Tensor]:
    *asked, training, outputs = arguments
    run = _Asked(*asked)
    x, given, lengths, reset = run.x, run.given, run.lengths, run.reset
    B, T, _ = x.shape
    sizes = tuple(int(size) for size in run.spec.sizes(x, run.weights, given))
    restarts = lengths is not None or reset is not None
    H = given[0].shape[1]
    N = padded(H)
    again = run.in_segments(training, outputs)
    if not outputs and (restarts or again or not training):
        sequence = x.new_empty(B, 0, H)
    elif run.spec.reduced:
        sequence = x.new_empty(T, B, H).transpose(0, 1)
    elif restarts:
        sequence = x.new_empty(B, T, H)
    else:
        sequence = x.new_empty((T + 1) * B * N).as_strided((B, T, H), (N, B * N, 1), 0 if run.reverse else B * N)
    room = 0
    if again:
        room = entries(T, run.recompute) * B * sum(part.shape[1] for part in given)
    elif training:
        room = room_for(run.spec, sizes, restarts).elements(B, T, lengths is not None, reset is not None)
    rest = x.new_empty(room * x.element_size(), dtype=torch.uint8)
    return [sequence, *(x.new_empty(B, part.shape[1]) for part in given), rest]


def _backward_meta(*arguments: Any) -> list[Tensor]:
    *asked, _grads, _has_grad, needs_x, _sequence, _rest = arguments
    run = _Asked(*asked)
    B, T, I = run.x.shape
    dx = run.x.new_empty(T, B, I).transpose(0, 1) if needs_x else run.x.new_empty(0)
    return [dx, *(one.new_empty(one.shape) for one in (*run.weights, *run.given, *run.fresh))]


class _Saved:
    """What an operator was given, kept on autograd's context: tensors apart, so that it can watch over them."""

    @staticmethod
    def put(ctx: Any, inputs: Sequence[Any], outputs: Sequence[Tensor]) -> None:
        run = _Asked(*inputs[:_MANY])
        lists = (run.weights, run.given, run.fresh, run.masks)
        options = [one for one in (run.lengths, run.reset) if one is not None]
        ctx.save_for_backward(run.x, *chain(*lists), *options, *outputs)
        ctx.counts = (1, *map(len, lists))
        ctx.has = (run.lengths is not None, run.reset is not None)
        ctx.words = (run.cell, run.zoneout, run.dropout, run.reverse, run.recompute)
        ctx.set_materialize_grads(False)

    @staticmethod
    def get(ctx: Any) -> tuple[Inputs, list[Tensor]]:
        tensors = iter(ctx.saved_tensors)
        x, weights, given, fresh, masks = (list(islice(tensors, count)) for count in ctx.counts)
        lengths, reset = (next(tensors) if has else None for has in ctx.has)
        return Inputs(x[0], weights, given, fresh, masks, lengths, reset), list(tensors)


def _forward_setup(ctx: Any, inputs: Sequence[Any], output: Sequence[Tensor]) -> None:
    again = _Asked(*inputs[:_MANY]).in_segments(*inputs[_MANY:])
    _Saved.put(ctx, inputs, [output[-1]] if again else [output[0], output[-1]])
    ctx.training = inputs[_MANY]


def _forward_derivative(ctx: Any, grads: Sequence[Tensor | None]) -> tuple[Any, ...]:
    if not ctx.training:
        raise RuntimeError("rondo::unroll ran without training=True, so nothing was kept for its derivative")
    inputs, (*outputs, rest) = _Saved.get(ctx)
    cell, *words = ctx.words
    kind = inputs.x.dtype
    arrived = [None if grad is None else grad.to(kind) for grad in grads[:-1]]
    found = torch.ops.rondo.unroll_backward(
        cell, *inputs, *words,
        [grad for grad in arrived if grad is not None], [grad is not None for grad in arrived],
        ctx.needs_input_grad[1], outputs[0] if outputs else None, rest,
    )  # fmt: skip
    return _by_argument(ctx, inputs, found, apart=ctx.needs_input_grad[1], more=2)


def _by_argument(
    ctx: Any, inputs: Inputs, found: Sequence[Tensor | None], *, apart: bool, more: int
) -> tuple[Any, ...]:
    """Gradients of x, weights, given and fresh in the order of an operator's arguments, None for the others."""
    rest = iter(found[1:])
    _, *counts, masks = ctx.counts
    weights, given, fresh = (list(islice(rest, count)) for count in counts)
    nothing = [None] * (6 + more)  # lengths, reset, zoneout, dropout, reverse, recompute, and what follows
    return (None, found[0] if apart else None, weights, given, fresh, [None] * masks, *nothing)


def _backward_setup(ctx: Any, inputs: Sequence[Any], output: Sequence[Tensor]) -> None:
    grads, has_grad, needs_x = inputs[_MANY : _MANY + 3]
    _Saved.put(ctx, inputs, grads)
    ctx.has_grad, ctx.needs_x = has_grad, needs_x


def _backward_derivative(ctx: Any, seconds: Sequence[Tensor | None]) -> tuple[Any, ...]:
    inputs, grads = _Saved.get(ctx)
    cell, zoneout, dropout, reverse, _ = ctx.words
    spec = _spec(cell, inputs.weights, zoneout, dropout)
    arrived = _spread(grads, ctx.has_grad)
    leaves, arriving = second_derivative(spec, inputs, arrived, seconds, reverse=reverse, needs_x=ctx.needs_x)
    of_grads = [grad for grad, has in zip(arriving, ctx.has_grad, strict=True) if has]
    return (*_by_argument(ctx, inputs, leaves, apart=True, more=0), of_grads, None, None, None, None)


def _one_by_one(name: str) -> Callable[..., Any]:
    """For vmap: the operator for each of the examples, which may differ in every argument."""

    def of_example(given: Any, dim: Any, i: int) -> Any:
        if isinstance(given, list | tuple):
            dims = dim if isinstance(dim, list | tuple) else [None] * len(given)
            return [of_example(one, d, i) for one, d in zip(given, dims, strict=True)]
        return given if dim is None else given.select(dim, i)

    def rule(info: Any, in_dims: Sequence[Any], *args: Any) -> tuple[list[Tensor], list[int]]:
        operator = getattr(torch.ops.rondo, name)
        runs = [
            operator(*(of_example(given, dim, i) for given, dim in zip(args, in_dims, strict=True)))
            for i in range(info.batch_size)
        ]
        stacked = [torch.stack(values) for values in zip(*runs, strict=True)]
        return stacked, [0] * len(stacked)

    return rule


def _register(name: str, run: Any, meta: Any, setup: Any, derivative: Any) -> None:
    _LIBRARY.impl(name, run, "CPU")
    torch.library.register_fake(f"rondo::{name}", meta, lib=_LIBRARY)
    torch.library.register_autograd(f"rondo::{name}", derivative, setup_context=setup, lib=_LIBRARY)
    torch.library.register_vmap(f"rondo::{name}", _one_by_one(name), lib=_LIBRARY)


_register("unroll", _forward, _forward_meta, _forward_setup, _forward_derivative)
_register("unroll_backward", _backward, _backward_meta, _backward_setup, _backward_derivative)
