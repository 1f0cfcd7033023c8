"""A plan: a cell's step, or its step of backpropagation, as the native engine executes it.

`lower` makes a plan from a graph, `interpret` runs one in NumPy and thereby says what a plan means, the
native module runs it fast. A plan is plain numbers and names. It knows the cell and what is kept, but no
size: one plan serves every batch, length and width.

Words. Units (the last axis of a value) are grouped in *panels* of 16; the last panel is filled up with
lanes whose content means nothing. A *tile* is a few rows of the batch times a few panels: small enough for
the first-level cache. A *step block* holds, for one time step and one width, all *slots* of all units and
rows, as ``[panel][row][slot][16]``. A *row buffer* holds a value as ``[time][row][unit]``. A value of width
one stands in all 16 lanes of a panel of its own, in row buffers too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from rondo.ir.graph import Parameter


class Place(IntEnum):
    """Where a value lies. Each kind is addressed by a pointer and strides by time, row and panel."""

    KEPT = 0
    """A slot of the kept step block: written by the forward plan, read by the backward plan, all T steps."""
    WORK = 1
    """A slot of the working step block: at most a chunk of steps, nothing of it outlives the call."""
    TEMP = 2
    """Scratch of the size of a tile; lives within one stage."""
    ROW = 3
    """A row buffer."""
    VECTOR = 4
    """A learned vector, or the sum of several: the same for all rows."""
    CONSTANT = 5
    """A number: `Plan.constants`."""


class Code(IntEnum):
    """Instructions of a tile program, elementwise but the last two: ``dst = op(a, b, c, d)``."""

    COPY = 0
    ADD = 1
    SUB = 2
    MUL = 3
    DIV = 4
    NEG = 5
    MAXIMUM = 6
    MINIMUM = 7
    SIGMOID = 8
    TANH = 9
    RELU = 10
    EXP = 11
    LOG = 12
    SOFTPLUS = 13
    SILU = 14
    SQRT = 15
    FMA = 16
    """a * b + c"""
    FMS = 17
    """a * b - c"""
    FNMA = 18
    """c - a * b"""
    MUL_SIGMOID = 19
    """a * sigmoid(b)"""
    MUL_TANH = 20
    """a * tanh(b)"""
    SIGMOID_GRADIENT = 21
    """a * b * (1 - b): a is the gradient of b, a sigmoid"""
    TANH_GRADIENT = 22
    """a * (1 - b * b): a is the gradient of b, a tanh"""
    SELECT_LT = 23
    """c where a < b, else d"""
    SELECT_LE = 24
    """c where a <= b, else d"""
    SHARE = 25
    """sigmoid(a) / (sigmoid(a) + sigmoid(b)), written sigmoid(softplus(-b) - softplus(-a)): also of closed gates"""
    MUL_COMPLEMENT = 26
    """a * (1 - b), which an infinite a leaves infinite as a - a * b would not"""
    REDUCE = 27
    """dst (width one) accumulates the sum of a over its units; complete when the stage ends"""
    SUM_ROWS = 28
    """dst (a gradient of a vector, `Plan.gradients`) accumulates the sum of a over the rows of the batch"""


@dataclass(frozen=True, slots=True)
class Operand:
    """A value in its place. ``index`` counts slots, temporaries, row buffers, vectors or constants."""

    place: Place
    width: str
    index: int
    ahead: int = 0
    """1: the entry of the next time step (a new state); only for the states' row buffers."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """``dst`` and ``args`` are numbers of operands; SUM_ROWS has the number of a gradient as ``dst``."""

    code: Code
    dst: int
    args: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a stored matrix, (rows, columns), or its transpose."""

    parameter: str
    block: int
    transposed: bool


ZERO, ACCUMULATE = -1, -2
"""What a product begins from, besides the number of an operand of kind VECTOR."""


@dataclass(frozen=True, slots=True)
class Group:
    """Products that are computed together: ``dst[g] = start[g] + sum over s of M[g][s] source[s]``.

    ``destinations``  operands (a slot, or a row buffer), all of one width
    ``starts``        for each: ZERO, ACCUMULATE (what it holds already) or a VECTOR operand
    ``sources``       either one operand in a row buffer, or slots of one step block, of one width
    ``matrices``      by destination, then by source; None where there is no product
    """

    destinations: tuple[int, ...]
    starts: tuple[int, ...]
    sources: tuple[int, ...]
    matrices: tuple[tuple[Block | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """What happens tile by tile between two points at which whole rows must be complete.

    For each tile: all groups, then ``code``. When all tiles of a row are done: the ``reductions`` (operands
    of width one that REDUCE wrote; True divides by the number of units) are finished, then ``row_code``
    runs, on operands of width one.
    """

    width: str
    groups: tuple[Group, ...] = ()
    code: tuple[Instruction, ...] = ()
    reductions: tuple[tuple[int, bool], ...] = ()
    row_code: tuple[Instruction, ...] = ()


@dataclass(frozen=True, slots=True)
class RowBuffer:
    """A value as ``[time][row][unit]``.

    ``role``: ``x`` (name: the input, x, or of a scan each of its pre-activations); ``state`` (name: the part;
    entry t is the state before step t, T + 1 entries in a forward plan); ``mask`` (given from outside); ``own``
    (of the plan itself, for instance r * h); in a backward plan also ``dy`` (gradient of the outputs h), ``carry``
    (name: the part; gradient of the state after this step, which the step replaces by that of the state before
    it) and ``dx`` (name: the input).
    """

    role: str
    name: str
    width: str
    timed: bool
    """False: one entry for all steps (a mask for the whole sequence, a carried gradient). ``own`` buffers have
    time where an outer product reads them: as many entries as a chunk has steps."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, the same for every unit."""

    value: float
    over_units_of: str | None = None
    """A width by whose number of units the value is divided."""


@dataclass(frozen=True, slots=True)
class Outer:
    """Gradients of matrix blocks that have one right side: ``sum over t and rows of left rightᵀ``.

    ``lefts``: operands of one width, slots of a working block that stand until the end of a chunk, with the parameter
    and block each belongs to (one slot may serve several). ``right``: an operand in a row buffer.
    """

    right: int
    lefts: tuple[tuple[int, str, int], ...]


@dataclass(frozen=True)
class Plan:
    """See the module's text. ``operands`` is the table that all numbers of operands point into."""

    operands: tuple[Operand, ...]
    stages: tuple[Stage, ...]
    kept: dict[str, int]
    """Slots of the kept step block, by width."""
    work: dict[str, int]
    """Slots of the working step block, by width."""
    temporaries: int
    rows: tuple[RowBuffer, ...]
    vectors: tuple[tuple[tuple[str, int], ...], ...]
    """For each VECTOR the (parameter, block)s that are added up."""
    constants: tuple[Constant, ...]
    parameters: tuple[Parameter, ...]
    """The cell's stored arrays: what (parameter, block) refers to."""
    parts: dict[str, str]
    """The parts of the state in their order, with their widths."""
    hoisted: tuple[Group, ...] = ()
    """Products with x, computed for many steps at once into slots, before these steps (forward plans)."""
    after: tuple[Group, ...] = ()
    """The gradient of x: products computed for many steps at once, after these steps (backward plans)."""
    outers: tuple[Outer, ...] = ()
    gradients: tuple[tuple[tuple[str, int], ...], ...] = ()
    """For each gradient that SUM_ROWS accumulates the (parameter, block)s of vectors or biases it is for."""
    residuals: dict[str, int] = field(default_factory=dict)
    """Operands that are kept, by their name in the derivative (forward: where written, backward: where read)."""
    taps: dict[str, int] = field(default_factory=dict)
    """Operands of values a person asked to see, by name; they are kept as well."""
