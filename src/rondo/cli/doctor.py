"""``rondo doctor``: is everything here, what would run, and are the numbers right on this machine?"""

from __future__ import annotations

import platform
from collections.abc import Sequence

import torch

from rondo.backends import BACKENDS
from rondo.backends.cpu.native import forced, why_not
from rondo.cells import registry
from rondo.cli.arguments import OUTPUT, THREADS, Group, Option, parse
from rondo.cli.machine import devices, use_threads
from rondo.cli.output import print_json, print_text, table
from rondo.cli.progress import waiting
from rondo.inspect.provenance import device_name, processor_name, usable_cores, versions
from rondo.testing.selfcheck import Check, check_cell
from rondo.testing.speed.check import LOW, SHAPE, Speed, speed_check
from rondo.testing.speed.machine import BUSY, Watch, instruction_set, threading_runtime

QUICK = Option("quick", bool, "Skip the speed check, which takes up to ten seconds.", pair=False)
EXAMPLES = ("rondo doctor", "rondo doctor --quick --json")


def run(arguments: Sequence[str]) -> int:
    """Look, compute, compare; the exit code is 1 if a number is wrong, or ``RONDO_ISA`` asks for what is not there."""
    given = parse(
        arguments,
        command="rondo doctor",
        about=(
            "Show versions, devices, instruction set and threads, which backend runs each cell, and check the "
            "numbers: the reference against the definition in NumPy (float64), and every other backend against "
            "the reference (float32), values and gradients. Then some seconds of GRU and LSTM against the "
            "machine's own peak. Exit code 1 if a number is wrong, or if RONDO_ISA asks for an engine that "
            "cannot run."
        ),
        examples=EXAMPLES,
        groups=[Group("checks", "", (QUICK,)), Group("machine", "", (THREADS,)), Group("output", "", OUTPUT)],
    )
    use_threads(given.get("threads"))
    with waiting("checking the numbers", quiet=bool(given.get("quiet"))) as now:
        checks = [check for cell in registry.values() for check in check_cell(cell)]
        now("checking the speed")
        with Watch() as watch:
            speeds = None if given.get("quick") else speed_check()
    bad = [check for check in checks if not check.good]
    missing = why_not()
    healthy = not bad and not (forced() and missing)
    if given.get("json"):
        print_json(
            {
                "versions": versions(),
                "processor": processor_name(),
                "cores": usable_cores(),
                "threads": torch.get_num_threads(),
                "instruction_set": instruction_set(),
                "threading": threading_runtime(),
                "missing": missing,
                "devices": [device_name(device) for device in devices()],
                "checks": [check.to_dict() for check in checks],
                "healthy": healthy,
                "speed": None if speeds is None else [speed.to_dict() for speed in speeds],
                "other_work": watch.others,
            }
        )
    else:
        print_text(_machine())
        print_text("\n" + _cells(checks))
        print_text("\n" + _verdict(checks, bad))
        if forced() and missing:
            print_text(f"The engine that was asked for does not run: {missing}.")
        if not given.get("quick"):
            print_text("\n" + _speed(speeds, watch.others))
    return 0 if healthy else 1


def _machine() -> str:
    rows = [[name, version] for name, version in versions().items()]
    rows += [
        ["system", f"{platform.system()} {platform.release()} ({platform.machine()})"],
        ["processor", processor_name()],
        ["threads", f"{torch.get_num_threads()} of {usable_cores()} cores"],
        ["engine", _engine()],
        ["devices", ", ".join(device_name(device) for device in devices())],
    ]
    return table(rows)


def _engine() -> str:
    if (missing := why_not()) is not None:
        return f"none, torch runs the cells: {missing}"
    return f"{instruction_set()}, threads of {threading_runtime()}"


def _cells(checks: Sequence[Check]) -> str:
    """A line for each cell: who runs it, and how far each backend is from what it must equal."""
    rows = [["cell", "runs on", *(f"{name}: error / allowed" for name in BACKENDS)]]
    for name in registry:
        own = {check.backend: check for check in checks if check.cell == name}
        runs = next(backend for backend in BACKENDS if backend in own)
        rows.append([name, runs, *(_figure(own.get(backend)) for backend in BACKENDS)])
    return table(rows)


def _figure(check: Check | None) -> str:
    if check is None:
        return "-"
    return f"{'ok ' if check.good else 'BAD'} {check.error:.0e} / {check.allowed:.0e}"


def _verdict(checks: Sequence[Check], bad: Sequence[Check]) -> str:
    if not bad:
        return f"All {len(checks)} checks passed."
    names = ", ".join(f"{check.cell} ({check.backend})" for check in bad)
    return (
        f"{len(bad)} of {len(checks)} checks FAILED: {names}.\n"
        "Results of these cells cannot be trusted here. Please report this with the table above."
    )


def _speed(speeds: Sequence[Speed] | None, others: float | None) -> str:
    if speeds is None:
        return "The speed was not checked: it is held against a peak that the native module measures."
    rows = [["cell", "", "GFLOP/s", "of the machine's peak"]]
    rows += [[s.cell, "train" if s.train else "forward", f"{s.gigaflops:.0f}", f"{s.share.value:.0%}"] for s in speeds]
    lines = [f"speed at {SHAPE} (batch, steps, input, hidden)", table(rows, right=[2, 3])]
    if min(speed.share.value for speed in speeds) < LOW:
        busy = others is not None and others >= BUSY
        lines.append(
            f"That is little; other work kept {others:.1f} cores busy meanwhile." if busy
            else "That is little: is there other work on the machine, or are there more threads than cores?"
        )  # fmt: skip
    return "\n".join(lines)
