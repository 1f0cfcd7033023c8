"""Every option of tagging. The text below a field is its help on the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rondo.data.tagging.options import TokenFormat
from rondo.errors import UsageError
from rondo.models.tagger import TaggerOptions
from rondo.training.options import TrainingOptions

SchemeName = Literal["auto", "none", "IOB1", "IOB2", "BIO", "BIOES", "BILOU", "BMES", "BMEWO"]


@dataclass(frozen=True, kw_only=True)
class TagReading(TokenFormat):
    """Where tokens and their tags stand."""

    labels: str | None = None
    """A file with the tags of each sentence on a line, for a file of lines."""
    group_column: str | None = None
    """Column (of the first token), or key of a JSON line, that says what a sentence belongs to: a document, a speaker.
    A group is never parted. Left out: documents, where the file says where they begin (-DOCSTART-)."""
    valid: str | None = None
    """A file to validate on, instead of a share of the sentences. Its tags may be written in another scheme."""
    valid_labels: str | None = None
    """The file of tags that goes with --valid, where that is a file of lines."""
    test: str | None = None
    """A file to test on once, after training, instead of a share of the sentences; likewise."""
    test_labels: str | None = None
    """The file of tags that goes with --test, where that is a file of lines."""
    test_fraction: float = 0.1
    """Share of the sentences that is held out for the test, where there is no --test; 0: no test, the score is then
    of the validation part, which the weights were chosen by."""
    baselines: bool = True
    """Hold the score against the most frequent tag of each word, and against a CRF on hand-made features."""

    def __post_init__(self) -> None:
        if not 0 <= self.test_fraction < 1:
            raise UsageError(f"--test-fraction is at least 0 and below 1, not {self.test_fraction}")
        for part in ("valid", "test"):
            if getattr(self, f"{part}_labels") is not None and getattr(self, part) is None:
                raise UsageError(f"--{part}-labels goes with --{part}, the file of lines that it has the tags of")


@dataclass(frozen=True, kw_only=True)
class TagScoring:
    """What else can be said about tagged sentences that a model is held against."""

    labels: str | None = None
    """A file with the tags of each sentence on a line, for a file of lines."""
    group_column: str | None = None
    """Column (of the first token), or key of a JSON line, that says what a sentence belongs to: a document, a speaker.
    Whole groups are drawn for the interval of the score. Left out: documents, where the file has them (-DOCSTART-)."""
    scheme: SchemeName = "auto"
    """How spans are written as tags; those of another scheme than the model's are converted. auto: told by the
    tags."""


@dataclass(frozen=True, kw_only=True)
class TagAnswering:
    """How tagged sentences are written."""

    append: bool = False
    """Write the tags into one more column, beside those of the file, instead of in their place. For columns only."""
    n_best: int | None = None
    """With --json: so many readings of each sentence, the most probable first, with their probabilities."""

    def __post_init__(self) -> None:
        if self.n_best is not None and self.n_best < 1:
            raise UsageError(f"--n-best is at least 1, not {self.n_best}")


@dataclass(frozen=True, kw_only=True)
class TagData:
    """How tokens and tags are read, and how many sentences are held out."""

    scheme: SchemeName = "auto"
    """How spans are written as tags. auto: told by the tags; none: tags are no spans, but parts of speech, say."""
    inner_scheme: Literal["BIOES", "same"] = "BIOES"
    """What the network learns: BIOES, which marks ends and single tokens, or the same as is given. Answers are always
    in the scheme that was given."""
    broken: Literal["error", "mend"] = "error"
    """What becomes of tags that break their scheme: error, with the line, or mend, as conlleval reads them."""
    lowercase: bool = True
    """Look words up in lower case; shapes and spellings keep the capitals."""
    digits: bool = False
    """Tell digits in words apart; else each is read as 0. Of single characters they are always told apart."""
    vocabulary_size: int | None = None
    """At most this many words, the most frequent."""
    min_count: int = 1
    """Words that the training part has less often count as unknown."""
    pairs: Literal["auto", "yes", "no"] = "auto"
    """Pairs of neighbouring tokens as features. auto: where tokens are single characters, as in Chinese."""
    min_pair_count: int = 2
    """Pairs that the training part has less often count as unknown."""
    pairs_at_most: int = 60_000
    """At most this many pairs, the most frequent."""
    longest_word: int = 24
    """Characters of a word that are read; of longer ones the first and the last."""
    max_tokens: int = 1000
    """Tokens that the network reads at a time: longer sentences are cut for it, and their tags are chosen together by
    the CRF. The report says how many are longer."""
    valid_fraction: float = 0.1
    """Share of the sentences that training is watched on; documents are not parted."""

    def __post_init__(self) -> None:
        for name, least in (
            ("min_count", 1),
            ("min_pair_count", 1),
            ("pairs_at_most", 1),
            ("longest_word", 2),
            ("max_tokens", 4),
        ):
            if getattr(self, name) < least:
                raise UsageError(f"--{name.replace('_', '-')} is at least {least}, not {getattr(self, name)}")
        if not 0 < self.valid_fraction < 1:
            raise UsageError(f"--valid-fraction is between 0 and 1, not {self.valid_fraction}")


@dataclass(frozen=True, kw_only=True)
class TagNetwork(TaggerOptions):
    """The network."""

    layers: int = 1
    """Recurrent layers on top of each other."""
    hidden: int = 128
    """Units in each layer and direction."""
    input_dropout: float = 0.5
    """Probability of dropping values of the input of the first layer."""
    spelling: Literal["auto", "recurrent", "convolution", "none"] = "auto"  # type: ignore[assignment]
    """What reads the characters of words: recurrent, in both directions, convolution, or none. auto: recurrent, but
    none where tokens are single characters."""
    pair_embedding: int = 50
    """Width of the vectors of pairs of neighbouring tokens, where these are features."""
    vectors: str | None = None
    """A file of pretrained word vectors: word2vec (text or binary), GloVe or fastText (.vec or .bin). The word
    vectors are then as wide as these."""
    freeze_vectors: bool = False
    """Leave the pretrained vectors as they are."""


@dataclass(frozen=True, kw_only=True)
class TagTraining(TrainingOptions):
    """How to train. Without a budget in epochs, steps or minutes: 20 epochs."""

    batch_size: int = 16
    """Sentences in a batch; those of like length come together."""
    class_weight: Literal["balanced"] | None = None
    """balanced: sentences with rare kinds of spans count more, as much as makes all kinds count alike. Left out: every
    token counts alike."""
    learning_rate: float = 4e-3
    """Learning rate at its peak."""
    weight_decay: float = 0.01
    """L2 penalty on matrices (not on biases); adamw subtracts it from the weights directly."""
    metric: Literal["valid_f1", "valid_accuracy", "valid_loss"] = "valid_f1"
    """Metric that decides which weights are best, for --keep, --patience and the plateau schedule. Where tags are no
    spans, valid_f1 is their accuracy."""
    calibrate: bool = False
    """Divide all scores by a temperature, fitted on the validation part, before they become probabilities, so that
    these say how often the model is right. The best tags stay the same."""
    patience: int | None = None
    """Stop early after this many evaluations without a better metric; default: never."""

    def __post_init__(self) -> None:
        TrainingOptions.__post_init__(self)
        if self.batch_size < 1:
            raise UsageError(f"--batch-size is at least 1, not {self.batch_size}")


@dataclass(frozen=True, kw_only=True)
class TagOptions:
    """Options of ``rondo train tag``."""

    reading: TagReading = field(default_factory=TagReading)
    data: TagData = field(default_factory=TagData)
    model: TagNetwork = field(default_factory=TagNetwork)
    training: TagTraining = field(default_factory=TagTraining)
