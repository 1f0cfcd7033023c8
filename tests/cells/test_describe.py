"""What `describe` says is true of the cell."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from rondo.cells import Cell, State, cell, get_cell, product, project, recur, registry, tanh
from rondo.cells.describe import describe
from tests.cells.derived import variants

CELLS = variants()
SIZES = {"input": 24, "hidden": 32, "projection": 8}


@pytest.mark.parametrize("name", CELLS)
def test_numbers_are_those_of_the_tensors(name: str) -> None:
    made = CELLS[name]
    description = describe(made, SIZES)
    stored = {p.name: torch.empty(p.shape(SIZES)) for p in made.parameters}
    assert {a.name: a.numbers for a in description.parameters} == {n: tuple(t.shape) for n, t in stored.items()}
    assert description.total_count == sum(t.numel() for t in stored.values())
    letters = {"I": 24, "H": 32, "P": 8}
    for sum_, count in (
        (description.total, description.total_count),
        (description.kept_floats, description.kept_count),
    ):
        python = " + ".join("*".join(term.split()) for term in sum_.replace("²", "**2").split(" + ") if term) or "0"
        assert eval(python, {}, letters) == count, sum_


@pytest.mark.parametrize("name", CELLS)
def test_the_text_has_everything(name: str) -> None:
    made = CELLS[name]
    text, plain = describe(made, SIZES).text(), describe(made).text()
    assert text.startswith(f"{made.name}\n{made.documentation.splitlines()[0]}\n")
    for parameter in made.parameters:
        assert parameter.name in plain
    for part in made.state_parts:
        assert f"  {part}_t " in plain
    for line in describe(made).equations.values():
        assert f"  {line}\n" in plain
    for option, value in made.options.items():
        assert f"{option}" in plain
        assert f"= {value!r}" in plain
    assert "H hidden = 32" in text
    assert "None" not in text
    assert max(map(len, text.splitlines())) <= 110
    assert not any(line != line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("name", registry)
def test_every_shipped_cell_names_its_source(name: str) -> None:
    description = describe(registry[name])
    assert len(description.summary) > 20
    assert any(str(year) in description.source for year in range(1990, 2026)), "the paper's year"
    assert len(description.source.splitlines()) <= 8


def test_what_waits_for_the_state() -> None:
    gru = describe(registry["gru"])
    assert gru.at_once == ("W_r x", "W_z x", "W_n x")
    assert gru.step_by_step == ("U_r h", "U_z h", "U_n h")
    assert describe(registry["min_gru"]).step_by_step == ()
    assert describe(registry["gru_reset_before"]).step_by_step[2] == "U_n (r * h)"


def test_what_is_kept() -> None:
    gru = describe(registry["gru"], SIZES)
    assert [(kept.name, kept.value) for kept in gru.residuals] == [
        ("r", "r"), ("z", "z"), ("", "U_n h + b'_n"), ("n", "n"),
    ]  # fmt: skip
    assert gru.kept_count == 4 * 32
    assert describe(registry["rnn"]).residuals == ()  # h itself is enough
    assert "\n  nothing\n" in describe(registry["rnn"]).text()


def test_gates_options_and_initial_values() -> None:
    assert "f = 0 keeps the state" in describe(registry["mgu"]).text()
    assert "i = 1 writes into it" in describe(registry["lstm"]).text()
    assert "bias of f: 1" in describe(registry["lstm"]).text()
    assert describe(get_cell("slstm", heads=4)).options == {"heads": 4}
    assert "(4H, H/4)" in describe(get_cell("slstm", heads=4)).text()
    assert describe(get_cell("slstm", heads=4)).total == "4 H I + H² + 8 H"


def test_a_user_s_cell_and_a_loaded_one() -> None:
    @cell
    def small(x, h, *, depth=1):
        """A small cell.

        Mine alone.
        """
        return State(h=tanh(project("a", x) + product("up", product("down", h, to="projection")) + recur("a", h)))

    for made in (small, Cell.from_json(small.to_json())):
        description = describe(made)
        assert (description.summary, description.source) == ("A small cell.", "Mine alone.")
        assert description.options == {"depth": 1}
        assert "W_up (W_down h)" in description.step_by_step
        assert "P projection" in description.text()


def test_a_description_is_plain_data() -> None:
    data = asdict(describe(registry["lstm"], SIZES))
    assert data["latex"].startswith(r"\begin{aligned}")
    assert data["backward"]["grad_o"].startswith("grad_o_t = grad_h_t * ")
    assert data["initialisation"]["forget_bias"] == 1.0
