"""What a backend is: something that runs one cell over time.

A backend executes one layer in one direction. It says for a given request whether it can
(``refuses`` returns the reason when it cannot, in words a user understands); it never does a part of
what was asked, and never falls back to another one on its own. ``rondo.backends.choose`` picks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from rondo.backends.segments import RecomputeSteps
from rondo.cells import Cell, State

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Request:
    """What a layer needs of a backend: enough to decide, before any tensor is there."""

    cell: Cell
    """The cell with its options."""
    sizes: Mapping[str, int]
    """The values of ``input``, ``hidden`` and ``projection``."""
    bias: bool
    """Whether the cell's biases are there."""
    dtype: torch.dtype
    """Type of the weights."""
    device: torch.device
    """Where the weights are."""
    lengths: bool = False
    """Sequences in a batch end at different steps."""
    reset: bool = False
    """Sequences start anew inside a batch."""
    recurrent_dropout: bool = False
    """What enters the recurrent products is masked."""
    zoneout: bool = False
    """Parts of the state keep their former value at random."""
    gradients: bool = False
    """torch records gradients: a backward run may follow."""
    recompute: bool = False
    """What the backward run needs is computed again rather than kept."""


class Backend(Protocol):
    """Runs one layer in one direction."""

    name: str
    """The word a user gives as ``backend=``."""
    summary: str
    """What it is, in a few words, for ``explain()``."""

    def refuses(self, request: Request) -> str | None:
        """Why this backend cannot do what is asked, or None when it can."""

    def unroll(
        self,
        cell: Cell,
        weights: Weights,
        x: Tensor,
        state: State,
        *,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
        initial: State | None = None,
        masks: Mapping[str, Tensor] | None = None,
        zoneout: Mapping[str, Tensor | float] | None = None,
        reverse: bool = False,
        outputs: bool = True,
        recompute_steps: RecomputeSteps | None = None,
    ) -> tuple[Tensor, State]:
        """Run ``cell`` over all time steps and return the outputs (B, T, H) and the state at the end.

        weights  the cell's stored tensors by name; biases are absent where there are none
        x        (B, T, I), any strides; what stands beyond a sequence's length is never read
        state    parts (B, N): the state before the first step (before the last one, if ``reverse``)
        lengths  (B,) int64 on the CPU, each from 0 to T, in any order; None means T for all
        reset    (B, T) bool: a sequence begins at this step, from ``initial`` (zeros if None). It cuts
                 between t - 1 and t in both directions. Marks beyond a sequence's length mean nothing
        initial  parts (B, N)
        masks    "recurrent": (B, H), multiplied with what enters each recurrent product, at every step
        zoneout  by part: a bool mask (B, T, N), True keeps the former value at that step; or a number p,
                 which mixes p of the former with 1 - p of the new value
        outputs  False: only the state at the end is wanted. The outputs are then (B, 0, H), and nothing is
                 kept for them that the backward run does not need
        recompute_steps  the backward run computes again what it needs, in segments of so many steps, from
                 the states before each; "auto" makes as many segments as each has steps. None keeps all

        Outputs beyond a sequence's length are zero. The state returned is the one after each sequence's
        last step; for an empty sequence it is the one that was given.
        """


@runtime_checkable
class StackBackend(Backend, Protocol):
    """A backend that can also run a whole stack of layers in one call."""

    def unroll_stack(
        self,
        cell: Cell,
        weights: Sequence[Sequence[Weights]],
        x: Tensor,
        state: Sequence[Sequence[State]],
        *,
        lengths: Tensor | None = None,
        layer_dropout: float = 0.0,
    ) -> tuple[Tensor, list[list[State]]]:
        """As ``unroll``, for weights and states given by layer and direction (one or two).

        ``layer_dropout`` is the probability with which an output of a layer is dropped before it
        enters the next one; each element for itself.
        """


@runtime_checkable
class BothBackend(Backend, Protocol):
    """A backend that runs both directions of a layer into one tensor."""

    def unroll_both(
        self,
        cell: Cell,
        weights: Sequence[Weights],
        x: Tensor,
        states: Sequence[State],
        *,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
        initial: Sequence[State | None],
        masks: Sequence[Mapping[str, Tensor] | None],
        zoneout: Sequence[Mapping[str, Tensor | float] | None],
        outputs: bool = True,
        recompute_steps: RecomputeSteps | None = None,
    ) -> tuple[Tensor, list[State]]:
        """As ``unroll``, for what is given by direction, forwards first: outputs (B, T, 2 H), and both states."""


@runtime_checkable
class InspectBackend(Backend, Protocol):
    """A backend that can keep what a cell computes on the way."""

    def inspect(
        self,
        cell: Cell,
        weights: Weights,
        x: Tensor,
        state: State,
        values: Sequence[str],
        *,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
        initial: State | None = None,
        zoneout: Mapping[str, float] | None = None,
        reverse: bool = False,
    ) -> dict[str, Tensor]:
        """As ``unroll``, without gradients: ``values`` of each step, of those that are `visible`, as (B, T, width).

        Zero beyond a sequence's length.
        """


class Steps(Protocol):
    """A stack of layers, and a dense layer on top of them, that goes on by a step a call; the state is inside.

    Weights are those that were there when it was made. Arrays come as addresses: whoever calls has seen to
    their type, shape and life.
    """

    parts: Sequence[Sequence[str]]
    """Of the state of each layer."""
    shape: tuple[int, int]
    """(B, I), of x."""
    output: Tensor
    """(B, N): what the last step gave. Each step writes it anew."""
    step: Callable[[int], None]
    """Takes x (B, I), without gaps."""
    step_rows: Callable[[int], None]
    """Takes int64 (tables, B): rows of the tables, which are added up to x; `IndexError` if one is not there."""

    def tensor_step(
        self, parameters: Sequence[Tensor], *, rows: tuple[int, ...] | None = None
    ) -> Callable[[Tensor], Tensor | None]:
        """A step for a tensor, which gives ``output``: the shortest way.

        For x, or where ``rows`` is a shape, for numbers of rows in this shape. It gives None and has done
        nothing where the tensor is not plainly that, or torch has counted a change in place of ``parameters``.
        """

    def read(self) -> list[State]:
        """The state of each layer, in tensors of its own."""

    def write(self, states: Sequence[State]) -> None:
        """Go on from these states."""


@runtime_checkable
class StepBackend(Backend, Protocol):
    """A backend that can go on step by step with everything prepared."""

    def steps(
        self,
        cell: Cell,
        weights: Sequence[Weights],
        sizes: Sequence[Mapping[str, int]],
        batch_size: int,
        *,
        zoneout: Mapping[str, float] | None = None,
        readout: tuple[Tensor, Tensor | None] | None = None,
        tables: Sequence[Tensor] = (),
    ) -> Steps | None:
        """Layers by their weights and sizes (as `Request.sizes`), from the bottom up; None if not for their type.

        zoneout  by part of the state: the rate, as in evaluation
        readout  weight (N, H) and bias (N) of a dense layer on top of the layers
        tables   (rows, I) each, all without gaps; they are read at every step
        """


def sizes_of(cell: Cell, weights: Weights, x: Tensor, state: State) -> dict[str, int]:
    """The numbers behind the symbolic widths, read off the tensors."""
    sizes = {"input": x.shape[2]}
    for parameter in cell.parameters:
        if parameter.name in weights and parameter.rows != "one":
            sizes[parameter.rows] = weights[parameter.name].shape[0] // len(parameter.blocks)
    for part, width in cell.state_widths.items():
        sizes[width] = state.parts()[part].shape[1]
    return sizes
