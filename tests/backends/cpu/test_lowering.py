"""What plans look like: how much is kept, how many stages there are, what each option does, what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rondo.backends.cpu.describe import describe
from rondo.backends.cpu.interpret import run_forward
from rondo.backends.cpu.lower import plans_for
from rondo.backends.cpu.plan import Code, Group, Instruction, Operand, Place, Plan, Stage
from rondo.backends.cpu.verify import verify
from rondo.cells import Cell, State, TorchAlgebra, get_cell, registry
from rondo.cells.replay import replayed
from rondo.errors import CellError, UsageError
from rondo.ir import activate, size_of
from tests.backends.cpu.planned import sizes_for
from tests.docs.blocks import REPOSITORY

SLOTS = {
    "rnn": 0, "lstm": 5, "lstm_peephole": 5, "lstm_coupled": 4, "lstm_projected": 5, "lstm_layer_norm": 14, "gru": 4,
    "gru_reset_before": 3, "gru_layer_norm": 9, "mgu": 2, "indrnn": 0, "janet": 3, "ugrnn": 2, "min_gru": 2,
    "min_lstm": 4, "slstm": 8,
}  # fmt: skip
"""Numbers a unit that a step keeps for the backward plan, besides the states."""

STAGES = {
    "lstm_projected": (2, 3), "lstm_layer_norm": (5, 6), "gru_reset_before": (2, 3), "gru_layer_norm": (3, 4),
    "mgu": (2, 3), "indrnn": (1, 1), "min_gru": (1, 1), "min_lstm": (1, 1),
}  # fmt: skip
"""Forward and backward; all others have 1 and 2: the elementwise step, then the products of its results."""


def training(cell: Cell, **options: object) -> tuple[Plan, Plan]:
    plans = plans_for(cell, **options)  # type: ignore[arg-type]
    assert plans.backward is not None
    return plans.forward, plans.backward


@pytest.mark.parametrize("name", registry)
def test_what_a_step_keeps(name: str) -> None:
    forward, backward = training(registry[name])
    assert forward.kept.get("hidden", 0) == SLOTS[name]
    assert backward.kept == forward.kept
    assert set(forward.kept) <= {"hidden", "one"}
    lean = plans_for(registry[name], training=False)
    assert lean.backward is None
    assert not lean.forward.kept


def test_pre_activations_need_no_memory_of_their_own() -> None:
    for name in ("gru", "lstm", "lstm_peephole", "slstm", "min_gru"):
        forward, _ = training(registry[name])
        assert not forward.work, name


@pytest.mark.parametrize("name", registry)
def test_number_of_stages(name: str) -> None:
    assert tuple(len(plan.stages) for plan in training(registry[name])) == STAGES.get(name, (1, 2))


def test_instructions_are_joined() -> None:
    counts = {name: [sum(len(s.code) for s in plan.stages) for plan in training(registry[name])] for name in registry}
    assert counts["gru"] == [6, 14]
    assert counts["lstm"] == [8, 17]
    codes = [one.code for plan in training(registry["lstm"]) for stage in plan.stages for one in stage.code]
    assert {Code.FMA, Code.SIGMOID_GRADIENT, Code.TANH_GRADIENT} <= set(codes)
    lean = plans_for(registry["lstm"], training=False).forward
    assert {Code.MUL_SIGMOID, Code.MUL_TANH} <= {one.code for one in lean.stages[0].code}


@pytest.mark.parametrize("name", registry)
def test_each_gate_is_one_row_of_the_hoisted_product(name: str) -> None:
    forward, _ = training(registry[name])
    matrix = next(p for p in registry[name].parameters if p.name == "weight_ih")
    (group,) = forward.hoisted
    assert len(group.destinations) == len(matrix.blocks)


def test_products_of_one_source_are_one_group() -> None:
    forward, backward = training(registry["lstm"])
    assert [len(group.destinations) for group in forward.stages[0].groups] == [4]
    (group,) = backward.stages[1].groups
    assert (len(group.destinations), len(group.sources)) == (1, 4)
    assert [len(outer.lefts) for outer in backward.outers] == [4, 4]


def test_options_change_the_plan() -> None:
    gru, rnn = registry["gru"], registry["rnn"]
    forward, backward = training(gru)
    roles = {row.role for row in backward.rows}
    assert {"dy", "dx"} <= roles
    assert backward.after
    assert "dy" not in {row.role for row in training(gru, dy=False)[1].rows}
    without = training(gru, dx=False)[1]
    assert "dx" not in {row.role for row in without.rows}
    assert not without.after
    assert not training(gru, bias=False)[0].vectors
    masked = training(gru, recurrent_dropout=True)[0]
    assert ("mask", "recurrent", False) in {(row.role, row.name, row.timed) for row in masked.rows}
    kept_back = training(gru, zoneout=(("h", None),))[0]
    assert ("mask", "zoneout_h", True) in {(row.role, row.name, row.timed) for row in kept_back.rows}
    mixed = training(gru, zoneout=(("h", 0.25),))[0]
    assert {0.25, 0.75} <= {constant.value for constant in mixed.constants}
    assert training(rnn)[0].kept == {}
    assert training(rnn, restarts=True)[0].kept == {"hidden": 1}
    assert plans_for(gru) is plans_for(gru)
    assert forward.residuals.keys() == backward.residuals.keys() or not backward.residuals


@pytest.mark.parametrize("train", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("name", registry)
def test_taps_are_the_values_of_the_equations(name: str, train: bool) -> None:
    cell = registry[name]
    taps = (*cell.graph.names, *cell.state_parts)
    plan = plans_for(cell, training=train, taps=taps).forward
    sizes = sizes_for(cell)
    random = np.random.default_rng(3)
    weights = {p.name: 0.4 * random.normal(size=p.shape(sizes)) for p in cell.parameters}
    state = {part: np.abs(random.normal(size=(2, size_of(w, sizes)))) for part, w in cell.state_widths.items()}
    x = random.normal(size=(1, 2, sizes["input"]))
    found = run_forward(plan, sizes, weights, x, state)
    algebra = TorchAlgebra(cell.parameters, {n: torch.from_numpy(w) for n, w in weights.items()}, sizes)
    algebra.taps = {}
    with activate(algebra):
        after: State = replayed(cell.graph)(torch.from_numpy(x[0]), *(torch.from_numpy(v) for v in state.values()))
    expected = {**algebra.taps, **after.parts()}
    assert set(taps) == set(found.taps) == set(expected)
    for tap in taps:
        assert np.allclose(found.taps[tap][0], expected[tap].numpy(), rtol=0, atol=1e-12), tap


def test_a_tap_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="no value 'rr' to look at; did you mean 'r'"):
        plans_for(registry["gru"], training=False, taps=("rr",))


def test_a_plan_as_text() -> None:
    forward, backward = training(registry["gru"])
    assert "  kept0 += weight_hh.r h\n" in describe(forward)
    assert "  new h = kept1 * h + temp0\n" in describe(forward)
    assert "gradient of bias_hh.z, bias_ih.z += sum over rows of" in describe(backward)
    assert "mean complete: " in describe(training(get_cell("gru_layer_norm"))[0])
    assert "* 1/hidden\n" in describe(training(get_cell("gru_layer_norm"))[1])


# Illegal plans are refused.


def with_code(plan: Plan, number: int, *code: Instruction) -> Plan:
    stages = list(plan.stages)
    stages[number] = replace(stages[number], code=code)
    return replace(plan, stages=tuple(stages))


def with_operand(plan: Plan, operand: Operand) -> tuple[Plan, int]:
    return replace(plan, operands=(*plan.operands, operand)), len(plan.operands)


@pytest.mark.parametrize("name", registry)
def test_every_instruction_is_needed(name: str) -> None:
    """A plan without one of its instructions reads what was never written, or leaves something unwritten."""
    tried = 0
    for plan in training(registry[name]):
        for number, stage in enumerate(plan.stages):
            for one in stage.code:
                if one.code == Code.SUM_ROWS or not is_only_writer(plan, stage, one):
                    continue
                tried += 1
                with pytest.raises(CellError, match="illegal plan"):
                    verify(with_code(plan, number, *(other for other in stage.code if other is not one)))
    assert tried


def is_only_writer(plan: Plan, stage: Stage, one: Instruction) -> bool:
    """Whether nothing else, and nobody outside, writes what an instruction writes."""
    operand = plan.operands[one.dst]
    if operand.place == Place.ROW and plan.rows[operand.index].role == "carry":
        return False
    groups = [*plan.hoisted, *(group for each in plan.stages for group in each.groups)]
    stages = [stage] if operand.place == Place.TEMP else plan.stages
    code = [other for each in stages for other in (*each.code, *each.row_code) if other.code != Code.SUM_ROWS]
    return not any(one.dst in group.destinations for group in groups) and sum(c.dst == one.dst for c in code) == 1


def test_illegal_plans_are_refused() -> None:
    forward, backward = training(registry["gru"])
    first = forward.stages[0]
    h = next(n for n, o in enumerate(forward.operands) if o.place == Place.ROW and o.ahead)
    temp = next(n for n, o in enumerate(forward.operands) if o.place == Place.TEMP)
    old = next(n for n, o in enumerate(backward.operands) if o.place == Place.KEPT)

    def refused(plan: Plan, why: str) -> None:
        with pytest.raises(CellError, match=f"illegal plan: .*{why}"):
            verify(plan)

    refused(with_code(forward, 0, Instruction(Code.COPY, h, (temp,)), *first.code), "before it is written")
    refused(with_code(forward, 0, *first.code, Instruction(Code.ADD, h, (h,))), "ADD with 1 arguments")
    refused(with_code(forward, 0, *first.code, Instruction(Code.SUM_ROWS, 0, (h,))), "no such gradient")
    refused(with_code(backward, 0, Instruction(Code.COPY, old, (old,)), *backward.stages[0].code), "not for writing")
    refused(replace(forward, temporaries=0), "is not there")
    refused(replace(forward, stages=()), "state h is never written")
    refused(replace(forward, stages=(replace(first, width="projection"),)), "another width")
    refused(replace(forward, stages=(replace(first, reductions=((temp, True),)),)), "nothing or too much finishes")
    refused(replace(forward, stages=(Stage("hidden", (Group((h,), (-1,), (temp,), ((None,),)),), first.code),)), "rows")
    wrong, x = with_operand(forward, Operand(Place.ROW, "input", 0, ahead=1))
    refused(wrong, "is ahead and no state")
    slot = first.groups[0].destinations[0]
    overwriting = Instruction(Code.COPY, backward.stages[1].groups[0].sources[0], (old,))
    refused(with_code(backward, 1, overwriting), "overwrites a source")
    assert x != slot


def test_a_reduction_is_not_read_before_it_is_complete() -> None:
    forward, _ = training(registry["gru_layer_norm"])
    stage = forward.stages[0]
    (one, _), *_ = stage.reductions
    temp, number = with_operand(forward, Operand(Place.TEMP, "hidden", 0))
    with pytest.raises(CellError, match="reads a reduction that is not complete"):
        verify(with_code(temp, 0, *stage.code, Instruction(Code.COPY, number, (one,))))


def test_the_documentation_shows_the_plans() -> None:
    shown = (REPOSITORY / "docs" / "dev" / "plans.md").read_text(encoding="utf-8")
    for plan in training(registry["gru"]):
        assert f"```text\n{describe(plan)}```\n" in shown
