"""Equations and charts against files that people have looked at; and what no shipped cell shows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rondo.ir import Graph, State, trace
from rondo.ir.printing import equations, to_latex, to_text
from rondo.ir.serialize import from_json
from tests.golden.write_cells import FOLDER, printed
from tests.ir.words import affine, call, project, recur, vector

GRAPHS = sorted(FOLDER.glob("*.json"))


def test_there_are_golden_files() -> None:
    assert len(GRAPHS) >= 18


def read(path: Any) -> Graph:
    return from_json(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_printed_forms(path: Any) -> None:
    for ending, text in printed(read(path)).items():
        assert text == path.with_name(f"{path.stem}.{ending}").read_text(encoding="utf-8"), ending


def text_of(function: Any) -> str:
    return to_text(trace(function, {}))


@pytest.mark.parametrize(
    ("value", "printed_as"),
    [
        (lambda h, u: h - (u - h), "h_{t-1} - (u - h_{t-1})"),
        (lambda h, u: h - u - h, "h_{t-1} - u - h_{t-1}"),
        (lambda h, u: h / (u * h), "h_{t-1} / (u * h_{t-1})"),
        (lambda h, u: h / u / h, "h_{t-1} / u / h_{t-1}"),
        (lambda h, u: (h + u) * h, "(h_{t-1} + u) * h_{t-1}"),
        (lambda h, u: -(h + u), "-(h_{t-1} + u)"),
        (lambda h, u: -h * u, "-h_{t-1} * u"),
        (lambda h, u: h - -2.0 * u, "h_{t-1} - -2 * u"),
        (lambda h, u: -2.0 - h, "-2 - h_{t-1}"),
        (lambda h, u: call("maximum", h, 0.25), "max(h_{t-1}, 0.25)"),
        (lambda h, u: call("where", h >= u, h + 1, u) * h, "(h_{t-1} + 1 if h_{t-1} >= u else u) * h_{t-1}"),
    ],
)
def test_brackets_stand_where_they_are_needed(value: Any, printed_as: str) -> None:
    assert text_of(lambda x, h: State(h=value(h, vector("u")))) == f"h_t = {printed_as}"


def test_a_product_of_a_computed_value_has_brackets() -> None:
    assert text_of(lambda x, h: State(h=recur("n", h * h))) == "h_t = U_n (h_{t-1} * h_{t-1}) + b'_n"
    assert text_of(lambda x, h: State(h=recur("n", -h))) == "h_t = U_n (-h_{t-1}) + b'_n"


def test_latex_scales_divides_and_decides() -> None:
    def cell(x: Any, h: Any) -> State:
        a = project("a", x)
        return State(h=call("where", a > 1e-6, 0.5 * h / call("sqrt", a), h))

    latex = to_latex(trace(cell, {}))
    assert r"\frac{0.5\,h_{t-1}}{\sqrt{a_{t}}}" in latex
    assert r"& \text{if } a_{t} > 10^{-6}" in latex


def test_a_part_that_is_passed_on_or_equal_to_another_has_its_line() -> None:
    def cell(x: Any, h: Any, c: Any) -> State:
        return State(h=call("tanh", affine("h", x, h)), c=h)

    assert equations(trace(cell, {}))["c"] == "c_t = h_{t-1}"

    def twice(x: Any, h: Any, c: Any) -> State:
        new = call("tanh", affine("h", x, h) + c)
        return State(h=new, c=new)

    lines = equations(trace(twice, {}))
    assert sorted(lines) == ["c", "h"]
    assert {lines["h"][:6], lines["c"][:6]} == {"h_t = ", "c_t = "}
    assert any("tanh" in line for line in lines.values())


def test_long_sums_are_cut_and_stay_small() -> None:
    """A value used twice at every step would print as 2 to the 300 terms."""

    def doubling(x: Any, h: Any) -> State:
        h = project("h", x) + h
        for _ in range(300):
            h = call("tanh", h + h * h)
        return State(h=h)

    text = text_of(doubling)
    assert len(text) < 200_000
    assert "v1_t = " in text


def test_names_given_by_hand_are_not_taken() -> None:
    def cell(x: Any, h: Any) -> State:
        v1 = call("sigmoid", affine("h", x, h))
        for number in range(40):
            h = h * v1 + float(number)
        return State(h=h)

    text = text_of(cell)
    assert text.count("v1_t = ") == 1
    assert "v2_t = " in text
