"""What a language model is trained for and how it is watched meanwhile."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rondo.data.streams import Batch
from rondo.layers import StackState
from rondo.training.protocols import Activations, Result

WATCH_ROWS = 32
"""Streams that the validation part is cut into while training is watched; the final figure uses one."""
WATCH_TOKENS = 65_536
"""Tokens that are looked at then, spread over the validation part; the final figure uses all."""


class NextToken:
    """Cross-entropy of the next token, with the state carried from window to window."""

    unit = "tokens"

    def __call__(self, model: nn.Module, batch: Batch, carried: StackState | None) -> Result:
        output = model(batch.inputs, carried)
        loss = F.cross_entropy(output.logits.flatten(0, 1), batch.targets.flatten(), reduction="sum")
        return Result(
            loss_sum=loss,
            count=batch.targets.numel(),
            carried=output.state,
            activations=Activations(raw=output.raw, dropped=output.dropped),
        )

    def restore(self, tensors: dict[str, Tensor]) -> StackState:
        return StackState(tensors)


class WatchLoss:
    """``valid_loss`` of up to 32 streams spread over a text: quick, and a little higher than in one
    stream, since each begins without a past.
    """

    def __init__(self, tokens: np.ndarray[Any, Any], *, window: int = 256) -> None:
        rows = max(1, min(WATCH_ROWS, (len(tokens) - 1) // (4 * window)))
        columns = (len(tokens) - 1) // rows
        watched = min(columns, WATCH_TOKENS // rows)

        def streams(first: int) -> Tensor:
            whole = tokens[first : first + rows * columns].reshape(rows, columns)
            return torch.from_numpy(whole[:, :watched].astype(np.int64))

        self.inputs, self.targets = streams(0), streams(1)
        self.window = window

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Nats a token, in evaluation mode."""
        device = next(model.parameters()).device
        state: StackState | None = None
        total = 0.0
        for start in range(0, self.inputs.shape[1], self.window):
            inputs = self.inputs[:, start : start + self.window].to(device)
            targets = self.targets[:, start : start + self.window].to(device)
            logits, state, *_ = model(inputs, state)
            total += F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum").item()
        return {"valid_loss": total / self.targets.numel()}
