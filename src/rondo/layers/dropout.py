"""What is dropped at random, drawn here as masks so that every backend gets the same.

A mask that is multiplied holds 0 or 1 / (1 - p), so that expectations stay; the zoneout mask is
True where a value is kept. All draw from torch's global generator of the device.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real

import torch
from torch import Tensor
from torch.nn import functional as F

from rondo.errors import UsageError


def probability(name: str, p: float) -> float:
    """``p`` if it is a probability of dropping, else an error that names the option."""
    if not isinstance(p, Real) or isinstance(p, bool) or not 0.0 <= p < 1.0:
        raise UsageError(f"{name} is a probability from 0 to below 1, not {p!r}")
    return float(p)


def dropped(x: Tensor, p: float, *, locked: bool) -> Tensor:
    """Dropout on (B, T, N): each value for itself, or (locked) one mask for all steps of a sequence."""
    if p == 0.0:
        return x
    if locked:
        return x * keep_mask(x[:, :1], p)
    # Drawn in the order of time: the same draws as torch's own layers make.
    return F.dropout(x.transpose(0, 1), p).transpose(0, 1)


def keep_mask(like: Tensor, p: float) -> Tensor:
    """A mask of the shape of ``like`` that drops with probability ``p``."""
    return torch.empty_like(like).bernoulli_(1.0 - p).div_(1.0 - p)


def zoneout_masks(widths: Mapping[str, int], p: float, like: Tensor, *, training: bool) -> dict[str, Tensor | float]:
    """What `Backend.unroll` takes as ``zoneout``, for state parts of ``widths`` and x like ``like`` (B, T, I).

    Krueger et al. 2016. The output h has a mask of its own; the other parts share one, since they
    may have meaning only together (a memory and its normaliser). In evaluation the expectation.
    """
    if not training:
        return dict.fromkeys(widths, p)
    B, T, _ = like.shape
    masks: dict[str, Tensor | float] = {}
    memory: dict[int, Tensor] = {}
    for part, N in widths.items():
        mask = memory.get(N) if part != "h" else None
        if mask is None:
            mask = torch.rand(B, T, N, device=like.device) < p
            if part != "h":
                memory[N] = mask
        masks[part] = mask
    return masks
