"""``rondo bench``: how fast layers run here, beside torch's own and beside a loop in eager torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch

from rondo.backends.cpu.native import why_not
from rondo.cells import Cell, get_cell
from rondo.cli.arguments import OUTPUT, THREADS, Group, Option, parse
from rondo.cli.machine import use_threads
from rondo.cli.output import print_json, print_text, say_notes, table
from rondo.cli.progress import waiting
from rondo.errors import UsageError
from rondo.inspect.provenance import processor_name, usable_cores, versions
from rondo.testing.speed.counting import SHAPES, TINY, Shape, shape_of
from rondo.testing.speed.layers import OURS, Case, Row, measure, quiet_torch
from rondo.testing.speed.machine import disturbance, instruction_set, threading_runtime
from rondo.testing.speed.streaming import SIZES, StepRow, measure_step
from rondo.testing.speed.timing import QUICK, SHORT, Effort, Interval

CELLS = ("gru", "lstm", "rnn", "lstm_peephole")
TRIED = ("gru", "lstm_peephole")
"""Of ``--quick``: one that torch has, and one beside the loop."""
SMALLEST = (8,)
"""Units of its steps."""
Mode = Literal["both", "train", "forward"]
CELL = Option("cells", str, f"Cells by name, or your own as FILE.py:NAME; default: {', '.join(CELLS)}.",
              metavar="CELL", many=True)  # fmt: skip
MEASURED = (
    Option("shapes", str, "Shapes as BATCHxSTEPSxINPUTxHIDDEN, separated by commas; default: "
           f"{','.join(str(shape).replace('×', 'x') for shape in SHAPES)}.", metavar="SHAPES"),
    Option("mode", Mode, "train: forward and backward; forward: without gradients.", default="both"),
    Option("backend", str, "Backend of Rondo's, as for a layer.", default="auto", metavar="NAME"),
    Option("rounds", int, "Samples of each contender, at most.", default=SHORT.rounds),
    Option("quick", bool, "Two cells, tiny shapes, one short sample: to see that it runs, not for figures.",
           pair=False),
)  # fmt: skip
EXAMPLES = (
    "rondo bench",
    "rondo bench gru --shapes 32x100x64x128,64x100x256x256 --mode train",
    "rondo bench my_cells.py:my_gru --threads 2 --json",
)


def run(arguments: Sequence[str]) -> int:
    """Measure and print the table; the exit code is 1 if contenders compute different things."""
    given = parse(
        arguments,
        command="rondo bench",
        about=(
            "Measure layers as a user calls them: torch's cells beside torch.nn, all others beside the fair "
            "loop in eager torch, in one process, by turns; and GRU steps one at a time. A ratio above 1 means "
            "that Rondo is faster. Takes some minutes; benchmarks/speed has the long form."
        ),
        examples=EXAMPLES,
        positional=[CELL],
        groups=[
            Group("what is measured", "", MEASURED),
            Group("machine", "", (THREADS,)),
            Group("output", "", OUTPUT),
        ],
    )
    use_threads(given.get("threads"))
    quick = bool(given.get("quick"))
    cells = [get_cell(name) for name in given.get("cells") or (TRIED if quick else CELLS)]
    shapes = _shapes(given.get("shapes"), TINY if quick else SHAPES)
    effort = _effort(given)
    quiet_torch()
    rows, steps = [], []
    with waiting("measuring", quiet=bool(given.get("quiet"))) as now:
        for case in _cases(cells, shapes, given.get("mode", "both")):
            now(f"{case.cell.name} {case.shape}, {_mode(case)}")
            rows.append(measure(case, effort, backend=given.get("backend", "auto")))
        for hidden in () if given.get("cells") else SMALLEST if quick else SIZES:
            now(f"a step of gru, {hidden} units")
            steps.append(measure_step(hidden, effort, backend=given.get("backend", "auto")))
    notes = _notes(rows)
    if given.get("json"):
        print_json(_result(rows, steps, notes))
    else:
        print_text(_machine())
        print_text("\n" + layer_table(rows))
        if steps:
            print_text("\n" + step_table(steps))
        say_notes(notes, quiet=bool(given.get("quiet")))
    return 1 if any(row.wrong for row in rows) else 0


def layer_table(rows: Sequence[Row]) -> str:
    """A line for each case."""
    lines = [["cell", "B×T×I×H", "", "backend", "ms", "beside", "ms", "times as fast (95 %)", "of peak"]]
    for row in rows:
        case, samples = row.case, row.samples
        first = [case.cell.name, str(case.shape), _mode(case), row.backend]
        if samples is None or row.ratio is None:
            lines.append([*first, "", row.baseline, "", f"WRONG: {row.wrong}", ""])
            continue
        share = "-" if row.share is None else f"{row.share.value:.0%}"
        ours, theirs = samples.median(OURS), samples.median(row.baseline)
        lines.append([*first, _milliseconds(ours), row.baseline, _milliseconds(theirs), _ratio(row.ratio), share])
    return table(lines, right=[4, 6, 7, 8])


def step_table(steps: Sequence[StepRow]) -> str:
    """A line for each size of a step."""
    lines = [["one step", "units", "µs", "beside", "µs", "times as fast (95 %)"]]
    for step in steps:
        ours, theirs = (1e6 * step.samples.median(name) for name in (OURS, step.baseline))
        lines.append([f"gru, {step.how}", str(step.hidden), f"{ours:.1f}", step.baseline, f"{theirs:.1f}",
                      _ratio(step.ratio)])  # fmt: skip
    return table(lines, right=[1, 2, 4, 5])


def _shapes(text: str | None, otherwise: Sequence[Shape]) -> list[Shape]:
    return list(otherwise) if text is None else [shape_of(word) for word in text.split(",")]


def _effort(given: Mapping[str, Any]) -> Effort:
    effort = QUICK if given.get("quick") else SHORT
    rounds = given.get("rounds")
    if rounds is None:
        return effort
    if rounds < 1:
        raise UsageError(f"--rounds must be at least 1, not {rounds}")
    return dataclasses.replace(effort, rounds=rounds, least_rounds=min(rounds, effort.least_rounds))


def _cases(cells: Sequence[Cell], shapes: Sequence[Shape], mode: str) -> list[Case]:
    trains = {"both": (True, False), "train": (True,), "forward": (False,)}[mode]
    return [Case(cell, shape, train) for cell in cells for shape in shapes for train in trains]


def _mode(case: Case) -> str:
    return "train" if case.train else "forward"


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:.0f}"


def _ratio(ratio: Interval) -> str:
    return f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"


def _notes(rows: Sequence[Row]) -> list[str]:
    disturbed = max((row.others for row in rows if row.others is not None), default=None)
    notes = [note for note in (disturbance(disturbed),) if note]
    if (missing := why_not()) is not None:
        notes.append(f"torch runs the cells, and the machine's peak is not known: {missing}")
    return notes


def _machine() -> str:
    return table(
        [
            ["processor", processor_name()],
            ["threads", f"{torch.get_num_threads()} of {usable_cores()} cores"],
            ["engine", _engine()],
            ["torch", versions()["torch"]],
        ]
    )


def _engine() -> str:
    found = instruction_set()
    return "none" if found is None else f"{found}, {threading_runtime()}"


def _result(rows: Sequence[Row], steps: Sequence[StepRow], notes: Sequence[str]) -> dict[str, Any]:
    return {
        "versions": versions(),
        "processor": processor_name(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "instruction_set": instruction_set(),
        "threading": threading_runtime(),
        "rows": [row.to_dict() for row in rows],
        "steps": [step.to_dict() for step in steps],
        "notes": list(notes),
    }
