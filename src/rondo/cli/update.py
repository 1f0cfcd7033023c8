"""``rondo update MODEL NEW.csv``: new rows for a forecaster, from which its forecasts go on."""

from __future__ import annotations

from collections.abc import Sequence

from rondo.cli.arguments import OUTPUT, Group, Option, parse
from rondo.cli.forecasting import MODEL
from rondo.cli.output import only_json, print_json, print_text
from rondo.data.series.files import read_frames
from rondo.errors import UsageError
from rondo.models.folder import read_config
from rondo.tasks.registry import load

EXAMPLES = ("rondo update my-forecaster new_rows.csv",)


def run(arguments: Sequence[str]) -> int:
    """Take note of the rows; nothing is learned anew."""
    given = parse(
        arguments,
        command="rondo update",
        about=(
            "Give a forecaster the rows that came since. They must follow on those it knows, all of them. Nothing is "
            "learned anew: the next forecast goes on from them."
        ),
        examples=EXAMPLES,
        positional=(MODEL, Option("files", str, "The new rows.", metavar="FILE ...", many=True, required=True)),
        groups=[Group("output", "", OUTPUT)],
    )
    folder = given["model"]
    if (task := read_config(folder).get("task")) != "forecast":
        raise UsageError(f"{folder} is a model of {task}; only forecasters are given new rows")
    with only_json(bool(given.get("json"))):
        forecaster = load(folder)
        forecaster.update(read_frames(given["files"]))
        forecaster.save(folder)
    known = forecaster.series_
    moment = max(int(known.times(which, known.lengths[which] - 1)) for which in range(len(known)))
    result = {"task": "forecast", "model": folder, "series": len(known), "last": known.clock.say(moment)}
    if given.get("json"):
        print_json(result)
    elif not given.get("quiet"):
        print_text(f"{folder} knows its {len(known):,} series up to {result['last']}.")
    return 0
