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
    given = as_tensor("lengths", lengths)
    if given.shape != (B,):
        raise UsageError(f"lengths has shape {tuple(given.shape)}; expected ({B},), one for each sequence")
    if B == 0:
        return torch.zeros(0, dtype=torch.int64)  # an empty list says nothing of its type
    if given.dtype.is_floating_point or given.dtype.is_complex or given.dtype == torch.bool:
        raise UsageError(f"lengths are whole numbers, not {given.dtype}")
    given = given.detach().to("cpu", torch.int64)
    if torch.compiler.is_compiling():
        return given  # values are not there yet; backends look at them when they are
    if int(given.min()) < 0 or int(given.max()) > T:
        raise UsageError(f"lengths go from {int(given.min())} to {int(given.max())}; x has {T} steps")
    return given


def checked_reset(
    reset: Tensor | Sequence[Sequence[bool]] | None, B: int, T: int, device: torch.device
) -> Tensor | None:
    """``reset`` as bool (B, T) on ``device``; from a tensor or lists."""
    if reset is None:
        return None
    given = as_marks("reset", reset)
    if given.shape != (B, T) and not (B == 0 and given.numel() == 0):
        raise UsageError(f"reset has shape {tuple(given.shape)}; expected ({B}, {T}), one mark a step")
    return given.to(device).reshape(B, T)


def valid_steps(lengths: Tensor, T: int, device: torch.device) -> Tensor:
    """Bool (B, T): True where a sequence has a step, False in its padding."""
    return torch.arange(T, device=device) < lengths.to(device)[:, None]


def as_marks(name: str, given: object) -> Tensor:
    """A bool tensor; from one, or from zeros and ones in a tensor or in lists."""
    marks = as_tensor(name, given).detach()
    if marks.dtype != torch.bool and not torch.compiler.is_compiling() and not ((marks == 0) | (marks == 1)).all():
        raise UsageError(f"{name} is made of marks, True and False or 1 and 0; not {given!r:.80}")
    return marks.to(torch.bool)


def as_tensor(name: str, given: object) -> Tensor:
    """A tensor, or numbers in lists as one; else an error that names the argument."""
    try:
        return torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise UsageError(f"{name} is a tensor or lists of numbers, all of one length; not {given!r:.80}") from None
