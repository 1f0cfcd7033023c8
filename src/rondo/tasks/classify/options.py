"""Every option of classifying texts. The text below a field is its help on the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rondo.data.columns import TextFormat
from rondo.errors import UsageError
from rondo.models.classifier import TokenClassifierOptions
from rondo.tasks.classification.options import ClassifierTraining, HeldOut, check_valid_fraction

OWN_TEXTS = "self"
"""What --pretrain says where the training texts are meant."""
WORDS_AT_MOST = 30_000
"""Words that a vocabulary has if nothing is said: the most frequent."""


@dataclass(frozen=True, kw_only=True)
class ClassifyReading(HeldOut, TextFormat):
    """Where texts and their classes stand."""

    labels: str | None = None
    """A file with the class of each text, one a line, for files that hold a text a line."""
    valid_labels: str | None = None
    """The file of classes that goes with --valid, where that is a file of lines."""
    test_labels: str | None = None
    """The file of classes that goes with --test, where that is a file of lines."""
    baselines: bool = True
    """Hold the score against the majority class, and against TF-IDF of n-grams with logistic regression."""

    def __post_init__(self) -> None:
        TextFormat.__post_init__(self)
        HeldOut.__post_init__(self)
        for part in ("valid", "test"):
            if getattr(self, f"{part}_labels") is not None and getattr(self, part) is None:
                raise UsageError(f"--{part}-labels goes with --{part}, the file of lines that it has the classes of")


@dataclass(frozen=True, kw_only=True)
class ClassifyScoring:
    """What else can be said about texts that a model is held against."""

    labels: str | None = None
    """A file with the class of each text, one a line, for files that hold a text a line."""


@dataclass(frozen=True, kw_only=True)
class ClassifyData:
    """How texts become tokens, and how many of them are held out."""

    level: Literal["auto", "words", "characters", "pieces"] = "auto"
    """Tokens: words and punctuation marks; characters; or pieces (byte-pair encoding). auto: characters where the
    text is Chinese or Japanese, else words."""
    lowercase: bool = True
    """Read all text in lower case."""
    vocabulary_size: int | None = None
    """At most this many tokens, the most frequent; default: 30,000 for words, all characters, 8,000 pieces."""
    min_count: int = 2
    """Words and characters that the training part has less often count as unknown."""
    min_pair_count: int = 2
    """Pairs of neighbours that the training part has less often share one vector, where pairs have vectors at all."""
    pairs_at_most: int = 60_000
    """At most this many pairs have a vector of their own, the most frequent."""
    max_tokens: int = 400
    """Texts are read up to this many tokens; the report says how many are longer."""
    keep_tokens: Literal["start", "end", "both"] = "both"
    """What is read of a longer text: its start, its end, or both: a quarter from the start, the rest from the end."""
    valid_fraction: float = 0.1
    """Share of the texts that training is watched on, alike in every class."""

    def __post_init__(self) -> None:
        for name in ("min_count", "max_tokens", "min_pair_count", "pairs_at_most"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} is at least 1, not {getattr(self, name)}")
        check_valid_fraction(self.valid_fraction)


@dataclass(frozen=True, kw_only=True)
class ClassifyNetwork(TokenClassifierOptions):
    """The network."""

    layers: int = 1
    """Recurrent layers on top of each other."""
    hidden: int = 128
    """Units in each layer and direction."""
    readout: Literal["last", "mean", "max", "attention", "concat"] = "concat"
    """How the steps become one vector: the last step, mean or max over the steps, attention (a mean with learned
    weights), or concat: last, max and mean beside each other."""
    input_dropout: float = 0.3
    """Probability of dropping values of the input of the first layer."""
    token_dropout: float = 0.1
    """Probability of dropping a token whole."""
    output_dropout: float = 0.5
    """Probability of dropping values before the read-out's vector becomes classes."""
    bidirectional: bool | None = None  # type: ignore[assignment]
    """Read each text in both directions. Left out: yes, unless the encoder is pre-trained, which reads in one."""
    vectors: str | None = None
    """A file of pretrained word vectors: word2vec (text or binary), GloVe or fastText (.vec or .bin). The token
    vectors are then as wide as these."""
    freeze_vectors: bool = False
    """Leave the pretrained vectors as they are."""


@dataclass(frozen=True, kw_only=True)
class ClassifyPretraining:
    """Learning the language before the classes: the encoder as a language model of text without labels."""

    pretrain: str | None = None
    """Text to learn the language from first: a file or folder of texts, whose classes are not looked at; or self: the
    texts of the training part."""
    pretrain_epochs: int = 3
    """Passes over that text."""
    pretrain_minutes: float | None = None
    """Minutes of pre-training instead, besides those of the training itself."""
    pretrain_learning_rate: float = 4e-3
    """Learning rate of the pre-training at its peak."""

    def __post_init__(self) -> None:
        for name in ("pretrain_epochs", "pretrain_minutes", "pretrain_learning_rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"--{name.replace('_', '-')} must be above 0, not {value}")
            if self.pretrain is None and value != getattr(type(self), name):
                raise UsageError(f"--{name.replace('_', '-')} goes with --pretrain, which says from what")


@dataclass(frozen=True, kw_only=True)
class ClassifyTraining(ClassifierTraining):
    """How to train. Without a budget in epochs, steps or minutes: 10 epochs."""

    learning_rate: float = 4e-3
    """Learning rate at its peak."""
    weight_decay: float = 0.01
    """L2 penalty on matrices (not on biases); adamw subtracts it from the weights directly."""
    patience: int | None = 5
    """Stop early after this many evaluations without a better metric."""


@dataclass(frozen=True, kw_only=True)
class ClassifyOptions:
    """Options of ``rondo train classify``."""

    reading: ClassifyReading = field(default_factory=ClassifyReading)
    data: ClassifyData = field(default_factory=ClassifyData)
    model: ClassifyNetwork = field(default_factory=ClassifyNetwork)
    pretraining: ClassifyPretraining = field(default_factory=ClassifyPretraining)
    training: ClassifyTraining = field(default_factory=ClassifyTraining)
