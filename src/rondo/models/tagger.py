"""The tagger: many to many in step. A sequence of tokens goes in, a tag for each token comes out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rondo.cells import Cell
from rondo.errors import ModelError, RondoError
from rondo.layers.crf import CRF
from rondo.layers.dropout import dropped, probability
from rondo.layers.masks import checked_lengths, valid_steps
from rondo.layers.transitions import Transitions
from rondo.models.options import EnsembleOptions
from rondo.models.token_features import FeatureOptions, Sizes, TokenFeatures

LEARN_NOTHING = -100
"""Stands for a tag that no score is learned for: in padding, and where it is not known."""


@dataclass(frozen=True, kw_only=True)
class TaggerOptions(FeatureOptions, EnsembleOptions):
    """The network."""

    bidirectional: bool = True
    """Read each sentence in both directions."""
    crf: bool = True
    """Judge the tags of a sentence together, by a linear-chain conditional random field that knows which tag may
    follow which; else each tag by itself."""
    output_dropout: float = 0.5
    """Probability of dropping values of what the layers say before it becomes scores of tags."""


class SequenceTagger(nn.Module):
    """Token features, recurrent stack, a linear layer with a score for each tag, and a chain over them.

    ``allowed`` says which tags may follow which; without a chain it plays no part. ``cell`` stands in for the option
    when a saved model brings its own.
    """

    def __init__(
        self,
        sizes: Sizes,
        tags: int,
        options: TaggerOptions,
        *,
        allowed: Transitions | None = None,
        cell: Cell | None = None,
    ) -> None:
        super().__init__()
        self.input = TokenFeatures(sizes, options, cell=cell)
        self.recurrent = options.build(self.input.output_size, cell=cell, bidirectional=options.bidirectional)
        self.head = nn.Linear(self.recurrent.output_size, tags)
        self.crf = CRF(tags, allowed=allowed) if options.crf else None
        self.output_dropout = probability("output_dropout", options.output_dropout)
        self.locked_dropout = options.locked_dropout

    @property
    def members(self) -> Sequence[SequenceTagger]:
        """The networks that answer: this one."""
        return (self,)

    @property
    def first(self) -> SequenceTagger:
        """The one that shows how all members are made."""
        return self

    def forward(self, rows: Tensor, *, lengths: Tensor | Sequence[int] | None = None) -> Tensor:
        """Emissions (B, T, tags): the score of each tag at each token, from rows (B, T, columns)."""
        return self.read(self.input(rows), lengths)

    def read(self, vectors: Tensor, lengths: Tensor | Sequence[int] | None = None) -> Tensor:
        """The same from what the input makes of tokens: that is where gradients say what counted."""
        sequence = self.recurrent(vectors, lengths=lengths).sequence
        if self.training:
            sequence = dropped(sequence, self.output_dropout, locked=self.locked_dropout)
        return self.head(sequence)

    def loss(self, emission: Tensor, tags: Tensor, *, lengths: Tensor | Sequence[int] | None = None) -> Tensor:
        """The negative log-likelihood of each sequence of tags, (B,)."""
        return _unlikelihood(self.crf, emission, tags, lengths)

    def transitions(self) -> Transitions:
        """What a path adds up besides emissions; nothing where there is no chain."""
        return _transitions(self.crf, self.head)


class TaggerEnsemble(nn.Module):
    """Taggers that begin from different weights and answer together, with one chain for all.

    What they say of a token is the mean of their scores; in training each learns from its own mistakes, and the
    chain from those of all.
    """

    def __init__(self, members: Sequence[SequenceTagger], crf: CRF | None) -> None:
        super().__init__()
        self.networks = nn.ModuleList(members)
        self.crf = crf

    @property
    def members(self) -> Sequence[SequenceTagger]:
        """The networks that answer."""
        return cast(Sequence[SequenceTagger], self.networks)

    @property
    def first(self) -> SequenceTagger:
        """The one that shows how all members are made."""
        return self.members[0]

    def forward(self, rows: Tensor, *, lengths: Tensor | Sequence[int] | None = None) -> Tensor:
        """As `SequenceTagger.forward`; in training what each member says, (members, B, T, tags)."""
        said = torch.stack([member(rows, lengths=lengths) for member in self.members])
        return said if self.training else said.mean(0)

    def loss(self, emission: Tensor, tags: Tensor, *, lengths: Tensor | Sequence[int] | None = None) -> Tensor:
        """As `SequenceTagger.loss`; of what each member says, the mean of theirs."""
        members = emission if emission.dim() == 4 else emission[None]
        return torch.stack([_unlikelihood(self.crf, own, tags, lengths) for own in members]).mean(0)

    def transitions(self) -> Transitions:
        """As `SequenceTagger.transitions`."""
        return _transitions(self.crf, self.first.head)


Tagger = SequenceTagger | TaggerEnsemble


def tagger(
    sizes: Sizes, tags: int, options: TaggerOptions, *, allowed: Transitions | None = None, cell: Cell | None = None
) -> Tagger:
    """A tagger, or an ensemble of them, as the options say; arguments as for `SequenceTagger`."""
    if options.ensemble == 1:
        return SequenceTagger(sizes, tags, options, allowed=allowed, cell=cell)
    crf = CRF(tags, allowed=allowed) if options.crf else None
    alone = replace(options, crf=False)
    return TaggerEnsemble([SequenceTagger(sizes, tags, alone, cell=cell) for _ in range(options.ensemble)], crf)


def _unlikelihood(crf: CRF | None, emission: Tensor, tags: Tensor, lengths: Tensor | Sequence[int] | None) -> Tensor:
    if crf is not None:
        return -crf(emission, tags, lengths=lengths)
    each = F.cross_entropy(emission.transpose(1, 2), tags, reduction="none", ignore_index=LEARN_NOTHING)
    ends = checked_lengths(lengths, *tags.shape)
    return each.sum(1) if ends is None else (each * valid_steps(ends, tags.shape[1], each.device)).sum(1)


@torch.no_grad()
def _transitions(crf: CRF | None, head: nn.Linear) -> Transitions:
    if crf is not None:
        return crf.scores()
    K, like = head.out_features, head.weight
    return Transitions(like.new_zeros(K), like.new_zeros(K, K), like.new_zeros(K))


def describe(network: Tagger, options: TaggerOptions) -> dict[str, Any]:
    """The entry ``network`` of a model's configuration, from which `rebuild` makes the network again."""
    named = {field.name: getattr(options, field.name) for field in dataclasses.fields(TaggerOptions)}
    return {"options": named, "cell": network.first.recurrent.cell.to_json()}


def rebuild(
    config: Mapping[str, Any], sizes: Sizes, tags: int, allowed: Transitions | None, at_most: int | None = None
) -> Tagger:
    """The network that a model's configuration describes; ``at_most`` as in `RecurrentOptions.saved`."""
    try:
        saved, cell = config["network"]["options"], Cell.from_json(config["network"]["cell"])
        options = TaggerOptions.saved(saved, at_most)
        return tagger(sizes, tags, options, allowed=allowed, cell=cell)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, RondoError) as error:
        raise ModelError(f"config.json does not describe a tagger: {type(error).__name__}: {error}") from None
