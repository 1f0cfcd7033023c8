"""Choosing the stage in which a value is computed, where there is a choice: fewer stages, fewer slots.

`translate` computes everything as early as it can. What is computed early and used late must be carried
from stage to stage in a slot, unless it is computed late from what lies in memory until then anyway.
"""

from __future__ import annotations

from rondo.backends.cpu.program import Program


def sink(program: Program) -> None:
    """Move values to later levels where that costs no slot."""
    _Sinking(program).run()


class _Sinking:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.values = program.values
        self.readers = program.readers()
        self.lasting = {*program.ends()} - {index for index, _ in program.stores} - {*program.row_sums}

    def run(self) -> None:
        live = sorted(self.program.live(), reverse=True)
        for index in live:
            self._sink(index)
        self._empty_stages(live)

    def _uses(self, index: int) -> list[int]:
        """The levels at which a value is read."""
        return [self._used_at(reader) for reader in self.readers[index] if reader != -1]

    def _used_at(self, reader: int) -> int:
        value = self.values[reader]
        return min(self.program.term_levels(value)) - 1 if value.kind == "sum" else value.level

    def _may_move(self, index: int) -> bool:
        value = self.values[index]
        if value.kind != "code" or value.width == "one" or -1 in self.readers[index]:
            return False
        return min(self._uses(index)) > value.level

    def _sink(self, index: int) -> None:
        followers = [reader for reader in dict.fromkeys(self.readers[index]) if reader != -1]
        followers = [reader for reader in followers if self._may_move(reader) and self._lasts(reader, besides=index)]
        if len(followers) > 1:  # one slot for this value instead of one for each of them
            for reader in followers:
                self.values[reader].level = min(self._uses(reader))
        if self._may_move(index) and self._lasts(index):
            self.values[index].level = min(self._uses(index))

    def _lasts(self, index: int, *, besides: int | None = None) -> bool:
        """Whether all that a value is computed from can still be read where it is used first.

        A sum has a slot in any case: one may be read later instead of the value that is computed from it.
        """
        first_use = min(self._uses(index))
        bases = {self.program.base(arg) for arg in self.values[index].args} - {besides}
        short = [base for base in bases if not self._stands_at(base, first_use)]
        return not short or (len(short) == 1 and self.values[short[0]].kind == "sum")

    def _stands_at(self, base: int, level: int) -> bool:
        return self.values[base].kind == "leaf" or base in self.lasting or max(self._uses(base), default=-1) >= level

    def _empty_stages(self, live: list[int]) -> None:
        """Dissolve stages without products or reductions if a later one of the same width can do their work."""
        inside: dict[tuple[int, str], list[int]] = {}
        fixed: set[tuple[int, str]] = set()
        for index in live:
            value = self.values[index]
            if value.kind == "sum":
                fixed |= {(level, value.width) for level in self.program.term_levels(value)}
            elif value.kind == "reduce":
                fixed.add((value.level, self.values[value.args[0]].width))
            elif value.kind == "code" and value.width != "one":
                inside.setdefault((value.level, value.width), []).append(index)
        for (level, width), members in sorted(inside.items()):
            later = min((lv for lv, w in {*inside, *fixed} if w == width and lv > level), default=None)
            if (level, width) in fixed or later is None:
                continue
            if all(
                reader == -1 or reader in members or self._used_at(reader) >= later
                for index in members
                for reader in self.readers[index]
            ):
                for index in members:
                    self.values[index].level = later
                inside[later, width] = inside.get((later, width), []) + members
                inside[level, width] = []
