"""Every backend on every cell: values, gradients and the properties that all must have."""

from __future__ import annotations

import pytest

from rondo.backends.cpu.native import engine_module
from rondo.testing.conformance import BackendConformance


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


class OfEngine(BackendConformance):
    """The engine, with one instruction set of those it was built for."""

    backend = "cpu"
    isa: str

    @pytest.fixture(autouse=True)
    def forced(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RONDO_ISA", self.isa)


@pytest.mark.skipif(lacking("avx512") is not None, reason=str(lacking("avx512")))
class TestAvx512(OfEngine):
    isa = "avx512"


@pytest.mark.skipif(lacking("avx2") is not None, reason=str(lacking("avx2")))
class TestAvx2(OfEngine):
    isa = "avx2"


@pytest.mark.skipif(lacking("generic") is not None, reason=str(lacking("generic")))
class TestGeneric(OfEngine):
    isa = "generic"
