"""Everything there is to know about a cell, for reading: what `rondo explain gru` prints."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

from rondo.cells.cell import Cell
from rondo.cells.initialise import Initialisation
from rondo.cells.registry import registry
from rondo.ir import Parameter, differentiate, size_of
from rondo.ir.passes import after_state
from rondo.ir.printing import TEXT, Printer, equations, to_latex

LETTERS = {"input": "I", "hidden": "H", "projection": "P", "one": "1"}


@dataclass(frozen=True)
class StoredArray:
    """A parameter: its shape in letters, and in numbers when sizes are known."""

    name: str
    blocks: tuple[str, ...]
    shape: tuple[str, ...]
    heads: int
    numbers: tuple[int, ...] | None
    count: int | None
    initial: float | tuple[float, float] | None


@dataclass(frozen=True)
class StatePart:
    """A part of the state, how wide it is, and whether it is the output."""

    name: str
    width: str
    is_output: bool


@dataclass(frozen=True)
class Kept:
    """A value that is kept from each step for the backward pass."""

    name: str
    value: str
    width: str
    floats: int | None


@dataclass(frozen=True)
class Description:
    """A cell, described. ``text()`` is for a terminal; the fields are for everything else."""

    name: str
    summary: str
    source: str
    """Where the equations come from and what the cell is not, as its file says; empty for a user's own."""
    options: Mapping[str, Any]
    equations: Mapping[str, str]
    latex: str
    backward: Mapping[str, str]
    """The equations of backpropagation through one step."""
    state: tuple[StatePart, ...]
    parameters: tuple[StoredArray, ...]
    sizes: Mapping[str, int] | None
    total: str
    """The number of parameters as a sum of products of the sizes' letters."""
    total_count: int | None
    at_once: tuple[str, ...]
    """Products that do not wait for the state: computed for all time steps in one."""
    step_by_step: tuple[str, ...]
    """Products that wait for the state."""
    residuals: tuple[Kept, ...]
    """Kept from each step for the backward pass, besides the input and the states."""
    kept_floats: str
    """How many floats that is, for one step of one sequence, in the sizes' letters."""
    kept_count: int | None
    initialisation: Initialisation

    def text(self) -> str:
        """The description for a terminal."""
        sections = [
            ("", [self.summary, *(["", *self.source.splitlines()] if self.source else [])]),
            ("Equations", list(self.equations.values())),
            ("State", _table([(f"{p.name}_t", f"(batch, {p.width})", _fate(p)) for p in self.state])),
            ("Gates", _gates(self.initialisation)),
            (f"Parameters ({self._legend()})", self._parameter_lines()),
            ("Initial values", _initial(self.initialisation)),
            ("Options", _table([(name, f"= {value!r}", "") for name, value in self.options.items()])),
            ("Products", self._product_lines()),
            ("Kept from each step for the backward pass, besides x and the states", self._kept_lines()),
        ]
        blocks = [
            "\n".join([title, *(f"  {line}".rstrip() for line in lines)] if title else [self.name, *lines])
            for title, lines in sections
            if lines
        ]
        return "\n\n".join(blocks) + "\n"

    def _legend(self) -> str:
        used = {letter for array in self.parameters for shape in array.shape for letter in shape}
        used |= {part.width for part in self.state}
        words = [(letter, word) for word, letter in LETTERS.items() if letter in used and word != "one"]
        if self.sizes is None:
            return ", ".join(f"{letter} {word}" for letter, word in words)
        return ", ".join(f"{letter} {word} = {self.sizes[word]}" for letter, word in words)

    def _parameter_lines(self) -> list[str]:
        rows = [
            (
                array.name,
                f"({', '.join(array.shape)})",
                "" if array.numbers is None else f"{array.numbers[0]} × {array.numbers[1]}"
                if len(array.numbers) == 2 else f"{array.numbers[0]}",
                " ".join(array.blocks) if array.blocks != (array.name,) else "",
            )
            for array in self.parameters
        ]  # fmt: skip
        total = "" if self.total_count is None else f" = {self.total_count:,}"
        return [*_table(rows), f"together {self.total or '0'}{total}"]

    def _product_lines(self) -> list[str]:
        return [
            f"{title}: {', '.join(products)}"
            for title, products in (
                ("for all time steps at once", self.at_once), ("step after step", self.step_by_step),
            )
            if products
        ]  # fmt: skip

    def _kept_lines(self) -> list[str]:
        if not self.residuals:
            return ["nothing"]
        count = "" if self.kept_count is None else f" = {self.kept_count:,}"
        rows = [(f"{k.name} = {k.value}" if k.name and k.name != k.value else k.value, k.width) for k in self.residuals]
        return [*_table(rows), f"together {self.kept_floats}{count} floats"]


def describe(cell: Cell, sizes: Mapping[str, int] | None = None) -> Description:
    """Describe a cell; with ``sizes`` (``{"input": 64, "hidden": 128}``) in numbers, too."""
    derivative = differentiate(cell.graph)
    printer = Printer(cell.graph, TEXT)
    full, gates = Printer(cell.graph, TEXT, short_norms=False), equations(cell.graph)
    waits = after_state(cell.graph)
    products = {i: _untimed(printer.expression(i, top=True)[0]) for i, n in enumerate(cell.graph.nodes)
                if n.op == "product"}  # fmt: skip
    outputs = set(cell.graph.outputs.values())
    kept = [name for name in derivative.residuals if derivative.forward.outputs[name] not in outputs]
    residuals = tuple(_kept(cell, full, gates, name, derivative.forward.outputs[name], sizes) for name in kept)
    return Description(
        name=cell.name,
        summary=cell.documentation.partition("\n")[0],
        source=_source(cell),
        options=dict(cell.options),
        equations=gates,
        latex=to_latex(cell.graph),
        backward=equations(derivative.backward),
        state=tuple(StatePart(part, LETTERS[width], part == "h") for part, width in cell.state_widths.items()),
        parameters=tuple(_stored(parameter, sizes) for parameter in cell.parameters),
        sizes=None if sizes is None else dict(sizes),
        total=_sum(_letters(parameter) for parameter in cell.parameters),
        total_count=None if sizes is None else sum(prod(p.shape(sizes)) for p in cell.parameters),
        at_once=tuple(text for index, text in products.items() if index not in waits),
        step_by_step=tuple(text for index, text in products.items() if index in waits),
        residuals=residuals,
        kept_floats=_sum((1, 1, (kept.width,) if kept.width != "1" else ()) for kept in residuals),
        kept_count=None if sizes is None else sum(kept.floats or 0 for kept in residuals),
        initialisation=cell.initialisation,
    )


def _source(cell: Cell) -> str:
    shipped = registry.get(cell.name)
    if shipped is None or shipped.function is not cell.function:
        return cell.documentation.partition("\n")[2].strip()
    return (sys.modules[cell.function.__module__].__doc__ or "").partition("\n")[2].strip()


def _stored(parameter: Parameter, sizes: Mapping[str, int] | None) -> StoredArray:
    rows, columns = LETTERS[parameter.rows], LETTERS[parameter.columns or "one"]
    first = f"{len(parameter.blocks)}{rows}" if len(parameter.blocks) > 1 else rows
    second = columns if parameter.heads == 1 else f"{columns}/{parameter.heads}"
    numbers = None if sizes is None else parameter.shape(sizes)
    return StoredArray(
        parameter.name, parameter.blocks, (first,) if parameter.columns is None else (first, second), parameter.heads,
        numbers, None if numbers is None else prod(numbers), parameter.init,
    )  # fmt: skip


def _letters(parameter: Parameter) -> tuple[int, int, tuple[str, ...]]:
    """How often, divided by what, and the letters whose product is one block's size."""
    columns = () if parameter.columns is None else (LETTERS[parameter.columns],)
    return len(parameter.blocks), parameter.heads, (LETTERS[parameter.rows], *columns)


def _sum(terms: Any) -> str:
    counts: dict[tuple[str, ...], Fraction] = {}
    for times, divisor, letters in terms:
        key = tuple(sorted(letters))
        counts[key] = counts.get(key, Fraction(0)) + Fraction(times, divisor)
    written = []
    for letters, times in counts.items():
        factors = [str(times)] if times != 1 or not letters else []
        power = [letter if letters.count(letter) == 1 else f"{letter}²" for letter in dict.fromkeys(letters)]
        written.append(" ".join([*factors, *power]))
    return " + ".join(written)


def _kept(
    cell: Cell, full: Printer, gates: Mapping[str, str], name: str, index: int, sizes: Mapping[str, int] | None
) -> Kept:
    width = cell.graph.nodes[index].width
    known = name if name in cell.graph.names else ""
    value = known if known in gates else _untimed(full.expression(index, top=True)[0])
    floats = None if sizes is None else size_of(width, sizes)
    return Kept(known, value, LETTERS[width], floats)


def _untimed(text: str) -> str:
    return text.replace("_{t-1}", "").replace("_t", "")


def _fate(part: StatePart) -> str:
    return "the output; goes into the next step" if part.is_output else "goes into the next step"


def _gates(own: Initialisation) -> list[str]:
    lines = []
    if own.keep:
        lines.append(f"{own.keep.lstrip('-')} = {0 if own.keep.startswith('-') else 1} keeps the state")
    if own.write:
        lines.append(f"{own.write} = 1 writes into it")
    return lines


def _initial(own: Initialisation) -> list[str]:
    lines = [own.scheme]
    if own.forget_bias is not None and own.keep is not None:
        lines.append(f"bias of {own.keep.lstrip('-')}: {-own.forget_bias if own.keep[0] == '-' else own.forget_bias:g}")
    return lines


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width).rstrip() for row in rows
    ]
