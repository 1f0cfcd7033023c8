"""Beside processes that take a core from the threads: how much slower than alone, Rondo and torch."""

from __future__ import annotations

import dataclasses
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from sections import Plan, Result, Skipped

from rondo.inspect.provenance import usable_cores
from rondo.testing.speed.counting import SHAPES
from rondo.testing.speed.layers import OURS, Case, contenders, inputs, job
from rondo.testing.speed.timing import Effort, collected_by_hand, interval, sample, warmed

THEIRS = "torch.nn"
CELLS = ("gru", "lstm")
STARTS = 0.3
"""Seconds until a process that was started is busy."""


def rows(plan: Plan) -> Iterator[Result]:
    """GRU and LSTM, one sequence and a batch, or those of them that were asked for."""
    cells = [cell for cell in plan.cells if cell.name in CELLS]
    if not cells:
        raise Skipped(f"it is about {' and '.join(CELLS)}")
    usual = [shape for shape in (SHAPES[0], SHAPES[3]) if shape in plan.shapes]
    for cell in cells:
        for shape in plan.shapes[:1] if plan.quick else usual or plan.shapes:
            for train in (False, True):
                yield _row(plan, Case(cell, shape, train))


def _row(plan: Plan, case: Case) -> Result:
    # The system deals out its cores in slices of some milliseconds, so samples are longer than elsewhere.
    effort = plan.effort if plan.quick else dataclasses.replace(plan.effort, sample_seconds=0.25)
    ours, baselines = contenders(case, plan.backend)
    x, outer = inputs(case)
    runs = {OURS: job(case, ours, x, outer), THEIRS: job(case, baselines[THEIRS], x, outer)}
    calls = {name: max(1, round(effort.sample_seconds / warmed(run, effort))) for name, run in runs.items()}
    seconds: dict[tuple[str, bool], list[float]] = {(name, busy): [] for name in runs for busy in (False, True)}
    order, shuffle = list(runs), random.Random(effort.seed).shuffle
    processes = max(1, usable_cores() - torch.get_num_threads() + 1)
    with collected_by_hand():
        for _ in range(_rounds(effort)):
            shuffle(order)
            for name in order:
                seconds[name, False].append(sample(runs[name], calls[name]))
            with competing(processes):
                for name in order:
                    seconds[name, True].append(sample(runs[name], calls[name]))
    slower = {name: interval(np.divide(seconds[name, True], seconds[name, False])) for name in runs}
    return {
        "key": f"busy/{'train' if case.train else 'forward'}/{case.cell.name}/{case.shape}", "cell": case.cell.name,
        "shape": case.shape.to_list(), "train": case.train, "processes": processes,
        "slower": slower[OURS].to_list(), "torch_slower": slower[THEIRS].to_list(),
        "seconds": {f"{name}, {'busy' if busy else 'alone'}": {"median": float(np.median(found))}
                    for (name, busy), found in seconds.items()},
        "rounds": _rounds(effort),
    }  # fmt: skip


def _rounds(effort: Effort) -> int:
    return max(effort.least_rounds, effort.rounds // 2 + 1)


@contextmanager
def competing(processes: int) -> Iterator[None]:
    """So many processes that do nothing but compute."""
    started = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(processes)]
    try:
        time.sleep(STARTS)
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()
