"""Putting saved weights into a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from rondo.errors import ModelError


def load_weights(network: torch.nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Put saved weights into a network, or say what does not fit."""
    expected = network.state_dict()
    missing = [name for name in expected if name not in tensors]
    unknown = [name for name in tensors if name not in expected]
    wrong = [name for name in expected if name in tensors and tensors[name].shape != expected[name].shape]
    if missing or unknown or wrong:
        problems = [("missing", missing), ("unknown", unknown), ("of another shape", wrong)]
        said = "; ".join(f"{what}: {', '.join(names[:3])}" for what, names in problems if names)
        raise ModelError(f"the weights in {folder} do not belong to its config.json ({said})")
    network.load_state_dict(dict(tensors))
