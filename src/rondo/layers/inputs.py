"""What is given to a layer, checked before anything looks at its memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rondo.errors import UsageError


def check_input(x: Any, like: Tensor) -> None:
    """Whether x is a tensor of the type and on the device of ``like``, one of the layer's parameters."""
    if not isinstance(x, Tensor):
        raise UsageError(f"x is a tensor, not {type(x).__name__}")
    if x.device != like.device:
        raise UsageError(f"x is on {x.device}, the layer on {like.device}")
    if x.dtype != like.dtype and not (autocast(like) and x.is_floating_point()):
        raise UsageError(f"x has dtype {x.dtype}, the layer {like.dtype}: convert one of them with .to()")


def autocast(like: Tensor) -> bool:
    """Whether torch chooses types by itself at the moment: a state may then come back in another."""
    kind = like.device.type
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
