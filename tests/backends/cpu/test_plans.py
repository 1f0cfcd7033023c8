"""Plans mean what the cell means: interpreted in NumPy they agree with the reference, gradients included."""

from __future__ import annotations

import pytest

from rondo.cells import Cell
from rondo.testing.conformance import all_cells
from tests.backends.cpu.planned import Situation, differences

CELLS = all_cells()
SITUATIONS = {
    "plain": Situation(),
    "no-bias": Situation(bias=False),
    "recurrent-dropout": Situation(recurrent_dropout=True),
    "zoneout-mask": Situation(zoneout="mask"),
    "zoneout-rate": Situation(zoneout="rate", bias=False),
    "everything": Situation(recurrent_dropout=True, zoneout="mask", restarts=True),
    "one-step": Situation(T=1, B=1),
    "no-dy": Situation(dy=False, restarts=True),
    "no-dx": Situation(dx=False),
}


@pytest.mark.parametrize("asked", SITUATIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_plans_agree_with_the_reference(cell: str, asked: str) -> None:
    found: Cell = CELLS[cell]
    far = {name: d for name, d in differences(found, SITUATIONS[asked]).items() if not d <= 1e-10}
    assert not far
