"""The definition of a plan: NumPy, one tile after the other.

Slow on purpose. Memory is laid out as `plan` says, and filled with NaN wherever the plan may not count on
finding anything: lanes beyond the last unit, temporaries at the start of a tile, slots of the working block
at the start of a chunk. What the native engine computes must agree with this.

Arrays are (T, B, units) and (B, units); time is the first axis because a step is one entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rondo.backends.cpu.plan import ACCUMULATE, Code, Group, Instruction, Place, Plan, Stage
from rondo.ir.graph import size_of
from rondo.ir.interpret import accumulate, block_of
from rondo.ir.ops import OPS

Array = NDArray[Any]
Arrays = Mapping[str, Array]

PANEL = 16


_sigmoid: Any = OPS["sigmoid"].evaluate

EVALUATE: dict[Code, Any] = {
    Code.COPY: lambda a: a,
    **{Code[name.upper()]: OPS[name].evaluate for name in (
        "add", "sub", "mul", "div", "neg", "maximum", "minimum", "sigmoid", "tanh", "relu", "exp", "log", "softplus",
        "silu", "sqrt",
    )},
    Code.FMA: lambda a, b, c: a * b + c,
    Code.FMS: lambda a, b, c: a * b - c,
    Code.FNMA: lambda a, b, c: c - a * b,
    Code.MUL_SIGMOID: lambda a, b: a * _sigmoid(b),
    Code.MUL_TANH: lambda a, b: a * np.tanh(b),
    Code.SIGMOID_GRADIENT: lambda a, b: a * b * (1.0 - b),
    Code.TANH_GRADIENT: lambda a, b: a * (1.0 - b * b),
    Code.SHARE: lambda a, b: _sigmoid(np.logaddexp(0.0, -b) - np.logaddexp(0.0, -a)),
    Code.MUL_COMPLEMENT: lambda a, b: a * (1.0 - b),
    Code.SELECT_LT: lambda a, b, c, d: np.where(a < b, c, d),
    Code.SELECT_LE: lambda a, b, c, d: np.where(a <= b, c, d),
}  # fmt: skip


@dataclass
class Forward:
    """What a forward plan leaves. ``states`` have T + 1 entries; ``kept`` are step blocks by width."""

    states: dict[str, Array]
    kept: dict[str, Array]
    taps: dict[str, Array]


@dataclass
class Backward:
    """Gradients: of the inputs (where the plan has them), of the first state, and of the stored arrays."""

    inputs: dict[str, Array]
    state: dict[str, Array]
    weights: dict[str, Array]

    @property
    def x(self) -> Array | None:
        """That of x, or None."""
        return self.inputs.get("x")


@dataclass(frozen=True)
class Shape:
    """How the work is cut: steps of a chunk, rows and panels of a tile."""

    chunk: int = 3
    rows: int = 2
    panels: int = 1


def run_forward(
    plan: Plan,
    sizes: Mapping[str, int],
    weights: Arrays,
    x: Array | Arrays,
    state: Arrays,
    masks: Arrays | None = None,
    shape: Shape = Shape(),
) -> Forward:
    """Run a forward plan over x (T, B, I), or over several inputs by name.

    Masks are (B, units), or (T, B, units) where they have time.
    """
    machine = _Machine(plan, sizes, weights, _by_name(x), masks or {}, shape)
    for part, width in plan.parts.items():
        entries = machine.rows(part, "state")
        entries[0, :, : size_of(width, sizes)] = state[part]
    T = machine.T
    for first in range(0, T, shape.chunk):
        steps = range(first, min(first + shape.chunk, T))
        machine.begin_chunk(first)
        for t in steps:
            for group in plan.hoisted:
                machine.products(group, t)
        for t in steps:
            machine.step(t)
    states = {part: machine.rows(part, "state")[..., : size_of(w, sizes)] for part, w in plan.parts.items()}
    taps = {}
    for name, index in plan.taps.items():
        taps[name] = np.stack([machine.matrix(index, t) for t in range(T)]) if T else np.zeros((0,))
    return Forward(states, machine.kept, taps)


def run_backward(
    plan: Plan,
    sizes: Mapping[str, int],
    weights: Arrays,
    x: Array | Arrays,
    forward: Forward,
    final: Arrays,
    *,
    dy: Array | None = None,
    masks: Arrays | None = None,
    shape: Shape = Shape(),
) -> Backward:
    """Run a backward plan after ``forward``: ``final`` is the gradient of the last state, ``dy`` of the outputs."""
    machine = _Machine(plan, sizes, weights, _by_name(x), masks or {}, shape, forward.kept)
    for number, buffer in enumerate(plan.rows):
        size = size_of(buffer.width, sizes)
        given = {"state": forward.states, "carry": final, "dy": {"h": dy}}.get(buffer.role, {}).get(buffer.name)
        if given is not None:
            machine.buffers[number][..., :size] = given
    T = machine.T
    gradients = {name: np.zeros_like(value) for name, value in weights.items()}
    for last in range(T, 0, -shape.chunk):
        steps = range(max(0, last - shape.chunk), last)
        machine.begin_chunk(steps[0])
        for t in reversed(steps):
            machine.step(t)
        for t in steps:
            for group in plan.after:
                machine.products(group, t)
            for outer in plan.outers:
                right = machine.matrix(outer.right, t)
                for left, name, block in outer.lefts:
                    parameter = next(p for p in plan.parameters if p.name == name)
                    gradient = machine.matrix(left, t).T @ right
                    accumulate(parameter, gradients[name], parameter.blocks[block], sizes, gradient)
    for references, total in zip(plan.gradients, machine.row_sums, strict=True):
        for name, block in references:
            parameter = next(p for p in plan.parameters if p.name == name)
            gradients[name][parameter.block_rows(parameter.blocks[block], sizes)] += total
    first = {part: machine.rows(part, "carry")[0, :, : size_of(w, sizes)] for part, w in plan.parts.items()}
    ends = {row.name: row.width for row in plan.rows if row.role == "dx"}
    inputs = {name: machine.rows(name, "dx")[..., : size_of(w, sizes)] for name, w in ends.items()}
    return Backward(inputs, first, gradients)


def _by_name(x: Array | Arrays) -> Arrays:
    return x if isinstance(x, Mapping) else {"x": x}


@dataclass
class _Machine:
    """Memory and the execution of steps."""

    plan: Plan
    sizes: Mapping[str, int]
    weights: Arrays
    inputs: Arrays
    masks: Arrays
    shape: Shape
    kept: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first = next(iter(self.inputs.values()))
        plan, (T, B, _) = self.plan, first.shape
        self.T, self.B, self.dtype = T, B, first.dtype
        self.first = 0
        self.work: dict[str, Array] = {}
        if not self.kept:
            self.kept = {width: self._block(T, width, slots) for width, slots in plan.kept.items()}
        self.temporaries: dict[tuple[int, str], Array] = {}
        self.buffers: list[Array] = []
        for row in plan.rows:
            entries = (T + 1 if row.role == "state" else T) if row.timed else 1
            self.buffers.append(self._nan(entries, B, self.panels(row.width) * PANEL))
            given = {"x": self.inputs, "mask": self.masks}.get(row.role, {}).get(row.name)
            if given is not None:
                self.buffers[-1][..., : size_of(row.width, self.sizes)] = given
        self.vectors = [self._vector(references) for references in plan.vectors]
        widths = [self._parameter(references[0][0]).rows for references in plan.gradients]
        self.row_sums = [np.zeros(size_of(width, self.sizes), self.dtype) for width in widths]

    def _nan(self, *shape: int) -> Array:
        return np.full(shape, np.nan, self.dtype)

    def _block(self, steps: int, width: str, slots: int) -> Array:
        return self._nan(steps, self.panels(width), self.B, slots, PANEL)

    def panels(self, width: str) -> int:
        return -(-size_of(width, self.sizes) // PANEL)

    def rows(self, name: str, role: str) -> Array:
        """A row buffer by role and name."""
        number = next(i for i, row in enumerate(self.plan.rows) if (row.role, row.name) == (role, name))
        return self.buffers[number]

    def _parameter(self, name: str) -> Any:
        return next(p for p in self.plan.parameters if p.name == name)

    def _vector(self, references: tuple[tuple[str, int], ...]) -> Array:
        parameter = self._parameter(references[0][0])
        total = self._nan(self.panels(parameter.rows) * PANEL)
        stored = [(self._parameter(name), block) for name, block in references]
        total[: size_of(parameter.rows, self.sizes)] = sum(
            block_of(p, p.blocks[block], self.sizes, self.weights) for p, block in stored
        )
        return total.reshape(-1, 1, PANEL)

    def begin_chunk(self, first: int) -> None:
        """Nothing in the working block, and in what the plan has for itself, survives."""
        self.first = first
        self.work = {width: self._block(self.shape.chunk, width, slots) for width, slots in self.plan.work.items()}
        for buffer, row in zip(self.buffers, self.plan.rows, strict=True):
            if row.role == "own":
                buffer[...] = np.nan

    def step(self, t: int) -> None:
        """All stages of one step."""
        for buffer, row in zip(self.buffers, self.plan.rows, strict=True):
            if row.role == "own" and not row.timed:
                buffer[...] = np.nan
        for stage in self.plan.stages:
            self._stage(stage, t)

    def _stage(self, stage: Stage, t: int) -> None:
        for index, _ in stage.reductions:
            self.value(index, t)[...] = 0.0
        for rows, panels in self._tiles(stage.width):
            self.temporaries = {}
            for group in stage.groups:
                self.products(group, t, rows, panels)
            for one in stage.code:
                self._execute(one, t, stage.width, rows, panels)
        for index, is_mean in stage.reductions:
            self.value(index, t)[...] /= size_of(stage.width, self.sizes) if is_mean else 1
        self.temporaries = {}
        for one in stage.row_code:
            self._execute(one, t, "one", slice(None), slice(None))

    def _tiles(self, width: str) -> Iterator[tuple[slice, slice]]:
        """Tiles in an order that nothing may depend on."""
        rows = [slice(first, first + self.shape.rows) for first in range(0, self.B, self.shape.rows)]
        step = self.shape.panels
        panels = [slice(first, first + step) for first in range(0, self.panels(width), step)]
        yield from ((r, p) for p in reversed(panels) for r in rows)

    def _execute(self, one: Instruction, t: int, width: str, rows: slice, panels: slice) -> None:
        args = [self._tile(arg, t, width, rows, panels) for arg in one.args]
        if one.code == Code.SUM_ROWS:
            wide = np.broadcast_to(args[0], (self._count(width, panels), *args[0].shape[1:]))
            units = np.arange(self.panels(width) * PANEL).reshape(-1, PANEL)[panels].ravel()
            sums = np.broadcast_to(wide, (wide.shape[0], self._rows(rows), PANEL)).sum(1).ravel()
            real = units < size_of(width, self.sizes)
            self.row_sums[one.dst][units[real]] += sums[real]
            return
        to = self._tile(one.dst, t, width, rows, panels)
        if one.code == Code.REDUCE:
            real = (np.arange(self.panels(width) * PANEL) < size_of(width, self.sizes)).reshape(-1, 1, PANEL)[panels]
            to += np.where(real, args[0], 0.0).sum((0, 2))[None, :, None]
        else:
            with np.errstate(all="ignore"):  # lanes beyond the last unit hold anything
                to[...] = EVALUATE[one.code](*args)

    def _count(self, width: str, panels: slice) -> int:
        return len(range(self.panels(width))[panels])

    def _rows(self, rows: slice) -> int:
        return len(range(self.B)[rows])

    def _tile(self, index: int, t: int, width: str, rows: slice, panels: slice) -> Array:
        """An operand's part of a tile: (panels, rows, 16), with axes of 1 where it is the same for all."""
        operand = self.plan.operands[index]
        if operand.place == Place.TEMP:
            key = (operand.index, operand.width)
            if key not in self.temporaries:
                count = 1 if operand.width == "one" else self._count(width, panels)
                self.temporaries[key] = self._nan(count, self._rows(rows), PANEL)
            return self.temporaries[key]
        value = self.value(index, t)
        if value.shape[1] > 1 or self.B == 1:
            value = value[:, rows]
        return value if operand.width == "one" else value[panels]

    def value(self, index: int, t: int) -> Array:
        """All of an operand at step t, as (panels, rows, 16)."""
        operand = self.plan.operands[index]
        if operand.place == Place.KEPT:
            return self.kept[operand.width][t, :, :, operand.index]
        if operand.place == Place.WORK:
            return self.work[operand.width][t - self.first, :, :, operand.index]
        if operand.place == Place.VECTOR:
            return self.vectors[operand.index]
        if operand.place == Place.CONSTANT:
            constant = self.plan.constants[operand.index]
            over = 1 if constant.over_units_of is None else size_of(constant.over_units_of, self.sizes)
            return np.full((1, 1, PANEL), constant.value / over, self.dtype)
        entry = t + operand.ahead if self.plan.rows[operand.index].timed else 0
        return self.buffers[operand.index][entry].reshape(self.B, -1, PANEL).transpose(1, 0, 2)

    def matrix(self, index: int, t: int) -> Array:
        """An operand at step t as (rows, units)."""
        units = size_of(self.plan.operands[index].width, self.sizes)
        return self.value(index, t).transpose(1, 0, 2).reshape(self.B, -1)[:, :units]

    def products(self, group: Group, t: int, rows: slice = slice(None), panels: slice = slice(None)) -> None:
        """A group, for a tile or for everything."""
        sources = [self.matrix(source, t)[rows] for source in group.sources]
        for destination, start, blocks in zip(group.destinations, group.starts, group.matrices, strict=True):
            width = self.plan.operands[destination].width
            total = np.zeros((self._rows(rows), size_of(width, self.sizes)), self.dtype)
            for block, source in zip(blocks, sources, strict=True):
                if block is not None:
                    parameter = self._parameter(block.parameter)
                    matrix = block_of(parameter, parameter.blocks[block.block], self.sizes, self.weights)
                    total = total + source @ (matrix if block.transposed else matrix.T)
            padded = self._nan(total.shape[0], self.panels(width) * PANEL)
            padded[:, : total.shape[1]] = total
            tile = padded.reshape(total.shape[0], -1, PANEL).transpose(1, 0, 2)[panels]
            to = self._tile(destination, t, width, rows, panels)
            begin = to if start == ACCUMULATE else self._tile(start, t, width, rows, panels) if start >= 0 else 0.0
            to[...] = begin + tile
