"""Weights in bfloat16, forward: how much faster than float32, and how far from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from sections import Plan, Result, Skipped

from rondo import nn as stand_ins
from rondo.cells import get_cell
from rondo.errors import UsageError
from rondo.testing.speed.counting import SHAPES, Shape
from rondo.testing.speed.layers import OURS, backend_of
from rondo.testing.speed.machine import Watch
from rondo.testing.speed.timing import timed
from rondo.testing.tolerances import difference

HALF = "rondo, bfloat16"


def rows(plan: Plan) -> Iterator[Result]:
    """GRU and LSTM where the batch and the matrices are large."""
    shapes = [Shape(3, 4, 5, 16)] if plan.quick else [s for s in SHAPES if s.B >= 32 and s.H >= 256]
    for name in ("gru", "lstm"):
        for shape in shapes:
            try:
                runs_on = backend_of(get_cell(name), shape, plan.backend, dtype=torch.bfloat16)
            except UsageError as error:
                raise Skipped(str(error)) from None
            if runs_on != "cpu":
                raise Skipped(f"no backend of Rondo's own takes bfloat16 here ('{runs_on}' would run)")
            yield _row(plan, name, shape)


def _row(plan: Plan, name: str, shape: Shape) -> Result:
    theirs = getattr(torch.nn, name.upper())(shape.I, shape.H, batch_first=True).eval()
    ours, half = (_layer(plan, theirs) for _ in range(2))
    half, torch_half = half.to(torch.bfloat16), _layer(plan, theirs, kind=torch.nn).to(torch.bfloat16)
    x = torch.randn(shape.B, shape.T, shape.I)
    x_half = x.to(torch.bfloat16)
    with torch.no_grad(), Watch() as watch:
        exact = theirs.double()(x.double())[0]
        error, of_float32 = (difference(layer(given)[0], exact) for layer, given in ((half, x_half), (ours, x)))
        samples = timed(
            {OURS: lambda: ours(x), HALF: lambda: half(x_half), "torch.nn, bfloat16": lambda: torch_half(x_half)},
            plan.effort,
        )
    return {
        "key": f"bf16/{name}/{shape}", "cell": name, "shape": shape.to_list(), "seconds": samples.to_dict(),
        "ratio": samples.ratio(OURS, HALF).to_list(), "error": error, "error_of_float32": of_float32,
        "against_torch": samples.ratio("torch.nn, bfloat16", HALF).to_list(), "rounds": samples.rounds,
        "other_work": watch.others,
    }  # fmt: skip


def _layer(plan: Plan, like: Any, *, kind: Any = stand_ins) -> Any:
    layer = getattr(kind, type(like).__name__)(like.input_size, like.hidden_size, batch_first=True).eval()
    layer.load_state_dict(like.state_dict())
    if kind is stand_ins:
        layer.backend = plan.backend
    return layer
