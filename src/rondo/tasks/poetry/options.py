"""Every option of training on classical Chinese verse. The text below a field is its help on the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rondo.models.language_model import LanguageModelOptions
from rondo.tasks.options import check_baseline_order
from rondo.training.options import TrainingOptions


@dataclass(frozen=True, kw_only=True)
class PoetryData:
    """What to learn from. Poems are brought to one script, deduplicated and split before anything is learned."""

    encoding: str | None = None
    """Encoding of the files, such as utf-8, gb18030 or big5; default: found out from the bytes."""
    valid_fraction: float = 0.1
    """Share of the poems that is held out for validation; poems that share half their lines stay together."""
    valid: str | None = None
    """A file of poems to validate on instead; training poems that share half their lines with it are left out."""
    test: str | None = None
    """A file of poems to test on once, after training; training poems like those in it are left out."""
    min_count: int = 3
    """Characters that stand fewer times than this in the training part are unknown to the model."""
    max_tokens: int = 130
    """Longer poems are cut into pieces of at most this many tokens while training."""
    baseline_order: int = 8
    """Longest n-grams of the Kneser-Ney baseline, 1 to 8 (the best order up to it is chosen); 0: no baseline."""

    def __post_init__(self) -> None:
        check_baseline_order(self.baseline_order)


@dataclass(frozen=True, kw_only=True)
class PoetryNetwork(LanguageModelOptions):
    """The network."""

    hidden: int = 384
    """Units in each layer."""
    output_dropout: float = 0.2
    """Probability of dropping values before the read-out."""
    layer_dropout: float = 0.2
    """Probability of dropping outputs between layers."""
    place: bool = True
    """Tell the network at each step the form, the line and the position in the line that it has come to, as they
    follow from what it has read."""


@dataclass(frozen=True, kw_only=True)
class PoetryTraining(TrainingOptions):
    """How to train. Without a budget in epochs, steps or minutes: thirty minutes."""

    batch_tokens: int = 2048
    """Tokens in a batch; poems of about equal length go together."""
    learning_rate: float = 3e-3
    """Learning rate at its peak."""
    warmup_steps: int = 100
    """Steps over which the learning rate rises from zero to its peak."""
    evaluations: int = 10
    """Evaluations, evenly spread over the schedule (none while the learning rate is held at first). With a
    budget in epochs there is one after each epoch instead."""
    weight_decay: float = 0.01
    """L2 penalty on matrices (not on biases); adamw subtracts it from the weights directly."""
    metric: Literal["valid_loss"] = "valid_loss"
    """Metric that decides which weights are best, for --keep, --patience and the plateau schedule."""


@dataclass(frozen=True, kw_only=True)
class PoetryOptions:
    """Options of ``rondo train poetry``."""

    data: PoetryData = field(default_factory=PoetryData)
    model: PoetryNetwork = field(default_factory=PoetryNetwork)
    training: PoetryTraining = field(default_factory=PoetryTraining)
