"""A checkpoint is one safetensors file, so it is written as a whole or not at all.

    model/NAME                 parameters and buffers
    optimiser/INDEX/NAME       the optimiser's state of each parameter
    average/INDEX              average of each parameter, if weights are averaged
    best/NAME                  parameters and buffers with the best metric so far
    process/RANK/random/NAME   states of the generators of random numbers
    process/RANK/carried/NAME  recurrent state that the next batch begins with

and its metadata holds one JSON text: where training stands, and the options it had.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import rondo
from rondo import storage
from rondo.errors import ModelError, TrainingError, UsageError
from rondo.models import folder as model_folder
from rondo.training.optimisers import WeightAverage
from rondo.training.options import TrainingOptions

FORMAT = 1

_MOST = 2**53
"""No count in a checkpoint is larger."""
_ANY_NUMBER = ("loss_sum", "norm_sum")


@dataclass
class Standing:
    """Where training stands: everything that is not a tensor."""

    step: int = 0
    """Updates done. The next batch is number ``step % batches_per_epoch`` of its epoch."""
    seconds: float = 0.0
    estimated_steps: int | None = None
    """Length of the schedule as estimated from a budget in minutes."""
    evaluation_seconds: float = 0.0
    evaluated_step: int = -1
    metrics: dict[str, float] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)
    evaluations_since_best: int = 0
    evaluations_on_plateau: int = 0
    plateau_scale: float = 1.0
    averaged: int = 0
    loss_sum: float = 0.0
    """Since the last line of the log, as ``loss_count`` and ``norm_sum``."""
    loss_count: int = 0
    norm_sum: float = 0.0
    logged_step: int = 0
    log_length: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint's file holds, read and checked for form but not yet for fit."""

    path: Path
    standing: Standing
    options: dict[str, Any]
    identity: dict[str, Any]
    """What must be the same when training goes on: data, processes."""
    threads: int
    tensors: dict[str, Tensor]

    def group(self, prefix: str) -> dict[str, Tensor]:
        start = prefix + "/"
        return {name[len(start) :]: t for name, t in self.tensors.items() if name.startswith(start)}


def save(
    folder: Path,
    *,
    standing: Standing,
    options: TrainingOptions,
    identity: Mapping[str, Any],
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: WeightAverage,
    best: Mapping[str, Tensor],
    processes: list[dict[str, Tensor]],
) -> None:
    """Write the checkpoint of ``folder``, in place of the one before."""
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{index}/{name}": t for name, t in state.items() if isinstance(t, Tensor)}
    tensors |= {f"average/{index}": tensor for index, tensor in enumerate(average.tensors)}
    tensors |= {f"best/{name}": tensor for name, tensor in best.items()}
    for rank, own in enumerate(processes):
        tensors |= {f"process/{rank}/{name}": tensor for name, tensor in own.items()}
    head = {
        "format": FORMAT,
        "rondo": rondo.__version__,
        "standing": dataclasses.asdict(standing),
        "options": options.to_json(),
        "identity": dict(identity),
        "threads": torch.get_num_threads(),
    }
    storage.write_tensors(folder / model_folder.CHECKPOINT, tensors, {"training": json.dumps(head)})


def read(folder: Path) -> Checkpoint | None:
    """The checkpoint of ``folder``, or None if there is none."""
    path = folder / model_folder.CHECKPOINT
    if not path.exists():
        return None
    metadata = storage.read_metadata(path)
    try:
        head = json.loads(metadata["training"])
        if head["format"] > FORMAT:
            raise ModelError(f"{path} was made by a newer version, Rondo {head['rondo']}; this is {rondo.__version__}")
        standing = Standing(**head["standing"])
        options, identity, threads = head["options"], head["identity"], head["threads"]
        _check(standing, options, identity, threads)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise ModelError(f"{path} is damaged: it does not say where training stood ({error})") from error
    return Checkpoint(path, standing, options, identity, threads, storage.read_tensors(path))


def _check(standing: Standing, options: Any, identity: Any, threads: Any) -> None:
    """Raise ValueError for what no training writes."""
    for entry in dataclasses.fields(Standing):
        value, sort = getattr(standing, entry.name), entry.type
        if sort == "dict[str, float]":
            right = isinstance(value, dict) and all(_is_number(number) for number in value.values())
        elif sort == "float":
            right = _is_number(value) and (entry.name in _ANY_NUMBER or 0 <= value < math.inf)
        else:
            lowest = -1 if entry.name == "evaluated_step" else 0
            right = (type(value) is int and lowest <= value <= _MOST) or (value is None and sort == "int | None")
        if not right:
            raise ValueError(f"{entry.name} is {str(value)[:80]}")
    if max(standing.logged_step, standing.evaluated_step) > standing.step:
        raise ValueError(f"what was done at step {standing.step} is said to be from a later one")
    for name, value in (("options", options), ("identity", identity)):
        if not isinstance(value, dict):
            raise ValueError(f"{name} is {str(value)[:80]}")
    minutes = options.get("minutes")
    if minutes is not None and not (_is_number(minutes) and 0 < minutes < math.inf):
        raise ValueError(f"minutes is {str(minutes)[:80]}")
    if type(threads) is not int or threads < 1:
        raise ValueError(f"threads is {str(threads)[:80]}")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and (type(value) is float or abs(value) <= _MOST)


def remove(folder: Path | str) -> None:
    """Remove the checkpoint of a training that is finished for good; it can then no longer be continued."""
    (Path(folder) / model_folder.CHECKPOINT).unlink(missing_ok=True)


def check_identity(checkpoint: Checkpoint, identity: Mapping[str, Any], options: TrainingOptions) -> None:
    """Refuse to go on with other data, processes or another optimiser: it would not be the same training."""
    for name in ("optimiser", "averaging"):
        then, now = checkpoint.options.get(name), getattr(options, name)
        if then != now:
            raise UsageError(f"{checkpoint.path} is of a training with --{name} {then}: it cannot go on with {now}")
    before = checkpoint.identity
    if before.get("processes") != identity["processes"]:
        raise UsageError(
            f"{checkpoint.path} is of a training with {before.get('processes')} processes, and now there are "
            f"{identity['processes']}; resume with as many (--devices)"
        )
    if before != identity:
        raise UsageError(
            f"{checkpoint.path} is of a training on other data, or with other batches: resume with the same "
            "files and options, or train into another folder"
        )


def restore(
    checkpoint: Checkpoint,
    *,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: WeightAverage,
) -> None:
    """Bring model, optimiser and average to where the checkpoint left them."""
    try:
        model.load_state_dict(checkpoint.group("model"))
        count = len(checkpoint.group("average"))
        average.restore(
            [checkpoint.tensors[f"average/{index}"] for index in range(count)], checkpoint.standing.averaged
        )
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in checkpoint.group("optimiser").items():
            index, _, key = name.partition("/")
            state.setdefault(int(index), {})[key] = tensor
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": state, "param_groups": groups})
    except (RuntimeError, KeyError, ValueError) as error:
        raise TrainingError(
            f"{checkpoint.path} does not fit the model that these options describe: resume with the options "
            f"of the training that was begun, or train into another folder. ({_first_lines(error)})"
        ) from error


def changed_options(checkpoint: Checkpoint, options: TrainingOptions) -> list[str]:
    """What is asked for now and was not asked for when the training began, in words."""
    now = options.to_json()
    return [
        f"{name} {checkpoint.options.get(name)} -> {value}"
        for name, value in now.items()
        if checkpoint.options.get(name) != value
    ]


def _first_lines(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
