"""Every operation and every instruction stands in all the lists that are written by hand.

The engine's sources, and its tests, are read as text. See docs/dev/engine.md, "To add an operation".
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
import pytest

import rondo.cells
from rondo.backends.cpu.interpret import EVALUATE
from rondo.backends.cpu.lower import plans_for
from rondo.backends.cpu.plan import Code
from rondo.backends.cpu.verify import ARITY
from rondo.cells import Cell, State, cell
from rondo.ir.ops import FUNCTIONS, OPS
from rondo.ir.trace import _LANGUAGE
from rondo.testing.conformance import all_cells
from rondo.testing.speed import eager
from tests.backends.cpu.mutations import CONFUSED, EXCHANGED
from tests.cells.random_cells import BINARY, UNARY
from tests.docs.blocks import REPOSITORY

NATIVE = REPOSITORY / "native"
SUMS = [Code.REDUCE, Code.SUM_ROWS]
ELEMENTWISE = [code for code in Code if code not in SUMS]
OPERATORS = {"add", "sub", "mul", "div", "neg", "lt", "le", "gt", "ge"}
LANGUAGE = {op.name for op in OPS.values() if op.kind in ("elementwise", "compare")} | {"mean"}
"""What a cell may write, as an operator or as a word."""


def text_of(path: str) -> str:
    return (NATIVE / path).read_text(encoding="utf-8")


def body_of(function: str, path: str) -> str:
    """A function of a C++ file, from its name to the brace that closes it."""
    (found,) = re.findall(rf"(?ms)^\w[^\n]*\b{function}\(.*?^\}}", text_of(path))
    return str(found)


def codes_in(text: str) -> list[Code]:
    return [Code[name.upper()] for name in re.findall(r"\bCode::(\w+)", text)]


def drawn(op: str) -> Cell:
    """A cell of nothing but what the random cells draw under this name."""

    @cell
    def made(x: Any, h: Any, c: Any) -> State:
        return State(h=UNARY[op](h) if op in UNARY else BINARY[op](h, c), c=c)

    return made


# Operations.


def test_every_operation_has_its_word() -> None:
    functions = {op.name for op in OPS.values() if op.kind == "elementwise" and op.arity == 1} - OPERATORS
    assert set(FUNCTIONS) == functions
    assert set(rondo.cells.__all__) >= LANGUAGE - OPERATORS
    assert set(_LANGUAGE) >= LANGUAGE - OPERATORS


@pytest.mark.parametrize("op", sorted(LANGUAGE - {"where"}))
def test_random_cells_draw_every_operation(op: str) -> None:
    assert op in {**UNARY, **BINARY}
    found = {node.op for node in drawn(op).graph.nodes}
    assert op in found
    assert ("where" in found) == (OPS[op].kind == "compare")


def test_the_plain_loop_has_every_operation() -> None:
    assert {*eager._BINARY, *eager._CALLS, *eager._OF_TWO, "where"} >= LANGUAGE


# Instructions.


def test_the_engine_numbers_instructions_as_plans_do() -> None:
    (listed,) = re.findall(r"(?s)enum class Code : std::int32_t \{(.*?)\}", text_of("src/kernels.h"))
    assert re.findall(r"\w+", listed) == [*(code.name.lower() for code in Code), "count"]
    assert list(Code) == [*range(len(Code))]
    assert [*ELEMENTWISE, *SUMS] == list(Code)  # loops over the elementwise ones end at the first sum


def arguments(function: Any) -> int:
    return function.nin if isinstance(function, np.ufunc) else len(inspect.signature(function).parameters)


def test_all_know_how_many_arguments_an_instruction_has() -> None:
    expected = {code: ARITY.get(code, 1) for code in ELEMENTWISE}
    assert {code: arguments(function) for code, function in EVALUATE.items()} == expected
    compiled = re.findall(r"(?m)^RONDO_OP\((\w+), (\d),", text_of("src/tile.h"))
    assert {Code[name.upper()]: int(count) for name, count in compiled} == expected
    cases = re.findall(r"((?:case Code::\w+:\s*)+)return (\d);", body_of("arity_of", "tests/test_tiles.cpp"))
    tested = {code: int(count) for labels, count in cases for code in codes_in(labels)}
    assert {code: tested.get(code, 2) for code in Code} == {**expected, **dict.fromkeys(SUMS, 1)}


def test_every_instruction_is_tested_by_itself() -> None:
    functions = [code for code in ELEMENTWISE if ARITY.get(code, 1) == 1]
    (names,) = re.findall(r"(?s)names\[\] = \{(.*?)\}", text_of("tests/kernels_testing.h"))
    assert re.findall(r'"(\w+)"', names) == [code.name.lower() for code in Code]
    exact = codes_in(body_of("exact", "tests/kernels_testing.h"))
    assert {*exact, Code.COPY} == set(functions)  # the default is the argument itself
    (listed,) = re.findall(r"(?s)const Code functions\[\] = \{(.*?)\}", text_of("tests/test_kernels.cpp"))
    assert set(codes_in(listed)) == set(functions)
    cases = re.findall(r"case (Code::\w+):", body_of("evaluate", "tests/test_tiles.cpp"))
    assert set(codes_in(" ".join(cases))) == set(ELEMENTWISE) - set(functions)
    assert set(codes_in(body_of("test_reductions", "tests/test_tiles.cpp"))) == set(SUMS)


def test_every_instruction_stands_in_plans_that_are_tested() -> None:
    found = set()
    for made in (*all_cells().values(), *map(drawn, {**UNARY, **BINARY})):
        for plans in (plans_for(made), plans_for(made, training=False)):
            for plan in filter(None, (plans.forward, plans.backward)):
                found |= {one.code for stage in plan.stages for one in (*stage.code, *stage.row_code)}
    assert found == set(Code)


def test_every_instruction_is_mistaken_for_another_one() -> None:
    assert {*CONFUSED, *EXCHANGED} == set(ELEMENTWISE)


# Instruction sets.


def test_every_instruction_set_is_built_chosen_and_tested() -> None:
    sets = {path.stem.removeprefix("kernels_") for path in (NATIVE / "src").glob("kernels_*.cpp")} - {"bfloat16"}
    assert set(re.findall(r"add_kernels\((\w+)", text_of("CMakeLists.txt"))) - {"bfloat16"} == sets
    assert set(re.findall(r'\{"(\w+)", kernels_\1<T>\}', text_of("src/dispatch.cpp"))) == sets
    for program in ("kernels_testing.h", "test_kernels.cpp", "test_executor.cpp", "test_scan.cpp"):
        assert set(re.findall(r"\bkernels_(\w+)<(?:T|double)>\(\)", text_of(f"tests/{program}"))) == sets
    tests = REPOSITORY / "tests"
    forced = (tests / "conformance" / "test_backends.py").read_text(encoding="utf-8")
    assert set(re.findall(r'(?m)^    isa = "(\w+)"$', forced)) == sets
    (drawn_from,) = re.findall(
        r"(?m)^SETS = \[isa for isa in \((.*?)\)",
        (tests / "backends" / "cpu" / "sets.py").read_text(encoding="utf-8"),
    )
    assert set(re.findall(r"\w+", drawn_from)) == sets
