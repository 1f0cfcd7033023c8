"""A plan as text, for people."""

from __future__ import annotations

from collections.abc import Iterator

from rondo.backends.cpu.plan import ACCUMULATE, ZERO, Block, Code, Group, Instruction, Operand, Place, Plan

_FORMS = {
    Code.COPY: "{0}", Code.ADD: "{0} + {1}", Code.SUB: "{0} - {1}", Code.MUL: "{0} * {1}", Code.DIV: "{0} / {1}",
    Code.NEG: "-{0}", Code.FMA: "{0} * {1} + {2}", Code.FMS: "{0} * {1} - {2}", Code.FNMA: "{2} - {0} * {1}",
    Code.MUL_SIGMOID: "{0} * sigmoid({1})", Code.MUL_TANH: "{0} * tanh({1})",
    Code.SIGMOID_GRADIENT: "{0} * {1} * (1 - {1})", Code.TANH_GRADIENT: "{0} * (1 - {1} * {1})",
    Code.SHARE: "sigmoid({0}) / (sigmoid({0}) + sigmoid({1}))", Code.MUL_COMPLEMENT: "{0} * (1 - {1})",
    Code.SELECT_LT: "{2} if {0} < {1} else {3}", Code.SELECT_LE: "{2} if {0} <= {1} else {3}",
}  # fmt: skip


def describe(plan: Plan) -> str:
    """The plan, a line for each product and instruction."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    yield f"kept {_counts(plan.kept)}; work {_counts(plan.work)}; {plan.temporaries} temporaries"
    yield f"rows {', '.join(f'{row.role} {row.name}' if row.name != row.role else row.name for row in plan.rows)}"
    if plan.hoisted:
        yield "hoisted:"
        yield from _groups(plan, plan.hoisted)
    for number, stage in enumerate(plan.stages):
        yield f"stage {number} ({stage.width}):"
        yield from _groups(plan, stage.groups)
        yield from (f"  {_instruction(plan, one)}" for one in stage.code)
        for index, mean in stage.reductions:
            yield f"  {'mean' if mean else 'sum'} complete: {_name(plan, index)}"
        yield from (f"  row: {_instruction(plan, one)}" for one in stage.row_code)
    if plan.after:
        yield "after:"
        yield from _groups(plan, plan.after)
    for outer in plan.outers:
        for left, parameter, block in outer.lefts:
            gradient = _block(plan, Block(parameter, block, False))
            yield f"outer: gradient of {gradient} += {_name(plan, left)} {_name(plan, outer.right)}ᵀ"
    if plan.residuals:
        yield "residuals: " + ", ".join(f"{name} = {_name(plan, at)}" for name, at in plan.residuals.items())
    if plan.taps:
        yield "taps: " + ", ".join(f"{name} = {_name(plan, at)}" for name, at in plan.taps.items())


def _counts(slots: dict[str, int]) -> str:
    return ", ".join(f"{count} {width}" for width, count in slots.items()) or "nothing"


def _groups(plan: Plan, groups: tuple[Group, ...]) -> Iterator[str]:
    for group in groups:
        for destination, start, row in zip(group.destinations, group.starts, group.matrices, strict=True):
            products = [
                f"{_block(plan, block)} {_name(plan, source)}"
                for block, source in zip(row, group.sources, strict=True)
                if block is not None
            ]
            begin = [] if start in (ZERO, ACCUMULATE) else [_name(plan, start)]
            sign = "+=" if start == ACCUMULATE else "="
            yield f"  {_name(plan, destination)} {sign} {' + '.join(begin + products)}"


def _instruction(plan: Plan, one: Instruction) -> str:
    args = [_name(plan, arg) for arg in one.args]
    if one.code == Code.SUM_ROWS:
        gradients = ", ".join(_block(plan, Block(*reference, False)) for reference in plan.gradients[one.dst])
        return f"gradient of {gradients} += sum over rows of {args[0]}"
    if one.code == Code.REDUCE:
        return f"{_name(plan, one.dst)} += sum over units of {args[0]}"
    form = _FORMS.get(one.code)
    text = form.format(*args) if form else f"{one.code.name.lower()}({', '.join(args)})"
    return f"{_name(plan, one.dst)} = {text}"


def _block(plan: Plan, block: Block) -> str:
    parameter = next(p for p in plan.parameters if p.name == block.parameter)
    name = (
        parameter.name if parameter.blocks == (parameter.name,) else f"{parameter.name}.{parameter.blocks[block.block]}"
    )
    return f"{name}ᵀ" if block.transposed else name


def _name(plan: Plan, index: int) -> str:
    operand: Operand = plan.operands[index]
    if operand.place == Place.CONSTANT:
        constant = plan.constants[operand.index]
        return f"{constant.value:g}" + (f"/{constant.over_units_of}" if constant.over_units_of else "")
    if operand.place == Place.VECTOR:
        parts = [_block(plan, Block(*reference, False)) for reference in plan.vectors[operand.index]]
        return f"({' + '.join(parts)})" if len(parts) > 1 else parts[0]
    if operand.place == Place.ROW:
        row = plan.rows[operand.index]
        name = row.name if row.role in ("x", "dx", "own", "mask", "state") else f"{row.role}.{row.name}"
        return ("new " if operand.ahead else "") + (f"d{row.name}" if row.role == "dx" else name)
    letter = operand.place.name.lower()
    width = "" if operand.width == "hidden" else f".{operand.width}"
    return f"{letter}{operand.index}{width}"
