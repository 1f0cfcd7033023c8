"""The language model: tokens in, at each step a distribution over the next token out.

One to many when it generates, many to many in step when it trains: an embedding, a stack of
recurrent layers, a linear read-out (Mikolov et al. 2010, "Recurrent neural network based language
model"; Graves 2013, "Generating Sequences With Recurrent Neural Networks").
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rondo.cells import Cell
from rondo.errors import ModelError, RondoError, UsageError
from rondo.layers import StackState
from rondo.layers.dropout import dropped, probability
from rondo.models.options import RecurrentOptions
from rondo.models.place import Place, PlaceTokens, split_state
from rondo.models.stepper import TokenStepper

FEW_TOKENS, NARROW = 256, 64
"""Up to so many tokens, token vectors are so wide if nothing is said."""


@dataclass(frozen=True, kw_only=True)
class LanguageModelOptions(RecurrentOptions):
    """The network."""

    embedding: int | None = None
    """Width of the token vectors; default: 64 for up to 256 tokens, else as wide as the output of the layers."""
    output_dropout: float = 0.1
    """Probability of dropping values before the read-out."""
    layer_dropout: float = 0.1
    """Probability of dropping outputs between layers."""
    tied: bool | None = None
    """Share the embedding's matrix with the read-out; default: where both are equally wide."""


class LanguageModelOutput(NamedTuple):
    """What a run over tokens gives."""

    logits: Tensor
    """(B, T, V): unnormalised log-probabilities of the token after each step."""
    state: StackState
    """The state at the end, for the tokens that follow."""
    raw: Tensor
    """(B, T, H): outputs of the top layer."""
    dropped: Tensor
    """(B, T, H): the same after output dropout, as the read-out saw them."""


class LanguageModel(nn.Module):
    """Embedding, recurrent stack, read-out.

    With ``tied`` the read-out shares the embedding's matrix (Press and Wolf 2017, Inan et al. 2017), for
    which both must have the same width. ``cell`` stands in for the option when a saved model brings its own.

    Token vectors start out standard normal: from vectors of a tenth of that, training takes several times as
    many steps. A tied matrix starts small, as a read-out must, and its rows are multiplied by the square root
    of their width where they are token vectors (Vaswani et al. 2017, section 3.4).

    With ``place`` each token's vector is added to that of the place in the text; the place goes along in the state.
    """

    def __init__(
        self,
        vocabulary_size: int,
        options: LanguageModelOptions,
        *,
        cell: Cell | None = None,
        place: PlaceTokens | None = None,
    ) -> None:
        super().__init__()
        width = options.projection or options.hidden
        embedding = options.embedding
        if embedding is None:
            embedding = NARROW if vocabulary_size <= FEW_TOKENS else width
        elif embedding < 1:
            raise UsageError(f"--embedding is at least 1, not {embedding}")
        self.embedding = nn.Embedding(vocabulary_size, embedding)
        self.recurrent = options.build(embedding, cell=cell)
        self.readout = nn.Linear(width, vocabulary_size)
        self.output_dropout = probability("output_dropout", options.output_dropout)
        self.locked = options.locked_dropout
        nn.init.zeros_(self.readout.bias)
        self.gain = 1.0
        if embedding == width if options.tied is None else options.tied:
            if embedding != width:
                raise UsageError(
                    f"--tied: the embedding ({embedding}) must be as wide as the output of the layers ({width})"
                )
            self.gain = math.sqrt(embedding)
            nn.init.normal_(self.embedding.weight, std=1.0 / self.gain)
            self.readout.weight = self.embedding.weight
        self.place = None if place is None else Place(place, vocabulary_size, embedding)

    @property
    def vocabulary_size(self) -> int:
        return self.embedding.num_embeddings

    def forward(
        self,
        tokens: Tensor,
        state: StackState | None = None,
        *,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
    ) -> LanguageModelOutput:
        """Run over tokens (B, T) of int64; ``lengths`` and ``reset`` as in `Recurrent`."""
        vectors, state, place = self._vectors(tokens, state, lengths=lengths, reset=reset)
        output = self.recurrent(vectors, state, lengths=lengths, reset=reset)
        features = output.sequence
        if self.training:
            features = dropped(features, self.output_dropout, locked=self.locked)
        return LanguageModelOutput(self.readout(features), _joined(output.state, place), output.sequence, features)

    def step(self, tokens: Tensor, state: StackState | None) -> tuple[Tensor, StackState]:
        """One step for tokens (B,): logits (B, V) of the next token, and the state."""
        vectors, state, place = self._vectors(tokens[:, None], state)
        features, after = self.recurrent.step(vectors[:, 0], state)
        return self.readout(features), _joined(after, place)

    def stepper(self, batch_size: int = 1) -> TokenStepper:
        """What goes on one token at a call, with everything prepared: as `step`, many times as fast."""
        return TokenStepper(self.embedding, self.gain, self.recurrent, self.readout, self.place, batch_size)

    def _vectors(
        self,
        tokens: Tensor,
        state: StackState | None,
        *,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
    ) -> tuple[Tensor, StackState | None, Mapping[str, Tensor]]:
        """What the layers read, what of the state is theirs, and the place behind the tokens."""
        vectors = self.embedding(tokens)
        if self.gain != 1.0:
            vectors = vectors * self.gain
        if self.place is None:
            return vectors, state, {}
        state, before = split_state(state)
        added, after = self.place(tokens, before, lengths=lengths, reset=reset)
        return vectors + added, state, after

    @torch.no_grad()
    def nats(self, tokens: npt.ArrayLike | Tensor, *, chunk: int = 512) -> Tensor:
        """Negative log-likelihood of each token of one long text but the first, state carried from
        beginning to end; shape (N - 1,), float64, nats. ``chunk`` steps are run at a time.
        """
        text = np.asarray(tokens)  # may lie in a file: it is brought to int64 a chunk at a time
        was_training = self.training
        self.eval()
        device = self.embedding.weight.device
        state: StackState | None = None
        parts = [torch.zeros(0, dtype=torch.float64)]
        for start in range(0, len(text) - 1, chunk):
            piece = torch.from_numpy(text[start : start + chunk + 1].astype(np.int64)).to(device)
            logits, state, *_ = self(piece[None, :-1], state)
            parts.append(F.cross_entropy(logits[0], piece[1:], reduction="none").cpu().double())
        self.train(was_training)
        return torch.cat(parts)


def _joined(state: StackState, place: Mapping[str, Tensor]) -> StackState:
    return StackState({**state.parts(), **place}) if place else state


def describe(network: LanguageModel, options: LanguageModelOptions) -> dict[str, Any]:
    """The entry ``network`` of a model's configuration, from which `rebuild` makes the network again."""
    fields = [field.name for field in dataclasses.fields(LanguageModelOptions)]
    place = {} if network.place is None else {"place": network.place.tokens.to_json()}
    return {
        "options": {name: getattr(options, name) for name in fields},
        "cell": network.recurrent.cell.to_json(),
        **place,
    }


def rebuild(config: Mapping[str, Any], vocabulary_size: int, at_most: int | None = None) -> LanguageModel:
    """The network that a model's configuration describes, its cell built from the saved graph.

    ``at_most`` as in `RecurrentOptions.saved`.
    """
    try:
        shape = config["network"]
        options = LanguageModelOptions.saved(shape["options"], at_most)
        place = PlaceTokens.from_json(shape["place"]) if "place" in shape else None
        return LanguageModel(vocabulary_size, options, cell=Cell.from_json(shape["cell"]), place=place)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, RondoError) as error:
        raise ModelError(f"config.json does not describe a language model: {type(error).__name__}: {error}") from None
