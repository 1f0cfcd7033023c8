"""Cells drawn at random, run by the native engine: values and gradients of the reference, whatever is asked.

``RONDO_EXAMPLES`` says how many are drawn; ``make nightly`` draws thousands.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from rondo.backends import BACKENDS
from rondo.backends.cpu.native import engine_module, why_not
from rondo.cells import State
from rondo.ir import size_of
from rondo.testing.tolerances import difference
from tests.backends.cpu.planned import sizes_for
from tests.cells.random_cells import random_cell

EXAMPLES = int(os.environ.get("RONDO_EXAMPLES", "150"))
MODULE = engine_module()
SETS = [isa for isa in ("avx512", "avx2", "generic") if MODULE is not None and MODULE.instruction_set(isa)]


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="RONDO_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_random_cells(data: st.DataObject) -> None:
    cell = random_cell(data)
    B, T = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 8))
    sizes = sizes_for(cell, {"input": 3, "hidden": data.draw(st.integers(1, 40)), "projection": 2})
    asked = data.draw(st.sets(st.sampled_from(["bias", "lengths", "reset", "initial", "zoneout", "rate", "reverse"])))
    random = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    widths = {part: size_of(width, sizes) for part, width in cell.state_widths.items()}
    stored = [p for p in cell.parameters if "bias" in asked or p.kind != "bias"]
    leaves = {p.name: 0.4 * normal(*p.shape(sizes)) for p in stored}
    leaves |= {"x": normal(B, T, sizes["input"])}
    leaves |= {f"{when} {part}": normal(B, n) for when in ("given", "initial") for part, n in widths.items()}
    options: dict[str, Any] = {"reverse": "reverse" in asked}
    if "lengths" in asked:
        options["lengths"] = torch.randint(0, T + 1, (B,), generator=random)
    if "reset" in asked:
        options["reset"] = torch.rand(B, T, generator=random) < 0.3
    if "zoneout" in asked:
        options["zoneout"] = {part: torch.rand(B, T, n, generator=random) < 0.4 for part, n in widths.items()}
    elif "rate" in asked:
        options["zoneout"] = dict.fromkeys(widths, 0.3)
    outer = [normal(B, T, widths["h"]), *(normal(B, n) for n in widths.values())]

    def run(backend: str) -> dict[str, Tensor]:
        own = {name: value.clone().requires_grad_() for name, value in leaves.items()}
        states = [State(**{part: own[f"{when} {part}"] for part in widths}) for when in ("given", "initial")]
        weights = {p.name: own[p.name] for p in stored}
        more = {"initial": states[1]} if "initial" in asked else {}
        sequence, state = BACKENDS[backend].unroll(cell, weights, own["x"], states[0], **options, **more)
        results = [sequence, *state.parts().values()]
        total = sum(((value * w).sum() for value, w in zip(results, outer, strict=True)), torch.zeros(()))
        found = torch.autograd.grad(total, list(own.values()), allow_unused=True)
        values = dict(zip(["sequence", *widths], results, strict=True))
        return values | {
            f"gradient of {name}": torch.zeros_like(leaf) if gradient is None else gradient
            for (name, leaf), gradient in zip(own.items(), found, strict=True)
        }

    expected = run("reference")
    isa = data.draw(st.sampled_from(SETS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RONDO_ISA", isa)
        found = run("cpu")
    far = {name: d for name in expected if not (d := difference(found[name], expected[name])) <= 1e-9}
    assert not far
