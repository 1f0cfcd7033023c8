"""Making a program shorter: values are computed in the stage that uses them, chains become one instruction."""

from __future__ import annotations

from rondo.backends.cpu.plan import Code, Place
from rondo.backends.cpu.program import Program, Value

_WITH_FUNCTION = {Code.SIGMOID: Code.MUL_SIGMOID, Code.TANH: Code.MUL_TANH}


def sink(program: Program) -> None:
    """Move what is computed long before its first use to the stage of that use.

    Only where everything it is computed from lies in memory until then anyway: then one value less has to
    be carried from stage to stage.
    """
    readers = program.readers()
    lasting = {*program.ends()} - {index for index, _ in program.stores} - {*program.row_sums}

    def uses(index: int) -> list[int]:
        return [_used_at(program, reader) for reader in readers[index] if reader != -1]

    for index in sorted(program.live(), reverse=True):
        value = program.values[index]
        if value.kind != "code" or value.width == "one" or -1 in readers[index]:
            continue
        first_use = min(uses(index))
        bases = [program.base(arg) for arg in value.args]
        if first_use > value.level and all(
            program.values[base].kind == "leaf" or base in lasting or max(uses(base)) >= first_use for base in bases
        ):
            value.level = first_use


def _used_at(program: Program, reader: int) -> int:
    """The first level at which ``reader`` needs what it reads."""
    value = program.values[reader]
    return min(program.term_levels(value)) - 1 if value.kind == "sum" else value.level


def fuse(program: Program) -> None:
    """Join instructions whose inner result has no other use. See `Code` for what there is to join into."""
    live = program.live()
    uses = [len(readers) for readers in program.readers()]
    for index in range(len(program.values)):
        value = program.values[index]
        if index not in live or value.kind != "code":
            continue
        found = _joined(program, uses, value)
        if found is not None:
            old, (value.code, value.args) = value.args, found
            for arg in value.args:
                uses[program.base(arg)] += 1
            _release(program, uses, old)


def _release(program: Program, uses: list[int], args: tuple[int, ...]) -> None:
    todo = list(args)
    while todo:
        index = program.base(todo.pop())
        uses[index] -= 1
        if uses[index] == 0:
            value = program.values[index]
            todo.extend((*value.args, *(term.source for term in value.terms)))


def _joined(program: Program, uses: list[int], value: Value) -> tuple[Code, tuple[int, ...]] | None:
    values = program.values

    def inner(index: int, *codes: Code) -> bool:
        """Whether an argument is nothing but a step on the way to ``value``."""
        arg = values[index]
        return (
            arg.kind == "code"
            and arg.code in codes
            and uses[index] == 1
            and (arg.width, arg.level) == (value.width, value.level)
        )

    if value.code == Code.MUL:
        a, b = value.args
        for factor, other in ((a, b), (b, a)):
            gradient = _gradient(program, uses, factor)
            if gradient is not None:
                return gradient[0], (other, gradient[1])
        for factor, other in ((b, a), (a, b)):
            if inner(factor, *_WITH_FUNCTION):
                code = values[factor].code
                assert code is not None
                return _WITH_FUNCTION[code], (other, *values[factor].args)
    elif value.code == Code.ADD:
        a, b = value.args
        for product, other in ((b, a), (a, b)):
            if inner(product, Code.MUL):
                return Code.FMA, (*values[product].args, other)
    elif value.code == Code.SUB:
        a, b = value.args
        if inner(b, Code.MUL):
            return Code.FNMA, (*values[b].args, a)
        if inner(a, Code.MUL):
            return Code.FMS, (*values[a].args, b)
    return None


def _gradient(program: Program, uses: list[int], index: int) -> tuple[Code, int] | None:
    """``y * (1 - y)`` and ``1 - y * y`` with no other use: the instruction that multiplies by it, and y."""
    value = program.values[index]
    if value.kind != "code" or uses[index] != 1:
        return None
    if value.code == Code.MUL:
        for y, other in (value.args, value.args[::-1]):
            rest = program.values[other]
            if rest.code == Code.SUB and _is_one(program, rest.args[0]) and rest.args[1] == y:
                return Code.SIGMOID_GRADIENT, y
    # y * y may have become part of c - a * b by now.
    if value.code == Code.FNMA and value.args[0] == value.args[1] and _is_one(program, value.args[2]):
        return Code.TANH_GRADIENT, value.args[0]
    return None


def _is_one(program: Program, index: int) -> bool:
    operand = program.values[index].operand
    if operand is None or operand.place != Place.CONSTANT:
        return False
    constant = program.constants[operand.index]
    return constant.value == 1.0 and constant.over_units_of is None
