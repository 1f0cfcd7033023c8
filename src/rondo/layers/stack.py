"""Layers on top of each other, in one direction or both, run by any backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from rondo.backends import Backend, BothBackend, InspectBackend, StackBackend
from rondo.backends.base import Weights
from rondo.backends.segments import RecomputeSteps, segments
from rondo.cells import Cell, State
from rondo.layers.dropout import dropped
from rondo.layers.state import suffix

PIECE = 1 << 18
"""Elements of a layer's input or output that make a piece of time."""
FEWEST_STEPS = 64
"""Of a piece: for each, weights are laid out anew."""


@dataclass(frozen=True)
class Extras:
    """What one layer in one direction gets besides its input, state and weights; see `Backend.unroll`."""

    initial: State | None = None
    masks: Mapping[str, Tensor] | None = None
    zoneout: Mapping[str, Tensor | float] | None = None


_NONE = Extras()


def unroll_stack(
    backend: Backend,
    cell: Cell,
    weights: Sequence[Sequence[Weights]],
    x: Tensor,
    states: Sequence[Sequence[State]],
    *,
    lengths: Tensor | None = None,
    reset: Tensor | None = None,
    extras: Callable[[int, int, Tensor], Extras] | None = None,
    layer_dropout: float = 0.0,
    locked: bool = False,
    outputs: bool = True,
    recompute_steps: RecomputeSteps | None = None,
) -> tuple[Tensor, list[list[State]]]:
    """Run all layers; weights and states are given by layer and direction.

    In one call where the backend can and nothing happens between the layers but plain dropout, else layer
    by layer. ``extras(layer, direction, input of the layer)`` is asked for each. ``outputs`` (of the top layer)
    and ``recompute_steps`` are as in `Backend.unroll`.
    """
    plain = reset is None and extras is None and not (locked and layer_dropout) and recompute_steps is None
    if plain and hasattr(backend, "unroll_stack"):  # isinstance, for a protocol, costs as much as a small layer
        whole = cast("StackBackend", backend)
        return whole.unroll_stack(cell, weights, x, states, lengths=lengths, layer_dropout=layer_dropout)
    after: list[list[State]] = []
    for layer, of_layer in enumerate(weights):
        if layer and layer_dropout:
            x = dropped(x, layer_dropout, locked=locked)
        given = [extras(layer, direction, x) if extras else _NONE for direction in range(len(of_layer))]
        wanted = outputs or layer < len(weights) - 1
        if len(given) == 2 and hasattr(backend, "unroll_both"):
            x, ended = cast("BothBackend", backend).unroll_both(
                cell,
                of_layer,
                x,
                states[layer],
                lengths=lengths,
                reset=reset,
                initial=[extra.initial for extra in given],
                masks=[extra.masks for extra in given],
                zoneout=[extra.zoneout for extra in given],
                outputs=wanted,
                recompute_steps=recompute_steps,
            )
            after.append(ended)
            continue
        found, ended = [], []
        for direction, extra in enumerate(given):
            sequence, state = backend.unroll(
                cell,
                of_layer[direction],
                x,
                states[layer][direction],
                lengths=lengths,
                reset=reset,
                initial=extra.initial,
                masks=extra.masks,
                zoneout=extra.zoneout,
                reverse=direction == 1,
                outputs=wanted,
                recompute_steps=recompute_steps,
            )
            found.append(sequence)
            ended.append(state)
        x = found[0] if len(found) == 1 else _side_by_side(found)
        after.append(ended)
    return x, after


def inspect_stack(
    backend: InspectBackend,
    cell: Cell,
    weights: Sequence[Sequence[Weights]],
    x: Tensor,
    states: Sequence[Sequence[State]],
    values: Sequence[str],
    *,
    lengths: Tensor | None,
    reset: Tensor | None,
    extras: Callable[[int, int, Tensor], Extras],
) -> dict[str, Tensor]:
    """As `unroll_stack`, in evaluation: ``values`` of each step (B, T, width), by name, layer and direction."""
    found: dict[str, Tensor] = {}
    for layer, of_layer in enumerate(weights):
        outputs = []
        for direction, stored in enumerate(of_layer):
            extra = extras(layer, direction, x)
            seen = backend.inspect(
                cell,
                stored,
                x,
                states[layer][direction],
                list(dict.fromkeys(["h", *values])),
                lengths=lengths,
                reset=reset,
                initial=extra.initial,
                zoneout=cast("Mapping[str, float] | None", extra.zoneout),  # rates, in evaluation
                reverse=direction == 1,
            )
            outputs.append(seen["h"])
            found |= {name + suffix(layer, direction): seen[name] for name in values}
        x = outputs[0] if len(outputs) == 1 else torch.cat(outputs, 2)
    return found


def last_in_pieces(
    run: Callable[..., tuple[Tensor, list[list[State]]]],
    x: Tensor,
    states: list[list[State]],
    *,
    lengths: Tensor | None,
    reset: Tensor | None,
) -> list[list[State]]:
    """The states at the end, from runs forwards over one piece of time after the other: memory does not grow.

    ``run(x, states, lengths=, reset=)`` runs all layers over a piece and draws nothing at random.
    """
    B, T, I = x.shape
    widest = max(I, *(part.shape[1] for of_layer in states for state in of_layer for part in state.parts().values()))
    steps = max(FEWEST_STEPS, PIECE // (max(B, 1) * widest))
    for piece in segments(T, steps, lengths, reset):
        _, states = run(x[:, piece.begin : piece.end], states, lengths=piece.lengths, reset=piece.reset)
    return states


def _side_by_side(outputs: list[Tensor]) -> Tensor:
    """Both directions in one tensor, with time first in memory as each of them is."""
    return torch.cat([output.transpose(0, 1) for output in outputs], 2).transpose(0, 1)
