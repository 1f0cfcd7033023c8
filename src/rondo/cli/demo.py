"""``rondo demo``: two models from data that is on any machine, and a page about them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rondo.cli.arguments import DEVICE, OUTPUT, THREADS, Group, Option, parse
from rondo.cli.machine import activation, usable_device, use_threads
from rondo.cli.output import duration, only_json, print_json, print_text
from rondo.cli.progress import progress_for
from rondo.cli.results import scores
from rondo.tasks.demo import MINUTES, run_demo

OPTIONS = (
    Option("out", str, "Folder for both models and the page.", default="rondo-demo", metavar="DIR"),
    Option("minutes", float, "Minutes of training on text; digits take less than one more.", default=MINUTES),
    Option("seed", int, "Seed of all random numbers.", default=0),
    Option("keep", bool, "Refuse to write over an earlier demonstration in DIR.", pair=False),
)
EXAMPLES = ("rondo demo", "rondo demo --out my-demo --minutes 1")
INTERRUPTED = 130


def run(arguments: Sequence[str]) -> int:
    """Train both, and say what came out and what to type next."""
    given = parse(
        arguments,
        command="rondo demo",
        about=(
            "Learn from the source text of Python's standard library, character by character, and from "
            "scikit-learn's handwritten digits, row by row. Nothing is downloaded. At the end there is a page."
        ),
        examples=EXAMPLES,
        groups=[
            Group("demonstration", "", OPTIONS),
            Group("machine", "", (DEVICE, THREADS)),
            Group("output", "", OUTPUT),
        ],
    )
    use_threads(given.get("threads"))
    device = given.get("device", DEVICE.default)
    usable_device(device)
    with only_json(bool(given.get("json"))), progress_for(quiet=bool(given.get("quiet"))) as progress:
        result = run_demo(
            given.get("out", "rondo-demo"),
            minutes=given.get("minutes", MINUTES),
            seed=given.get("seed", 0),
            device=device,
            overwrite=not given.get("keep"),
            progress=progress,
        )
    if not result:
        return 0
    print_json(result) if given.get("json") else print_text(_said(result))
    stopped = "interrupted" in (result["text"].get("stopped"), result["digits"].get("stopped"))
    if stopped:
        sys.stderr.write("rondo: interrupted; rondo demo begins anew\n")
    return INTERRUPTED if stopped else 0


def _next(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    first = activation()
    begin = [(first, "so that this shell knows the command rondo")] if first else []
    return [*begin, *result["next"]]


def _said(result: Mapping[str, Any]) -> str:
    lines = [
        "", "Text: Python's standard library, character by character", scores(result["text"]),
        result["text_verdict"], "", "Digits, read row by row", scores(result["digits"]), "",
        f"The page: {result['report']}  (all of it took {duration(result['seconds'])})", "", "Next:",
        *(f"  # {what}\n  {command}" for command, what in _next(result)),
    ]  # fmt: skip
    return "\n".join(lines)
