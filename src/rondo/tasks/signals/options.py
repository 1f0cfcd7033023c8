"""Every option of classifying signals. The text below a field is its help on the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rondo.data.signals import SignalFormat
from rondo.errors import UsageError
from rondo.models.classifier import NumberClassifierOptions
from rondo.tasks.classification.options import ClassifierTraining, HeldOut, check_valid_fraction

Scaling = Literal["training", "each", "none"]


@dataclass(frozen=True, kw_only=True)
class SignalReading(HeldOut, SignalFormat):
    """Where signals and their classes stand."""

    baselines: bool = True
    """Hold the score against the majority class, and against the nearest neighbour: Euclidean, and, if there is not too
    much to compare, by dynamic time warping."""


@dataclass(frozen=True, kw_only=True)
class SignalData:
    """How signals are scaled, changed in training, and how many of them are held out."""

    scaling: Scaling = "training"
    """Each channel to mean 0 and deviation 1: as the training part has it, where the level tells something; each
    signal by itself; or none."""
    noise: float = 0.0
    """Deviation of the noise that is added to the signals in training, in those of the scaled channels."""
    stretch: float = 0.0
    """Signals are stretched or squeezed in time, in training, by up to this share of their length."""
    valid_fraction: float = 0.1
    """Share of the signals that training is watched on, alike in every class."""

    def __post_init__(self) -> None:
        check_valid_fraction(self.valid_fraction)
        if not self.noise >= 0:
            raise UsageError(f"--noise is at least 0, not {self.noise}")
        if not 0 <= self.stretch < 1:
            raise UsageError(f"--stretch is at least 0 and below 1, not {self.stretch}")


@dataclass(frozen=True, kw_only=True)
class SignalNetwork(NumberClassifierOptions):
    """The network."""

    cell: str = "gru"
    """The cell: a name such as lstm, gru or min_gru, or your own as FILE.py:NAME."""
    layers: int = 1
    """Recurrent layers on top of each other."""
    hidden: int = 64
    """Units in each layer and direction."""
    readout: Literal["last", "mean", "max", "attention", "concat"] = "concat"
    """How the steps become one vector: the last step, mean or max over the steps, attention (a mean with learned
    weights), or concat: last, max and mean beside each other."""
    conv_channels: int = 64
    """Channels of convolutions over time before the layers; 0: none."""
    conv_layers: int = 3
    """How many convolutions there are."""
    conv_kernel: int = 7
    """Steps that each convolution sees, an odd number."""


@dataclass(frozen=True, kw_only=True)
class SignalTraining(ClassifierTraining):
    """How to train. Without a budget in epochs, steps or minutes: 100 epochs."""

    batch_size: int = 16
    """Signals in a batch; those of like length come together."""
    learning_rate: float = 4e-3
    """Learning rate at its peak."""
    weight_decay: float = 0.01
    """L2 penalty on matrices (not on biases); adamw subtracts it from the weights directly."""
    keep: Literal["best", "last"] = "last"
    """Which weights the model ends with: those with the best metric on the validation part, or the last."""


@dataclass(frozen=True, kw_only=True)
class SignalOptions:
    """Options of ``rondo train signals``."""

    reading: SignalReading = field(default_factory=SignalReading)
    data: SignalData = field(default_factory=SignalData)
    model: SignalNetwork = field(default_factory=SignalNetwork)
    training: SignalTraining = field(default_factory=SignalTraining)
