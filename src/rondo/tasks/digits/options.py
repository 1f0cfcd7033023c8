"""Every option of training on digits. The text below a field is its help on the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rondo.models.classifier import NumberClassifierOptions
from rondo.training.options import TrainingOptions


@dataclass(frozen=True, kw_only=True)
class DigitData:
    """Scikit-learn's handwritten digits: 1,797 images of 8 by 8 grey levels, read row by row."""

    test_fraction: float = 0.2
    """Share of the images that is held out for the test, drawn with the seed, alike in every class."""
    valid_fraction: float = 0.1
    """Share of the rest that training is watched on."""


@dataclass(frozen=True, kw_only=True)
class DigitNetwork(NumberClassifierOptions):
    """The network."""

    cell: str = "gru"
    """The cell: a name such as lstm, gru or min_gru, or your own as FILE.py:NAME."""
    layers: int = 1
    """Recurrent layers on top of each other."""
    hidden: int = 128
    """Units in each layer and direction."""
    bidirectional: bool = True
    """Read the rows from the top and from the bottom."""


@dataclass(frozen=True, kw_only=True)
class DigitTraining(TrainingOptions):
    """How to train. Without a budget in epochs, steps or minutes: 60 epochs."""

    batch_size: int = 64
    """Images in a batch."""
    learning_rate: float = 4e-3
    """Learning rate at its peak."""
    weight_decay: float = 0.01
    """L2 penalty on matrices (not on biases); adamw subtracts it from the weights directly."""
    keep: Literal["best", "last"] = "last"
    """Which weights the model ends with: best (by the validation part) or last."""
    metric: Literal["valid_loss", "valid_accuracy"] = "valid_loss"
    """Metric that decides which weights are best, for --keep, --patience and the plateau schedule."""


@dataclass(frozen=True, kw_only=True)
class DigitOptions:
    """Options of ``rondo train digits``."""

    data: DigitData = field(default_factory=DigitData)
    model: DigitNetwork = field(default_factory=DigitNetwork)
    training: DigitTraining = field(default_factory=DigitTraining)
