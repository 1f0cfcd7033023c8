"""The recurrence alone, of a cell without products with its state: its pre-activations are given.

Nothing is kept for the backward run but what is there anyway, the pre-activations and the outputs; gates
are computed again. Such a run takes as long as its memory does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor

from rondo.backends.cpu.lower import Plans, lower_backward, lower_forward, simpler
from rondo.backends.cpu.native import Encoded, engine_for, why_not
from rondo.backends.cpu.plan import Plan
from rondo.backends.cpu.spec import Room, padded
from rondo.backends.cpu.unroll import array, dense, empty, empty_bytes, layout_for
from rondo.cells import Cell, State
from rondo.errors import UsageError
from rondo.ir import Graph, differentiate
from rondo.ir.graph import WIDTHS, Node, Parameter
from rondo.ir.passes import reachable, renumbered
from rondo.ir.verify import verify


def scan(cell: Cell, vectors: Mapping[str, Tensor], given: Tensor, state: State) -> tuple[Tensor, State]:
    """Outputs (B, T, H) and the state at the end of a cell whose sums with x have been computed already.

    vectors  the cell's learned vectors by name
    given    (B, T, blocks times H): for each block of the cell's input matrix, in the order in which it is
             stored, its product with x and its bias
    state    parts (B, H): the state before the first step
    """
    spec = scan_for(cell)
    if (missing := why_not()) is not None:
        raise UsageError(f"there is no engine to run a scan: {missing}")
    stored, parts = [vectors[p.name] for p in spec.vectors], state.parts()
    begin = [parts[part] for part in spec.parts]
    B, H = begin[0].shape
    kinds = {one.dtype for one in (given, *stored, *begin)}
    if given.device.type != "cpu" or len(kinds) > 1 or given.dtype not in (torch.float32, torch.float64):
        raise UsageError(f"a scan is of float32 or float64 on the CPU, all of one kind; not {kinds} on {given.device}")
    if given.dim() != 3 or (given.shape[0], given.shape[2]) != (B, len(spec.blocks) * H):
        expected = f"({B}, time, {len(spec.blocks)} * {H}), for {', '.join(spec.blocks)}"
        raise UsageError(f"the pre-activations of '{cell.name}' have shape {tuple(given.shape)}; expected {expected}")
    sequence, *ended, _ = _Scan.apply(spec, given, *stored, *begin)
    by_name = dict(zip(spec.parts, ended, strict=True))
    return sequence, State(**{part: by_name[part] for part in cell.state_parts})


@dataclass(frozen=True, eq=False)
class ScanSpec:
    """The plans of a scan, and the order of its tensors. `scan_for` makes one for each cell."""

    cell: Cell

    @cached_property
    def _matrix(self) -> Parameter:
        found = [p for p in self.cell.parameters if p.kind == "matrix"]
        if not self.cell.is_scan or len(found) != 1 or found[0].columns != "input":
            raise UsageError(f"cell '{self.cell.name}' is no scan: it has products besides one matrix with x")
        return found[0]

    @property
    def blocks(self) -> tuple[str, ...]:
        """The pre-activations, in their order."""
        return self._matrix.blocks

    @cached_property
    def vectors(self) -> tuple[Parameter, ...]:
        """What is learned besides the products."""
        return tuple(p for p in self.cell.parameters if p.kind == "vector")

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The output first."""
        return self.cell.output_first

    @cached_property
    def plans(self) -> Plans:
        """Forward, and backward; without a backward run after it the first is the same."""
        derivative = differentiate(given_sums(simpler(self.cell.graph)), recompute=True)
        forward = lower_forward(derivative.forward, derivative.residuals)
        return Plans(forward, lower_backward(derivative, forward))

    @cached_property
    def read_back(self) -> list[bool]:
        """By part: whether the states of all steps are kept."""
        backward = self.plans.backward
        read = {row.name for row in backward.rows if row.role == "state"} if backward else set()
        return [part == "h" or part in read for part in self.parts]

    def sizes(self, state: Sequence[Tensor]) -> tuple[int, ...]:
        """The numbers behind the widths, in the order of `WIDTHS`."""
        found = {"one": 1, **{self.cell.state_widths[p]: s.shape[1] for p, s in zip(self.parts, state, strict=True)}}
        return tuple(found.get(width, 0) for width in WIDTHS)

    def room(self, sizes: tuple[int, ...]) -> Room:
        """What a run keeps besides the states of h."""
        units = dict(zip(WIDTHS, sizes, strict=True))
        forward = self.plans.forward
        widths = [padded(units[width]) for width in forward.parts.values()]
        return Room(
            sum(padded(units[width]) * slots for width, slots in forward.kept.items()),
            sum(width for width, all_steps in zip(widths[1:], self.read_back[1:], strict=True) if all_steps),
            sum(width for width, all_steps in zip(widths[1:], self.read_back[1:], strict=True) if not all_steps),
        )


@lru_cache(maxsize=256)
def scan_for(cell: Cell) -> ScanSpec:
    """The spec of a cell, always the same object."""
    return ScanSpec(cell)


def given_sums(graph: Graph) -> Graph:
    """The graph in which each product with x, biases included, is an input of its own: ``a_z`` of block z."""
    uses = graph.uses()
    inputs: dict[int, Node] = {}
    for index, node in enumerate(graph.nodes):
        if node.op != "product":
            continue
        whole = index
        while (longer := _with_bias(graph, uses[whole], whole)) is not None:
            whole = longer
        inputs[whole] = Node("input", (), node.width, True, (("name", f"a_{node['block']}"),))
    cut = replace(graph, nodes=tuple(inputs.get(index, node) for index, node in enumerate(graph.nodes)))
    kept = reachable(cut, cut.outputs.values()) | set(graph.leaves("state").values())
    if not kept.isdisjoint(graph.leaves("input").values()):
        raise UsageError("a cell that reads x besides its products with it has no scan")
    lean = renumbered(cut, sorted(kept))
    return verify(replace(lean, parameters=tuple(p for p in graph.parameters if p.kind == "vector")))


def _with_bias(graph: Graph, users: Sequence[int], index: int) -> int | None:
    """The one sum of the value and a bias that everything else reads, if there is one."""
    if len(users) != 1 or graph.nodes[users[0]].op != "add":
        return None
    others = [arg for arg in graph.nodes[users[0]].args if arg != index]
    return users[0] if [graph.nodes[other].op for other in others] == ["bias"] else None


@dataclass(frozen=True)
class _Place:
    """A plan with its engine, and which tensor is which."""

    encoded: Encoded
    native: Any
    vectors: tuple[str, ...]
    blocks: tuple[str, ...]
    units: int

    def parameters(self, vectors: Sequence[Tensor]) -> list[int]:
        """Their addresses in the order of the plan's parameters."""
        by_name = dict(zip(self.vectors, vectors, strict=True))
        return [by_name[name].data_ptr() for name in self.encoded.parameters]

    def arrays(self, given: Tensor) -> list[tuple[int, int, int]]:
        """The pre-activations in the order of the plan's inputs."""
        H = self.units
        number = {f"a_{block}": i for i, block in enumerate(self.blocks)}
        return [array(given[:, :, number[name] * H : (number[name] + 1) * H]) for name in self.encoded.inputs]


def _place(spec: ScanSpec, plan: Plan | None, given: Tensor, sizes: tuple[int, ...]) -> _Place:
    if plan is None:
        raise RuntimeError("a scan has no backward plan")
    encoded, native = engine_for(plan, sizes, given.dtype)
    return _Place(encoded, native, tuple(p.name for p in spec.vectors), spec.blocks, given.shape[2] // len(spec.blocks))


class _Scan(torch.autograd.Function):
    """Outputs, parts of the state at the end, and residuals."""

    @staticmethod
    def forward(ctx: Any, spec: ScanSpec, given: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        given, tight = dense(given), [one.contiguous() for one in tensors]
        vectors, begin = tight[: len(spec.vectors)], tight[len(spec.vectors) :]
        B, T, _ = given.shape
        sizes = spec.sizes(begin)
        place = _place(spec, spec.plans.forward, given, sizes)
        H, N = begin[0].shape[1], padded(begin[0].shape[1])
        states = empty((T + 1) * B * N, given)
        sequence = given.new_empty(0).set_(states.untyped_storage(), N, (B, T, H), ((T + 1) * N, N, 1))
        room = spec.room(sizes).elements(B, T, lengths=False, reset=False)
        rest = empty_bytes(room * given.element_size(), given)
        final = [torch.empty_like(part) for part in begin]
        place.native.scan(
            place.parameters(vectors), layout_for(B, T, False, None, None).native, place.arrays(given),
            [part.data_ptr() for part in begin], spec.read_back, [part.data_ptr() for part in final],
            states.data_ptr(), rest.data_ptr(),
        )  # fmt: skip
        ctx.spec = spec
        ctx.mark_non_differentiable(rest)
        ctx.save_for_backward(given, *tensors, sequence, rest)
        ctx.set_materialize_grads(False)
        return sequence, *final, rest

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor | None, *ends: Tensor | None) -> tuple[Tensor | None, ...]:
        spec: ScanSpec = ctx.spec
        given, *tensors, sequence, rest = ctx.saved_tensors
        vectors, begin = tensors[: len(spec.vectors)], tensors[len(spec.vectors) :]
        B, T, _ = given.shape
        dy = torch.zeros_like(sequence) if dy is None else dense(dy)
        place = _place(spec, spec.plans.backward, given, spec.sizes(begin))
        dgiven = empty(given.numel(), given).view(given.shape)
        dtensors = [torch.empty_like(one, memory_format=torch.contiguous_format) for one in tensors]
        tight = [one.contiguous() for one in vectors]
        dvectors, dbegin = dtensors[: len(vectors)], dtensors[len(vectors) :]
        of_vectors = dict(zip((p.name for p in spec.vectors), dvectors, strict=True))
        dfinal = [None if end is None else end.contiguous() for end in ends[: len(begin)]]
        place.native.scan_backward(
            place.parameters(tight), layout_for(B, T, False, None, None).native,
            place.arrays(given), spec.read_back, _first_state(sequence),
            rest.data_ptr(), array(dy), [0 if end is None else end.data_ptr() for end in dfinal],
            place.arrays(dgiven), [part.data_ptr() for part in dbegin],
            [of_vectors[name].data_ptr() for name in place.encoded.parameters],
        )  # fmt: skip
        return None, dgiven, *dtensors


def _first_state(sequence: Tensor) -> int:
    """The address of the states of h, which begin an entry before the outputs."""
    return max(0, sequence.data_ptr() - sequence.stride(1) * sequence.element_size())
