"""Derivatives of derivatives: those of the reference, a loop over time in eager torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rondo.backends.cpu.spec import Spec
from rondo.backends.cpu.unroll import Inputs
from rondo.backends.cpu.zoneout import MASK
from rondo.backends.reference import ReferenceBackend
from rondo.cells import State

Gradients = list[Tensor | None]


def second_derivative(
    spec: Spec,
    inputs: Inputs,
    grads: Sequence[Tensor | None],
    seconds: Sequence[Tensor | None],
    *,
    reverse: bool,
    needs_x: bool,
) -> tuple[Gradients, Gradients]:
    """Of the gradients of a run, as functions of its inputs and of the gradients that arrived.

    ``grads``    arrived at the outputs and at the parts of the state
    ``seconds``  arrive at the gradients of x, the weights, the given state and the fresh one
    Returns gradients of these, and of those of ``grads`` (None where there is none).
    """
    leaves = (inputs.x, *inputs.weights, *inputs.given, *inputs.fresh)
    arrived = [grad for grad in grads if grad is not None]
    if not arrived:
        return [None] * len(leaves), [None] * len(grads)

    def outputs(*leaves: Tensor) -> tuple[Tensor, ...]:
        all_of_them = _reference(spec, inputs, leaves, reverse)
        return tuple(out for out, grad in zip(all_of_them, grads, strict=True) if grad is not None)

    def firsts(*both: Tensor) -> tuple[Tensor, ...]:
        pull = torch.func.vjp(outputs, *both[: len(leaves)])[1]
        pulled: tuple[Tensor, ...] = pull(both[len(leaves) :])
        return pulled

    pull = torch.func.vjp(firsts, *leaves, *arrived)[1]
    wanted = [None, *seconds[1:]] if not needs_x else seconds
    found = pull(tuple(torch.zeros_like(a) if b is None else b for a, b in zip(leaves, wanted, strict=True)))
    of_grads = iter(found[len(leaves) :])
    return list(found[: len(leaves)]), [None if grad is None else next(of_grads) for grad in grads]


def _reference(spec: Spec, inputs: Inputs, leaves: Sequence[Tensor], reverse: bool) -> list[Tensor]:
    """The run as a function of ``leaves``."""
    counts = [1, len(inputs.weights), len(inputs.given), len(inputs.fresh)]
    (x,), weights, given, fresh = _cut(leaves, counts)
    masks = dict(zip(spec.masks, inputs.masks, strict=True))
    kept: dict[str, Tensor | float] = {
        part: rate for part, rate in zip(spec.parts, spec.zoneout, strict=True) if rate >= 0
    }
    kept |= {name.removeprefix(MASK): masks.pop(name) > 0 for name in spec.masks if name.startswith(MASK)}
    sequence, state = ReferenceBackend().unroll(
        spec.cell,
        {p.name: weight for p, weight in zip(spec.stored, weights, strict=True)},
        x,
        State(**dict(zip(spec.parts, given, strict=True))),
        lengths=inputs.lengths,
        reset=inputs.reset,
        initial=State(**dict(zip(spec.parts, fresh, strict=True))) if fresh else None,
        masks=masks,
        zoneout=kept,
        reverse=reverse,
    )
    return [sequence, *(state.parts()[part] for part in spec.parts)]


def _cut(leaves: Sequence[Tensor], counts: Sequence[int]) -> list[list[Tensor]]:
    pieces, begin = [], 0
    for count in counts:
        pieces.append(list(leaves[begin : begin + count]))
        begin += count
    return pieces
