"""``rondo predict MODEL [FILE]``: what a model says about each item of a file, or of what is piped in."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from rondo.cli import forecasting
from rondo.cli.arguments import DEVICE, THREADS, Group, Option, parse
from rondo.cli.machine import usable_device, use_threads
from rondo.cli.output import only_json, print_json
from rondo.cli.reading import StandardInput, answering_options, reading_group, task_of
from rondo.cli.terminal import harmless
from rondo.errors import UsageError
from rondo.models.folder import read_config
from rondo.tasks.registry import TASKS, load

POSITIONAL = (
    Option("model", str, "the folder that training wrote.", metavar="MODEL", required=True),
    Option("files", str, "What to answer; - or nothing is standard input.", metavar="FILE", many=True),
)
OUTPUT = (
    Option("json", bool, "Print a JSON object an item: the answer, and how sure the model is of it.", pair=False),
    Option("at_once", int, "Items that are read before the first of them is answered, so that they can be computed "
           "together; 1 answers each at once. Default: some thousand of a file or a pipe, 1 of what is typed.",
           metavar="N"),
)  # fmt: skip
EXAMPLES = (
    "rondo predict my-classifier texts.txt",
    "rondo predict my-classifier reviews.csv --json > answers.jsonl",
    "rondo predict my-tagger sentences.conll > tagged.conll",
    "rondo predict my-forecaster --out forecast.csv",
    "tail -f messages.log | rondo predict my-classifier - --at-once 1",
)


def run(arguments: Sequence[str]) -> int:
    """Answer item by item; a file of any size needs constant memory. A forecaster says what comes next."""
    if arguments and task_of(arguments[0]) == "forecast":
        return forecasting.predict(arguments)
    given = parse(
        arguments,
        command="rondo predict",
        about=(
            "What a model says about each line of a file, or each row of a table: one line in, one line out; a tagger "
            "writes each file back in its own format. Files may be plain or compressed, in any encoding. "
            "How they are read is up to the model's task: rondo predict MODEL --help lists those options."
        ),
        examples=EXAMPLES,
        positional=POSITIONAL,
        groups=[
            reading_group(arguments),
            Group("machine", "", (DEVICE, THREADS)),
            Group("output", "", (*OUTPUT, *answering_options(arguments))),
        ],
    )
    folder, files, as_json = given.pop("model"), given.pop("files", ["-"]), given.pop("json", False)
    use_threads(given.pop("threads", None))
    device, at_once = usable_device(given.pop("device", DEVICE.default)), given.pop("at_once", None)
    if len(files) > 1:
        raise UsageError(f"predict takes one FILE, not {len(files)}: answers of several could not be told apart")
    if at_once is not None and at_once < 1:
        raise UsageError(f"--at-once is at least 1, not {at_once}")
    task = str(read_config(folder).get("task"))
    if task in TASKS and not TASKS[task].home_of_reading:
        raise UsageError(f"{folder} is a model of {task}, which does not answer item by item")
    with only_json(active=True):
        model = load(folder, device=device)
    typed = files == ["-"]
    if typed and at_once is None and sys.stdin.isatty():
        at_once = 1
    source = StandardInput(given.get("encoding")) if typed else files[0]
    further: dict[str, Any] = {"at_once": at_once}
    if task in TASKS and TASKS[task].home_of_answering:
        kind = TASKS[task].answering
        names = [field.name for field in dataclasses.fields(kind)]
        further["answering"] = kind(**{name: given.pop(name) for name in names if name in given})
        further["details"] = as_json
    for answer in model.answers(source, model.reading(**given), **further):
        if as_json:
            print_json(answer.values)
            continue
        sys.stdout.write(harmless(answer.line) + "\n")
        if at_once is not None:
            sys.stdout.flush()
    return 0
