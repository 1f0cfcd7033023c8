"""Run a cell by its plans in NumPy and by the reference in torch, and say how far they are apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rondo.backends.cpu.interpret import Shape, run_backward, run_forward
from rondo.backends.cpu.lower import Plans, plans_for
from rondo.backends.cpu.zoneout import MASK
from rondo.backends.reference import ReferenceBackend
from rondo.cells import Cell, State
from rondo.ir import size_of

ODD = {"input": 5, "hidden": 19, "projection": 7}
RATE = 0.3
SHAPE = Shape()


@dataclass(frozen=True)
class Situation:
    """What is asked of the plans."""

    bias: bool = True
    recurrent_dropout: bool = False
    zoneout: str = ""
    """"mask" or "rate" for all parts."""
    T: int = 4
    B: int = 3
    dy: bool = True
    dx: bool = True
    restarts: bool = False
    shape: Shape = SHAPE


def plans_of(cell: Cell, situation: Situation, *, training: bool = True, taps: tuple[str, ...] = ()) -> Plans:
    rates = {"mask": None, "rate": RATE}
    return plans_for(
        cell,
        bias=situation.bias,
        recurrent_dropout=situation.recurrent_dropout,
        zoneout=tuple((part, rates[situation.zoneout]) for part in cell.state_parts if situation.zoneout),
        training=training,
        dy=situation.dy,
        dx=situation.dx,
        taps=taps,
        restarts=situation.restarts,
    )


def sizes_for(cell: Cell, sizes: Mapping[str, int] = ODD) -> dict[str, int]:
    """``sizes`` with widths that the cell's heads divide."""
    heads = max((p.heads for p in cell.parameters), default=1)
    return {
        width: size if width == "input" and heads == 1 else -(-size // heads) * heads for width, size in sizes.items()
    }


def differences(cell: Cell, situation: Situation, sizes: Mapping[str, int] | None = None) -> dict[str, float]:
    """The largest difference, relative to the largest value or 1, of all results and all gradients."""
    sizes = sizes or sizes_for(cell)
    random = torch.Generator().manual_seed(7)
    B, T = situation.B, situation.T

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    widths = {part: size_of(width, sizes) for part, width in cell.state_widths.items()}
    weights = {
        p.name: (0.4 * normal(*p.shape(sizes)) + p.name.startswith("gain")).requires_grad_()
        for p in cell.parameters
        if situation.bias or p.kind != "bias"
    }
    x = normal(T, B, sizes["input"]).requires_grad_()
    state = State(
        **{part: (normal(B, n) if part in ("h", "c") else normal(B, n).abs() + 0.5) for part, n in widths.items()}
    ).map(lambda part: part.requires_grad_())
    dropout = {"recurrent": (torch.rand(B, widths["h"], generator=random) < 0.6).double() / 0.6}
    masks = dropout if situation.recurrent_dropout else {}
    zoneout: dict[str, Tensor | float] = {}
    if situation.zoneout:
        drawn = {part: torch.rand(B, T, n, generator=random) < 0.4 for part, n in widths.items()}
        zoneout = {part: mask if situation.zoneout == "mask" else RATE for part, mask in drawn.items()}

    sequence, final = ReferenceBackend().unroll(cell, weights, x.transpose(0, 1), state, masks=masks, zoneout=zoneout)
    dy = normal(T, B, widths["h"]) * situation.dy
    ends = {part: normal(B, n) for part, n in widths.items()}
    total = (sequence.transpose(0, 1) * dy).sum() + sum((final.parts()[p] * end).sum() for p, end in ends.items())
    leaves = {"x": x, **state.parts(), **weights}
    gradients = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    expected = {"outputs": sequence.transpose(0, 1), **{f"final {p}": v for p, v in final.parts().items()}}
    for (name, leaf), gradient in zip(leaves.items(), gradients, strict=True):
        expected[f"gradient of {name}"] = torch.zeros_like(leaf) if gradient is None else gradient

    arrays = {name: weight.detach().numpy() for name, weight in weights.items()}
    given_masks = {name: mask.numpy() for name, mask in masks.items()} | {
        f"{MASK}{part}": mask.transpose(0, 1).double().numpy()
        for part, mask in zoneout.items()
        if isinstance(mask, Tensor)
    }
    plans = plans_of(cell, situation)
    first = {part: value.detach().numpy() for part, value in state.parts().items()}
    given = (sizes, arrays, x.detach().numpy(), first)
    forward = run_forward(plans.forward, *given, given_masks, situation.shape)
    found = {"outputs": forward.states["h"][1:], **{f"final {p}": forward.states[p][-1] for p in widths}}
    assert plans.backward is not None
    backward = run_backward(
        plans.backward, sizes, arrays, x.detach().numpy(), forward,
        {part: end.numpy() for part, end in ends.items()},
        dy=dy.numpy() if situation.dy else None, masks=given_masks, shape=situation.shape,
    )  # fmt: skip
    found |= {f"gradient of {name}": value for name, value in (backward.state | backward.weights).items()}
    if situation.dx:
        assert backward.x is not None
        found["gradient of x"] = backward.x
    else:
        assert backward.x is None
        del expected["gradient of x"]
    lean = run_forward(plans_of(cell, situation, training=False).forward, *given, given_masks, situation.shape)
    found |= {f"inference {p}": lean.states[p] for p in widths}
    expected |= {f"inference {p}": torch.from_numpy(forward.states[p].copy()) for p in widths}
    assert found.keys() == expected.keys()
    return {name: _distance(found[name], value.detach().numpy()) for name, value in expected.items()}


def _distance(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    if not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - expected).max(initial=0.0) / max(1.0, np.abs(expected).max(initial=0.0)))
