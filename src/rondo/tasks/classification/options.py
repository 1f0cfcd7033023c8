"""Options that training a classifier has, whatever it reads. The text below a field is its help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rondo.errors import UsageError
from rondo.training.options import TrainingOptions


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """What is not learned from, where a classifier learns from files."""

    valid: str | None = None
    """A file or folder to validate on, instead of a share of what is learned from."""
    test: str | None = None
    """A file or folder to test on once, after training, instead of a share."""
    test_fraction: float = 0.1
    """Share that is held out for the test, where there is no --test; 0: no test, the score is then of the validation
    part, which the weights were chosen by."""
    baselines: bool = True
    """Hold the score against baselines on the same items."""

    def __post_init__(self) -> None:
        if not 0 <= self.test_fraction < 1:
            raise UsageError(f"--test-fraction is at least 0 and below 1, not {self.test_fraction}")


def check_valid_fraction(share: float) -> None:
    """There is always a part to watch the training on."""
    if not 0 < share < 1:
        raise UsageError(f"--valid-fraction is between 0 and 1, not {share}")


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
    metric: Literal["valid_loss", "valid_accuracy", "valid_f1"] = "valid_loss"
    """Metric that decides which weights are best, for --keep, --patience and the plateau schedule; valid_f1 is for
    several classes an item."""

    def __post_init__(self) -> None:
        TrainingOptions.__post_init__(self)
        if self.batch_size < 1:
            raise UsageError(f"--batch-size is at least 1, not {self.batch_size}")
        if not 0 <= self.label_smoothing < 1:
            raise UsageError(f"--label-smoothing must be at least 0 and below 1, not {self.label_smoothing}")
