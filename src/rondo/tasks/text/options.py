"""Every option of training on text. The text below a field is its help on the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rondo.models.language_model import LanguageModelOptions
from rondo.tasks.options import check_baseline_order
from rondo.training.options import TrainingOptions


@dataclass(frozen=True, kw_only=True)
class TextData:
    """What to learn from, and how the text becomes tokens."""

    level: Literal["characters", "words", "pieces"] = "characters"
    """Tokens: characters; words, split at blanks with each line's end as <eos>; or pieces (byte-pair encoding)."""
    vocabulary_size: int | None = None
    """At most this many tokens, the most frequent; default: all for characters and words, 8000 for pieces."""
    encoding: str | None = None
    """Encoding of the files, such as utf-8, gb18030 or latin-1; default: found out from the bytes."""
    valid_fraction: float = 0.1
    """Share of the text, its end, that is held out for validation when there is no --valid file."""
    valid: str | None = None
    """A file to validate on instead of the end of the text."""
    test: str | None = None
    """A file to test on once, after training."""
    baseline_order: int = 8
    """Longest n-grams of the Kneser-Ney baseline, 1 to 8 (the best order up to it is chosen); 0: no baseline."""

    def __post_init__(self) -> None:
        check_baseline_order(self.baseline_order)


@dataclass(frozen=True, kw_only=True)
class TextTraining(TrainingOptions):
    """How to train. Without a budget in epochs, steps or minutes: five minutes."""

    batch_size: int | None = None
    """Streams of text that are read side by side; default 64, fewer for a short text."""
    bptt_length: int = 64
    """Steps of truncated backpropagation through time; the state is carried on from one to the next."""
    learning_rate: float = 6e-3
    """Learning rate at its peak."""
    warmup_steps: int = 50
    """Steps over which the learning rate rises from zero to its peak."""
    evaluations: int = 10
    """Evaluations, evenly spread over the schedule (none while the learning rate is held at first). With a
    budget in epochs there is one after each epoch instead."""
    weight_decay: float = 0.01
    """L2 penalty on matrices (not on biases); adamw subtracts it from the weights directly."""
    metric: Literal["valid_loss"] = "valid_loss"
    """Metric that decides which weights are best, for --keep, --patience and the plateau schedule."""


@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """Options of ``rondo train text``."""

    data: TextData = field(default_factory=TextData)
    model: LanguageModelOptions = field(default_factory=LanguageModelOptions)
    training: TextTraining = field(default_factory=TextTraining)
