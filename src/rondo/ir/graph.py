"""What a traced cell is: a list of nodes, each an op on earlier nodes, for one time step.

A graph is plain data. It knows nothing of tensors, devices or time; a backend gives its leaves
values, step after step. Widths are symbolic (``hidden``, not 128), so that one graph serves
every size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rondo.errors import CellError

WIDTHS = ("one", "input", "hidden", "projection")
"""Symbolic lengths of the last axis; ``one`` broadcasts against every other."""


@dataclass(frozen=True, slots=True)
class Node:
    """One value: ``op`` applied to earlier nodes.

    ``width`` is the symbolic length of the last axis, ``batched`` says whether there is a batch
    axis before it (a learned vector or a constant has none). ``attributes`` are the op's own:
    ``name`` of a leaf, ``value`` of a constant, ``parameter`` and ``block`` of a learned array.
    """

    op: str
    args: tuple[int, ...]
    width: str
    batched: bool
    attributes: tuple[tuple[str, Any], ...] = ()

    def __getitem__(self, key: str) -> Any:
        return dict(self.attributes)[key]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One stored array of a cell, made of named blocks of rows in order of their first use.

    ``weight_ih`` with blocks ``r z n`` has shape ``(3 H, I)``: exactly ``torch.nn.GRU``'s.
    With ``heads > 1`` a matrix is block-diagonal and stored as ``(rows, columns / heads)``.
    ``init`` is the initial value of a learned vector: a number, or (low, high) for uniform.
    """

    name: str
    kind: str  # "matrix", "bias" or "vector"
    blocks: tuple[str, ...]
    rows: str
    columns: str | None = None
    heads: int = 1
    init: float | tuple[float, float] | None = None

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape for given sizes, for instance ``{"input": 3, "hidden": 8}``."""
        rows = len(self.blocks) * size_of(self.rows, sizes)
        if self.columns is None:
            return (rows,)
        columns = size_of(self.columns, sizes)
        for width in (self.rows, self.columns):
            if size_of(width, sizes) % self.heads:
                raise CellError(f"{self.name}: {self.heads} heads do not divide {width} = {sizes[width]}")
        return (rows, columns // self.heads)

    def block_rows(self, block: str, sizes: Mapping[str, int]) -> slice:
        """The rows of one block in the stored array."""
        height = size_of(self.rows, sizes)
        start = self.blocks.index(block) * height
        return slice(start, start + height)


def size_of(width: str, sizes: Mapping[str, int]) -> int:
    """The number a symbolic width stands for."""
    if width == "one":
        return 1
    if width not in sizes:
        raise CellError(f"the cell needs a size for '{width}'; given: {dict(sizes)}")
    return sizes[width]


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in an order in which each uses only earlier ones, and the named results.

    In a cell's graph ``outputs`` are the new state parts. In a derivative they are residuals
    (forward) or gradients (backward, keyed ``x``, ``h``, ``weight_ih.r``). ``names`` are the
    values a person would want to see: gates, candidates, the pre-activations ``a_r``.
    """

    nodes: tuple[Node, ...]
    outputs: Mapping[str, int]
    parameters: tuple[Parameter, ...] = ()
    names: Mapping[str, int] = field(default_factory=dict)

    def leaves(self, op: str) -> dict[str, int]:
        """All leaves of a kind (``state``, ``mask``, ``residual`` …) by name."""
        return {node["name"]: index for index, node in enumerate(self.nodes) if node.op == op}

    def uses(self) -> list[list[int]]:
        """For each node the nodes that use it."""
        uses: list[list[int]] = [[] for _ in self.nodes]
        for index, node in enumerate(self.nodes):
            for arg in node.args:
                uses[arg].append(index)
        return uses

    def parameter(self, name: str) -> Parameter:
        return next(p for p in self.parameters if p.name == name)

    def same_as(self, other: Graph) -> bool:
        """Whether both compute the same: equal but for the names given to values."""
        return (
            self.nodes == other.nodes
            and dict(self.outputs) == dict(other.outputs)
            and self.parameters == other.parameters
        )
