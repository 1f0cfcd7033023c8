"""The weights of a network: putting saved ones into it, and how many there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from rondo.errors import ModelError

N = TypeVar("N", bound=torch.nn.Module)

_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


class _ShapesOnly(TorchFunctionMode):
    """Leaves out the drawing of initial values, which torch's meta device does through its compiler."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(function, "__module__", "") == "torch.nn.init":
            return (kwargs or {}).get("tensor", args[0] if args else None)
        return function(*args, **(kwargs or {}))


def load_network(rebuild: Callable[[int | None], N], tensors: Mapping[str, Tensor], folder: Path | str) -> N:
    """The network that ``rebuild`` makes from a configuration, with its saved weights.

    It is made on torch's meta device first, ``rebuild(at most so many layers)``: sizes that the weights do not
    have take neither time nor memory.
    """
    with torch.device("meta"), _ShapesOnly():
        _check(rebuild(len(tensors)), tensors, folder)
    network = rebuild(None)
    load_weights(network, tensors, folder)
    return network


def load_weights(network: torch.nn.Module, tensors: Mapping[str, Tensor], folder: Path | str) -> None:
    """Put saved weights into a network, or say what does not fit."""
    _check(network, tensors, folder)
    network.to(next(iter(tensors.values())).dtype)  # a model that was trained in double precision stays so
    network.load_state_dict(dict(tensors))


def _check(network: torch.nn.Module, tensors: Mapping[str, Tensor], folder: Path | str) -> None:
    expected = network.state_dict()
    missing = [name for name in expected if name not in tensors]
    unknown = [name for name in tensors if name not in expected]
    wrong = [name for name in expected if name in tensors and tensors[name].shape != expected[name].shape]
    if missing or unknown or wrong:
        problems = [("missing", missing), ("unknown", unknown), ("of another shape", wrong)]
        said = "; ".join(f"{what}: {', '.join(names[:3])}" for what, names in problems if names)
        raise ModelError(f"the weights in {folder} do not belong to its config.json ({said})")
    dtypes = {tensor.dtype for tensor in tensors.values()}
    if len(dtypes) != 1 or not dtypes <= {*_DTYPES}:
        names = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in dtypes))
        raise ModelError(f"the weights in {folder} are damaged: their numbers are {names}, not of one floating type")
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ModelError(f"the weights in {folder} are damaged: {name} holds numbers that are not finite")


def count_parameters(network: torch.nn.Module) -> int:
    """How many numbers a network has learned; what layers share counts once."""
    return sum(parameter.numel() for parameter in network.parameters())
