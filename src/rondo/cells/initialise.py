"""Initial values of a cell's weights, by named schemes.

``uniform``: everything uniform in ±1/sqrt(hidden), as torch.nn's recurrent layers.
``orthogonal``: each gate's recurrent matrix orthogonal (Saxe et al. 2014), input matrices Glorot
uniform, biases zero.
``identity``: recurrent matrices the identity, input matrices normal with standard deviation
0.001, biases zero: the IRNN of Le et al. 2015, "A Simple Way to Initialize Recurrent Networks of
Rectified Linear Units".

On top of a scheme: ``forget_bias`` sets the bias of the gate that keeps the state (Gers et al.
2000; Jozefowicz et al. 2015), and ``chrono`` draws it as log of a uniform number in [1, T - 1],
the input gate's as its negative (Tallec and Ollivier 2018, "Can recurrent neural networks warp
time?", section 2), for dependencies up to T steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from numbers import Real
from typing import Any

import torch
from torch import Generator, Tensor

from rondo.errors import UsageError, nearest
from rondo.ir import Parameter

SCHEMES = ("uniform", "orthogonal", "identity")

_LARGEST = 10**9
"""No bias or number of steps in a saved cell is larger."""


@dataclass(frozen=True)
class Initialisation:
    """A scheme, what is set on top of it, and the gates that this concerns."""

    scheme: str = "uniform"
    forget_bias: float | None = None
    chrono: int | None = None
    keep: str | None = None
    """The gate that keeps the state when it is 1; with a leading minus, when it is 0."""
    write: str | None = None
    """The gate that lets new content in, where there is one besides ``keep``."""

    def replaced(self, *, scheme: str | None, forget_bias: float | None, chrono: int | None) -> Initialisation:
        """With what the user asked for; ``chrono`` and ``forget_bias`` replace each other."""
        if forget_bias is not None and chrono is not None:
            raise UsageError("forget_bias and chrono both set the same bias: give one of them")
        chosen = self if scheme is None else replace(self, scheme=scheme)
        if forget_bias is not None or chrono is not None:
            chosen = replace(chosen, forget_bias=forget_bias, chrono=chrono)
        return chosen

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Initialisation:
        read = cls(**{name: data[name] for name in asdict(cls()) if name in data})
        words = all(word is None or isinstance(word, str) for word in (read.keep, read.write))
        bias, chrono = read.forget_bias, read.chrono
        numbers = (bias is None or (type(bias) in (int, float) and abs(bias) <= _LARGEST)) and (
            chrono is None or (type(chrono) is int and abs(chrono) <= _LARGEST)
        )
        if not (isinstance(read.scheme, str) and words and numbers):
            raise ValueError(f"{read} is not an initialisation")
        return read


@torch.no_grad()
def fill(
    cell: str,
    parameters: Sequence[Parameter],
    weights: Mapping[str, Tensor],
    sizes: Mapping[str, int],
    chosen: Initialisation,
    generator: Generator | None,
    *,
    asked: str | None = None,
) -> None:
    """Fill the stored tensors of one layer in place. Biases may be absent.

    ``asked`` names the option if the user asked for a gate's bias: it is refused where there is none.
    """
    _check_numbers(chosen)
    if chosen.scheme not in SCHEMES:
        raise UsageError(f"unknown initialisation '{chosen.scheme}'{nearest(str(chosen.scheme), SCHEMES)}")
    if all(tensor.is_meta for tensor in weights.values()):
        return  # nothing is there to be filled: only the shapes are asked for
    for parameter in parameters:
        if parameter.name not in weights:
            continue
        tensor = weights[parameter.name]
        if parameter.kind == "vector":
            _vector(tensor, parameter, generator)
        elif chosen.scheme == "uniform":
            bound = 1.0 / math.sqrt(sizes["hidden"])
            tensor.uniform_(-bound, bound, generator=generator)
        elif parameter.kind == "bias":
            tensor.zero_()
        else:
            for block in parameter.blocks:
                rows = tensor[parameter.block_rows(block, sizes)]
                for head in rows.chunk(parameter.heads):
                    _matrix(cell, parameter, head, chosen.scheme, generator)
    _gate_biases(cell, parameters, weights, sizes, chosen, generator, insist=asked is not None)


def _check_numbers(chosen: Initialisation) -> None:
    bias, steps = chosen.forget_bias, chosen.chrono
    if bias is not None and (not isinstance(bias, Real) or isinstance(bias, bool) or not math.isfinite(bias)):
        raise UsageError(f"forget_bias is a finite number, not {bias!r}")
    if steps is not None and (not isinstance(steps, int) or isinstance(steps, bool) or steps < 3):
        raise UsageError(f"chrono = {steps!r}: give the longest dependency in steps, a whole number of at least 3")


def _vector(tensor: Tensor, parameter: Parameter, generator: Generator | None) -> None:
    if isinstance(parameter.init, tuple):
        tensor.uniform_(*parameter.init, generator=generator)
    else:
        tensor.fill_(parameter.init or 0.0)


def _matrix(cell: str, parameter: Parameter, tensor: Tensor, scheme: str, generator: Generator | None) -> None:
    if parameter.name != "weight_hh":
        if scheme == "identity" and parameter.name == "weight_ih":
            tensor.normal_(0.0, 0.001, generator=generator)
        else:
            torch.nn.init.xavier_uniform_(tensor, generator=generator)
    elif scheme == "identity":
        if tensor.shape[0] != tensor.shape[1]:
            raise UsageError(f"cell '{cell}': an identity needs a square recurrent matrix, not {tuple(tensor.shape)}")
        torch.nn.init.eye_(tensor)
    else:
        full = tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
        tensor.copy_(torch.nn.init.orthogonal_(full, generator=generator))  # torch has no QR in half precision


def _gate_biases(
    cell: str,
    parameters: Sequence[Parameter],
    weights: Mapping[str, Tensor],
    sizes: Mapping[str, int],
    chosen: Initialisation,
    generator: Generator | None,
    *,
    insist: bool,
) -> None:
    if chosen.forget_bias is None and chosen.chrono is None:
        return
    asked = "forget_bias" if chosen.chrono is None else "chrono"
    if chosen.keep is None:
        raise UsageError(f"{asked}: cell '{cell}' names no gate that keeps the state; mark it with @cell(keep=...)")
    gate, sign = chosen.keep.lstrip("-"), -1.0 if chosen.keep.startswith("-") else 1.0
    held = _bias_of(gate, parameters, weights, sizes)
    if not held:
        if any(p.kind == "bias" and p.name in weights for p in parameters):
            raise UsageError(f"{asked}: gate '{gate}' of cell '{cell}' has no bias to set")
        if insist:
            raise UsageError(f"{asked} sets the bias of gate '{gate}', which is not there: biases are switched off")
        return  # a layer without biases: the cell's own default has nothing to act on
    if chosen.chrono is None:
        value = torch.full_like(held[0], chosen.forget_bias or 0.0)
    else:
        value = torch.empty_like(held[0]).uniform_(1.0, chosen.chrono - 1.0, generator=generator).log_()
    _set(held, sign * value)
    if chosen.chrono is not None and chosen.write is not None:
        _set(_bias_of(chosen.write, parameters, weights, sizes), -value)


def _bias_of(
    gate: str, parameters: Sequence[Parameter], weights: Mapping[str, Tensor], sizes: Mapping[str, int]
) -> list[Tensor]:
    """The rows of a gate in the biases, or the learned vector ``b_<gate>`` of a cell that has that instead."""
    stored = [p for p in parameters if p.name in weights]
    rows = [weights[p.name][p.block_rows(gate, sizes)] for p in stored if p.kind == "bias" and gate in p.blocks]
    return rows or [weights[p.name] for p in stored if p.kind == "vector" and p.name == f"b_{gate}"]


def _set(held: Sequence[Tensor], value: Tensor) -> None:
    """The gate's whole bias goes into the first of them, zero into the other."""
    for position, rows in enumerate(held):
        rows.copy_(value if position == 0 else torch.zeros_like(value))
