"""The cell language on torch tensors: what the equations mean when they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rondo.ir import Parameter
from rondo.ir.ops import OPS

TORCH: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "where": torch.where,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "exp": torch.exp,
    "log": torch.log,
    "softplus": lambda a: torch.logaddexp(a, torch.zeros_like(a)),
    "silu": F.silu,
    "sqrt": torch.sqrt,
    "mean": lambda a: a.mean(-1, keepdim=True),
    "sum": lambda a: a.sum(-1, keepdim=True),
}


class TorchAlgebra:
    """The language bound to one layer's weights.

    ``weights`` maps stored names to tensors (biases may be absent), ``masks`` may hold
    ``recurrent``, (batch, width), which multiplies what enters each recurrent product. Named
    values are put into ``taps`` when one is given.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        weights: Mapping[str, Tensor],
        sizes: Mapping[str, int],
        *,
        masks: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.recurrent_mask = (masks or {}).get("recurrent")
        self.taps: dict[str, Any] | None = None
        self._like = next(iter(weights.values()), None)
        self._heads = {parameter.name: parameter.heads for parameter in parameters}
        self._blocks = {
            (parameter.name, block): weights[parameter.name][parameter.block_rows(block, sizes)]
            for parameter in parameters
            if parameter.name in weights
            for block in parameter.blocks
        }

    def function(self, op: str, *args: Any) -> Any:
        """One row of the table. Plain numbers become tensors like the other arguments, or stay numbers."""
        if all(isinstance(arg, Tensor) for arg in args):
            return TORCH[op](*args)
        if op == "where" and not isinstance(args[0], Tensor):
            return args[1] if args[0] else args[2]
        if not any(isinstance(arg, Tensor) for arg in args):
            with np.errstate(all="ignore"):
                return OPS[op].evaluate(*args).item()  # type: ignore[misc]  # as tracing folds constants
        like = next((arg for arg in args if isinstance(arg, Tensor) and arg.dtype != torch.bool), self._like)
        return TORCH[op](*(arg if isinstance(arg, Tensor) else self._tensor(arg, like) for arg in args))

    @staticmethod
    def _tensor(number: float, like: Tensor | None) -> Tensor:
        return torch.tensor(number) if like is None else torch.tensor(number, dtype=like.dtype, device=like.device)

    def linear(
        self,
        matrix: str,
        block: str,
        value: Tensor,
        *,
        bias: str | None = None,
        heads: int = 1,
        to: str = "hidden",
    ) -> Tensor:
        if matrix == "weight_hh" and self.recurrent_mask is not None:
            value = value * self.recurrent_mask
        weight = self._blocks[matrix, block]
        if self._heads[matrix] == 1:
            result = F.linear(value, weight)
        else:
            parts = value.unflatten(-1, (self._heads[matrix], -1)).unsqueeze(-2)
            diagonal = weight.unflatten(0, (self._heads[matrix], -1)).transpose(-1, -2)
            result = torch.matmul(parts, diagonal).flatten(-3)
        return result if bias is None else result + self.bias(bias, block, to)

    def bias(self, name: str, block: str, to: str) -> Tensor | float:
        return self._blocks.get((name, block), 0.0)

    def vector(self, name: str, init: Any) -> Tensor:
        return self._blocks[name, name]

    def named(self, name: str, value: Tensor) -> Tensor:
        if self.taps is not None:
            self.taps[name] = value
        return value
