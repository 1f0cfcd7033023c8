"""Is a plan legal? Everything is written before it is read, in places where it may stand."""

from __future__ import annotations

from collections.abc import Iterable

from rondo.backends.cpu.plan import ACCUMULATE, Code, Group, Instruction, Operand, Place, Plan, Stage
from rondo.errors import CellError
from rondo.ir.graph import WIDTHS, Parameter

ARITY = {
    **dict.fromkeys((Code.ADD, Code.SUB, Code.MUL, Code.DIV, Code.MAXIMUM, Code.MINIMUM), 2),
    **dict.fromkeys((Code.FMA, Code.FMS, Code.FNMA), 3),
    **dict.fromkeys((Code.MUL_SIGMOID, Code.MUL_TANH, Code.SIGMOID_GRADIENT, Code.TANH_GRADIENT), 2),
    **dict.fromkeys((Code.SHARE, Code.MUL_COMPLEMENT), 2),
    **dict.fromkeys((Code.SELECT_LT, Code.SELECT_LE), 4),
}
"""The number of arguments of each instruction; those that are not named have one."""

_GIVEN = ("x", "mask", "dy", "carry", "state")
_WRITABLE = ("own", "carry", "dx", "state")


def verify(plan: Plan) -> Plan:
    """Return the plan unchanged, or raise `CellError` that says what is wrong where."""
    try:
        _Verification(plan).run()
    except _Illegal as error:
        raise CellError(f"illegal plan: {error}") from None
    return plan


class _Illegal(Exception):
    pass


def _require(holds: object, what: str) -> None:
    if not holds:
        raise _Illegal(what)


class _Verification:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.is_backward = any(row.role == "carry" for row in plan.rows)
        self.written: set[int] = set()
        """Numbers of operands that hold something in this step."""

    def run(self) -> None:
        plan = self.plan
        for operand in plan.operands:
            self._operand(operand)
        for group in plan.hoisted:
            self._group(group, set(), "hoisted")
            _require([self._role(source) for source in group.sources] == ["x"], "what is hoisted multiplies x")
            places = {plan.operands[index].place for index in group.destinations}
            _require(places <= {Place.KEPT, Place.WORK}, "what is hoisted is written to slots")
        for number, stage in enumerate(plan.stages):
            try:
                self._stage(stage)
            except _Illegal as error:
                raise _Illegal(f"stage {number}: {error}") from None
        for group in plan.after:
            self._group(group, set(), "after")
            _require([self._role(index) for index in group.destinations] == ["dx"], "what comes after the steps is dx")
        self._ends()

    def _operand(self, operand: Operand) -> None:
        plan = self.plan
        counts = {
            Place.KEPT: plan.kept.get(operand.width, 0), Place.WORK: plan.work.get(operand.width, 0),
            Place.TEMP: plan.temporaries, Place.ROW: len(plan.rows), Place.VECTOR: len(plan.vectors),
            Place.CONSTANT: len(plan.constants),
        }  # fmt: skip
        _require(operand.width in WIDTHS, f"unknown width '{operand.width}'")
        _require(0 <= operand.index < counts[operand.place], f"{operand} is not there")
        if operand.place == Place.ROW:
            _require(plan.rows[operand.index].width == operand.width, f"{operand} has another width than its buffer")
        if operand.ahead:
            is_state = operand.place == Place.ROW and plan.rows[operand.index].role == "state"
            _require(is_state and operand.ahead == 1, f"{operand} is ahead and no state")

    def _stage(self, stage: Stage) -> None:
        sources = {source for group in stage.groups for source in group.sources}
        for group in stage.groups:
            widths = {self.plan.operands[index].width for index in group.destinations}
            _require(widths == {stage.width}, "a product of another width than the stage's")
            self._group(group, sources, "products")
        reduced = {one.dst for one in stage.code if one.code == Code.REDUCE}
        _require({index for index, _ in stage.reductions} == reduced, "reductions that nothing or too much finishes")
        before = set(self.written)
        for one in stage.code:
            _require(not reduced.intersection(one.args), f"{one.code.name} reads a reduction that is not complete")
            self._instruction(one, stage.width, sources)
        self._forget(Place.TEMP)
        self.written |= reduced
        for one in stage.row_code:
            self._instruction(one, "one", set())
        self._forget(Place.TEMP)
        _require(before <= self.written, "something was lost")

    def _forget(self, place: Place) -> None:
        self.written = {index for index in self.written if self.plan.operands[index].place != place}

    def _group(self, group: Group, sources: set[int], where: str) -> None:
        plan = self.plan
        _require(group.destinations and group.sources, f"{where}: an empty group")
        places = {(plan.operands[index].place, plan.operands[index].width) for index in group.sources}
        _require(len(places) == 1, f"{where}: sources in several places")
        place, width = places.pop()
        _require(
            (place == Place.ROW and len(group.sources) == 1) or place in (Place.KEPT, Place.WORK),
            f"{where}: a source that has no rows",
        )
        for source in group.sources:
            self._read(source)
        _require(
            len(group.starts) == len(group.matrices) == len(group.destinations)
            and len(set(group.destinations)) == len(group.destinations),
            f"{where}: destinations, starts and matrices do not go together",
        )
        for destination, start, row in zip(group.destinations, group.starts, group.matrices, strict=True):
            to = plan.operands[destination]
            _require(to.place in (Place.KEPT, Place.WORK, Place.ROW), f"{where}: a product into {to}")
            _require(destination not in sources, f"{where}: a product into a source of the stage")
            _require(len(row) == len(group.sources) and any(row), f"{where}: matrices and sources do not go together")
            for block in row:
                if block is None:
                    continue
                parameter = self._parameter(block.parameter, block.block)
                ends = (parameter.columns, parameter.rows)
                _require(
                    (ends[::-1] if block.transposed else ends) == (width, to.width), f"{where}: {block} does not fit"
                )
            if start == ACCUMULATE:
                self._read(destination)
            elif start >= 0:
                vector = plan.operands[start]
                _require((vector.place, vector.width) == (Place.VECTOR, to.width), f"{where}: a start from {vector}")
            self._write(destination)

    def _instruction(self, one: Instruction, width: str, sources: set[int]) -> None:
        plan, name = self.plan, one.code.name
        _require(len(one.args) == ARITY.get(one.code, 1), f"{name} with {len(one.args)} arguments")
        for arg in one.args:
            _require(plan.operands[arg].width in ("one", width), f"{name} reads a value of another width")
            self._read(arg)
        if one.code == Code.SUM_ROWS:
            _require(0 <= one.dst < len(plan.gradients) and width != "one", "no such gradient")
            return
        _require(one.dst not in sources, f"{name} overwrites a source of the stage's products")
        if one.code == Code.REDUCE:
            to = plan.operands[one.dst]
            _require(width != "one" and to.width == "one", "a reduction to many units, or of one")
            _require(to.place in (Place.KEPT, Place.WORK), "a reduction into something else than a slot")
            return
        _require(plan.operands[one.dst].width == width, f"{name} writes a value of another width")
        self._write(one.dst)

    def _parameter(self, name: str, block: int) -> Parameter:
        found = next((p for p in self.plan.parameters if p.name == name), None)
        if found is None or not 0 <= block < len(found.blocks):
            raise _Illegal(f"no block {block} of {name}")
        return found

    def _role(self, index: int) -> str | None:
        operand = self.plan.operands[index]
        return self.plan.rows[operand.index].role if operand.place == Place.ROW else None

    def _read(self, index: int) -> None:
        _require(0 <= index < len(self.plan.operands), "no such operand")
        operand = self.plan.operands[index]
        given = operand.place in (Place.VECTOR, Place.CONSTANT) or (self.is_backward and operand.place == Place.KEPT)
        if operand.place == Place.ROW:
            given = self._role(index) in _GIVEN and (self.is_backward or not operand.ahead)
        _require(given or index in self.written, f"{operand} is read before it is written")

    def _write(self, index: int) -> None:
        _require(0 <= index < len(self.plan.operands), "no such operand")
        operand = self.plan.operands[index]
        allowed = operand.place in (Place.WORK, Place.TEMP) or (operand.place == Place.KEPT and not self.is_backward)
        if operand.place == Place.ROW:
            role = self._role(index)
            allowed = role in _WRITABLE and (role != "state" or (operand.ahead == 1 and not self.is_backward))
        _require(allowed, f"{operand} is not for writing")
        self.written.add(index)

    def _ends(self) -> None:
        """What must have been written when a step is done."""
        plan = self.plan
        for outer in plan.outers:
            _require(self._role(outer.right) in ("x", "state", "mask", "own"), "an outer product without a right side")
            _require(plan.rows[plan.operands[outer.right].index].timed, "an outer product of a value without time")
            _require(not plan.operands[outer.right].ahead, "an outer product of a state that is ahead")
            self._read(outer.right)
            widths_of_lefts = {plan.operands[left].width for left, _, _ in outer.lefts}
            _require(len(widths_of_lefts) == 1, "an outer product with left sides of different widths")
            for left, name, block in outer.lefts:
                _require(plan.operands[left].place == Place.WORK, "an outer product of something else than a slot")
                self._read(left)
                parameter = self._parameter(name, block)
                widths = (plan.operands[left].width, plan.operands[outer.right].width)
                _require((parameter.rows, parameter.columns) == widths, f"an outer product that is not {name}")
        done: Iterable[tuple[str, str, int]] = (
            [("dx", row.name, 0) for row in plan.rows if row.role == "dx"]
            if self.is_backward
            else [("state", part, 1) for part in plan.parts]
        )
        for role, name, ahead in done:
            index = next(i for i, row in enumerate(plan.rows) if (row.role, row.name) == (role, name))
            wanted = [n for n in self.written if plan.operands[n].place == Place.ROW]
            _require(
                any((plan.operands[n].index, plan.operands[n].ahead) == (index, ahead) for n in wanted),
                f"{role} {name} is never written",
            )
        for index in (*plan.residuals.values(), *plan.taps.values()):
            self._read(index)
