"""Read-outs: from what the layers say at every step to one vector a sequence. What stands in padding counts nowhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from rondo.errors import UsageError, nearest
from rondo.layers.masks import checked_lengths, valid_steps
from rondo.layers.recurrent import RecurrentOutput

ReadoutName = Literal["last", "mean", "max", "attention", "concat"]


class Readout(nn.Module):
    """One vector for each sequence.

    ``last``       the output after the last step; of the reverse direction, which ends there, that of the first step
    ``mean``       the mean over the steps
    ``max``        the largest value of each unit over the steps
    ``attention``  a mean whose weights are learned: softmax over the steps of v' tanh(W h + b), the additive
                   attention of Bahdanau et al. 2015 (1409.0473) without a query, as in Yang et al. 2016,
                   "Hierarchical Attention Networks for Document Classification"
    ``concat``     last, max and mean beside each other (Howard and Ruder 2018, 1801.06146)

    Of a sequence without steps ``last`` is the initial state; mean, maximum and attention are zero.
    """

    def __init__(self, name: ReadoutName, width: int) -> None:
        super().__init__()
        if name not in get_args(ReadoutName):
            raise UsageError(f"there is no read-out '{name}'{nearest(name, get_args(ReadoutName))}")
        self.name, self.width = name, width
        if name == "attention":
            self.hidden = nn.Linear(width, width)
            self.score = nn.Linear(width, 1, bias=False)

    @property
    def output_size(self) -> int:
        """The width of the vectors."""
        return 3 * self.width if self.name == "concat" else self.width

    def forward(self, output: RecurrentOutput, lengths: Tensor | Sequence[int] | None = None) -> Tensor:
        """(B, output_size), from what a layer returned for sequences of these lengths."""
        if self.name == "last":
            return output.last
        sequence = output.sequence
        if sequence is None:
            raise UsageError(f"the read-out '{self.name}' needs the outputs of all steps: no last_only for the layer")
        ends = checked_lengths(lengths, *sequence.shape[:2])
        if self.name == "attention":
            return (sequence * self.weights(sequence, ends)[..., None]).sum(1)
        if self.name == "concat":
            return torch.cat([output.last, max_over_steps(sequence, ends), mean_over_steps(sequence, ends)], 1)
        return _OVER_STEPS[self.name](sequence, ends)

    def weights(self, sequence: Tensor, lengths: Tensor | None = None) -> Tensor:
        """How much each step of (B, T, width) counts, (B, T): one in sum, zero in padding. For ``attention`` only."""
        if self.name != "attention":
            raise UsageError(f"the read-out '{self.name}' has no weights; 'attention' has")
        scores = self.score(self.hidden(sequence).tanh())[..., 0]
        if lengths is None:
            return scores.softmax(1)
        valid = valid_steps(lengths, sequence.shape[1], sequence.device)
        # The lowest number, not minus infinity, of which softmax makes no number where a sequence has no step.
        lowest = torch.finfo(scores.dtype).min
        return scores.masked_fill(~valid, lowest).softmax(1) * valid

    def extra_repr(self) -> str:
        return f"'{self.name}', {self.width}"


def mean_over_steps(sequence: Tensor, lengths: Tensor | None = None) -> Tensor:
    """The mean of (B, T, N) over the steps that are there; zero where there is none. Padding holds zeros."""
    B, T, _ = sequence.shape
    steps = torch.full((B,), T) if lengths is None else lengths
    return sequence.sum(1) / steps.clamp(min=1).to(sequence.device)[:, None]


def max_over_steps(sequence: Tensor, lengths: Tensor | None = None) -> Tensor:
    """The largest values of (B, T, N) over the steps that are there; zero where there is none."""
    B, T, N = sequence.shape
    if T == 0:
        return sequence.new_zeros(B, N)
    # torch finds the largest value faster than its place, which only gradients need.
    largest = _with_place if torch.is_grad_enabled() and sequence.requires_grad else torch.amax
    if lengths is None or _all_full(lengths, T):
        return largest(sequence, 1)
    valid = valid_steps(lengths, T, sequence.device)[..., None]
    return torch.where(valid.any(1), largest(sequence.masked_fill(~valid, -torch.inf), 1), 0.0)


def _with_place(sequence: Tensor, dim: int) -> Tensor:
    return sequence.max(dim).values


def _all_full(lengths: Tensor, T: int) -> bool:
    # While a graph is being compiled, values are not there yet.
    return not torch.compiler.is_compiling() and len(lengths) > 0 and int(lengths.min()) == T


_OVER_STEPS: dict[str, Callable[[Tensor, Tensor | None], Tensor]] = {"mean": mean_over_steps, "max": max_over_steps}
