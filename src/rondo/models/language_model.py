"""The language model: tokens in, at each step a distribution over the next token out.

One to many when it generates, many to many in step when it trains: an embedding, a stack of
recurrent layers, a linear read-out (Mikolov et al. 2010, "Recurrent neural network based language
model"; Graves 2013, "Generating Sequences With Recurrent Neural Networks").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rondo.cells import Cell
from rondo.errors import UsageError
from rondo.layers import Recurrent, StackState
from rondo.layers.dropout import dropped


@dataclass(frozen=True)
class RecurrentOptions:
    """The recurrent stack of a model, as `Recurrent` takes it."""

    cell: str = "lstm"
    """The cell: a name such as lstm, gru or min_gru, or your own as FILE.py:NAME."""
    layers: int = 2
    """Recurrent layers on top of each other."""
    hidden: int = 256
    """Units in each layer."""
    projection: int | None = None
    """Width of the projected output, for cells that have one (lstm_projected)."""
    input_dropout: float = 0.0
    """Probability of dropping values of the input of the first layer."""
    layer_dropout: float = 0.0
    """Probability of dropping outputs between layers."""
    recurrent_dropout: float = 0.0
    """Variational dropout on what enters the recurrent products, one mask a sequence."""
    zoneout: float = 0.0
    """Probability that a value of the state keeps its former value at a step."""
    weight_drop: float = 0.0
    """Probability of dropping elements of the recurrent matrices (DropConnect)."""
    locked_dropout: bool = False
    """One mask for all steps of a sequence in input, layer and output dropout."""
    learned_state: bool = False
    """Learn the initial state instead of starting from zeros."""
    init: str | None = None
    """Initial weights: uniform, orthogonal or identity; left out, what the cell itself prefers."""
    forget_bias: float | None = None
    """Initial bias of the gate that keeps the state."""
    chrono: int | None = None
    """Chrono initialisation for dependencies of up to this many steps."""
    backend: str = "auto"
    """What runs the layers: auto, vendor (torch's fused layers) or reference."""

    def build(self, input_size: int, *, cell: Cell | None = None, bidirectional: bool = False) -> Recurrent:
        """The stack; ``cell`` stands in for the name when a saved model brings its own."""
        return Recurrent(
            cell or self.cell,
            input_size,
            self.hidden,
            layers=self.layers,
            bidirectional=bidirectional,
            projection_size=self.projection,
            input_dropout=self.input_dropout,
            layer_dropout=self.layer_dropout,
            recurrent_dropout=self.recurrent_dropout,
            zoneout=self.zoneout,
            weight_drop=self.weight_drop,
            locked_dropout=self.locked_dropout,
            learned_state=self.learned_state,
            init=self.init,
            forget_bias=self.forget_bias,
            chrono=self.chrono,
            backend=self.backend,
        )


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

    ``embedding_size`` is the width of the token vectors; ``output_dropout`` acts before the
    read-out; with ``tied`` the read-out shares the embedding's matrix (Press and Wolf 2017, Inan
    et al. 2017), for which both must have the same width.
    """

    def __init__(
        self,
        vocabulary_size: int,
        recurrent: RecurrentOptions,
        *,
        embedding_size: int,
        output_dropout: float = 0.0,
        tied: bool = False,
        cell: Cell | None = None,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.recurrent = recurrent.build(embedding_size, cell=cell)
        self.readout = nn.Linear(self.recurrent.output_size, vocabulary_size)
        self.output_dropout = output_dropout
        self.locked = recurrent.locked_dropout
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.zeros_(self.readout.bias)
        if tied:
            if embedding_size != self.recurrent.output_size:
                raise UsageError(
                    f"tied: the embedding ({embedding_size}) must be as wide as the top layer "
                    f"({self.recurrent.output_size})"
                )
            self.readout.weight = self.embedding.weight

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
        output = self.recurrent(self.embedding(tokens), state, lengths=lengths, reset=reset)
        features = output.sequence
        if self.training:
            features = dropped(features, self.output_dropout, locked=self.locked)
        return LanguageModelOutput(self.readout(features), output.state, output.sequence, features)

    def step(self, tokens: Tensor, state: StackState | None) -> tuple[Tensor, StackState]:
        """One step for tokens (B,): logits (B, V) of the next token, and the state."""
        features, state = self.recurrent.step(self.embedding(tokens), state)
        return self.readout(features), state

    @torch.no_grad()
    def nats(self, tokens: Tensor, *, chunk: int = 512) -> Tensor:
        """Negative log-likelihood of each token of one long text but the first, state carried from
        beginning to end; shape (N - 1,), float64, nats. ``chunk`` steps are run at a time.
        """
        was_training = self.training
        self.eval()
        device = self.embedding.weight.device
        state: StackState | None = None
        parts = []
        for start in range(0, len(tokens) - 1, chunk):
            piece = tokens[start : start + chunk + 1].to(device, torch.int64)
            logits, state, *_ = self(piece[None, :-1], state)
            parts.append(F.cross_entropy(logits[0].double(), piece[1:], reduction="none").cpu())
        self.train(was_training)
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)
