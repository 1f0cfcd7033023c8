"""A quick check that the numbers are right on this machine, without any test tool: what `rondo doctor` runs.

The reference is held against the definition in NumPy, in float64; every other backend that runs the cell
against the reference, in float32. Values and all gradients, on random weights, states and inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rondo.backends import BACKENDS, Backend, Request
from rondo.cells import Cell, State
from rondo.ir import differentiate, size_of
from rondo.ir.interpret import backpropagate, unroll
from rondo.testing.tolerances import TOLERANCES, difference

BATCH, STEPS = 3, 11
SIZES = {"input": 5, "hidden": 8, "projection": 4}

Results = Mapping[str, Tensor]


@dataclass(frozen=True)
class Check:
    """How far a backend is from what it must equal."""

    cell: str
    backend: str
    against: str
    """What it is compared with."""
    error: float
    """The largest difference of outputs and gradients, relative as `tolerances` says."""
    allowed: float

    @property
    def good(self) -> bool:
        return self.error <= self.allowed

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "good": self.good}


def check_cell(cell: Cell, *, seed: int = 0) -> list[Check]:
    """One check for each backend that runs the cell."""
    case = _Case(cell, seed)
    checks = []
    for name, backend in BACKENDS.items():
        if name == "reference":
            error, dtype = _worst(case.run(backend, torch.float64), case.by_definition()), torch.float64
        else:
            dtype = torch.float32
            if backend.refuses(case.request(dtype)) is not None:
                continue
            error = _worst(case.run(backend, dtype), case.run(BACKENDS["reference"], dtype))
        against = "NumPy" if name == "reference" else "reference"
        checks.append(Check(cell.name, name, against, error, TOLERANCES[dtype].gradients))
    return checks


class _Case:
    """A cell with random weights, and a random weighting of its outputs whose gradient is taken."""

    def __init__(self, cell: Cell, seed: int) -> None:
        self.cell = cell
        self.sizes = {name: size for name, size in SIZES.items() if name != "projection" or cell.has_projection}
        random = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=random, dtype=torch.float64)

        self.weights = {p.name: 0.4 * normal(*p.shape(self.sizes)) for p in cell.parameters}
        self.x = normal(BATCH, STEPS, self.sizes["input"])
        # Parts beyond h and c normalise others: they are kept away from zero.
        parts = {part: normal(BATCH, size_of(width, self.sizes)) for part, width in cell.state_widths.items()}
        self.state = {p: 0.5 * v if p in ("h", "c") else v.abs() + 0.5 for p, v in parts.items()}
        self.outer = normal(BATCH, STEPS, size_of(cell.state_widths["h"], self.sizes))

    def request(self, dtype: torch.dtype) -> Request:
        return Request(self.cell, self.sizes, bias=True, dtype=dtype, device=torch.device("cpu"))

    def run(self, backend: Backend, dtype: torch.dtype) -> Results:
        """Outputs and gradients as a backend gives them."""
        leaves = {"x": self.x, **self.weights, **self.state}
        leaves = {name: value.to(dtype, copy=True).requires_grad_() for name, value in leaves.items()}
        weights = {name: leaves[name] for name in self.weights}
        state = State(**{part: leaves[part] for part in self.state})
        sequence, _ = backend.unroll(self.cell, weights, leaves["x"], state)
        gradients = torch.autograd.grad((sequence * self.outer.to(dtype)).sum(), list(leaves.values()))
        return {"outputs": sequence, **dict(zip(leaves, gradients, strict=True))}

    def by_definition(self) -> Results:
        """The same, from the graph and its derivative."""
        derivative = differentiate(self.cell.graph)
        weights = {name: value.numpy() for name, value in self.weights.items()}
        state = {part: value.numpy() for part, value in self.state.items()}
        x, outer = self.x.numpy(), self.outer.numpy()
        states, residuals = unroll(derivative, self.sizes, weights, x, state)
        from_loss = [{"h": outer[:, t]} for t in range(STEPS)]
        gradients = backpropagate(derivative, self.sizes, weights, x, states, residuals, from_loss)
        outputs = torch.as_tensor(np.stack([after["h"] for after in states[1:]], 1))
        found = {"x": gradients[0], **gradients[1], **gradients[2]}
        return {"outputs": outputs, **{name: torch.tensor(value) for name, value in found.items()}}


def _worst(one: Results, other: Results) -> float:
    return max(difference(one[name], other[name]) for name in one)
