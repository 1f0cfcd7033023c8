"""The instruction sets of the engine that this machine and this build have, the best one first."""

from __future__ import annotations

from rondo.backends.cpu.native import engine_module

_MODULE = engine_module()
SETS = [isa for isa in ("avx512", "avx2", "generic") if _MODULE is not None and _MODULE.instruction_set(isa)]
