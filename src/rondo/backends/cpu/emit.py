"""Writing the plan: every value of an ordered program by the number of its operand."""

from __future__ import annotations

from rondo.backends.cpu.homes import Home, Homes
from rondo.backends.cpu.plan import ACCUMULATE, ZERO, Block, Code, Group, Instruction, Operand, Outer, Plan, Stage
from rondo.backends.cpu.program import Program, Reference
from rondo.backends.cpu.schedule import AFTER, Draft, Job, Products, Schedule
from rondo.backends.cpu.slots import Counts


def emit(program: Program, homes: Homes, order: Schedule, counts: Counts) -> Plan:
    """The plan of a program whose homes have their operands."""
    return _Emission(program, homes, order).plan(counts)


class _Emission:
    def __init__(self, program: Program, homes: Homes, order: Schedule) -> None:
        self.program = program
        self.homes = homes
        self.order = order
        self.operands: list[Operand] = []
        self.gradients: list[tuple[Reference, ...]] = []
        self.started: set[int] = set()
        """Sums that something has been written to already."""

    def plan(self, counts: Counts) -> Plan:
        program, order = self.program, self.order
        if any(program.rows[operand.index].role == "dx" for _, operand in program.stores):
            self.started.add(AFTER)
        hoisted = tuple(self._group(group) for group in order.hoisted)
        stages = tuple(self._stage(draft) for draft in order.stages)
        after = tuple(self._group(group) for group in order.after)
        outers = self._outers()
        residuals = {name: self._number(home) for name, home in self.homes.residuals.items()}
        taps = {name: self._number(home) for name, home in self.homes.taps.items()}
        return Plan(
            tuple(self.operands), stages, counts.kept, counts.work, counts.temporaries, tuple(program.rows),
            tuple(program.vectors), tuple(program.constants), program.parameters, program.parts, hoisted, after,
            outers, tuple(self.gradients), residuals, taps,
        )  # fmt: skip

    def _intern(self, operand: Operand) -> int:
        if operand not in self.operands:
            self.operands.append(operand)
        return self.operands.index(operand)

    def _number(self, home: Home) -> int:
        return self._intern(home.place())

    def _operand(self, index: int) -> int:
        base = self.program.base(index)
        operand = self.program.values[base].operand
        return self._intern(operand) if operand is not None else self._number(self.homes.of[base])

    def _group(self, group: Products) -> Group:
        starts = tuple(self._start(index) for index in group.sums)
        if AFTER in group.sums:
            destinations: tuple[int, ...] = (self._intern(self.program.row("dx", "x", "input", timed=True)),)
        else:
            destinations = tuple(self._operand(index) for index in group.sums)
        transposed = self._is_transposed(group)
        matrices = tuple(tuple(Block(*matrix, transposed) for matrix in row) for row in group.sums.values())
        return Group(destinations, starts, tuple(self._operand(source) for source in group.sources), matrices)

    def _is_transposed(self, group: Products) -> bool:
        if AFTER in group.sums:
            return True
        value = self.program.values[next(iter(group.sums))]
        return next(term.transposed for term in value.terms if term.source == group.sources[0])

    def _start(self, index: int) -> int:
        if index in self.started:
            return ACCUMULATE
        self.started.add(index)
        if index == AFTER:
            return ZERO
        value = self.program.values[index]
        if value.args:
            return ACCUMULATE
        return self._intern(self.program.vector(value.vectors, value.width)) if value.vectors else ZERO

    def _stage(self, draft: Draft) -> Stage:
        groups = tuple(self._group(group) for group in draft.groups)
        code = tuple(self._instruction(job) for job in draft.code)
        reductions = tuple(
            (self._operand(job.value), self.program.values[job.value].mean)
            for job in draft.code
            if job.kind == "reduce"
        )
        return Stage(draft.width, groups, code, reductions, tuple(self._instruction(job) for job in draft.row_code))

    def _instruction(self, job: Job) -> Instruction:
        if job.kind == "rows":
            self.gradients.append(tuple(self.program.row_sums[job.value]))
            return Instruction(Code.SUM_ROWS, len(self.gradients) - 1, (self._operand(job.value),))
        value = self.program.values[job.value]
        code = Code.REDUCE if value.code is None else value.code
        return Instruction(code, self._operand(job.value), tuple(self._operand(arg) for arg in value.args))

    def _outers(self) -> tuple[Outer, ...]:
        # Lefts of one width go together, as an engine takes them by panels.
        alike: dict[tuple[int, str], list[tuple[int, str, int]]] = {}
        for left, right, (parameter, block) in self.program.outers:
            number = self._operand(left)
            alike.setdefault((self._operand(right), self.operands[number].width), []).append((number, parameter, block))
        return tuple(Outer(right, tuple(lefts)) for (right, _), lefts in alike.items())
