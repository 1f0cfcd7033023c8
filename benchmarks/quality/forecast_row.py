"""What a row of the quality table about forecasts is: backtests through `rondo.Forecaster`, and how one is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import rondo
from rondo.cli.progress import progress_for
from rondo.tasks.forecast.backtest import Backtest

KEPT = (
    "horizon", "windows", "folds", "scaled", "scored_step", "metrics", "baselines", "baseline", "skill",
    "skill_interval", "diebold_mariano", "directional_accuracy",
)  # fmt: skip
"""What is kept of a backtest's result."""
TRIAL = 1 / 3
"""Share of a training's budget that each look-back is tried with, where several are."""

Run = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """One data set with one horizon."""

    name: str
    frame: Callable[[], Any]
    options: Mapping[str, Any]
    """Parameters of `rondo.Forecaster` besides those of the row."""
    scoring: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of its `backtest`; one that depends on the frame is a function of it."""
    lookbacks: tuple[int, ...] = ()
    """Tried on the validation part, before the test part is looked at; the best is taken."""


@dataclass(frozen=True)
class ForecastRow:
    """A row over one or more parts."""

    name: str
    target: str
    parts: tuple[Part, ...]
    options: Mapping[str, Any]
    """Parameters of `rondo.Forecaster` that all parts have."""
    figure: str
    """What `summary` calls the figure that is held against ``target``."""
    summary: Callable[[Sequence[Run]], dict[str, Any]]
    """The row's figures from its runs."""
    said: Callable[[Mapping[str, Any]], tuple[str, str]]
    """What was reached and the baseline beside it, in words."""
    columns: Mapping[str, Callable[[Run], str]] = field(default_factory=dict)
    """Of a table with a line for each part."""
    more: Callable[[Backtest], Run] = field(default=lambda backtest: {})
    """What is kept of a backtest besides `KEPT`."""
    seeds: int = 1


def run_forecasts(row: ForecastRow, budget: Mapping[str, Any], threads: int) -> list[Run]:
    """All seeds and parts; ``budget`` takes the place of the row's own."""
    runs = []
    for seed in range(row.seeds):
        for part in row.parts:
            options = {**row.options, **part.options, **budget, "random_state": seed, "threads": threads}
            runs.append({"set": part.name, "seed": seed} | run_part(row, part, options))
    return runs


def run_part(row: ForecastRow, part: Part, options: Mapping[str, Any]) -> Run:
    """Choices on the validation part, then one look at the test part."""
    frame, chosen = part.frame(), dict(options)
    tried = {lookback: validation_loss(frame, options, lookback) for lookback in part.lookbacks}
    if tried:
        chosen["context_length"] = min(tried, key=lambda lookback: tried[lookback])
    scoring = {name: value(frame) if callable(value) else value for name, value in part.scoring.items()}
    with progress_for(quiet=False) as progress:
        backtest = rondo.Forecaster(**chosen).backtest(frame, automatic_seconds=0, progress=progress, **scoring)
    result = backtest.to_json()
    trainings = result["trainings"]
    return {
        **{name: result[name] for name in KEPT},
        "training_seconds": sum(one["seconds"] for one in trainings),
        "steps": trainings[-1]["steps"],
        "schedule_steps": trainings[-1]["schedule_steps"],
        "parameters": backtest.model.parameters,
        "context_length": backtest.model.encoder.context_length,
        "validation_losses": tried,
        **row.more(backtest),
    }


def validation_loss(frame: Any, options: Mapping[str, Any], lookback: int) -> float:
    """The best loss of a short training on the rows before the test part."""
    train, valid, _ = options["split"]
    short = {name: options[name] * TRIAL for name in ("minutes",) if options.get(name)}
    short |= {name: max(1, round(options[name] * TRIAL)) for name in ("steps", "schedule_steps") if options.get(name)}
    own = {**options, **short, "context_length": lookback, "split": None, "valid_fraction": valid / (train + valid)}
    with progress_for(quiet=False) as progress:
        forecaster = rondo.Forecaster(**own).fit(frame[: train + valid], progress=progress)
    return min(event["valid_loss"] for event in forecaster.history_ if event["event"] == "evaluation")
