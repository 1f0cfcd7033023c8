"""What the verbs about series share: forecasts as files or lines, and the words for their scores."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from rondo.cli.arguments import DEVICE, THREADS, Group, Option, parse
from rondo.cli.machine import usable_device, use_threads
from rondo.cli.output import only_json, print_json, print_text, table, wrapped
from rondo.data.series.files import check_writable, read_frame, write_frame
from rondo.errors import UsageError
from rondo.tasks.forecast.words import sentence
from rondo.tasks.registry import load

MODEL = Option("model", str, "the folder that training wrote.", metavar="MODEL", required=True)
ASKED = (
    Option("horizon", int, "Rows to forecast; default and most: as many as were learned.", metavar="N"),
    Option("quantiles", tuple[float, ...], "Levels of quantiles beside the forecast; default: 0.1 0.9, where the "
           "model has them.", metavar="LEVEL ..."),
    Option("paths", int, "So many sampled futures in place of the forecast.", metavar="N"),
    Option("seed", int, "Seed of the sampled futures.", default=0),
)  # fmt: skip
OUT = Option(
    "out", str, "The file to write: .csv, .parquet or .jsonl. Default: CSV on standard output.", metavar="FILE"
)
COLUMNS = ("mae", "rmse", "smape", "mase", "crps", "coverage_80")
PREDICT_EXAMPLES = (
    "rondo predict my-forecaster --out forecast.csv",
    "rondo predict my-forecaster LATER.csv --horizon 3 --quantiles 0.05 0.5 0.95",
)


def predict(arguments: Sequence[str]) -> int:
    """``rondo predict`` of a forecaster: the rows that come next."""
    given = parse(
        arguments,
        command="rondo predict",
        about=(
            "The rows that come next: after those that the model knows, or after those of a file with the same "
            "columns. The columns have the data's own names; y_q0.1 is what y stays below with probability 0.1."
        ),
        examples=PREDICT_EXAMPLES,
        positional=(MODEL, Option("files", str, "Rows to go on from.", metavar="FILE", many=True)),
        groups=[
            Group("forecast", "", ASKED),
            Group("machine", "", (DEVICE, THREADS)),
            Group("output", "", (OUT, Option("json", bool, "Print a JSON object a row.", pair=False))),
        ],
    )
    files, out = given.get("files") or [], given.get("out")
    if len(files) > 1:
        raise UsageError(f"predict takes one FILE, not {len(files)}")
    if out is not None and given.get("json"):
        raise UsageError("--json prints rows and --out writes them: give one of them")
    if out is not None:
        check_writable(out)
    if given.get("paths") is not None and given.get("quantiles") is not None:
        raise UsageError("--paths and --quantiles do not go together")
    use_threads(given.get("threads"))
    with only_json(active=True):
        forecaster = load(given["model"], device=usable_device(given.get("device", DEVICE.default)))
        frame = read_frame(files[0]) if files else None
        made = forecaster.forecast_frame(
            frame,
            horizon=given.get("horizon"),
            levels=given.get("quantiles"),
            paths=given.get("paths"),
            seed=given.get("seed", 0),
            written=out is None or not str(out).endswith((".parquet", ".pq")),
        )
    rows = made.to_dict("records") if hasattr(made, "iloc") else made.to_dicts()
    if out is not None:
        write_frame(made, out)
    elif given.get("json"):
        for row in rows:
            print_json(row)
    else:
        print_text(_csv(rows))
    return 0


def scored(result: Mapping[str, Any]) -> str:
    """The model beside the baselines."""
    rows = [["", "MAE", "RMSE", "sMAPE", "MASE", "CRPS", "80 % covers"]]
    rows.append(["this model", *_figures(result["metrics"])])
    by_error = sorted(result["baselines"].items(), key=lambda pair: pair[1]["mae"])
    rows += [[name, *_figures(metrics)] for name, metrics in by_error]
    said = [wrapped(sentence(result)[0]), "", f"{result['windows']:,} forecasts of {result['horizon']} rows"]
    said.append(table(rows, right=range(1, len(rows[0]))))
    for name, one in result.get("automatic", {}).items():
        said.append(wrapped(f"{name} on {one['windows']:,} of them: MAE {one['metrics']['mae']:.4g}, the model "
                            f"{one['model']['mae']:.4g}."))  # fmt: skip
    if result.get("without_automatic"):
        said.append(wrapped(result["without_automatic"]))
    if result.get("left_out") is not None:
        said.append(wrapped(f"Careful: {result['left_out']['about']}"))
    said += [wrapped(f"Careful: {alarm}") for alarm in result.get("alarms", ())]
    said += [wrapped(f"A question: {question}") for question in result.get("questions", ())]
    return "\n".join(said)


def _figures(metrics: Mapping[str, float]) -> list[str]:
    return [
        "–"
        if metrics.get(name) is None
        else f"{metrics[name]:.1%}"
        if name.startswith("cover")
        else f"{metrics[name]:.4g}"
        for name in COLUMNS
    ]


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(list(rows[0]) if rows else [])
    writer.writerows([list(row.values()) for row in rows])
    return text.getvalue()
