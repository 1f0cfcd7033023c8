"""Training: one loop for every task, with its options, schedules, checkpoints and logs."""

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
