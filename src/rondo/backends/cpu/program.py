"""What lies between a cell's graph and a plan: values that know in which stage they can be computed.

A `Program` holds values in an order in which each uses only earlier ones, and says what must become of
them. The passes of the lowering change it in place: ``translate`` makes it, ``fuse`` joins instructions,
``homes`` decides where each value lies, ``slots`` numbers the places, ``emit`` writes the plan.

The *level* of a value counts the points before it at which whole rows must be complete: a product of a
computed value, and what is computed from a reduction, are one level further than what they use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rondo.backends.cpu.plan import Code, Constant, Operand, Place, RowBuffer
from rondo.ir.graph import Parameter

Reference = tuple[str, int]
"""A parameter and the number of one of its blocks."""


@dataclass(frozen=True, slots=True)
class Term:
    """One product in a sum: a block of a matrix, or its transpose, times a value."""

    source: int
    matrix: Reference
    transposed: bool


@dataclass(slots=True)
class Value:
    """``kind``: leaf (lies somewhere already), code (an instruction), sum (of products), reduce, or view
    (a value of width one seen as wide as ``width``)."""

    kind: str
    width: str
    level: int
    args: tuple[int, ...] = ()
    """Operands of the instruction; what is reduced or viewed; of a sum, the value it starts from, if any."""
    code: Code | None = None
    operand: Operand | None = None
    """Of a leaf."""
    mean: bool = False
    terms: tuple[Term, ...] = ()
    vectors: tuple[Reference, ...] = ()
    """Biases that a sum starts from."""


@dataclass
class Program:
    """The values of one step and what becomes of them."""

    parameters: tuple[Parameter, ...]
    parts: dict[str, str]
    values: list[Value] = field(default_factory=list)
    rows: list[RowBuffer] = field(default_factory=list)
    vectors: list[tuple[Reference, ...]] = field(default_factory=list)
    constants: list[Constant] = field(default_factory=list)
    stores: list[tuple[int, Operand]] = field(default_factory=list)
    """Values that belong into a row buffer: new states, carried gradients, dx."""
    kept: dict[str, int] = field(default_factory=dict)
    """Residuals by name."""
    taps: dict[str, int] = field(default_factory=dict)
    row_sums: dict[int, list[Reference]] = field(default_factory=dict)
    """Values whose sum over the rows is the gradient of vectors or biases."""
    outers: list[tuple[int, int, Reference]] = field(default_factory=list)
    """Left, right, and the block whose gradient it is."""
    placed: list[int] = field(default_factory=list)
    """Copies that are there for the place they lie in."""
    after: list[Term] = field(default_factory=list)
    """Products that are added to dx after the steps."""

    def reference(self, parameter: str, block: str) -> Reference:
        found = next(p for p in self.parameters if p.name == parameter)
        return parameter, found.blocks.index(block)

    def row(self, role: str, name: str, width: str, *, timed: bool, ahead: int = 0) -> Operand:
        """An operand in a row buffer, which is made where there is none yet."""
        buffer = RowBuffer(role, name, width, timed)
        if buffer not in self.rows:
            self.rows.append(buffer)
        return Operand(Place.ROW, width, self.rows.index(buffer), ahead)

    def vector(self, references: tuple[Reference, ...], width: str) -> Operand:
        if references not in self.vectors:
            self.vectors.append(references)
        return Operand(Place.VECTOR, width, self.vectors.index(references))

    def constant(self, value: float, over_units_of: str | None = None) -> int:
        made = Constant(value, over_units_of)
        if made not in self.constants:
            self.constants.append(made)
        return self.leaf(Operand(Place.CONSTANT, "one", self.constants.index(made)))

    def add(self, value: Value) -> int:
        self.values.append(value)
        return len(self.values) - 1

    def leaf(self, operand: Operand, width: str | None = None) -> int:
        for index, value in enumerate(self.values):
            if value.operand == operand:
                return index
        return self.add(Value("leaf", width or operand.width, 0, operand=operand))

    def code(self, code: Code, args: tuple[int, ...], width: str) -> int:
        level = max((self.row_level(a) if width == "one" else self.code_level(a) for a in args), default=0)
        return self.add(Value("code", width, level, args, code))

    def copy(self, index: int, level: int = 0) -> int:
        """The value once more, by an instruction of its own, at ``level`` or as soon as it can be."""
        made = self.code(Code.COPY, (index,), self.values[index].width)
        self.values[made].level = max(level, self.values[made].level)
        return made

    def view(self, index: int, width: str) -> int:
        return self.add(Value("view", width, 0, (index,)))

    def base(self, index: int) -> int:
        """The value that a view sees, or the value itself."""
        while self.values[index].kind == "view":
            index = self.values[index].args[0]
        return index

    def code_level(self, index: int) -> int:
        """The first level at which an instruction over tiles can read the value."""
        value = self.values[self.base(index)]
        return value.level + (value.width == "one" and value.kind != "leaf")

    def row_level(self, index: int) -> int:
        """The first level at which an instruction on values of width one can read the value."""
        return self.values[self.base(index)].level

    def term_level(self, term: Term) -> int:
        """The level of a product: its source must be complete, and lie in a row buffer or a slot."""
        base = self.values[self.base(term.source)]
        if base.kind == "leaf" and base.operand is not None:
            at_once = not term.transposed and self.is_row_source(term.source)
            return 0 if at_once else 1
        return self.code_level(term.source) + 1

    def is_row_source(self, index: int) -> bool:
        """Whether a product can read the value where it lies: a leaf in a row buffer."""
        value = self.values[index]
        return value.operand is not None and value.operand.place == Place.ROW

    def role(self, index: int) -> str | None:
        """The role of the row buffer a leaf lies in."""
        operand = self.values[index].operand
        return self.rows[operand.index].role if operand is not None and operand.place == Place.ROW else None

    def is_hoisted(self, term: Term) -> bool:
        return not term.transposed and self.role(term.source) == "x"

    def term_levels(self, value: Value) -> list[int]:
        """The stages of a sum's products. Transposed ones are computed together, over all their sources."""
        levels = [self.term_level(term) for term in value.terms]
        return [max(levels)] * len(levels) if all(term.transposed for term in value.terms) else levels

    def readers(self) -> list[list[int]]:
        """For each value what is computed from it, through views, and -1 for each other thing made of it.

        Only what anything needs counts.
        """
        found: list[list[int]] = [[] for _ in self.values]
        for index in sorted(self.live()):
            value = self.values[index]
            if value.kind != "view":
                for arg in (*value.args, *(term.source for term in value.terms)):
                    found[self.base(arg)].append(index)
        for index in self.ends():
            found[self.base(index)].append(-1)
        return found

    def ends(self) -> Iterator[int]:
        """All values that something other than a value is made of, once for each thing."""
        yield from (index for index, _ in self.stores)
        yield from self.kept.values()
        yield from self.taps.values()
        yield from self.placed
        yield from self.row_sums
        for left, right, _ in self.outers:
            yield from (left, right)
        yield from (term.source for term in self.after)

    def live(self) -> set[int]:
        """The values that anything needs."""
        found: set[int] = set()
        todo = list(self.ends())
        while todo:
            index = todo.pop()
            if index not in found:
                found.add(index)
                value = self.values[index]
                todo.extend((*value.args, *(term.source for term in value.terms)))
        return found
