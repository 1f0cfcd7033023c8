"""Both directions and stacks of layers, against the sum of their parts, each measured alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sections import Plan, Result

from rondo.cells import Cell, get_cell
from rondo.layers import Recurrent
from rondo.testing.speed.counting import Shape
from rondo.testing.speed.layers import Case, Contender, inputs, job
from rondo.testing.speed.machine import Watch
from rondo.testing.speed.timing import Run, interval, timed

SHAPE = Shape(64, 100, 256, 256)
WHOLE = "whole"


def rows(plan: Plan) -> Iterator[Result]:
    """GRU, LSTM and a cell that torch does not have; both modes."""
    shape = Shape(2, 5, 4, 8) if plan.quick else SHAPE
    for name in ("gru", "lstm_peephole") if plan.quick else ("gru", "lstm", "lstm_peephole"):
        for train in (False, True):
            for layers, both in ((1, True), (2, False), (3, False), (2, True)):
                yield _row(plan, get_cell(name), shape, train, layers, both)


def _row(plan: Plan, cell: Cell, shape: Shape, train: bool, layers: int, both: bool) -> Result:
    directions = 2 if both else 1
    whole = Recurrent(cell, shape.I, shape.H, layers=layers, bidirectional=both, backend=plan.backend)
    parts: dict[str, int] = {}
    runs = {WHOLE: _job(Case(cell, shape, train), whole, directions)}
    for layer in range(layers):
        # A layer inside has the outputs below as its x, and gives them their gradient.
        inner = layer > 0
        width = shape.H * directions if inner else shape.I
        case = Case(cell, Shape(shape.B, shape.T, width, shape.H), train, inner and train)
        name = "layer inside" if inner else "first layer"
        parts[name] = parts.get(name, 0) + directions
        if name not in runs:
            runs[name] = _job(case, Recurrent(cell, width, shape.H, backend=plan.backend), 1)
    with Watch() as watch:
        samples = timed(runs, plan.effort)
    total = sum(count * np.asarray(samples.seconds[name]) for name, count in parts.items())
    what = f"{layers} layer{'s' if layers > 1 else ''}, {'both directions' if both else 'forward'}"
    return {
        "key": f"stack/{'train' if train else 'forward'}/{cell.name}/{layers}x{directions}", "cell": cell.name,
        "what": what, "train": train, "shape": shape.to_list(), "parts": parts,
        "of_parts": interval(np.asarray(samples.seconds[WHOLE]) / total).to_list(),
        "seconds": samples.to_dict(), "rounds": samples.rounds, "other_work": watch.others,
    }  # fmt: skip


def _job(case: Case, layer: Any, directions: int) -> Run:
    x, outer = inputs(case)
    outer = torch.cat([outer] * directions, 2)
    return job(case, Contender(lambda x: layer(x)[0], list(layer.parameters())), x, outer)
