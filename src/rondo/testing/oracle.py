"""What a backend must compute, worked out the slowest way: each sequence alone, one step after the other.

It shares no code with the backends but the cell's equations, and knows nothing of batches: sequences
are cut at their lengths and reset marks with Python's slices before anything is computed.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from rondo.backends.base import Weights
from rondo.cells import Cell, State


def oracle(
    cell: Cell,
    sizes: Mapping[str, int],
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
) -> tuple[Tensor, State]:
    """The arguments and results of `Backend.unroll`."""
    B, T, _ = x.shape
    sequences, ends = [], []
    for b in range(B):
        length = T if lengths is None else int(lengths[b])
        outputs: list[Tensor | None] = [None] * T
        own_masks = {name: mask[b : b + 1] for name, mask in (masks or {}).items()}
        step = cell.bind(weights, sizes, masks=own_masks)
        current = {part: value[b : b + 1] for part, value in state.parts().items()}
        starts = [t for t in range(length) if reset is not None and bool(reset[b, t])]
        bounds = [0, *[t for t in starts if t > 0], length]
        segments = [list(range(bounds[i], bounds[i + 1])) for i in range(len(bounds) - 1)]
        if reverse:
            segments = [segment[::-1] for segment in segments[::-1]]
        for position, segment in enumerate(segments):
            if position > 0 or (not reverse and 0 in starts):
                if initial is None:
                    current = {part: torch.zeros_like(value) for part, value in current.items()}
                else:
                    current = {part: value[b : b + 1] for part, value in initial.parts().items()}
            for t in segment:
                after = step(x[b : b + 1, t], State(**current)).parts()
                for part, z in (zoneout or {}).items():
                    share = z[b : b + 1, t].to(x.dtype) if isinstance(z, Tensor) else z
                    after[part] = share * current[part] + (1 - share) * after[part]
                current = after
                outputs[t] = after["h"]
        zero = torch.zeros_like(state.h[b : b + 1])
        sequences.append(torch.cat([zero if out is None else out for out in outputs]) if T else zero[:0])
        ends.append(current)
    ended = State(**{part: torch.cat([end[part] for end in ends]) for part in cell.state_parts})
    return torch.stack(sequences), ended
