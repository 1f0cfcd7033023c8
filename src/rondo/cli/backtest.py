"""``rondo backtest MODEL|RECIPE DATA.csv``: fitted on what was known at the time, scored on what came."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

from rondo.cli.arguments import DEVICE, OUTPUT, THREADS, Group, Option, parse
from rondo.cli.forecasting import scored
from rondo.cli.machine import usable_device
from rondo.cli.output import only_json, print_json, print_text
from rondo.cli.progress import progress_for
from rondo.data.series.files import read_frames
from rondo.errors import UsageError
from rondo.inspect.provenance import collect
from rondo.models.folder import read_config
from rondo.tasks.forecast.estimator import Forecaster
from rondo.tasks.forecast.report import write_backtest
from rondo.tasks.registry import load

POSITIONAL = (
    Option("model", str, "the folder of a model, or a TOML file of options.", metavar="MODEL|RECIPE", required=True),
    Option("files", str, "The series.", metavar="FILE ...", many=True, required=True),
)
FOLDS = (
    Option("origins", int, "How many origins are scored, the last ones; default: those of the last tenth of the rows.",
           metavar="N"),
    Option("test_rows", int, "Score all origins of so many rows at the end instead.", metavar="N"),
    Option("stride", int, "Rows between origins.", default=1),
    Option("refit", str, "Fit anew: every (origin), never (once, before the first), or after so many origins.",
           default="never", metavar="every|never|N"),
    Option("embargo", int, "Rows before each fold's first forecast that are not learned from.", default=0),
    Option("align", str, "time: no series is learned from beyond the moment another is forecast at; end: each counts "
           "from its own end.", default="time", metavar="time|end"),
    Option("scaled", bool, "Errors of values scaled by the training part of their series, as benchmarks state them.",
           pair=False),
    Option("scored_step", int, "Of the horizon this step alone is scored; default: all.", metavar="N"),
    Option("automatic_seconds", float, "Seconds for AutoETS and AutoTheta; default: as long as the model took."),
)  # fmt: skip
PAGE = Option("report", str, "Write the page with figures to this file.", metavar="FILE.html")
EXAMPLES = (
    "rondo backtest my-forecaster prices.csv --origins 20 --refit every",
    "rondo backtest recipe.toml prices.csv --test-rows 250 --refit 60 --report backtest.html",
)


def run(arguments: Sequence[str]) -> int:
    """Print the scores beside the baselines'."""
    given = parse(
        arguments,
        command="rondo backtest",
        about=(
            "How good forecasts would have been: by rolling origin, fitted with a model's or a recipe's options on "
            "what was known at the time, scored on all that came, beside baselines on the same windows."
        ),
        examples=EXAMPLES,
        positional=POSITIONAL,
        groups=[
            Group("folds", "What is scored.", FOLDS),
            Group("machine", "", (DEVICE, THREADS)),
            Group("output", "", (PAGE, *OUTPUT)),
        ],
    )
    started = time.perf_counter()
    place, files = given.pop("model"), given.pop("files")
    page = given.pop("report", None)
    as_json, quiet = given.pop("json", False), given.pop("quiet", False)
    forecaster = _forecaster(place)
    forecaster.set_params(device=usable_device(given.pop("device", DEVICE.default)))
    if "threads" in given:
        forecaster.set_params(threads=given.pop("threads"))
    if "refit" in given:
        given["refit"] = int(given["refit"]) if given["refit"].isdigit() else given["refit"]
    with only_json(as_json), progress_for(quiet=quiet) as progress:
        frame = read_frames(files)
        if given.get("origins") is None and given.get("test_rows") is None and forecaster.split is None:
            given["test_rows"] = max(forecaster.horizon, forecaster.rows_of(frame) // 10)
        backtest = forecaster.backtest(frame, progress=progress, **given)
    result = {**backtest.to_json(), "model": place, "training_seconds": backtest.seconds}
    result["seconds"] = time.perf_counter() - started
    if page is not None:
        seed = forecaster.random_state if isinstance(forecaster.random_state, int) else None
        origin = collect(seed=seed, seconds=result["seconds"], data=[Path(path) for path in files])
        write_backtest(backtest, result, origin, page)
        result["report"] = page
    print_json(result) if as_json else print_text(scored(result))
    return 0


def _forecaster(place: str) -> Forecaster:
    """With the options of a model's folder or of a TOML file; it has learned nothing yet."""
    if not Path(place).is_dir():
        try:
            return Forecaster.with_options(tomllib.loads(Path(place).read_bytes().decode("utf-8-sig")), source=place)
        except OSError as error:
            raise UsageError(f"cannot read {place}: {error.strerror or error}") from None
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UsageError(f"{place} is neither the folder of a model nor a TOML file of options: {error}") from None
    if (task := read_config(place).get("task")) != "forecast":
        raise UsageError(f"{place} is a model of {task}, not a forecaster")
    made: Forecaster = load(place)
    return made
