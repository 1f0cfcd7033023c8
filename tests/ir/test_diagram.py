"""Drawings: nothing overlaps, everything is there, the text cannot break out."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rondo.ir import Graph, State, trace
from rondo.ir.diagram import to_mermaid, to_svg
from rondo.ir.layout import arrange, spaced
from rondo.ir.serialize import from_json
from rondo.ir.sketch import sketch
from tests.golden.write_cells import FOLDER
from tests.ir.words import affine, call, project, vector

SVG = "{http://www.w3.org/2000/svg}"
GRAPHS = sorted(FOLDER.glob("*.json"))


def shipped(path: Path) -> Graph:
    return from_json(json.loads(path.read_text(encoding="utf-8")))


def boxes(svg: str) -> list[tuple[float, float, float, float]]:
    rects = [r for r in ET.fromstring(svg).iter(f"{SVG}rect") if "stroke" in r.attrib]
    return [
        (float(r.get("x", 0)), float(r.get("y", 0)), float(r.get("width", 0)), float(r.get("height", 0))) for r in rects
    ]


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_nothing_overlaps_or_leaves_the_page(path: Path) -> None:
    svg = to_svg(shipped(path), title=path.stem)
    page = ET.fromstring(svg)
    width, height = float(page.get("width", 0)), float(page.get("height", 0))
    found = boxes(svg)
    assert len(found) == len(sketch(shipped(path)).blocks)
    for x, y, w, h in found:
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height
    for (ax, ay, aw, ah), (bx, by, bw, bh) in combinations(found, 2):
        assert ax + aw < bx or bx + bw < ax or ay + ah < by or by + bh < ay


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_no_line_runs_through_a_box(path: Path) -> None:
    """Between its ends a line may only cross the columns where no box is at its height."""
    svg = to_svg(shipped(path))
    lines = [e.get("d", "") for e in ET.fromstring(svg).iter(f"{SVG}path") if e.get("stroke")]
    lines = [line for line in lines if "C" in line]
    assert len(lines) >= 3
    number = r"(-?[\d.]+)"
    for line in lines:
        form = rf"M{number},{number} H{number} C.* {number},{number}(?: H{number})?"
        x0, y0, bend, to, y1, end = (float(n or 0) for n in re.fullmatch(form, line).groups())  # type: ignore[union-attr]
        for x, y, w, h in boxes(svg):
            assert not (x < to - 0.2 and x + w > bend + 0.2), "bends only between the columns"
            assert not (y < y0 < y + h and x < bend - 1 and x + w > x0 + 1)
            assert not (y < y1 < y + h and x < end - 1 and x + w > to + 1)


def test_the_way_back_runs_around_everything() -> None:
    """Also where the first column has a box that is wider than the state's: a gate that no input enters."""

    def fading(x: Any, h: Any) -> State:
        keep_by_a_rate = call("sigmoid", vector("rate") + vector("another_rate"))
        return State(h=keep_by_a_rate * h + (1 - keep_by_a_rate) * call("tanh", affine("n", x, h)))

    for graph in [trace(fading, {}), *map(shipped, GRAPHS)]:
        svg = to_svg(graph)
        found = boxes(svg)
        for element in ET.fromstring(svg).iter(f"{SVG}path"):
            if element.get("stroke-dasharray"):
                x0, _, right, lane, left, _, x1 = (float(n) for n in re.findall(r"-?[\d.]+", element.get("d", "")))
                assert left < min(x for x, _, _, _ in found) <= x1 + 0.2
                assert right > max(x + w for x, _, w, _ in found) >= x0 - 0.2
                assert lane > max(y + h for _, y, _, h in found)


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_every_state_goes_round(path: Path) -> None:
    graph = shipped(path)
    svg = to_svg(graph)
    assert svg.count("stroke-dasharray") == len(graph.outputs)
    drawn = sketch(graph)
    reached = {"in_x", *(f"in_{name}" for name in graph.leaves("state"))}
    for a, b in drawn.edges:
        assert a in drawn.blocks
        assert b in drawn.blocks
        if a in reached:
            reached.add(b)
    assert {f"out_{name}" for name in graph.outputs} <= reached


def test_gates_are_labelled() -> None:
    labels = {block.name: block.label for block in sketch(shipped(FOLDER / "gru.json")).blocks.values() if block.name}
    assert labels == {"r": "σ(W_r x + U_r h + b_r)", "z": "σ(W_z x + U_z h + b_z)", "n": "tanh"}
    peephole = {b.name: b.label for b in sketch(shipped(FOLDER / "lstm_peephole.json")).blocks.values()}
    assert peephole["o"] == "σ(W_o x + U_o h + p_o c_t + b_o)"


def test_what_is_subtracted_or_divided_by_is_marked() -> None:
    def cell(x: Any, h: Any) -> State:
        f = call("sigmoid", project("f", x))
        i = call("sigmoid", project("i", x))
        return State(h=(f * h + i * project("h", x)) / (f + i))

    drawn = sketch(trace(cell, {}))
    ((source, target),) = drawn.seconds
    assert drawn.blocks[target].label == "÷"
    assert {drawn.blocks[a].name for a, b in drawn.edges if b == source} == {"f", "i"}
    drawn = sketch(shipped(FOLDER / "min_lstm.json"))
    ((source, target),) = drawn.seconds
    assert drawn.blocks[target].label.endswith("−")
    assert drawn.blocks[target].name == "d"
    assert drawn.blocks[source].label == "softplus"


def test_text_is_escaped() -> None:
    def cell(x: Any, h: Any) -> State:
        return State(h=call("where", h < x_gate(x, h), h, 0.5 * h))

    def x_gate(x: Any, h: Any) -> Any:
        return call("sigmoid", affine("a", x, h))

    svg = to_svg(trace(cell, {}), title="<script>alert(1)</script>")
    assert "<script>" not in svg
    ET.fromstring(svg)
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    assert "if h < " not in to_mermaid(trace(cell, {}))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-100, 100), min_size=1, max_size=8),
    st.lists(st.floats(0, 30), min_size=7, max_size=7),
)
def test_positions_keep_their_distances_and_do_not_move_without_need(
    wished: list[float], distances: list[float]
) -> None:
    distances = distances[: len(wished) - 1]
    found = spaced(wished, distances, [1.0] * len(wished))
    gaps = [b - a for a, b in pairwise(found)]
    assert all(gap >= distance - 1e-6 for gap, distance in zip(gaps, distances, strict=True))
    if all(b - a >= d for (a, b), d in zip(pairwise(wished), distances, strict=True)):
        assert found == pytest.approx(wished)
    assert sum(found) == pytest.approx(sum(wished), abs=1e-6)  # least squares: the mean stays


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_graph_is_laid_out(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 12))
    keys = [f"k{number}" for number in range(count)]
    edges = sorted(
        {
            (keys[data.draw(st.integers(0, b - 1))], keys[b])
            for b in range(1, count)
            for _ in range(data.draw(st.integers(1, 2)))
        }
    )
    layout = arrange(dict.fromkeys(keys, 30.0), edges, last=[keys[-1]], late=keys[3:5])
    column = {key: number for number, keys_ in enumerate(layout.layers) for key in keys_}
    for a, b in edges:
        passed = layout.chains[a, b]
        assert [column[key] for key in passed] == list(range(column[a], column[b] + 1))
    for keys_ in layout.layers:
        for a, b in pairwise(keys_):
            assert layout.y[b] - layout.y[a] >= 8.0 + 14.0 - 1e-6
