"""What every task does in the same way before and after its training."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

import rondo
from rondo import storage
from rondo.cells import Cell
from rondo.errors import UsageError
from rondo.inspect.provenance import Provenance, collect
from rondo.models import folder as model_folder
from rondo.tasks.options import to_sections
from rondo.training.options import TrainingOptions
from rondo.training.protocols import Progress, TrainingSummary

T = TypeVar("T", bound=TrainingOptions)


MAY_CHANGE = {
    "automatic_seconds", "backend", "baseline_order", "baselines", "chrono", "encoding", "forget_bias", "init",
    "input_dropout", "layer_dropout", "locked_dropout", "output_dropout", "recurrent_dropout", "test", "test_labels",
    "valid", "valid_labels", "weight_drop", "zoneout",
}  # fmt: skip
"""Options of data and network with which a training may go on otherwise than it began. Where other files
make other data, the checkpoint notices."""


class TrainedModel(Protocol):
    """What a training ends with, ready to be used and saved."""

    config: dict[str, Any]

    @property
    def task(self) -> str: ...

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


def begin_folder(
    out: str | Path, options: Any, cell: Cell, *, resume: bool, overwrite: bool, progress: Progress
) -> Path:
    """The output folder, ready to be trained into, with what is trained in it written down.

    What is resumed must be what was begun: options that make another network or vocabulary are refused by name.
    Of several processes only the main one does anything.
    """
    folder = Path(out)
    if not storage.is_main_process():
        return folder
    goes_on = resume and (folder / model_folder.CHECKPOINT).exists()
    if goes_on:
        _check_same(folder, options, cell)
    elif resume:
        progress.message(f"there is nothing to resume in {folder}: training begins")
    model_folder.prepare_output_folder(folder, resume=resume, overwrite=overwrite)
    if not goes_on:
        head = {"format": model_folder.FORMAT, "rondo": rondo.__version__}
        about = {"options": to_sections(options), "cell": cell.to_json()}
        storage.write_json(folder / model_folder.TRAINING, {**head, **about})
    return folder


def _check_same(folder: Path, options: Any, cell: Cell) -> None:
    path = folder / model_folder.TRAINING
    if not path.exists():
        return  # begun by a version that did not write it; the checkpoint itself refuses what does not fit
    begun = storage.read_json(path)
    if not isinstance(begun, dict) or not isinstance(begun.get("options"), dict):
        return
    changes = [
        f"--{name.replace('_', '-')} was {_said(then[name])}, is now {_said(value)}"
        for section, now in to_sections(options).items()
        if section != "training" and isinstance(then := begun["options"].get(section), Mapping)
        for name, value in now.items()
        if name in then and then[name] != value and name not in MAY_CHANGE
    ]
    saved = begun.get("cell")
    if (
        not changes
        and isinstance(saved, dict)
        and saved.get("graph") != json.loads(json.dumps(cell.to_json()["graph"]))
    ):
        changes = [f"the equations of the cell '{cell.name}' are others now"]
    if changes:
        raise UsageError(
            f"the training in {folder} cannot be resumed with other options: {'; '.join(changes)}. "
            "Give the former ones, or train into another folder"
        )


def _said(value: Any) -> str:
    words = {None: "not given", True: "on", False: "off"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


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
