"""Run a cell by torch and by its derived graphs in NumPy, and say how far they are apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rondo.cells import Cell, State, get_cell, registry
from rondo.ir import Graph, differentiate, size_of
from rondo.ir.interpret import backpropagate, unroll

SIZES = {"input": 3, "hidden": 4, "projection": 2}
STEPS, BATCH = 6, 5


def variants() -> dict[str, Cell]:
    """Every registered cell, and those that options make of them."""
    return {
        **registry,
        "rnn_relu": get_cell("rnn", nonlinearity="relu"),
        "slstm_2_heads": get_cell("slstm", heads=2),
        "slstm_4_heads": get_cell("slstm", heads=4),
        "janet_beta_2": get_cell("janet", beta=2.0),
    }


@dataclass
class Run:
    """Random weights, inputs and initial state of a cell, in float64, and the gradients given to it."""

    cell: Cell
    sizes: dict[str, int]
    weights: dict[str, Tensor]
    x: Tensor
    state: State
    outer: list[dict[str, Tensor]]
    masks: dict[str, Tensor]

    def unrolled(self) -> list[State]:
        step, state, states = self.cell.bind(self.weights, self.sizes, masks=self.masks), self.state, []
        for t in range(self.x.shape[1]):
            state = step(self.x[:, t], state)
            states.append(state)
        return states


def make_run(cell: Cell, *, bias: bool = True, mask: bool = False, seed: int = 0, steps: int = STEPS) -> Run:
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    weights = {
        p.name: (0.7 * normal(*p.shape(SIZES))).requires_grad_() for p in cell.parameters if bias or p.kind != "bias"
    }
    parts = {part: normal(BATCH, size_of(width, SIZES)) for part, width in cell.state_widths.items()}
    if "n" in parts:
        parts["n"] = parts["n"].abs() + 0.5  # a normaliser is positive
    state = State(**parts).map(lambda part: part.requires_grad_())
    outer = [
        {part: normal(BATCH, size_of(width, SIZES)) for part, width in cell.state_widths.items()} for _ in range(steps)
    ]
    width = size_of(cell.state_widths["h"], SIZES)
    masks = {"recurrent": (torch.rand(BATCH, width, generator=random) < 0.6).double() / 0.6} if mask else {}
    x = normal(BATCH, steps, SIZES["input"]).requires_grad_()
    return Run(cell, SIZES, weights, x, state, outer, masks)


def differences(run: Run, graph: Graph) -> dict[str, float]:
    """The largest absolute difference between torch and the derived graph, for each value and gradient."""
    states = run.unrolled()
    total = sum(
        (gradient * after.parts()[part]).sum()
        for after, given in zip(states, run.outer, strict=True)
        for part, gradient in given.items()
    )
    leaves = {"x": run.x, **run.state.parts(), **run.weights}
    expected = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)  # type: ignore[arg-type]

    derivative = differentiate(graph)
    weights = {name: weight.detach().numpy() for name, weight in run.weights.items()}
    masks = {name: mask.numpy() for name, mask in run.masks.items()}
    x, state = run.x.detach().numpy(), {part: v.detach().numpy() for part, v in run.state.parts().items()}
    found_states, residuals = unroll(derivative, run.sizes, weights, x, state, masks)
    outer = [{part: gradient.numpy() for part, gradient in given.items()} for given in run.outer]
    gradient_x, first, gradients = backpropagate(
        derivative, run.sizes, weights, x, found_states, residuals, outer, masks
    )
    found = {"x": gradient_x, **first, **gradients}
    result = {
        f"{part} after step {t}": float(np.abs(found_states[t + 1][part] - value.detach().numpy()).max())
        for t, after in enumerate(states)
        for part, value in after.parts().items()
    }
    for (name, leaf), gradient in zip(leaves.items(), expected, strict=True):
        true = torch.zeros_like(leaf) if gradient is None else gradient
        result[f"gradient of {name}"] = float(np.abs(found[name] - true.numpy()).max())
    return result
