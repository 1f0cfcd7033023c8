"""Measure how fast Rondo's layers are: ``python benchmarks/speed/run.py`` (all of it takes an hour or two).

All contenders of a row run in this process, by turns, in rounds of random order. Each row goes to
``results/SECTION.json`` as soon as it is measured and replaces the one measured before; the table and the plot
of README.md are written anew at the end. ``--quick`` tries everything out on tiny shapes and saves nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch
from results import RESULTS, Store
from sections import SECTIONS, Plan, Skipped
from table import one_line, write

from rondo.backends import BACKENDS
from rondo.cells import get_cell, registry
from rondo.testing.speed.counting import SHAPES, TINY, shape_of
from rondo.testing.speed.layers import quiet_torch
from rondo.testing.speed.machine import peak_gauge
from rondo.testing.speed.timing import FULL, QUICK, Steady

GLANCE = 0.005
"""Seconds of a look at the machine before and after each sample."""


def main(words: list[str] | None = None) -> None:
    arguments = parser().parse_args(words)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    quiet_torch()
    plan = plan_of(arguments)
    keep = None if arguments.quick and arguments.out is None else arguments.out or RESULTS
    for name in arguments.only or SECTIONS:
        store = Store(name, keep, plan)
        print(f"{name}: {SECTIONS[name].about}", flush=True)
        try:
            for row in SECTIONS[name].rows(plan):
                store.add(row)
                print(f"  {one_line(name, row)}", flush=True)
        except Skipped as reason:
            print(f"  skipped: {reason}", flush=True)
            store.skip(str(reason))
    if keep == RESULTS:
        write()


def plan_of(arguments: argparse.Namespace) -> Plan:
    """What the options ask for."""
    effort = QUICK if arguments.quick else FULL
    if arguments.rounds:
        least = min(arguments.rounds, effort.least_rounds)
        effort = dataclasses.replace(effort, rounds=arguments.rounds, least_rounds=least)
    gauge = peak_gauge(arguments.threads, seconds=GLANCE)
    if gauge is not None and not arguments.quick:
        effort = dataclasses.replace(effort, steady=Steady(gauge))
    shapes = TINY if arguments.quick else SHAPES
    return Plan(
        cells=[get_cell(name) for name in arguments.cells or registry],
        shapes=[shape_of(text) for text in arguments.shapes] if arguments.shapes else list(shapes),
        effort=effort,
        backend=arguments.backend,
        quick=arguments.quick,
        others=not arguments.no_others,
    )


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--only", nargs="+", choices=SECTIONS, metavar="SECTION", help=", ".join(SECTIONS))
    made.add_argument(
        "--cells", nargs="+", metavar="CELL", help="for train, forward and busy; default: all of the registry"
    )
    made.add_argument("--shapes", nargs="+", metavar="BxTxIxH", help="for train, forward and busy; default: the six")
    made.add_argument("--rounds", type=int, help=f"at most; default {FULL.rounds}")
    made.add_argument("--threads", type=int, default=2)
    made.add_argument("--backend", default="auto", choices=["auto", *BACKENDS])
    made.add_argument("--quick", action="store_true", help="tiny shapes, short samples; nothing is saved")
    made.add_argument("--no-others", action="store_true", help="leave JAX, ONNX Runtime and Keras out")
    made.add_argument("--out", type=Path, help="folder for the results in place of results/")
    return made


if __name__ == "__main__":
    main()
