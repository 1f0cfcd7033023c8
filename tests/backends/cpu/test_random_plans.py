"""Plans of cells drawn at random from the language, and of cells that are odd on purpose."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rondo.backends.cpu.interpret import Shape
from rondo.cells import Cell, State, affine, cell, mean, product, project, recur, relu, sigmoid, sqrt, tanh, vector
from tests.backends.cpu.planned import Situation, differences, sizes_for
from tests.cells.random_cells import random_cell


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_random_cells(data: st.DataObject) -> None:
    made = random_cell(data)
    situation = Situation(
        bias=data.draw(st.booleans()),
        recurrent_dropout=False,
        zoneout=data.draw(st.sampled_from(["", "mask", "rate"])),
        T=data.draw(st.integers(1, 3)),
        B=data.draw(st.integers(1, 3)),
        dy=data.draw(st.booleans()),
        dx=data.draw(st.booleans()),
        restarts=data.draw(st.booleans()),
        shape=Shape(data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2))),
    )
    sizes = sizes_for(made, {"input": 3, "hidden": data.draw(st.integers(1, 18)), "projection": 2})
    far = {name: d for name, d in differences(made, situation, sizes).items() if not d <= 1e-9}
    assert not far


@cell
def exchanging(x, h, c):
    """Each part of the state becomes the other."""
    return State(h=c, c=h)


@cell
def passing(x, h, c):
    """A part that never changes, another that takes its place in the output."""
    return State(h=tanh(project("a", x) + c), c=c)


@cell
def doubled(x, h, c):
    """Two parts are one value, which is a product."""
    a = affine("a", x, h) + c
    return State(h=a, c=a)


@cell
def forgetful(x, h, c):
    """Nothing depends on the state."""
    a = project("a", x)
    return State(h=a, c=sigmoid(a))


@cell
def statistics(x, h, m):
    """A part of the state of width one, next to reductions of reductions and of what is not computed."""
    a = affine("a", x, h)
    spread = sqrt(mean((a - m) * (a - m)) + 0.5)
    return State(
        h=(a - m) / spread + vector("v", init=0.5) * mean(x), m=0.5 * m + mean(h) * mean(vector("v", init=0.5))
    )


@cell
def from_products(x, h):
    """Products of functions of x and h, of a product, and of a residual that is not a row."""
    t = tanh(h)
    a = project("a", tanh(x)) + recur("a", t) + product("b", relu(x)) + t * h
    return State(h=a + product("c", recur("d", a)) - product("e", t))


@cell
def swapping(x, h, c):
    """Carried gradients that overwrite each other, and what products start from."""
    a = sigmoid(project("a", x))
    return State(h=a * c + product("u", h * c), c=(1 - a) * h + c)


@cell
def peeking(x, h, c):
    """The new state enters a product of the same step."""
    c = tanh(affine("a", x, h) + c)
    return State(h=tanh(product("v", c) + recur("b", c)), c=c)


ODD_CELLS = {
    made.name: made
    for made in (exchanging, passing, doubled, forgetful, statistics, from_products, swapping, peeking)
}  # fmt: skip


@pytest.mark.parametrize("name", ODD_CELLS)
@pytest.mark.parametrize("restarts", [False, True], ids=["whole", "restarts"])
@pytest.mark.parametrize("zoneout", ["", "mask", "rate"], ids=["plain", "mask", "rate"])
def test_odd_cells(name: str, restarts: bool, zoneout: str) -> None:
    made: Cell = ODD_CELLS[name]
    situation = Situation(zoneout=zoneout, restarts=restarts)
    for dy in (True, False):
        far = {name: d for name, d in differences(made, replace(situation, dy=dy)).items() if not d <= 1e-10}
        assert not far
