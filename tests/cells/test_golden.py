"""The graphs of the shipped cells are those on file: models saved by this release and earlier ones hold them."""

from __future__ import annotations

import json
import re

import pytest

import rondo.cells.language
from rondo.cells import get_cell, registry
from rondo.ir.serialize import from_json
from tests.golden.write_cells import DRAWN, FOLDER, IMAGES, as_json, drawing

VARIANTS = {"rnn_relu": get_cell("rnn", nonlinearity="relu"), "slstm_heads": get_cell("slstm", heads=4)}


@pytest.mark.parametrize("name", [*registry, *VARIANTS])
def test_graph(name: str) -> None:
    graph = {**registry, **VARIANTS}[name].graph
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert as_json(graph) == text, "python -m tests.golden.write_cells, and look at the difference"
    assert from_json(json.loads(text)) == graph


@pytest.mark.parametrize("name", DRAWN)
def test_the_documentation_s_drawings_are_those_of_today(name: str) -> None:
    assert drawing(name, registry[name].graph) == (IMAGES / f"{name}.svg").read_text(encoding="utf-8")


def test_the_documentation_lists_every_cell_and_every_word() -> None:
    text = (IMAGES.parent / "cells.md").read_text(encoding="utf-8")
    rows = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `") and line.count("|") == 5]
    assert rows == list(registry)
    words = "\n".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
    # A leading underscore: where torch.compile broke off in a word, it leaves the rest of it in the module.
    words_of = {name: value for name, value in vars(rondo.cells.language).items() if not name.startswith("_")}
    language = {name for name, value in words_of.items() if getattr(value, "__doc__", None)
                and getattr(value, "__module__", "") == "rondo.cells.language"}  # fmt: skip
    assert len(language) == 19
    assert all(re.search(rf"\b{word}\b", words) for word in language)
