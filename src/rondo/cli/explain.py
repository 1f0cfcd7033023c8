"""``rondo explain CELL``: what a cell computes, what it stores, and what would run it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from rondo.backends import Request, choose
from rondo.backends.cpu.spec import floats_kept
from rondo.cells import Cell, get_cell, registry
from rondo.cells.describe import describe
from rondo.cli.arguments import OUTPUT, Group, Option, parse
from rondo.cli.output import print_json, print_text
from rondo.errors import CellError, UsageError
from rondo.ir.diagram import to_mermaid, to_svg
from rondo.ir.printing import to_latex
from rondo.models.folder import read_config
from rondo.storage import write_text

CELL = Option(
    "cell", str, f"{', '.join(registry)}; your own as FILE.py:NAME; or a model's folder.", metavar="CELL", required=True
)
SHOWN = (
    Option("latex", bool, "Only the equations, as LaTeX.", pair=False),
    Option("mermaid", bool, "Only a diagram, as Mermaid source.", pair=False),
    Option("svg", str, "Draw the diagram into this file.", metavar="FILE"),
    Option("backend", bool, "Also say which backend runs the cell, and why not another.", pair=False),
)
SIZES = (
    Option("input", int, "Input size, to see shapes in numbers; default: that of the hidden layer."),
    Option("hidden", int, "Hidden size; the other sizes need it."),
    Option("projection", int, "Projection size, for cells that have one; default: half of the hidden size."),
)
EXAMPLES = (
    "rondo explain gru",
    "rondo explain lstm --input 64 --hidden 256 --backend",
    "rondo explain lstm_peephole --svg lstm_peephole.svg",
    "rondo explain my_cells.py:my_cell --latex",
)


def run(arguments: Sequence[str]) -> int:
    """Print the description, or the one form of it that was asked for."""
    given = parse(
        arguments,
        command="rondo explain",
        about="Explain a cell: its equations, its parameters with their shapes, where its state goes.",
        examples=EXAMPLES,
        positional=[CELL],
        groups=[Group("what to show", "", SHOWN), Group("size", "", SIZES), Group("output", "", OUTPUT[:1])],
    )
    forms = [name for name in ("latex", "mermaid", "json") if given.get(name)]
    if len(forms) > 1:
        raise UsageError(f"--{forms[0]} and --{forms[1]} print different things: give one of them")
    cell = _cell(given["cell"])
    sizes = _sizes(cell, given)
    if "svg" in given:
        write_text(Path(given["svg"]), to_svg(cell.graph, title=f"one step of {cell.name}"))
    if given.get("latex"):
        print_text(to_latex(cell.graph))
    elif given.get("mermaid"):
        print_text(to_mermaid(cell.graph))
    elif given.get("json"):
        found = dataclasses.asdict(describe(cell, sizes))
        kept = floats_kept(cell, _request(cell, sizes).sizes)
        print_json({**found, "backends": _backends(cell, sizes), "kept_by_engine": kept})
    else:
        print_text(describe(cell, sizes).text())
        if given.get("backend"):
            about = f"{choose(_request(cell, sizes)).explain()}\n{_kept(cell, sizes)}"
            print_text("\nBackends (32 bit, one layer, on the CPU)\n" + _indented(about))
    if "svg" in given and not forms:
        print_text(f"\nThe diagram is in {given['svg']}.")
    return 0


def _cell(name: str) -> Cell:
    """A cell by name, from a file, or the one in a model's folder."""
    if not Path(name).is_dir() or name in registry:
        return get_cell(name)
    config = read_config(name)
    try:
        return Cell.from_json(config["network"]["cell"])
    except (KeyError, TypeError):
        raise CellError(f"the model in {name} has no recurrent cell") from None


def _sizes(cell: Cell, given: Mapping[str, Any]) -> dict[str, int] | None:
    """The sizes, if any was given; those that were not follow from the hidden one."""
    named = {name: given[name] for name in ("input", "hidden", "projection") if name in given}
    for name, size in named.items():
        if size < 1:
            raise UsageError(f"--{name} must be at least 1, not {size}")
    if "projection" in named and not cell.has_projection:
        raise UsageError(f"--projection: the cell '{cell.name}' has no projection; 'lstm_projected' has one")
    if not named:
        return None
    if "hidden" not in named:
        raise UsageError(f"--{next(iter(named))} needs --hidden as well: shapes in numbers need both")
    hidden = named["hidden"]
    sizes = {"input": named.get("input", hidden), "hidden": hidden}
    if cell.has_projection:
        sizes["projection"] = named.get("projection", max(1, hidden // 2))
    heads = max((parameter.heads for parameter in cell.parameters), default=1)
    if hidden % heads:
        raise UsageError(f"--hidden {hidden}: the cell '{cell.name}' has {heads} heads, which must divide it")
    return sizes


def _request(cell: Cell, sizes: Mapping[str, int] | None) -> Request:
    assumed = {"input": 64, "hidden": 128, "projection": 64}
    return Request(cell, sizes or assumed, bias=True, dtype=torch.float32, device=torch.device("cpu"))


def _backends(cell: Cell, sizes: Mapping[str, int] | None) -> dict[str, str | None]:
    """For each backend why it does not run the cell; None for the one that does."""
    choice = choose(_request(cell, sizes))
    return {choice.backend.name: None, **choice.reasons}


def _kept(cell: Cell, sizes: Mapping[str, int] | None) -> str:
    named = _request(cell, sizes).sizes
    width = f"{named['hidden']} units" + (f" and {named['projection']} outputs" if cell.has_projection else "")
    return (
        f"cpu keeps {floats_kept(cell, named):,} floats a step and sequence in training, for {width}: the states "
        "and\nwhat it needs of the above, in rows of 16; recompute_steps bounds the number of steps"
    )


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
