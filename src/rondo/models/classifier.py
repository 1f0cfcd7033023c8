"""The sequence classifier: many to one. A sequence goes in, one of a set of classes comes out."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from rondo.cells import Cell
from rondo.layers import Stepper
from rondo.layers.dropout import dropped
from rondo.models.options import RecurrentOptions


class SequenceClassifier(nn.Module):
    """A recurrent stack over (B, T, features), read out after each sequence's last valid step."""

    def __init__(
        self,
        input_size: int,
        classes: int,
        recurrent: RecurrentOptions,
        *,
        bidirectional: bool = False,
        output_dropout: float = 0.0,
        cell: Cell | None = None,
    ) -> None:
        super().__init__()
        self.recurrent = recurrent.build(input_size, cell=cell, bidirectional=bidirectional)
        self.readout = nn.Linear(self.recurrent.output_size, classes)
        self.output_dropout = output_dropout

    def forward(self, x: Tensor, *, lengths: Tensor | Sequence[int] | None = None) -> Tensor:
        """Unnormalised log-probabilities (B, classes)."""
        last = self.recurrent(x, lengths=lengths).last
        if self.training:
            last = dropped(last[:, None], self.output_dropout, locked=False)[:, 0]
        return self.readout(last)

    def stepper(self, batch_size: int = 1) -> Stepper:
        """What reads one step x (B, features) at a call and says what it thinks so far: (B, classes)."""
        return self.recurrent.stepper(batch_size, readout=self.readout)
