"""Lengths and reset marks as users give them, checked and brought to the form that backends take."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rondo.errors import UsageError


def checked_lengths(lengths: Tensor | Sequence[int] | None, B: int, T: int) -> Tensor | None:
    """``lengths`` as int64 (B,) on the CPU; from any device, any integer type, or a list."""
    if lengths is None:
        return None
    given = torch.as_tensor(lengths)
    if given.shape != (B,):
        raise UsageError(f"lengths has shape {tuple(given.shape)}; expected ({B},), one for each sequence")
    if given.dtype.is_floating_point or given.dtype.is_complex or given.dtype == torch.bool:
        raise UsageError(f"lengths are whole numbers, not {given.dtype}")
    given = given.detach().to("cpu", torch.int64)
    if B and (int(given.min()) < 0 or int(given.max()) > T):
        raise UsageError(f"lengths go from {int(given.min())} to {int(given.max())}; x has {T} steps")
    return given


def checked_reset(reset: Tensor | None, B: int, T: int, device: torch.device) -> Tensor | None:
    """``reset`` as bool (B, T) on ``device``."""
    if reset is None:
        return None
    if reset.shape != (B, T):
        raise UsageError(f"reset has shape {tuple(reset.shape)}; expected ({B}, {T}), one mark a step")
    return reset.detach().to(device, torch.bool)
