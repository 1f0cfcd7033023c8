"""Plans with one mistake each: what an error in the lowering, or in what executes a plan, would look like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from rondo.backends.cpu.plan import ACCUMULATE, ZERO, Block, Code, Group, Instruction, Place, Plan, Stage

Mutant = tuple[str, Plan]

CONFUSED = {
    Code.ADD: Code.SUB, Code.SUB: Code.ADD, Code.MUL: Code.ADD, Code.DIV: Code.MUL, Code.NEG: Code.COPY,
    Code.SIGMOID: Code.TANH, Code.TANH: Code.SIGMOID, Code.RELU: Code.COPY, Code.EXP: Code.SOFTPLUS,
    Code.SQRT: Code.COPY, Code.FMA: Code.FMS, Code.FMS: Code.FMA, Code.FNMA: Code.FMA,
    Code.MUL_SIGMOID: Code.MUL_TANH, Code.MUL_TANH: Code.MUL_SIGMOID, Code.SIGMOID_GRADIENT: Code.TANH_GRADIENT,
    Code.TANH_GRADIENT: Code.SIGMOID_GRADIENT, Code.MAXIMUM: Code.MINIMUM, Code.COPY: Code.NEG, Code.SHARE: Code.MUL,
    Code.MINIMUM: Code.MAXIMUM, Code.LOG: Code.EXP, Code.SOFTPLUS: Code.RELU, Code.SILU: Code.RELU,
    Code.MUL_COMPLEMENT: Code.MUL,
}  # fmt: skip
"""Another function for an instruction."""

EXCHANGED = {
    Code.SUB: (0, 1), Code.DIV: (0, 1), Code.FMA: (1, 2), Code.FMS: (1, 2), Code.FNMA: (1, 2),
    Code.MUL_SIGMOID: (0, 1), Code.MUL_TANH: (0, 1), Code.SIGMOID_GRADIENT: (0, 1), Code.TANH_GRADIENT: (0, 1),
    Code.SELECT_LT: (0, 1), Code.SELECT_LE: (2, 3), Code.SHARE: (0, 1), Code.MUL_COMPLEMENT: (0, 1),
}  # fmt: skip
"""Two arguments of an instruction that are not alike."""


def mutants(plan: Plan) -> Iterator[Mutant]:
    """All of them, in a fixed order; what is said of each begins with its kind."""
    yield from _of_code(plan)
    yield from _of_operands(plan)
    yield from _of_groups(plan)
    yield from _of_reductions(plan)
    yield from _of_sums(plan)


def _changed(items: Sequence[Any], index: int, *new: Any) -> tuple[Any, ...]:
    return (*items[:index], *new, *items[index + 1 :])


def _with_stage(plan: Plan, number: int, **changes: Any) -> Plan:
    stage: Stage = replace(plan.stages[number], **changes)
    return replace(plan, stages=_changed(plan.stages, number, stage))


def _of_code(plan: Plan) -> Iterator[Mutant]:
    for number, stage in enumerate(plan.stages):
        for place in ("code", "row_code"):
            code: tuple[Instruction, ...] = getattr(stage, place)
            for index, one in enumerate(code):
                where = f"{place} {number}.{index} {one.code.name}"
                yield f"dropped: {where}", _with_stage(plan, number, **{place: _changed(code, index)})
                if one.code in CONFUSED:
                    other = replace(one, code=CONFUSED[one.code])
                    yield f"confused: {where}", _with_stage(plan, number, **{place: _changed(code, index, other)})
                a, b = EXCHANGED.get(one.code, (0, 0))
                if one.args[a : a + 1] != one.args[b : b + 1]:
                    args = list(one.args)
                    args[a], args[b] = args[b], args[a]
                    other = replace(one, args=tuple(args))
                    yield f"exchanged: {where}", _with_stage(plan, number, **{place: _changed(code, index, other)})
                for position, arg in enumerate(one.args):
                    if (wrong := _alike(plan, arg)) is not None:
                        other = replace(one, args=_changed(one.args, position, wrong))
                        yield (
                            f"misread: {where}.{position}",
                            _with_stage(plan, number, **{place: _changed(code, index, other)}),
                        )
                if one.code == Code.SUM_ROWS and len(plan.gradients) > 1:
                    other = replace(one, dst=(one.dst + 1) % len(plan.gradients))
                    yield f"elsewhere: {where}", _with_stage(plan, number, **{place: _changed(code, index, other)})


def _alike(plan: Plan, number: int) -> int | None:
    """The next operand, in a circle, in the same kind of place and of the same width."""
    operand, count = plan.operands[number], len(plan.operands)
    for step in range(1, count):
        other = plan.operands[(number + step) % count]
        # The place of a new state is free until that is written: what a step has for itself may lie there.
        lodger = operand.place == Place.ROW and plan.rows[operand.index].role == "own" and other.ahead
        if (other.place, other.width) == (operand.place, operand.width) and not lodger:
            return (number + step) % count
    return None


def _of_operands(plan: Plan) -> Iterator[Mutant]:
    """A vector or a row buffer next to the right one; a state a step too early or too late; another number."""
    for index, operand in enumerate(plan.operands):
        where = f"operand {index} {operand.place.name}"
        other = _alike(plan, index) if operand.place in (Place.VECTOR, Place.ROW) else None
        if other is not None:
            found = _changed(plan.operands, index, plan.operands[other])
            yield f"shifted: {where}", replace(plan, operands=found)
        if operand.place == Place.ROW and plan.rows[operand.index].role == "state":
            moved = replace(operand, ahead=1 - operand.ahead)
            yield f"ahead: {where}", replace(plan, operands=_changed(plan.operands, index, moved))
        if operand.place == Place.CONSTANT:
            constant = replace(plan.constants[operand.index], value=-7.0 - plan.constants[operand.index].value)
            yield f"another: {where}", replace(plan, constants=_changed(plan.constants, operand.index, constant))


def _of_groups(plan: Plan) -> Iterator[Mutant]:
    lists: list[tuple[str, tuple[Group, ...], Callable[[tuple[Group, ...]], Plan]]] = [
        ("hoisted", plan.hoisted, lambda groups: replace(plan, hoisted=groups)),
        ("after", plan.after, lambda groups: replace(plan, after=groups)),
        *(
            (f"stage {n}", stage.groups, lambda groups, n=n: _with_stage(plan, n, groups=groups))
            for n, stage in enumerate(plan.stages)
        ),
    ]
    for name, groups, put in lists:
        for index, group in enumerate(groups):
            where = f"{name}, group {index}"
            yield f"dropped: {where}", put(_changed(groups, index))
            for what, other in _of_group(plan, group):
                yield f"{what.partition(':')[0]}: {where}{what.partition(':')[2]}", put(_changed(groups, index, other))


def _of_group(plan: Plan, group: Group) -> Iterator[tuple[str, Group]]:
    for n, start in enumerate(group.starts):
        begun = ZERO if start != ZERO else ACCUMULATE
        yield f"begun: {n}", replace(group, starts=_changed(group.starts, n, begun))
    if len(group.destinations) > 1:
        one, other, *rest = group.matrices
        yield "exchanged: matrices", replace(group, matrices=(other, one, *rest))
    for n, row in enumerate(group.matrices):
        for s, block in enumerate(row):
            if block is None:
                continue
            parameter = next(p for p in plan.parameters if p.name == block.parameter)
            turned = replace(block, transposed=not block.transposed)
            changes: list[tuple[str, Block | None]] = [("turned", turned), ("without", None)]
            if len(parameter.blocks) > 1:
                changes.append(("another", replace(block, block=(block.block + 1) % len(parameter.blocks))))
            for what, new in changes:
                matrices = _changed(group.matrices, n, _changed(row, s, new))
                yield f"{what}: product {n}.{s}", replace(group, matrices=matrices)


def _of_reductions(plan: Plan) -> Iterator[Mutant]:
    for number, stage in enumerate(plan.stages):
        for index, (operand, mean) in enumerate(stage.reductions):
            found = _changed(stage.reductions, index, (operand, not mean))
            yield f"scaled: reduction {number}.{index}", _with_stage(plan, number, reductions=found)
            found = _changed(stage.reductions, index)
            yield f"dropped: reduction {number}.{index}", _with_stage(plan, number, reductions=found)
    for index, constant in enumerate(plan.constants):
        if constant.over_units_of:
            found = _changed(plan.constants, index, replace(constant, over_units_of=None))
            yield f"scaled: constant {index}", replace(plan, constants=found)


def _of_sums(plan: Plan) -> Iterator[Mutant]:
    """Gradients of arrays, and sums of vectors."""
    for index, outer in enumerate(plan.outers):
        yield f"dropped: outer {index}", replace(plan, outers=_changed(plan.outers, index))
        lefts = outer.lefts
        if len(lefts) > 1:
            (a, *to_a), (b, *to_b), *rest = lefts
            swapped = replace(outer, lefts=((b, *to_a), (a, *to_b), *rest))
            yield f"exchanged: outer {index}", replace(plan, outers=_changed(plan.outers, index, swapped))
        for n in range(len(lefts)):
            fewer = replace(outer, lefts=_changed(lefts, n))
            if fewer.lefts:
                yield f"without: outer {index}.{n}", replace(plan, outers=_changed(plan.outers, index, fewer))
    for kind in ("gradients", "vectors"):
        lists = getattr(plan, kind)
        for index, references in enumerate(lists):
            for n in range(len(references) if len(references) > 1 else 0):
                fewer = _changed(lists, index, _changed(references, n))
                yield f"without: {kind} {index}.{n}", replace(plan, **{kind: fewer})
