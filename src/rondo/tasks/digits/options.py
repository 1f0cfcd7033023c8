"""Every option of classifying images read as sequences. The text below a field is its help on the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rondo.data.images import ImageFormat
from rondo.errors import UsageError
from rondo.models.classifier import NumberClassifierOptions
from rondo.tasks.classification.options import ClassifierTraining, HeldOut, check_valid_fraction

Order = Literal["rows", "columns", "both", "pixels"]


@dataclass(frozen=True, kw_only=True)
class DigitReading(HeldOut, ImageFormat):
    """Where images and their classes stand. Without files: scikit-learn's digits, 1,797 images of 8 by 8."""

    test_fraction: float = 0.2
    """Share of the images that is held out for the test, where there is no --test, drawn with the seed, alike in every
    class; 0: no test."""
    baselines: bool = True
    """Hold the score against the majority class, logistic regression, and the nearest neighbour."""


@dataclass(frozen=True, kw_only=True)
class DigitData:
    """How images become sequences, how they are changed in training, and how many of them are held out."""

    order: Order = "rows"
    """A step is a row, a column, both (row and column of the same number beside each other), or a single pixel."""
    permute: int | None = None
    """Put the pixels into another order first, drawn with this seed, the same for all images. Left out: as they are."""
    shift: float = 0.0
    """In training, images are moved by up to so many pixels, up or down and to the sides."""
    rotate: float = 0.0
    """In training, images are turned by up to so many degrees."""
    zoom: float = 0.0
    """In training, images are made larger or smaller by up to this share."""
    valid_fraction: float = 0.1
    """Share of the images, but for the test part, that training is watched on."""

    def __post_init__(self) -> None:
        check_valid_fraction(self.valid_fraction)
        if self.permute is not None and self.permute < 0:
            raise UsageError(f"--permute is a seed of at least 0, not {self.permute}")
        for name, least_wrong in (("shift", None), ("rotate", 180), ("zoom", 1)):
            value = getattr(self, name)
            if not value >= 0 or (least_wrong is not None and value >= least_wrong):
                below = "" if least_wrong is None else f" and below {least_wrong}"
                raise UsageError(f"--{name} is at least 0{below}, not {value}")


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
    """Read each image from its beginning and from its end."""


@dataclass(frozen=True, kw_only=True)
class DigitTraining(ClassifierTraining):
    """How to train. Without a budget in epochs, steps or minutes: 60 epochs."""

    batch_size: int = 64
    """Images in a batch."""
    learning_rate: float = 4e-3
    """Learning rate at its peak."""
    weight_decay: float = 0.01
    """L2 penalty on matrices (not on biases); adamw subtracts it from the weights directly."""
    keep: Literal["best", "last"] = "last"
    """Which weights the model ends with: those with the best metric on the validation part, or the last."""


@dataclass(frozen=True, kw_only=True)
class DigitOptions:
    """Options of ``rondo train digits``."""

    reading: DigitReading = field(default_factory=DigitReading)
    data: DigitData = field(default_factory=DigitData)
    model: DigitNetwork = field(default_factory=DigitNetwork)
    training: DigitTraining = field(default_factory=DigitTraining)
