"""Where each value of a program lies: one home each; what must lie in several places is copied.

Homes are kinds of places. Which slot or temporary it is, `slots` decides once the order of all
instructions is known.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from rondo.backends.cpu.plan import Operand
from rondo.backends.cpu.program import Program, Term


@dataclass(eq=False)
class Home:
    """``kind``: kept or work (slots that stand until the end), slot (free again after the last use), temp, row."""

    kind: str
    width: str
    operand: Operand | None = None
    """Of a row, from the beginning; of the others, once `slots` has chosen."""

    def place(self) -> Operand:
        """The operand, when there must be one."""
        if self.operand is None:
            raise LookupError(f"a value of width {self.width} has been given no {self.kind}")
        return self.operand


@dataclass
class Homes:
    """What `settle` found."""

    of: dict[int, Home] = field(default_factory=dict)
    """By value. A sum shares its home with the value it starts from."""
    residuals: dict[str, Home] = field(default_factory=dict)
    taps: dict[str, Home] = field(default_factory=dict)


def settle(program: Program, *, restarts: bool) -> Homes:
    """Give every live value a home; changes the program where that takes copies.

    ``restarts``: row buffers of the state do not keep the new states for the backward plan.
    """
    return _Settling(program, restarts).run()


class _Settling:
    def __init__(self, program: Program, restarts: bool) -> None:
        self.program = program
        self.restarts = restarts
        self.homes = Homes()
        self.of = self.homes.of
        self.carries = [(v, operand) for v, operand in program.stores if program.rows[operand.index].role == "carry"]

    def run(self) -> Homes:
        self._keep()
        self._work()
        self._rows()
        for index, operand in self.carries:
            self._carry(index, operand)
        self._starts()
        self._rest()
        return self.homes

    def _put(self, index: int, home: Home) -> int:
        """Let the value lie in ``home``, by itself or as a copy; the value that lies there is returned."""
        value = self.program.values[index]
        # Reductions, and what is computed for many steps at once, are written to slots.
        slots_only = value.kind == "reduce" or any(self.program.is_hoisted(term) for term in value.terms)
        if value.kind in ("leaf", "view") or index in self.of or (slots_only and home.kind == "row"):
            return self._copy(index, home)
        self.of[index] = home
        return index

    def _copy(self, index: int, home: Home, level: int = 0) -> int:
        made = self.program.copy(index, level)
        self.program.placed.append(made)
        self.of[made] = home
        return made

    def _keep(self) -> None:
        """Residuals and taps, in slots, or where a new state lies."""
        program = self.program
        new = {index: operand for index, operand in program.stores if program.rows[operand.index].role == "state"}
        at: dict[int, Home] = {}
        for index in [*program.kept.values(), *program.taps.values()]:
            if index in at:
                continue
            if index in new and not self.restarts:
                at[index] = Home("row", new[index].width, new[index])
            else:
                at[index] = Home("kept", program.values[index].width)
            self._put(index, at[index])
        self.homes.residuals = {name: at[index] for name, index in program.kept.items()}
        self.homes.taps = {name: at[index] for name, index in program.taps.items()}

    def _work(self) -> None:
        """What transposed products and outer products read as a column of slots."""
        program = self.program
        placed: dict[int, int] = {}

        def slot(index: int) -> int:
            if index not in placed:
                placed[index] = self._put(index, Home("work", program.values[index].width))
            return placed[index]

        def moved(terms: list[Term]) -> list[Term]:
            return [replace(term, source=slot(term.source)) if term.transposed else term for term in terms]

        for index in sorted(program.live()):
            value = program.values[index]
            value.terms = tuple(moved(list(value.terms)))
        program.after = moved(program.after)
        program.outers = [(slot(left), right, matrix) for left, right, matrix in program.outers]

    def _rows(self) -> None:
        """New states, dx, and what products and outer products read as rows."""
        program = self.program
        placed: dict[int, int] = {}
        for index, operand in program.stores:
            if program.rows[operand.index].role == "carry":
                continue
            home = self.of.get(index)
            if home is not None and home.operand == operand:
                placed.setdefault(index, index)
                continue
            placed.setdefault(index, self._put(index, Home("row", operand.width, operand)))

        def row(index: int, *, timed: bool) -> int:
            operand = program.values[index].operand
            if operand is not None and program.is_row_source(index) and not operand.ahead:
                return index
            if index not in placed:
                width = program.values[index].width
                name = f"own{sum(buffer.role == 'own' for buffer in program.rows)}"
                operand = program.row("own", name, width, timed=timed)
                placed[index] = self._put(index, Home("row", width, operand))
            return placed[index]

        for index in sorted(program.live()):
            value = program.values[index]
            value.terms = tuple(
                term if term.transposed else replace(term, source=row(term.source, timed=False)) for term in value.terms
            )
        program.outers = [(left, row(right, timed=True), matrix) for left, right, matrix in program.outers]

    def _carry(self, index: int, operand: Operand) -> None:
        """A carried gradient is replaced only when nothing reads the former one any more."""
        program, home = self.program, Home("row", operand.width, operand)
        value = program.values[index]
        if value.operand == operand:
            return  # it stays what it is
        last_read = self._last_read(operand)
        readers = program.readers()[index]
        alone = readers == [-1] and index not in self.of
        if value.kind == "sum" and alone and last_read < min(program.term_levels(value)):
            self.of[index] = home
            return
        if value.kind == "code" and alone and value.level >= last_read and self._reads_no_carry_but(index, operand):
            self.of[index] = home
            return
        if program.role(program.base(index)) == "carry":
            index = program.copy(index)
        self._copy(index, home, last_read)

    def _starts(self) -> None:
        """What a sum starts from is written to where the sum lies."""
        program = self.program
        for index in sorted(program.live()):
            value = program.values[index]
            if value.kind != "sum":
                continue
            home = self.of.setdefault(index, Home("slot", value.width))
            if not value.args:
                continue
            (start,) = value.args
            carry = home.operand if self._is_carry(home) else None
            level = self._last_read(carry) if carry else 0
            first = program.values[start]
            alone = program.readers()[start] == [index] and first.kind == "code" and start not in self.of
            if not (alone and first.level >= level and (carry is None or self._reads_no_carry_but(start, carry))):
                if carry and program.role(program.base(start)) == "carry":
                    start = program.copy(start)
                start = program.copy(start, level)
                value.args = (start,)
            self.of[start] = home

    def _rest(self) -> None:
        """Temporaries for what lives within a stage, slots for the rest."""
        program = self.program
        readers = program.readers()
        for index in sorted(program.live()):
            value = program.values[index]
            if index in self.of or value.kind in ("leaf", "view"):
                continue
            users = [program.values[reader] for reader in readers[index] if reader != -1]
            passing = value.kind == "code" and all(
                user.level == value.level
                and user.kind != "sum"
                and (value.width != "one" or (user.kind, user.width) == ("code", "one"))
                for user in users
            )
            self.of[index] = Home("temp" if passing else "slot", value.width)

    def _is_carry(self, home: Home) -> bool:
        return home.operand is not None and self.program.rows[home.operand.index].role == "carry"

    def _last_read(self, operand: Operand) -> int:
        """The last level at which the gradient that comes with the carry is read, -1 if it is not."""
        program = self.program
        leaf = next((i for i, value in enumerate(program.values) if value.operand == operand), None)
        if leaf is None:
            return -1
        levels = [0 if reader == -1 else program.values[reader].level for reader in program.readers()[leaf]]
        return max(levels, default=-1)

    def _reads_no_carry_but(self, index: int, operand: Operand) -> bool:
        program = self.program
        bases = [program.base(arg) for arg in program.values[index].args]
        return all(program.role(base) != "carry" or program.values[base].operand == operand for base in bases)
