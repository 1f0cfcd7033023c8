"""Options that training a classifier has, whatever it reads. The text below a field is its help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rondo.errors import UsageError
from rondo.training.options import TrainingOptions


@dataclass(frozen=True, kw_only=True)
class ClassifierTraining(TrainingOptions):
    """How to train."""

    batch_size: int = 32
    """Sequences in a batch; those of like length come together."""
    class_weight: Literal["balanced"] | None = None
    """balanced: rare classes count as much as frequent ones. Left out: every item counts alike."""
    label_smoothing: float = 0.0
    """Share of its certainty that each label gives to the other classes."""
    calibrate: bool = False
    """Scale the probabilities by a temperature, fitted on the validation part, so that they say how often the
    model is right."""
    metric: Literal["valid_loss", "valid_accuracy"] = "valid_loss"
    """Metric that decides which weights are best, for --keep, --patience and the plateau schedule."""

    def __post_init__(self) -> None:
        TrainingOptions.__post_init__(self)
        if self.batch_size < 1:
            raise UsageError(f"--batch-size is at least 1, not {self.batch_size}")
        if not 0 <= self.label_smoothing < 1:
            raise UsageError(f"--label-smoothing must be at least 0 and below 1, not {self.label_smoothing}")
