"""Reproduce the quality figures: ``python benchmarks/quality/run.py ROW ...`` (no row: list them).

Each row trains as ``rondo train`` does and writes ``results/ROW.json``: figures only, with the
command's options, machine and versions. ``--steps`` and ``--schedule-steps`` repeat a run that was
limited by minutes by its number of steps, for instance on a machine that is busy with other things.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import torch
from forecast_row import ForecastRow, run_forecasts
from row import DATA, Row, scratch
from rows import ROWS

import rondo
from rondo.cli.progress import progress_for
from rondo.inspect import collect
from rondo.testing.speed.machine import instruction_set

RESULTS = Path(__file__).parent / "results"
FIGURES = (
    "seed", "seconds", "training_seconds", "epochs", "steps", "schedule_steps", "stopped", "parameters", "valid_loss",
    "baseline", "baseline_loss", "perplexity", "bits_per_character", "test_loss", "test_baseline_loss",
    "test_perplexity", "test_bits_per_character", "score", "score_interval", "baselines", "baseline_score",
    "strict_score", "strict_baselines", "poems",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", choices=[[], *ROWS], metavar="ROW")
    parser.add_argument("--out", type=Path, default=Path("quality-models"), help="where the models go")
    parser.add_argument("--steps", type=int, help="a budget in steps in place of the row's minutes")
    parser.add_argument("--schedule-steps", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resume", action="store_true")
    arguments = parser.parse_args()
    if not arguments.rows:
        for row in ROWS.values():
            print(f"{row.name:16} {row.target}")
        return
    if not DATA.is_dir():
        sys.exit("set RONDO_DATA to the folder of data sets")
    for name in arguments.rows:
        row = ROWS[name]
        result = forecasts(row, arguments) if isinstance(row, ForecastRow) else run(row, arguments)
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        print(f"{name}: {row.figure} = {result['figure']}  (to reach: {row.target})")


def run(row: Row, arguments: argparse.Namespace) -> dict[str, Any]:
    """All seeds and data sets of a row."""
    budget: dict[str, Any] = dict(row.options)
    if arguments.steps:
        budget |= {"minutes": None, "steps": arguments.steps, "schedule_steps": arguments.schedule_steps}
    results = []
    for seed in range(row.seeds):
        with scratch() as folder:
            for name, files, own in row.trainings(Path(folder)):
                options = {**budget, **own, "seed": seed, "threads": arguments.threads}
                out = arguments.out / "-".join(part for part in (row.name, name, str(seed)) if part)
                with progress_for(quiet=False) as progress:
                    result = rondo.train(
                        row.task,
                        files,
                        out=out,
                        overwrite=not arguments.resume,
                        resume=arguments.resume,
                        progress=progress,
                        **options,
                    )
                if result["stopped"] == "interrupted":
                    sys.exit(f"{row.name}: the training was interrupted; --resume goes on with it")
                results.append(({"set": name} if name else {}) | figures(result))
                if row.task == "poetry":
                    with progress_for(quiet=False) as progress:
                        results[-1] |= verse(out, progress.message)
    figure = {"figure": statistics.mean(result[row.figure] for result in results)}
    options = {key: value for key, value in budget.items() if not str(value).startswith(str(DATA))}
    return about(row, figure, options) | {"runs": results}


def forecasts(row: ForecastRow, arguments: argparse.Namespace) -> dict[str, Any]:
    """All seeds and parts of a row about forecasts."""
    budget: dict[str, Any] = {}
    if arguments.steps:
        budget = {"minutes": None, "steps": arguments.steps, "schedule_steps": arguments.schedule_steps}
    torch.set_num_threads(arguments.threads)
    runs = run_forecasts(row, budget, arguments.threads)
    figures = row.summary(runs)
    parts = {part.name: dict(part.options) for part in row.parts}
    return (
        about(row, {"figure": figures[row.figure]}, {**row.options, **budget})
        | figures
        | {"parts": parts, "runs": runs}
    )


def about(row: Row | ForecastRow, figure: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """What stands at the head of every row's file."""
    provenance = collect().to_dict()
    return {
        "row": row.name,
        "to_reach": row.target,
        "figure_name": row.figure,
        **figure,
        "options": options,
        "threads": torch.get_num_threads(),
        "engine": instruction_set() or "none: torch code",
        "machine": f"{provenance['processor']}, {provenance['cores']} cores",
        "versions": provenance["versions"],
    }


def figures(result: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a training's result: numbers, no text."""
    found = dict(result)
    if "test_loss" in found:
        found["test_perplexity"] = math.exp(found["test_loss"])
        found["test_bits_per_character"] = found["test"].get("bits_per_character")
    return {key: found[key] for key in FIGURES if key in found}


def verse(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """A thousand free and a thousand held quatrains beside the human ones that were held out."""
    from rondo.tasks.poetry.forms import QIJUE, WUJUE
    from rondo.tasks.poetry.options import PoetryData
    from rondo.tasks.poetry.parts import read_parts

    model = rondo.load(folder)
    options = model.config["options"]
    _, parts = read_parts([DATA / "tang_poetry/tang_poems.jsonl.xz"], PoetryData(**options["data"]),
                          seed=options["training"]["seed"])  # fmt: skip
    table = model.compare(parts.valid, samples=1000, temperature=1.0, seed=0, forms=(WUJUE, QIJUE), say=say)
    return {"quatrains": table.to_dict()}


if __name__ == "__main__":
    main()
