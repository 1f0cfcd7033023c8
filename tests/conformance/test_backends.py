"""Every backend on every cell: values, gradients and the properties that all must have."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor

from rondo.backends import BACKENDS
from rondo.backends.cpu.native import engine_module
from rondo.cells import Cell, State
from rondo.testing.conformance import BackendConformance, Case, gradients, make_case
from rondo.testing.tolerances import assert_close

Results = dict[str, Tensor]


class TestReference(BackendConformance):
    backend = "reference"


class TestVendor(BackendConformance):
    backend = "vendor"


def lacking(isa: str) -> str | None:
    """Why the engine's code for an instruction set cannot be tested here, or None where it can."""
    module = engine_module()
    if module is None:
        return "the native module is not there"
    return None if module.instruction_set(isa) else f"this machine or this build has no {isa}"


LARGE: dict[str, tuple[tuple[int, int, int, int], tuple[str, ...]]] = {
    "rows": ((17, 26, 5, 35), ()),
    "panels": ((6, 75, 3, 100), ("reverse",)),
    "cut": ((40, 24, 5, 35), ("lengths", "reset", "initial")),
}
"""Three chunks and more forward, two and more backward (FORWARD_ROWS and BACKWARD_ROWS in run.cpp); two threads divide
the rows of the batch, the units, and the rows in which sequences lie end to end."""


@cache
def by_reference(cell: Cell, large: str) -> tuple[Case, Results]:
    """Such a case, and what the reference finds in float64: the oracle would take minutes."""
    case = make_case(cell, *LARGE[large], seed=13)
    for name in case.weights:
        if name.startswith(("weight_hh", "gain_h")):  # an error of rounding is not to grow from step to step
            case.weights[name] *= 0.5
    own = case.cast(torch.float64)
    sequence, state = own.run(BACKENDS["reference"])
    return case, {name: value.detach() for name, value in results(own, sequence, state).items()}


def results(case: Case, sequence: Tensor, state: State) -> Results:
    found = {f"gradient of {name}": value for name, value in gradients(case, sequence, state).items()}
    return {"sequence": sequence, **state.parts(), **found}


class OfEngine(BackendConformance):
    """The engine, with one instruction set of those it was built for."""

    backend = "cpu"
    isa: str

    @pytest.fixture(autouse=True)
    def forced(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RONDO_ISA", self.isa)

    @pytest.mark.parametrize("threads", [1, 2])
    @pytest.mark.parametrize("large", LARGE)
    def test_many_chunks(self, cell: Cell, large: str, threads: int, dtype: torch.dtype) -> None:
        case, expected = by_reference(cell, large)
        own, before = case.cast(dtype), torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            found = results(own, *own.run(self.runs))
        finally:
            torch.set_num_threads(before)
        for name, value in expected.items():
            assert_close(found[name], value, dtype, what=name, gradients=name.startswith("gradient"))


@pytest.mark.skipif(lacking("avx512") is not None, reason=str(lacking("avx512")))
class TestAvx512(OfEngine):
    isa = "avx512"


@pytest.mark.skipif(lacking("avx2") is not None, reason=str(lacking("avx2")))
class TestAvx2(OfEngine):
    isa = "avx2"


@pytest.mark.skipif(lacking("generic") is not None, reason=str(lacking("generic")))
class TestGeneric(OfEngine):
    isa = "generic"
