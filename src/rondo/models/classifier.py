"""The sequence classifier: many to one. A sequence goes in, one or several of a set of classes come out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from rondo.cells import Cell
from rondo.errors import ModelError, RondoError, UsageError
from rondo.layers import Readout, ReadoutName, Stepper
from rondo.layers.dropout import dropped, probability
from rondo.layers.masks import checked_lengths, valid_steps
from rondo.layers.readout import max_over_steps, mean_over_steps
from rondo.models.inputs import NormName, NumberInput, TokenInput
from rondo.models.options import EnsembleOptions
from rondo.models.token_pairs import Pairs


@dataclass(frozen=True, kw_only=True)
class ClassifierOptions(EnsembleOptions):
    """The network."""

    bidirectional: bool = True
    """Read each sequence in both directions."""
    readout: ReadoutName = "last"
    """How the steps become one vector: the last step, mean or max over the steps, attention (a mean with learned
    weights), or concat: last, max and mean beside each other."""
    shortcut: bool = False
    """Let mean and maximum of what goes into the layers stand beside the read-out: then the network knows as well what
    there is anywhere, in whatever order (after Lai et al. 2015, "Recurrent Convolutional Neural Networks for Text
    Classification")."""
    output_dropout: float = 0.3
    """Probability of dropping values before the read-out's vector becomes classes."""


@dataclass(frozen=True, kw_only=True)
class TokenClassifierOptions(ClassifierOptions):
    """The network."""

    embedding: int = 128
    """Width of the token vectors."""
    pair_embedding: int = 0
    """Width of vectors of pairs of neighbouring tokens, beside those of the tokens; 0: none."""
    token_dropout: float = 0.0
    """Probability of dropping a token whole."""


@dataclass(frozen=True, kw_only=True)
class NumberClassifierOptions(ClassifierOptions):
    """The network."""

    conv_channels: int = 0
    """Channels of convolutions over time before the layers; 0: none."""
    conv_layers: int = 1
    """How many convolutions there are."""
    conv_kernel: int = 5
    """Steps that each convolution sees, an odd number."""
    conv_stride: int = 1
    """Each convolution makes the sequence shorter by this factor."""
    conv_norm: NormName = "batch"
    """What follows a convolution: batch normalisation, each channel over the steps of a batch; or layer normalisation,
    each step over its channels."""


class SequenceClassifier(nn.Module):
    """Input, recurrent stack, read-out over the steps, and a linear head with one value for each class.

    Whether classes exclude each other is a matter of the loss and of what makes probabilities of the values.
    ``cell`` stands in for the option when a saved model brings its own.
    """

    def __init__(
        self, input: TokenInput | NumberInput, classes: int, options: ClassifierOptions, *, cell: Cell | None = None
    ) -> None:
        super().__init__()
        self.input = input
        # What takes the shortcut is dropped as what goes into the layers, or it would be learned by heart.
        self.input_dropout = probability("input_dropout", options.input_dropout) if options.shortcut else 0.0
        self.locked_dropout = options.locked_dropout
        inside = replace(options, input_dropout=0.0) if options.shortcut else options
        self.recurrent = inside.build(input.output_size, cell=cell, bidirectional=options.bidirectional)
        self.readout = Readout(options.readout, self.recurrent.output_size)
        self.shortcut = options.shortcut
        beside = 2 * input.output_size if options.shortcut else 0
        self.head = nn.Linear(self.readout.output_size + beside, classes)
        self.output_dropout = probability("output_dropout", options.output_dropout)

    @property
    def members(self) -> Sequence[SequenceClassifier]:
        """The networks that answer: this one."""
        return (self,)

    @property
    def first(self) -> SequenceClassifier:
        """The one that shows how all members are made."""
        return self

    @property
    def classes(self) -> int:
        """How many values it answers with."""
        return self.head.out_features

    def forward(self, x: Tensor, *, lengths: Tensor | Sequence[int] | None = None) -> Tensor:
        """Unnormalised log-probabilities (B, classes) of tokens (B, T), or of numbers (B, T, features)."""
        vectors, ends = self.input(x, checked_lengths(lengths, *x.shape[:2]))
        return self.read(vectors, ends)

    def read(self, vectors: Tensor, lengths: Tensor | None) -> Tensor:
        """The same from what the input makes of a sequence: that is where gradients say what counted."""
        if self.training:
            vectors = dropped(vectors, self.input_dropout, locked=self.locked_dropout)
        read = self.readout(self.recurrent(vectors, lengths=lengths, last_only=self.readout.name == "last"), lengths)
        if self.shortcut:
            there = vectors
            if lengths is not None:
                there = vectors * valid_steps(lengths, vectors.shape[1], vectors.device)[..., None]
            read = torch.cat([read, mean_over_steps(there, lengths), max_over_steps(vectors, lengths)], 1)
        if self.training:
            read = dropped(read[:, None], self.output_dropout, locked=False)[:, 0]
        return self.head(read)

    def stepper(self, batch_size: int = 1) -> Stepper:
        """What reads one step at a call and says what it thinks so far: (B, classes).

        Numbers are given as x (B, features) to the stepper, tokens (B,) to its ``step_rows``.
        """
        if self.readout.name != "last":
            raise UsageError(f"the read-out '{self.readout.name}' needs the whole sequence; 'last' goes step by step")
        if self.shortcut:
            raise UsageError("the mean over the steps needs the whole sequence: no shortcut goes step by step")
        if isinstance(self.input, TokenInput):
            if self.input.pairs is not None:
                raise UsageError("pairs of tokens do not go step by step")
            return self.recurrent.stepper(batch_size, readout=self.head, tables=[(self.input.embedding.weight, 1.0)])
        if len(self.input.convolutions):
            raise UsageError("convolutions look ahead: this network does not go step by step")
        return self.recurrent.stepper(batch_size, readout=self.head)


class Ensemble(nn.Module):
    """Classifiers that begin from different weights, each learning from its own mistakes, and answer together.

    What they say is the mean of their values, which is the geometric mean of their probabilities, made to add up to
    one (Lakshminarayanan et al. 2017, "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles",
    take the arithmetic one).
    """

    def __init__(self, members: Sequence[SequenceClassifier]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(members)

    @property
    def members(self) -> Sequence[SequenceClassifier]:
        """The networks that answer."""
        return cast(Sequence[SequenceClassifier], self.networks)

    @property
    def first(self) -> SequenceClassifier:
        """The one that shows how all members are made."""
        return self.members[0]

    @property
    def classes(self) -> int:
        """How many values it answers with."""
        return self.first.classes

    def forward(self, x: Tensor, *, lengths: Tensor | Sequence[int] | None = None) -> Tensor:
        """As `SequenceClassifier.forward`; in training what each member says, (members, B, classes)."""
        said = torch.stack([member(x, lengths=lengths) for member in self.members])
        return said if self.training else said.mean(0)

    def stepper(self, batch_size: int = 1) -> Stepper:
        """Refused: each member has a state of its own."""
        raise UsageError("an ensemble does not go step by step; its members do")


Classifier = SequenceClassifier | Ensemble


def _together(options: ClassifierOptions, make: Callable[[], SequenceClassifier]) -> Classifier:
    return make() if options.ensemble == 1 else Ensemble([make() for _ in range(options.ensemble)])


def token_classifier(
    vocabulary_size: int,
    classes: int,
    options: TokenClassifierOptions,
    *,
    pairs: Pairs | None = None,
    cell: Cell | None = None,
) -> Classifier:
    """A classifier of sequences of tokens; ``pairs`` (P, 2) have vectors of their own."""

    def make() -> SequenceClassifier:
        tokens = TokenInput(
            vocabulary_size, options.embedding, pairs=pairs, pair_width=options.pair_embedding,
            token_dropout=options.token_dropout,
        )  # fmt: skip
        return SequenceClassifier(tokens, classes, options, cell=cell)

    return _together(options, make)


def number_classifier(
    features: int, classes: int, options: NumberClassifierOptions, *, cell: Cell | None = None
) -> Classifier:
    """A classifier of sequences of numbers."""

    def make() -> SequenceClassifier:
        numbers = NumberInput(
            features, channels=options.conv_channels, layers=options.conv_layers, kernel=options.conv_kernel,
            stride=options.conv_stride, norm=options.conv_norm,
        )  # fmt: skip
        return SequenceClassifier(numbers, classes, options, cell=cell)

    return _together(options, make)


def describe(network: Classifier, options: ClassifierOptions) -> dict[str, Any]:
    """The entry ``network`` of a model's configuration, from which `rebuild` makes the network again.

    ``options`` may be a task's own, with more fields than the network takes.
    """
    first = network.first
    kind = TokenClassifierOptions if isinstance(first.input, TokenInput) else NumberClassifierOptions
    named = {field.name: getattr(options, field.name) for field in dataclasses.fields(kind)}
    return {"options": named, "cell": first.recurrent.cell.to_json()}


def rebuild(
    config: Mapping[str, Any], size: int, classes: int, at_most: int | None = None, *, pairs: Pairs | None = None
) -> Classifier:
    """The network that a model's configuration describes, its cell built from the saved graph.

    ``size`` is that of the vocabulary, or the number of features, ``pairs`` are those of tokens; ``at_most`` as in
    `RecurrentOptions.saved`.
    """
    try:
        saved, cell = config["network"]["options"], Cell.from_json(config["network"]["cell"])
        if "embedding" in saved:
            return token_classifier(size, classes, TokenClassifierOptions.saved(saved, at_most), pairs=pairs, cell=cell)
        return number_classifier(size, classes, NumberClassifierOptions.saved(saved, at_most), cell=cell)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, RondoError) as error:
        raise ModelError(f"config.json does not describe a classifier: {type(error).__name__}: {error}") from None
