"""Cells drawn at random, run by the native engine: values and gradients of the reference, whatever is asked.

``RONDO_EXAMPLES`` says how many are drawn; ``make nightly`` draws thousands.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from rondo.backends import BACKENDS, StepBackend
from rondo.backends.cpu.native import why_not
from rondo.cells import Cell, State
from rondo.ir import size_of
from rondo.ir.graph import Parameter
from rondo.testing.tolerances import TOLERANCES, difference
from tests.backends.cpu.planned import sizes_for
from tests.backends.cpu.sets import SETS
from tests.cells.random_cells import random_cell

EXAMPLES = int(os.environ.get("RONDO_EXAMPLES", "150"))
KINDS, DTYPES = ("training", "recomputing", "inference", "steps"), (torch.float32, torch.float64)
FEW, MANY = (6, 8, 40), (40, 60, 72)
"""The most of B, T and H."""
SHARPEST = 1e-9
"""By how much results in float64 may differ: a program of random operations makes more of an error than a cell."""
ROUNDINGS = 30
"""What rounding at each operation does is at most so many times what it does in the numbers that a program is given."""

Results = dict[str, Tensor]


@dataclass(frozen=True)
class Drawn:
    """A stack of layers of one cell, with everything it is given."""

    cell: Cell
    sizes: list[dict[str, int]]
    leaves: dict[str, Tensor]
    """x, and by layer "0 weight_hh", "0 given h", "0 initial h"."""
    outer: list[Tensor]
    """By which the results are weighted: the outputs, and the parts of the state."""
    options: dict[str, Any]
    training: bool

    def cast(self, dtype: torch.dtype) -> Drawn:
        leaves = {name: value.to(dtype) for name, value in self.leaves.items()}
        return replace(self, leaves=leaves, outer=[value.to(dtype) for value in self.outer])

    def disturbed(self, by: float) -> Drawn:
        """Each number rounded to one that is next to it, if ``by`` is the precision."""
        random = torch.Generator().manual_seed(7)
        off = {n: 1 + by * torch.randn(v.shape, generator=random, dtype=v.dtype) for n, v in self.leaves.items()}
        return replace(self, leaves={name: value * off[name] for name, value in self.leaves.items()})

    def state(self, leaves: Mapping[str, Tensor], layer: int, when: str = "given") -> State:
        return State(**{part: leaves[f"{layer} {when} {part}"] for part in self.cell.state_widths})

    def weights(self, leaves: Mapping[str, Tensor], layer: int) -> dict[str, Tensor]:
        named = {p.name: leaves.get(f"{layer} {p.name}") for p in self.cell.parameters}
        return {name: value for name, value in named.items() if value is not None}

    def run(self, backend: str, **more: Any) -> Results:
        """The results, and all gradients of their weighting if it is a run for training."""
        own = {name: value.clone().requires_grad_(self.training) for name, value in self.leaves.items()}
        initial = {"initial": self.state(own, 0, "initial")} if "0 initial h" in own else {}
        sequence, found = own["x"], {}
        for layer in range(len(self.sizes)):
            given = self.weights(own, layer), sequence, self.state(own, layer)
            sequence, state = BACKENDS[backend].unroll(self.cell, *given, **self.options, **initial, **more)
            found |= {f"{layer} {part}": value for part, value in state.parts().items()}
        found = {"sequence": sequence, **found}
        if not self.training:
            return found
        weighted = zip(found.values(), self.outer, strict=True)
        total = sum(((value * w[:, : value.shape[1]]).sum() for value, w in weighted), torch.zeros(()))
        leaves = list(own.values())
        of = torch.autograd.grad(total, leaves, allow_unused=True) if total.requires_grad else [None] * len(leaves)
        return found | {
            f"gradient of {name}": torch.zeros_like(leaf) if gradient is None else gradient
            for (name, leaf), gradient in zip(own.items(), of, strict=True)
        }

    def run_steps(self) -> Results:
        """The same values, by the engine's stepper."""
        engine, layers, x = BACKENDS["cpu"], range(len(self.sizes)), self.leaves["x"]
        assert isinstance(engine, StepBackend)
        weights = [self.weights(self.leaves, layer) for layer in layers]
        steps = engine.steps(self.cell, weights, self.sizes, len(x), zoneout=self.options.get("zoneout"))
        assert steps is not None
        steps.write([self.state(self.leaves, layer) for layer in layers])
        outputs = []
        for x_t in x.unbind(1):
            dense = x_t.contiguous()
            steps.step(dense.data_ptr())
            outputs.append(steps.output.clone())
        ended = {f"{n} {part}": value for n, state in enumerate(steps.read()) for part, value in state.parts().items()}
        return {"sequence": torch.stack(outputs, 1), **ended}


ASKED = ["bias", "lengths", "reset", "initial", "zoneout", "rate", "reverse", "last"]


def draw(data: st.DataObject, kind: str, most: tuple[int, int, int], dtype: torch.dtype) -> Drawn:
    cell = random_cell(data, smooth=dtype == torch.float32)
    B, T = data.draw(st.integers(1, most[0])), data.draw(st.integers(1, most[1]))
    H = data.draw(st.integers(1, most[2]))
    sizes = [sizes_for(cell, {"input": 3, "hidden": H, "projection": 2})]
    asked = data.draw(st.sets(st.sampled_from(ASKED)))
    if kind == "steps":
        asked &= {"bias", "rate"}
        sizes += [{**sizes[0], "input": sizes[0]["hidden"]}] * data.draw(st.integers(0, 1))
    random = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    def weight(p: Parameter, shape: tuple[int, ...]) -> Tensor:
        # What is wrong by rounding is not to grow from step to step, where there are many or few digits.
        calm = p.kind == "matrix" and (most == MANY or dtype == torch.float32)
        return normal(*shape) * (0.6 / shape[1] ** 0.5 if calm else 0.4)

    widths = {part: size_of(width, sizes[0]) for part, width in cell.state_widths.items()}
    leaves = {"x": normal(B, T, sizes[0]["input"])}
    for layer, of_layer in enumerate(sizes):
        stored = [p for p in cell.parameters if "bias" in asked or p.kind != "bias"]
        leaves |= {f"{layer} {p.name}": weight(p, p.shape(of_layer)) for p in stored}
        leaves |= {f"{layer} given {part}": normal(B, n) for part, n in widths.items()}
    if "initial" in asked:
        leaves |= {f"0 initial {part}": normal(B, n) for part, n in widths.items()}
    options: dict[str, Any] = {"reverse": "reverse" in asked, "outputs": "last" not in asked}
    if "lengths" in asked:
        options["lengths"] = torch.randint(0, T + 1, (B,), generator=random)
    if "reset" in asked:
        options["reset"] = torch.rand(B, T, generator=random) < 0.3
    if "zoneout" in asked:
        options["zoneout"] = {part: torch.rand(B, T, n, generator=random) < 0.4 for part, n in widths.items()}
    elif "rate" in asked:
        options["zoneout"] = dict.fromkeys(widths, 0.3)
    outer = [normal(B, T, widths["h"]), *(normal(B, n) for n in widths.values())]
    return Drawn(cell, sizes, leaves, outer, options, kind in ("training", "recomputing")).cast(dtype)


def too_far(drawn: Drawn, found: Results, expected: Results, most: tuple[int, int, int]) -> dict[str, float]:
    """Results farther off than the table says, and than rounding explains in a program that makes much of it."""
    dtype = drawn.leaves["x"].dtype
    table = TOLERANCES[dtype]
    limits = {name: table.gradients if name.startswith("gradient") else table.values for name in expected}
    if dtype == torch.float64:
        limits = dict.fromkeys(expected, SHARPEST)
    off = {name: difference(found[name], value) for name, value in expected.items()}
    far = {name: d for name, d in off.items() if not d <= limits[name]}
    if not far or (dtype == torch.float64 and most == FEW):
        return far
    disturbed = drawn.cast(torch.float64).disturbed(torch.finfo(dtype).eps).run("reference")
    return {name: d for name, d in far.items() if not d <= ROUNDINGS * difference(disturbed[name], expected[name])}


@contextmanager
def threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
@settings(
    max_examples=-(-EXAMPLES // (len(KINDS) * len(DTYPES))),
    deadline=None,
    derandomize="RONDO_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_random_cells(kind: str, dtype: torch.dtype, data: st.DataObject) -> None:
    most = data.draw(st.sampled_from([FEW] * 5 + [MANY]))
    drawn = draw(data, kind, most, dtype)
    recompute = data.draw(st.sampled_from([1, 3, "auto"])) if kind == "recomputing" else None
    expected = drawn.cast(torch.float64).run("reference")
    isa, team = data.draw(st.sampled_from(SETS)), data.draw(st.integers(1, 2))
    with pytest.MonkeyPatch.context() as patch, threads(team):
        patch.setenv("RONDO_ISA", isa)
        found = drawn.run_steps() if kind == "steps" else drawn.run("cpu", recompute_steps=recompute)
    far = too_far(drawn, found, expected, most)
    assert not far
