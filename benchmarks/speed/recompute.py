"""Residuals that are computed again, against a run that keeps them all: the time of a training step, and its memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch
from sections import Plan, Result

from rondo.backends.segments import RecomputeSteps, segment_length
from rondo.cells import Cell, get_cell
from rondo.layers import Recurrent
from rondo.testing.speed.counting import Shape, shape_of
from rondo.testing.speed.layers import Case, Contender, inputs, job
from rondo.testing.speed.machine import Watch
from rondo.testing.speed.timing import Run, timed

SHAPES = (Shape(64, 400, 256, 256), Shape(32, 1000, 64, 128), Shape(1, 2500, 64, 256))
AGAIN, KEPT = "computed again", "kept"
STATUS = Path("/proc/self/status")
"""Where Linux says what a process holds; elsewhere memory is not measured."""


def rows(plan: Plan) -> Iterator[Result]:
    """GRU and LSTM, x a leaf and x inside a network; a batch of long sequences, and a single one."""
    for name in ("gru", "lstm"):
        for shape in (Shape(2, 9, 4, 8),) if plan.quick else SHAPES:
            for inner in (False, True):
                yield _row(plan, Case(get_cell(name), shape, train=True, input_gradient=inner))


def _row(plan: Plan, case: Case) -> Result:
    cell, shape = case.cell, case.shape
    runs = {AGAIN: _run(case, "auto", plan.backend), KEPT: _run(case, None, plan.backend)}
    with Watch() as watch:
        samples = timed(runs, plan.effort)
    memory = {name: _peak_of_a_process(case, name == AGAIN) for name in runs} if STATUS.exists() else None
    return {
        "key": f"recompute/{cell.name}/{shape}/{'inner' if case.input_gradient else 'leaf'}", "cell": cell.name,
        "shape": shape.to_list(), "input_gradient": case.input_gradient,
        "segment": segment_length("auto", shape.B, shape.T), "cost": samples.ratio(AGAIN, KEPT).to_list(),
        "memory": memory, "seconds": samples.to_dict(), "rounds": samples.rounds, "other_work": watch.others,
    }  # fmt: skip


def _run(case: Case, steps: RecomputeSteps | None, backend: str) -> Run:
    layer = _layer(case.cell, case.shape, steps, backend)
    return job(case, Contender(lambda x: layer(x)[0], list(layer.parameters())), *inputs(case))


def _layer(cell: Cell, shape: Shape, steps: RecomputeSteps | None, backend: str = "auto") -> Recurrent:
    return Recurrent(cell, shape.I, shape.H, recompute_steps=steps, backend=backend)


def _peak_of_a_process(case: Case, again: bool) -> float:
    """Bytes that a process of its own holds at most, beyond what it held with x and the outputs' gradient there."""
    words = [sys.executable, __file__, case.cell.name, str(case.shape), str(int(case.input_gradient)), str(int(again))]
    return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def _measure(cell: str, shape: str, inner: str, again: str) -> None:
    torch.set_num_threads(2)
    case = Case(get_cell(cell), shape_of(shape), train=True, input_gradient=bool(int(inner)))
    x, outer = inputs(case)
    small = Case(case.cell, Shape(case.shape.B, 2, case.shape.I, case.shape.H), True, case.input_gradient)
    _run(small, "auto" if int(again) else None, "auto")()  # modules are loaded, threads begun
    layer = _layer(case.cell, case.shape, "auto" if int(again) else None)
    before = _held("VmRSS")
    job(case, Contender(lambda x: layer(x)[0], list(layer.parameters())), x, outer)()
    print(_held("VmHWM") - before)


def _held(most_or_now: str) -> int:
    # Not getrusage's peak: a process that was begun by a larger one has that one's.
    (line,) = (line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith(most_or_now))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    _measure(*sys.argv[1:])
