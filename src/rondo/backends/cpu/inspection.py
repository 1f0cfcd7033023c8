"""A run that keeps values of a cell's equations, for someone to look at, as runs for training keep residuals."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rondo.backends.cpu.reduced import widened
from rondo.backends.cpu.spec import PANEL, Spec, inspection_step, padded
from rondo.backends.cpu.unroll import NOWHERE, Inputs, addresses, array, dense, empty, layout_for
from rondo.ir.graph import WIDTHS


def inspect(spec: Spec, inputs: Inputs, values: Sequence[str], *, reverse: bool) -> dict[str, Tensor]:
    """See `InspectBackend.inspect`."""
    found = _kept(spec, widened(inputs) if spec.reduced else inputs, tuple(values), reverse=reverse)
    return {name: value.to(inputs.x.dtype) for name, value in found.items()}


def _kept(spec: Spec, inputs: Inputs, values: tuple[str, ...], *, reverse: bool) -> dict[str, Tensor]:
    x, weights, given, fresh, _, lengths, reset = inputs
    x = dense(x)
    B, T, _ = x.shape
    sizes = spec.fitting_sizes(x, weights, given, fresh)
    units = dict(zip(WIDTHS, sizes, strict=True))
    step, plan = inspection_step(spec, sizes, x.dtype, values)
    layout = layout_for(B, T, reverse, lengths, reset)
    tight = [weight.contiguous() for weight in weights]
    begin = [part.contiguous() for part in given]
    anew = [part.contiguous() for part in fresh]
    final = [x.new_empty(B, width) for width in step.widths]
    # Two entries of each part of the state, then the kept block of each width.
    many = layout.steps * layout.rows
    kept = [width for width in WIDTHS if plan.kept.get(width)]
    room = [2 * layout.rows * sum(map(padded, step.widths))]
    room += [many * padded(units[width]) * plan.kept[width] for width in kept]
    rest = empty(sum(room), x)
    step.native.forward(
        addresses(step, tight),
        layout.native,
        array(x),
        [],
        [part.data_ptr() for part in begin],
        [part.data_ptr() for part in anew] or [0] * len(begin),
        step.all_steps,
        [part.data_ptr() for part in final],
        NOWHERE,
        0,
        rest.data_ptr(),
    )
    places = torch.empty(many, dtype=torch.int64)
    layout.native.places(places.data_ptr())
    blocks = dict(zip(kept, rest.split(room)[1:], strict=True))
    found = {}
    for name in values:
        operand = plan.operands[plan.taps[name]]
        width = operand.width
        panels = padded(units[width]) // PANEL
        block = blocks[width].view(panels, many, plan.kept[width], PANEL)
        # What stands in no sequence goes behind the last step, and away.
        value = x.new_zeros(B * T + 1, panels, PANEL)
        value[places] = block[:, :, operand.index].transpose(0, 1)
        found[name] = value[:-1].view(B, T, panels * PANEL)[..., : units[width]]
    return found
