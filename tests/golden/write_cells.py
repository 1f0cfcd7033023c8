"""Write the golden files of the cells anew: ``python -m tests.golden.write_cells``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from rondo.ir import Graph, differentiate
from rondo.ir.diagram import to_mermaid, to_svg
from rondo.ir.printing import to_latex, to_text
from rondo.ir.serialize import to_json

FOLDER = Path(__file__).parent / "cells"
IMAGES = Path(__file__).parents[2] / "docs" / "images"
DRAWN = ("gru", "lstm")
"""Cells whose drawings stand in the documentation."""


def printed(graph: Graph) -> Mapping[str, str]:
    """All printed forms of a cell's graph, by the ending of their file."""
    return {
        "txt": to_text(graph) + "\n",
        "tex": to_latex(graph) + "\n",
        "mmd": to_mermaid(graph) + "\n",
        "backward.txt": to_text(differentiate(graph).backward) + "\n",
    }


def as_json(graph: Graph) -> str:
    """One node a line, so that a difference can be read."""
    data = to_json(graph)
    parts = []
    for key, value in data.items():
        if key in ("nodes", "parameters"):
            lines = ",\n".join(f"  {json.dumps(entry)}" for entry in value)
            parts.append(f'"{key}": [\n{lines}\n]')
        else:
            parts.append(f'"{key}": {json.dumps(value)}')
    return "{" + ",\n".join(parts) + "}\n"


def drawing(name: str, graph: Graph) -> str:
    """The SVG that stands in the documentation."""
    return to_svg(graph, title=f"one step of {name}")


def main() -> None:
    from rondo.cells import get_cell, registry

    variants = {"rnn_relu": get_cell("rnn", nonlinearity="relu"), "slstm_heads": get_cell("slstm", heads=4)}
    for name, cell in {**registry, **variants}.items():
        (FOLDER / f"{name}.json").write_text(as_json(cell.graph), encoding="utf-8")
        for ending, text in printed(cell.graph).items():
            (FOLDER / f"{name}.{ending}").write_text(text, encoding="utf-8")
    for name in DRAWN:
        (IMAGES / f"{name}.svg").write_text(drawing(name, registry[name].graph), encoding="utf-8")


if __name__ == "__main__":
    main()
