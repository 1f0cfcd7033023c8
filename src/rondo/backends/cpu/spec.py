"""What is run, apart from its tensors: the cell with its options, and for given sizes the plans ready to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor

from rondo.backends.cpu.lower import Plans, plans_for
from rondo.backends.cpu.native import engine_for
from rondo.backends.cpu.plan import Plan
from rondo.backends.cpu.zoneout import MASK
from rondo.cells import Cell
from rondo.errors import UsageError
from rondo.ir.graph import WIDTHS, Parameter

ABSENT, MASKED = -1.0, -2.0
"""What stands for a part of the state in a list of zoneout rates: none, or a mask says so."""

PANEL = 16


@dataclass(frozen=True, eq=False)
class Spec:
    """What is run: everything but tensors and sizes. `spec_for` makes one for each."""

    cell: Cell
    bias: bool
    dropout: bool
    zoneout: tuple[float, ...]
    """By part of the state: the rate, ABSENT or MASKED."""
    reduced: bool = False
    """Products are in bfloat16."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The output first."""
        return self.cell.output_first

    @cached_property
    def stored(self) -> tuple[Parameter, ...]:
        """What the weights are, in their order."""
        return tuple(p for p in self.cell.parameters if self.bias or p.kind != "bias")

    @cached_property
    def masks(self) -> tuple[str, ...]:
        """Names of the masks, in their order."""
        masked = (MASK + part for part, rate in zip(self.parts, self.zoneout, strict=True) if rate == MASKED)
        return (*(["recurrent"] if self.dropout else []), *masked)

    def plans(
        self, *, training: bool, restarts: bool, dy: bool = True, dx: bool = True, taps: tuple[str, ...] = ()
    ) -> Plans:
        """See `plans_for`."""
        rates = zip(self.parts, self.zoneout, strict=True)
        return plans_for(
            self.cell,
            bias=self.bias,
            recurrent_dropout=self.dropout,
            zoneout=tuple((part, None if rate == MASKED else rate) for part, rate in rates if rate != ABSENT),
            training=training,
            dy=dy,
            dx=dx,
            taps=taps,
            restarts=restarts,
        )

    @cached_property
    def keeps_more(self) -> bool:
        """Whether a run for training keeps more than the states h, which are its outputs, where nothing restarts."""
        plans = self.plans(training=True, restarts=False)
        return any(plans.forward.kept.values()) or len(self.parts) > 1

    @cached_property
    def _widths(self) -> tuple[tuple[int, int, int], ...]:
        """For each width where its number is read: 1 none, 2 x, 3 a state, 4 rows of a weight; which; divided by."""
        found = {self.cell.state_widths[part]: (3, i, 1) for i, part in enumerate(self.parts)}
        found |= {p.rows: (4, i, len(p.blocks)) for i, p in enumerate(self.stored)}
        found |= {"one": (1, 0, 1), "input": (2, 0, 1)}
        return tuple(found.get(width, (0, 0, 1)) for width in WIDTHS)

    def sizes(self, x: Tensor, weights: Sequence[Tensor], given: Sequence[Tensor]) -> tuple[int, ...]:
        """The numbers behind the symbolic widths, in the order of `WIDTHS`."""
        sizes = []
        for kind, index, divisor in self._widths:
            if kind == 4:
                sizes.append(weights[index].shape[0] // divisor)
            elif kind == 3:
                sizes.append(given[index].shape[1])
            else:
                sizes.append(x.shape[2] if kind == 2 else kind)
        return tuple(sizes)

    def fitting_sizes(
        self, x: Tensor, weights: Sequence[Tensor], given: Sequence[Tensor], fresh: Sequence[Tensor]
    ) -> tuple[int, ...]:
        """The same, of tensors that fit together: the engine gets addresses, and would read what lies behind.

        `UsageError` where a tensor has another shape, type or device than the others ask for.
        """
        tensors = (x, *weights, *given, *fresh)
        if {(one.dtype, one.is_cpu) for one in tensors} != {(x.dtype, True)}:
            raise UsageError(_unlike(self, tensors))
        B, _, width = x.shape
        return _fitting_sizes(self, B, width, *[one.shape for one in tensors[1:]])


@lru_cache(maxsize=4096)
def _fitting_sizes(spec: Spec, B: int, width: int, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """``width`` of x; shapes of the weights, the given state and perhaps the fresh one."""
    at = len(spec.stored)
    states = {part: shapes[at + i] for i, part in enumerate(spec.parts)}
    sizes = {"one": 1, "input": width}
    sizes |= {p.rows: shapes[i][0] // len(p.blocks) for i, p in enumerate(spec.stored) if shapes[i]}
    sizes |= {spec.cell.state_widths[part]: shape[-1] for part, shape in states.items() if len(shape) == 2}
    expected = [(p.name, p.shape(sizes)) for p in spec.stored]
    for _ in range((len(shapes) - at) // len(spec.parts)):
        expected += [(f"the state's part {part}", (B, sizes[spec.cell.state_widths[part]])) for part in spec.parts]
    for (name, wanted), found in zip(expected, shapes, strict=True):
        if tuple(found) != wanted:
            known = ", ".join(f"{width} = {size}" for width, size in sizes.items() if width != "one")
            raise UsageError(f"{name} has shape {tuple(found)}; with {known} and {B} sequences it is {wanted}")
    return tuple(sizes.get(width, 0) for width in WIDTHS)


def _unlike(spec: Spec, tensors: Sequence[Tensor]) -> str:
    names = ["x", *(p.name for p in spec.stored), *[f"the state's part {part}" for part in spec.parts] * 2]
    dtype = tensors[0].dtype
    for name, one in zip(names, tensors, strict=False):
        if not one.is_cpu:
            return f"{name} is on {one.device}: the engine runs on the CPU"
        if one.dtype != dtype:
            return f"{name} is in {one.dtype}, x in {dtype}: the engine computes in one type"
    raise AssertionError("all tensors are alike")


@lru_cache(maxsize=4096)
def spec_for(key: str, bias: bool, dropout: bool, zoneout: tuple[float, ...], reduced: bool = False) -> Spec:
    """The spec of a cell by its key, always the same object."""
    return Spec(Cell.of_key(key), bias, dropout, zoneout, reduced)


@dataclass(frozen=True)
class Step:
    """A plan with its engine, and how tensors are handed to it."""

    native: Any
    parameters: tuple[int, ...]
    """For each parameter of the plan which weight it is, or -1."""
    masks: tuple[int, ...]
    widths: tuple[int, ...]
    """Units of each part of the state."""
    all_steps: list[bool]
    """By part: whether the states of all steps are kept, or the last alone."""


@dataclass(frozen=True)
class Room:
    """What a run for training keeps, besides the states that are its outputs; see `Engine::place`."""

    each: int
    """Elements for each row and step."""
    states: int
    """Elements for each row and entry of those states of which all steps are kept."""
    ends: int
    """Elements for each row of the others."""

    def elements(self, B: Any, T: Any, lengths: bool, reset: bool) -> Any:
        """Enough for any lengths and resets: sizes of tensors must not depend on what stands in tensors.

        Pieces of sequences are laid into rows; two rows hold more than one row's length, so rows times steps
        are at most twice the steps of all sequences and a row.
        """
        if reset:
            steps = 2 * B * T + T
            return steps * (self.each + 2 * (self.states + self.ends))
        return B * T * self.each + B * (T + 1) * self.states + 2 * B * self.ends


@lru_cache(maxsize=4096)
def forward_step(
    spec: Spec, sizes: tuple[int, ...], dtype: torch.dtype, training: bool, restarts: bool, threads: int, isa: str
) -> Step:
    """The step of a forward run. ``threads`` and ``isa`` are those in force, and part of what is cached by."""
    plans = spec.plans(training=training, restarts=restarts)
    return _step(spec, plans.forward, sizes, dtype, _all_steps(spec, plans))


@lru_cache(maxsize=4096)
def backward_step(
    spec: Spec, sizes: tuple[int, ...], dtype: torch.dtype, restarts: bool, dy: bool, dx: bool, threads: int, isa: str
) -> Step:
    """The step of a backward run."""
    plans = spec.plans(training=True, restarts=restarts, dy=dy, dx=dx)
    if plans.backward is None:
        raise RuntimeError("plans for training have no backward plan")
    return _step(spec, plans.backward, sizes, dtype, _all_steps(spec, plans))


def inspection_step(
    spec: Spec, sizes: tuple[int, ...], dtype: torch.dtype, values: tuple[str, ...]
) -> tuple[Step, Plan]:
    """The step of a forward run that keeps these values, and its plan, which says where.

    As where sequences begin inside, new states are kept in slots besides: all values then lie in one way.
    """
    plan = spec.plans(training=False, restarts=True, taps=values).forward
    return _step(spec, plan, sizes, dtype, [False] * len(spec.parts)), plan


@lru_cache(maxsize=4096)
def room_for(spec: Spec, sizes: tuple[int, ...], restarts: bool) -> Room:
    """What a forward run for training with these sizes keeps."""
    plans = spec.plans(training=True, restarts=restarts)
    units = dict(zip(WIDTHS, sizes, strict=True))
    each = sum(padded(units[width]) * slots for width, slots in plans.forward.kept.items())
    kept = _all_steps(spec, plans)
    widths = [padded(units[width]) for width in plans.forward.parts.values()]
    apart = range(0 if restarts else 1, len(widths))  # the states of h are the outputs, if nothing restarts
    return Room(each, sum(widths[i] for i in apart if kept[i]), sum(widths[i] for i in apart if not kept[i]))


def floats_kept(cell: Cell, sizes: Mapping[str, int]) -> int:
    """Of each step of a sequence in training: residuals and states, where rows are filled up to panels."""
    spec = spec_for(cell.key(), True, False, (ABSENT,) * len(cell.state_parts))
    room = room_for(spec, tuple(sizes.get(width, 1 if width == "one" else 0) for width in WIDTHS), False)
    return int(room.each + room.states + padded(sizes[cell.state_widths["h"]]))


def padded(units: Any) -> Any:
    """A row of a row buffer."""
    return (units + PANEL - 1) // PANEL * PANEL


def _step(spec: Spec, plan: Plan, sizes: tuple[int, ...], dtype: torch.dtype, all_steps: list[bool]) -> Step:
    encoded, native = engine_for(plan, sizes, dtype, reduced=spec.reduced)
    place = {parameter.name: i for i, parameter in enumerate(spec.stored)}
    units = dict(zip(WIDTHS, sizes, strict=True))
    return Step(
        native,
        tuple(place.get(name, -1) for name in encoded.parameters),
        tuple(spec.masks.index(name) for name in encoded.masks),
        tuple(units[width] for width in plan.parts.values()),
        all_steps,
    )


def _all_steps(spec: Spec, plans: Plans) -> list[bool]:
    read = {row.name for row in plans.backward.rows if row.role == "state"} if plans.backward else set()
    return [part == "h" or part in read for part in spec.parts]
