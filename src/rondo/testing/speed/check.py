"""The speed check of `rondo doctor`: seconds, no contender, only the machine's own peak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from rondo import nn as stand_ins
from rondo.cells import registry
from rondo.testing.speed.counting import Shape, operations
from rondo.testing.speed.layers import OURS, PEAK, Case, Contender, inputs, job
from rondo.testing.speed.machine import peak_gauge
from rondo.testing.speed.timing import Effort, Interval, timed

SHAPE = Shape(32, 50, 256, 256)
EFFORT = Effort(rounds=15, least_rounds=3, row_seconds=1.5)
LOW = 0.5
"""A share of the peak below which something is in the way."""


@dataclass(frozen=True)
class Speed:
    """How fast one cell runs."""

    cell: str
    train: bool
    gigaflops: float
    share: Interval
    """Of the machine's peak, measured in between."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "cell": self.cell, "mode": "train" if self.train else "forward", "gigaflops": self.gigaflops,
            "share": self.share.to_list(),
        }  # fmt: skip


def speed_check(*, shape: Shape = SHAPE, effort: Effort = EFFORT) -> list[Speed] | None:
    """GRU and LSTM on the threads that torch has; None without the native module, which measures the peak."""
    gauge = peak_gauge(torch.get_num_threads())
    if gauge is None:
        return None
    found = []
    for name in ("gru", "lstm"):
        layer: Any = getattr(stand_ins, name.upper())(shape.I, shape.H, batch_first=True)
        ours = Contender(lambda x, layer=layer: layer(x)[0], list(layer.parameters()))  # type: ignore[misc]
        for train in (False, True):
            case = Case(registry[name], shape, train)
            samples = timed({OURS: job(case, ours, *inputs(case))}, effort, {PEAK: gauge})
            work = operations(case.cell, shape, train=train, input_gradient=False)
            share = samples.share(work, OURS, PEAK)
            found.append(Speed(name, train, work / samples.median(OURS) / 1e9, share))
    return found
