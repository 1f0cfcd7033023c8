"""What every task does in the same way before and after its training."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from rondo.inspect.provenance import Provenance, collect
from rondo.training.options import TrainingOptions
from rondo.training.protocols import TrainingSummary

T = TypeVar("T", bound=TrainingOptions)


class TrainedModel(Protocol):
    """What a training ends with, ready to be used and saved."""

    task: str
    config: dict[str, Any]

    @property
    def network(self) -> torch.nn.Module: ...

    @property
    def parameters(self) -> int: ...

    def save(self, folder: str | Path) -> None: ...


def with_budget(training: T, *, epochs: int | None = None, minutes: float | None = None) -> T:
    """The options, with this budget where none was given."""
    if training.epochs is None and training.steps is None and training.minutes is None:
        return replace(training, epochs=epochs, minutes=minutes)
    return training


def training_result(model: TrainedModel, folder: Path, summary: TrainingSummary, *, seed: int) -> dict[str, Any]:
    """How it was trained: the beginning of every task's result."""
    return {
        "task": model.task,
        "model": str(folder),
        "seed": seed,
        "training_seconds": summary.seconds,
        "epochs": summary.epochs,
        "steps": summary.steps,
        "schedule_steps": summary.schedule_steps,
        "stopped": summary.stopped_why,
        "parameters": model.parameters,
    }


def save_with_result(
    model: TrainedModel, folder: Path, result: dict[str, Any], *, started: float, data: Sequence[str | Path] = ()
) -> Provenance:
    """Save the model with its result, to which ``seconds`` since ``started`` are added, and where it comes from."""
    result["seconds"] = time.perf_counter() - started
    device = next(model.network.parameters()).device
    provenance = collect(seed=result["seed"], seconds=result["seconds"], data=data, device=device)
    model.config |= {"result": result, "provenance": provenance.to_dict()}
    model.save(folder)
    return provenance
