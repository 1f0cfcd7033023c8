"""The weights of a network: putting saved ones into it, and how many there are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from rondo.errors import ModelError


def load_weights(network: torch.nn.Module, tensors: Mapping[str, Tensor], folder: Path | str) -> None:
    """Put saved weights into a network, or say what does not fit."""
    expected = network.state_dict()
    missing = [name for name in expected if name not in tensors]
    unknown = [name for name in tensors if name not in expected]
    wrong = [name for name in expected if name in tensors and tensors[name].shape != expected[name].shape]
    if missing or unknown or wrong:
        problems = [("missing", missing), ("unknown", unknown), ("of another shape", wrong)]
        said = "; ".join(f"{what}: {', '.join(names[:3])}" for what, names in problems if names)
        raise ModelError(f"the weights in {folder} do not belong to its config.json ({said})")
    network.to(next(iter(tensors.values())).dtype)  # a model that was trained in double precision stays so
    network.load_state_dict(dict(tensors))


def count_parameters(network: torch.nn.Module) -> int:
    """How many numbers a network has learned; what layers share counts once."""
    return sum(parameter.numel() for parameter in network.parameters())
