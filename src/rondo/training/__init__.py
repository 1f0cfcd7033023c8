"""Training: one loop for every task, with its options, schedules, checkpoints and logs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rondo.training.checkpoint import remove as remove_checkpoint
    from rondo.training.loop import train
    from rondo.training.options import TrainingOptions
    from rondo.training.protocols import (
        Activations,
        Batch,
        Carried,
        Evaluator,
        Now,
        Objective,
        Progress,
        Result,
        SilentProgress,
        Source,
        TrainingSummary,
    )

__all__ = [
    "Activations",
    "Batch",
    "Carried",
    "Evaluator",
    "Now",
    "Objective",
    "Progress",
    "Result",
    "SilentProgress",
    "Source",
    "TrainingOptions",
    "TrainingSummary",
    "remove_checkpoint",
    "train",
]

_HOME = {"remove_checkpoint": "checkpoint:remove", "train": "loop:train", "TrainingOptions": "options:TrainingOptions"}
"""Where a name lives, if not in `protocols`; imported when first used, for the loop brings Lightning with it."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'rondo.training' has no attribute '{name}'")
    module, _, attribute = _HOME.get(name, f"protocols:{name}").partition(":")
    return getattr(import_module(f"rondo.training.{module}"), attribute)
