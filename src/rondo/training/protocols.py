"""What the training loop needs to know about data, model and loss; everything else is the task's business."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

B = TypeVar("B", bound="Batch")


class Batch(Protocol):
    """A dataclass whose tensor (or array) fields have the batch as their first axis."""

    @property
    def fresh(self) -> bool:
        """Whether a new pass begins here, so that no state is carried into this batch."""


class Source(Protocol):
    """Batches as a pure function of their place, so that training can continue anywhere."""

    @property
    def batches_per_epoch(self) -> int: ...

    def batch(self, epoch: int, index: int) -> Any:
        """The whole batch of all processes; the same arguments always give the same batch."""


@runtime_checkable
class Carried(Protocol):
    """Recurrent state handed from one batch to the next; opaque to the loop but for this."""

    def detach(self) -> Self: ...

    def state_dict(self) -> dict[str, Tensor]:
        """Named tensors from which ``Objective.restore`` makes the same state again."""


@dataclass(frozen=True, kw_only=True)
class Activations:
    """Output of the last recurrent layer, (B, T, H), for activation regularisation."""

    raw: Tensor
    """Before dropout: what temporal activation regularisation sees."""
    dropped: Tensor
    """After dropout: what activation regularisation sees."""
    lengths: Tensor | None = None
    """(B,), where sequences are padded; None if every position is real."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What an objective says about one batch."""

    loss_sum: Tensor
    """Sum of the losses, not their mean: the loop divides by the count of all processes together."""
    count: int
    """How many losses were added up."""
    carried: Any = None
    """State for the next batch, not detached; None where nothing is carried."""
    activations: Activations | None = None
    """Needed only where an activation penalty is asked for."""


class Objective(Protocol):
    """Runs the model on a batch and says what the loss is."""

    def __call__(self, model: nn.Module, batch: Any, carried: Any) -> Result:
        """``carried`` is what the previous batch's result held, detached; None at a fresh start."""

    def restore(self, tensors: dict[str, Tensor]) -> Any:
        """The carried state whose ``state_dict`` gave ``tensors``."""


Evaluator = Callable[[nn.Module], dict[str, float]]
"""Scores of a model, by name. Called in evaluation mode, without gradients; may use random numbers."""


@dataclass(frozen=True, kw_only=True)
class Now:
    """Where training stands, for people who watch it."""

    step: int
    epoch: float
    loss: float
    learning_rate: float
    rate: float
    """Losses (tokens, sequences: what the objective counts) per second."""
    unit: str = "losses"
    """What these are, in the plural: the objective's ``unit`` where it has one."""
    fraction: float
    """Share of the budget that is used up, from 0 to 1."""
    seconds: float
    seconds_left: float


class Progress(Protocol):
    """Someone who watches. Called in the main process only."""

    def start(self, *, step: int, parameters: int, device: str) -> None: ...

    def update(self, now: Now) -> None:
        """A few times a second."""

    def evaluation(self, *, step: int, metrics: dict[str, float], best: bool) -> None: ...

    def message(self, text: str) -> None: ...

    def finish(self, summary: TrainingSummary) -> None: ...


class SilentProgress:
    """Nobody watches."""

    def start(self, *, step: int, parameters: int, device: str) -> None:
        pass

    def update(self, now: Now) -> None:
        pass

    def evaluation(self, *, step: int, metrics: dict[str, float], best: bool) -> None:
        pass

    def message(self, text: str) -> None:
        pass

    def finish(self, summary: TrainingSummary) -> None:
        pass


@dataclass(frozen=True, kw_only=True)
class TrainingSummary:
    """How a training ended. ``steps`` and ``schedule_steps`` as options give the same weights again."""

    steps: int
    schedule_steps: int
    epochs: float
    seconds: float
    parameters: int
    stopped_why: str
    """epochs, steps, minutes, patience or interrupted."""
    best: dict[str, float]
    """Metrics of the evaluation whose weights were kept, with its ``step``; empty without evaluations."""
    final: dict[str, float]
    """Metrics of the last evaluation."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """The events of log.jsonl, across resumptions; empty in processes other than the main one."""
    is_main_process: bool = True


def rows_of(batch: B, rank: int, world: int) -> B | None:
    """The part of a batch that belongs to process ``rank`` of ``world``; None if there is nothing for it."""
    if world == 1:
        return batch
    arrays = _arrays(batch)
    size = len(next(value for value in arrays.values() if value.ndim))
    start, stop = size * rank // world, size * (rank + 1) // world
    if start == stop:
        return None
    parts = {name: value[start:stop] if value.ndim else value for name, value in arrays.items()}
    return dataclasses.replace(batch, **parts)  # type: ignore[type-var]


def to_device(batch: B, device: torch.device) -> B:
    """The batch with every array as a tensor on ``device``."""
    arrays = _arrays(batch)
    moved = {
        name: torch.as_tensor(value).to(device, non_blocking=True)
        for name, value in arrays.items()
        if not (isinstance(value, Tensor) and value.device == device)
    }
    return dataclasses.replace(batch, **moved) if moved else batch  # type: ignore[type-var]


def tensors_of(batch: Any) -> dict[str, Tensor]:
    """The named tensors of a batch."""
    return {name: torch.as_tensor(value) for name, value in _arrays(batch).items()}


def _arrays(batch: Any) -> dict[str, Any]:
    fields = dataclasses.fields(batch)
    values = {f.name: getattr(batch, f.name) for f in fields if f.init}
    return {name: value for name, value in values.items() if isinstance(value, Tensor | np.ndarray)}
