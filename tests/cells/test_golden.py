"""The graphs of the shipped cells are those on file: models saved by this release and earlier ones hold them."""

from __future__ import annotations

import json

import pytest

from rondo.cells import get_cell, registry
from rondo.ir.serialize import from_json
from tests.golden.write_cells import FOLDER, as_json

VARIANTS = {"rnn_relu": get_cell("rnn", nonlinearity="relu"), "slstm_heads": get_cell("slstm", heads=4)}


@pytest.mark.parametrize("name", [*registry, *VARIANTS])
def test_graph(name: str) -> None:
    graph = {**registry, **VARIANTS}[name].graph
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert as_json(graph) == text, "python -m tests.golden.write_cells, and look at the difference"
    assert from_json(json.loads(text)) == graph
