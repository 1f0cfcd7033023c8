"""Write plans of real cells for the native tests anew: ``python -m tests.native.write_plans``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

from rondo.backends.cpu.lower import plans_for
from rondo.backends.cpu.native import Encoded
from rondo.backends.cpu.plan import Plan
from rondo.cells import registry

FILE = Path(__file__).parents[2] / "native" / "tests" / "plans_encoded.h"
CELLS = ("gru", "gru_reset_before", "lstm_layer_norm", "lstm_projected", "slstm", "min_gru")

HEAD = """\
// Plans of cells of the registry, as the Python module gets them (see make_plan in module.cpp): all numbers one after
// the other, a list behind its length. plans_testing.h reads them.
// Written by `python -m tests.native.write_plans`; a test in Python holds them to the cells.

#pragma once

#include <vector>

namespace rondo::testing {

struct EncodedCell {
    const char* name;
    // Forward and backward; the same where sequences begin anew inside; inference.
    std::vector<double> plans[5];
};

// clang-format off
inline const std::vector<EncodedCell> encoded_cells = {
"""
FOOT = """\
};
// clang-format on

}  // namespace rondo::testing
"""


def numbers(value: Any) -> Iterator[str]:
    """What the module gets as lists, tuples and numbers. A tuple's length is known."""
    if isinstance(value, (list, tuple)):
        if isinstance(value, list):
            yield str(len(value))
        for one in value:
            yield from numbers(one)
    else:
        yield repr(float(value)).removesuffix(".0")


def encoded(plan: Plan) -> str:
    """One plan as an initialiser in C++."""
    module = cast(ModuleType, SimpleNamespace(make_plan=lambda *given: given))
    text = ",".join(numbers(Encoded(module, plan).native))
    return "  {" + "\n".join(textwrap.wrap(text.replace(",", ", "), 116)).replace(", ", ",") + "}"


def header() -> str:
    """The whole file."""
    entries = []
    for name in CELLS:
        cell = registry[name]
        plain, restarting = (plans_for(cell, restarts=restarts) for restarts in (False, True))
        inference = plans_for(cell, training=False).forward
        plans = [plain.forward, plain.backward, restarting.forward, restarting.backward, inference]
        if any(plan is None or plan.parameters != inference.parameters for plan in plans):
            raise AssertionError(f"{name}: the native tests give all plans of a cell the same parameters")
        entries.append(f'{{"{name}", {{\n' + ",\n".join(encoded(plan) for plan in plans if plan) + "}},\n")
    return HEAD + "".join(entries) + FOOT


def main() -> None:
    FILE.write_text(header(), encoding="utf-8")


if __name__ == "__main__":
    main()
