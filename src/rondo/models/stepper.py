"""`TokenStepper`: a language model that is fed one token of each sequence at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rondo.errors import UsageError
from rondo.layers import Recurrent, StackState
from rondo.models.place import Place, Places, split_state


class TokenStepper:
    """Tokens in, logits of the next ones out; `LanguageModel.stepper` makes one.

    ``stepper(tokens)`` takes int64 (B,) and returns logits (B, V), **in a buffer that the next step writes anew**.
    Embedding, layers and read-out are one call of the engine. All else is as `rondo.layers.Stepper` says.
    """

    def __init__(
        self, embedding: nn.Embedding, gain: float, recurrent: Recurrent, readout: nn.Linear, place: Place | None,
        batch_size: int,
    ) -> None:  # fmt: skip
        tables = [(embedding.weight, gain)]
        if place is not None:
            tables += [(place.position.weight, 1.0), (place.line.weight, 1.0)]
        self._steps = recurrent.stepper(batch_size, readout=readout, tables=tables)
        self._places = None if place is None else Places(place, batch_size)
        self._embedding = embedding
        self.batch_size = batch_size

    def __call__(self, tokens: Tensor) -> Tensor:
        """One step for tokens (B,)."""
        if self._places is None:
            return self._steps.step_rows(tokens)
        shape = (self.batch_size,)
        if not isinstance(tokens, Tensor):
            raise UsageError(f"tokens are a tensor of int64 {shape}, not {type(tokens).__name__}")
        if tokens.dtype != torch.int64 or tokens.shape != shape:
            given = f"{tokens.dtype} {tuple(tokens.shape)}"
            raise UsageError(f"tokens are {given}; this stepper expects int64 {shape}")
        return self._steps.step_rows(self._places.rows(tokens.tolist()))

    @property
    def prepared(self) -> bool:
        """As `Stepper.prepared`."""
        return self._steps.prepared

    @property
    def state(self) -> StackState:
        """As `Stepper.state`: what the model itself takes and gives."""
        state = self._steps.state
        return state if self._places is None else StackState({**state.parts(), **self._places.parts()})

    @state.setter
    def state(self, state: StackState) -> None:
        if self._places is None:
            self._steps.state = state
            return
        layers, place = split_state(state)
        if layers is None or place is None:
            raise UsageError(f"a state is a StackState, as .state and calls of the model give it; not {state!r:.80}")
        self._steps.state = layers
        self._places.set(place)

    def reset(self, mask: Tensor | Sequence[bool] | None = None) -> None:
        """Begin anew: all sequences, or those where ``mask`` (B,) is True."""
        self._steps.reset(mask)
        if self._places is not None:
            self._places.reset(mask)

    def refresh(self) -> None:
        """Take the weights anew; the state stays."""
        self._steps.refresh()
