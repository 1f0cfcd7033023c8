"""What a layer must compute and move, counted from its cell."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from rondo.cells import Cell
from rondo.errors import UsageError

FLOAT = 4
"""Bytes of a float32."""


@dataclass(frozen=True)
class Shape:
    """Sequences, steps, width of x, hidden units."""

    B: int
    T: int
    I: int
    H: int

    def __str__(self) -> str:
        return f"{self.B}×{self.T}×{self.I}×{self.H}"

    def to_list(self) -> list[int]:
        return [self.B, self.T, self.I, self.H]

    def sizes(self, cell: Cell) -> dict[str, int]:
        """Sizes of the cell's arrays; a projection has half of the hidden width."""
        sizes = {"input": self.I, "hidden": self.H}
        return {**sizes, "projection": max(1, self.H // 2)} if cell.has_projection else sizes


SHAPES = (
    Shape(1, 100, 64, 256),
    Shape(32, 100, 64, 128),
    Shape(64, 28, 28, 128),
    Shape(64, 100, 256, 256),
    Shape(32, 200, 512, 512),
    Shape(64, 128, 512, 1024),
)
TINY = (Shape(1, 5, 4, 8), Shape(3, 4, 5, 16))
"""To see whether it all runs."""


def shape_of(text: str) -> Shape:
    """``64x100x256x256`` as a shape."""
    words = text.replace("×", "x").split("x")
    if len(words) != 4 or not all(word.isdecimal() and int(word) for word in words):
        raise UsageError(f"a shape is BATCHxSTEPSxINPUTxHIDDEN, such as 64x100x256x256; not '{text}'")
    return Shape(*map(int, words))


def operations(cell: Cell, shape: Shape, *, train: bool, input_gradient: bool) -> int:
    """Multiplications and additions of all matrix products; elementwise work counts nothing.

    Forward 2·B·T·(elements of the matrices). Training twice that again, for the gradients of the matrices
    and of what enters them, less the gradient of x where x needs none.
    """
    sizes = shape.sizes(cell)
    matrices = [p for p in cell.parameters if p.kind == "matrix"]
    elements = sum(prod(p.shape(sizes)) for p in matrices)
    of_input = sum(prod(p.shape(sizes)) for p in matrices if p.columns == "input")
    each = 2 * shape.B * shape.T
    if not train:
        return each * elements
    return each * (3 * elements - (0 if input_gradient else of_input))


def scan_bytes(cell: Cell, shape: Shape, *, train: bool) -> int:
    """Bytes that a recurrence with its pre-activations given must read and write at least.

    Forward: each pre-activation is read, the output written. Backward: the gradient of the output, each
    pre-activation and the output are read, the gradient of each pre-activation is written.
    """
    given = sum(len(p.blocks) for p in cell.parameters if p.columns == "input")
    arrays = given + 1
    if train:
        arrays += 2 + 2 * given
    return FLOAT * shape.B * shape.T * shape.H * arrays
