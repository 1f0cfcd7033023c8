"""The native module, and plans in the form it takes.

The module is built when Rondo is installed; where no compiler was found it is missing, and torch runs
instead. ``RONDO_ISA`` (avx512, avx2, generic) forces an instruction set, for tests.
"""

from __future__ import annotations

import ctypes.util
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from rondo.backends.cpu.plan import Group, Instruction, Plan, Stage
from rondo.ir.graph import WIDTHS

_ROLES = ("x", "state", "mask", "own", "dy", "carry", "dx")
_NUMBERS = {width: number for number, width in enumerate(WIDTHS)}


@lru_cache(maxsize=1)
def engine_module() -> ModuleType | None:
    """The native module, or None where it was not built."""
    try:
        from rondo import _engine
    except ImportError:
        return None
    if runtime := _openmp():
        _engine.use_openmp(runtime)
    return _engine


def why_not() -> str | None:
    """Why the engine cannot run on this machine, or None when it can."""
    module = engine_module()
    if module is None:
        return "the native module is not there: no compiler was found when Rondo was installed"
    if not module.instruction_set(forced()):
        return f"RONDO_ISA asks for '{forced()}', which this machine or this build does not have"
    return None


def forced() -> str:
    """The instruction set that ``RONDO_ISA`` asks for, or nothing."""
    module = engine_module()
    return os.environ.get("RONDO_ISA", "") if module is None else str(module.forced())


def _openmp() -> str | None:
    """The OpenMP runtime that torch itself uses: two of them in one process would fight for the cores."""
    folder = Path(torch.__file__).parent
    for place in (folder / "lib", folder.parent / "torch.libs"):
        if found := sorted(place.glob("libgomp*.so*")):
            return str(found[0])
    return ctypes.util.find_library("gomp")


class Encoded:
    """A plan as the native module has it, with the names by which tensors are found."""

    def __init__(self, module: ModuleType, plan: Plan) -> None:
        self.plan = plan
        self.parameters = tuple(parameter.name for parameter in plan.parameters)
        self.parts = tuple(plan.parts)
        self.masks = tuple(row.name for row in plan.rows if row.role == "mask")
        self.inputs = tuple(dict.fromkeys(row.name for row in plan.rows if row.role in ("x", "dx")))
        self.native = module.make_plan(*_encoded(plan, self.parts, self.masks, self.inputs).values())
        self._module = module

    def engine(self, sizes: tuple[int, ...], dtype: torch.dtype, threads: int, isa: str, reduced: bool) -> Any:
        """The plan with sizes (one, input, hidden, projection), ready to run; ``isa`` as `forced`."""
        kind = self._module.EngineFloat32 if dtype == torch.float32 else self._module.EngineFloat64
        return kind(self.native, sizes, threads, isa, reduced)


_plans: dict[int, Encoded] = {}


def engine_for(plan: Plan, sizes: tuple[int, ...], dtype: torch.dtype, *, reduced: bool = False) -> tuple[Encoded, Any]:
    """The plan in native form, and the engine that runs it with ``sizes`` (of `WIDTHS`).

    ``reduced``: its products are in bfloat16.
    """
    encoded = _native(plan)
    return encoded, _engine(encoded, sizes, dtype, torch.get_num_threads(), forced(), reduced)


def _native(plan: Plan) -> Encoded:
    """The plan in native form, once for each plan; `plans_for` gives the same object for the same cell."""
    found = _plans.get(id(plan))
    if found is None or found.plan is not plan:
        module = engine_module()
        if module is None:
            raise RuntimeError("the native module is not there")
        found = _plans[id(plan)] = Encoded(module, plan)
    return found


@lru_cache(maxsize=1024)
def _engine(encoded: Encoded, sizes: tuple[int, ...], dtype: torch.dtype, threads: int, isa: str, reduced: bool) -> Any:
    return encoded.engine(sizes, dtype, threads, isa, reduced)


def _encoded(plan: Plan, parts: Sequence[str], masks: Sequence[str], inputs: Sequence[str]) -> dict[str, Any]:
    names = {parameter.name: number for number, parameter in enumerate(plan.parameters)}

    def references(lists: Sequence[Sequence[tuple[str, int]]]) -> list[list[tuple[int, int]]]:
        return [[(names[name], block) for name, block in one] for one in lists]

    def group(one: Group) -> tuple[Any, ...]:
        matrices = [
            [(-1, 0, False) if m is None else (names[m.parameter], m.block, m.transposed) for m in row]
            for row in one.matrices
        ]
        return list(one.destinations), list(one.starts), list(one.sources), matrices

    def number(role: str, name: str) -> int:
        numbered = {"state": parts, "carry": parts, "mask": masks, "x": inputs, "dx": inputs}
        return numbered[role].index(name) if role in numbered else 0

    return {
        "operands": [(int(o.place), _NUMBERS[o.width], o.index, o.ahead) for o in plan.operands],
        "stages": [_stage(stage, group) for stage in plan.stages],
        "kept": [plan.kept.get(width, 0) for width in WIDTHS],
        "work": [plan.work.get(width, 0) for width in WIDTHS],
        "temporaries": plan.temporaries,
        "rows": [
            (_ROLES.index(row.role), number(row.role, row.name), _NUMBERS[row.width], int(row.timed))
            for row in plan.rows
        ],
        "vectors": references(plan.vectors),
        "constants": [(c.value, -1 if c.over_units_of is None else _NUMBERS[c.over_units_of]) for c in plan.constants],
        "hoisted": [group(one) for one in plan.hoisted],
        "after": [group(one) for one in plan.after],
        "outers": [
            (outer.right, [(slot, names[name], block) for slot, name, block in outer.lefts]) for outer in plan.outers
        ],
        "gradients": references(plan.gradients),
        "parameters": [
            (_NUMBERS[p.rows], -1 if p.columns is None else _NUMBERS[p.columns], len(p.blocks), p.heads)
            for p in plan.parameters
        ],
        "state_widths": [_NUMBERS[width] for width in plan.parts.values()],
    }


def _stage(stage: Stage, group: Any) -> tuple[Any, ...]:
    return (
        _NUMBERS[stage.width],
        [group(one) for one in stage.groups],
        [_instruction(one) for one in stage.code],
        list(stage.reductions),
        [_instruction(one) for one in stage.row_code],
    )


def _instruction(one: Instruction) -> tuple[int, ...]:
    return (int(one.code), one.dst, *(one.args + one.args[:1] * 4)[:4])
