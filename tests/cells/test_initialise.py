"""Initial values: each scheme and option does what its name says, and nothing else."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from rondo.cells import Cell, State, affine, cell, get_cell, registry, sigmoid, tanh, vector
from rondo.cells.initialise import Initialisation
from rondo.errors import UsageError
from tests.cells.derived import variants

SIZES = {"input": 24, "hidden": 64, "projection": 16}
CELLS = variants()


def initialised(made: Cell, *, bias: bool = True, seed: int = 0, **chosen: Any) -> dict[str, Tensor]:
    """Freshly filled weights; memory is NaN before, so that what is left out shows."""
    weights = {p.name: torch.full(p.shape(SIZES), float("nan")) for p in made.parameters if bias or p.kind != "bias"}
    made.initialise(weights, SIZES, generator=torch.Generator().manual_seed(seed), **chosen)
    return weights


def rows(made: Cell, weights: dict[str, Tensor], name: str, block: str) -> Tensor:
    return weights[name][next(p for p in made.parameters if p.name == name).block_rows(block, SIZES)]


def total_bias(made: Cell, weights: dict[str, Tensor], gate: str) -> Tensor:
    """What is added to a gate altogether."""
    parts = [rows(made, weights, p.name, gate) for p in made.parameters if p.kind == "bias" and gate in p.blocks]
    return sum(parts) if parts else weights[f"b_{gate}"]  # type: ignore[return-value]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("scheme", [None, "uniform", "orthogonal"])
@pytest.mark.parametrize("name", CELLS)
def test_everything_is_filled_by_the_generator_alone(name: str, scheme: str | None, bias: bool) -> None:
    first = initialised(CELLS[name], bias=bias, scheme=scheme)
    torch.randn(3)  # the global generator plays no part
    again = initialised(CELLS[name], bias=bias, scheme=scheme)
    other = initialised(CELLS[name], bias=bias, scheme=scheme, seed=1)
    assert all(value.isfinite().all() for value in first.values())
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    assert not torch.equal(first["weight_ih"], other["weight_ih"])


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm_projected"])
def test_uniform_is_torch_s(name: str) -> None:
    made = CELLS[name]
    weights = initialised(made, scheme="uniform")
    bound = 1 / math.sqrt(SIZES["hidden"])
    for parameter, value in weights.items():
        if parameter.startswith("bias") and made.initialisation.forget_bias is not None:
            continue
        assert value.abs().max() <= bound
        assert value.abs().max() > 0.9 * bound
        assert abs(float(value.mean())) < 0.1 * bound
        assert abs(float(value.std()) - bound / math.sqrt(3)) < 0.1 * bound


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm", "ugrnn", "gru_layer_norm"])
def test_orthogonal_recurrent_blocks(name: str) -> None:
    made = CELLS[name]
    weights = initialised(made, scheme="orthogonal")
    hh = next(p for p in made.parameters if p.name == "weight_hh")
    blocks = [rows(made, weights, "weight_hh", block) for block in hh.blocks]
    for block in blocks:
        assert torch.allclose(block @ block.T, torch.eye(64), atol=1e-5)
    assert all(not torch.allclose(one, other) for one, other in pairwise(blocks))
    ih = weights["weight_ih"]
    glorot = math.sqrt(6 / (24 + 64))  # of one gate's block, not of the stored whole
    assert 0.95 * glorot < ih.abs().max() <= glorot


def test_orthogonal_for_each_head_and_for_a_projection() -> None:
    slstm = CELLS["slstm_4_heads"]
    stored = rows(slstm, initialised(slstm), "weight_hh", "g")
    for head in stored.chunk(4):
        assert torch.allclose(head @ head.T, torch.eye(16), atol=1e-5)
    projected = CELLS["lstm_projected"]
    tall = rows(projected, initialised(projected), "weight_hh", "g")
    assert torch.allclose(tall.T @ tall, torch.eye(16), atol=1e-5)


def test_identity_is_the_irnn() -> None:
    made = CELLS["rnn_relu"]
    weights = initialised(made, scheme="identity")
    assert torch.equal(weights["weight_hh"], torch.eye(64))
    assert not weights["bias_ih"].any()
    assert not weights["bias_hh"].any()
    assert abs(float(weights["weight_ih"].std()) - 0.001) < 0.0002
    with pytest.raises(UsageError, match="square"):
        initialised(CELLS["lstm_projected"], scheme="identity")


def test_unknown_schemes_name_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'orthogonal'"):
        initialised(CELLS["gru"], scheme="ortogonal")


DEFAULTS = {
    "lstm": ("f", 1.0), "lstm_peephole": ("f", 1.0), "lstm_coupled": ("f", 1.0), "lstm_projected": ("f", 1.0),
    "lstm_layer_norm": ("f", 1.0), "janet": ("f", 1.0), "ugrnn": ("g", 1.0), "min_lstm": ("f", 1.0),
    "slstm": ("f", 1.0),
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name, made in registry.items() if made.initialisation.keep])
def test_the_forget_bias_is_what_keeps_the_state(name: str) -> None:
    """In the whole bias of the gate that keeps, with its sign, and in no other gate's."""
    made = CELLS[name]
    keep = made.initialisation.keep or ""
    gate, sign = keep.lstrip("-"), -1.0 if keep[0] == "-" else 1.0
    default = initialised(made)
    if name in DEFAULTS:
        expected_gate, value = DEFAULTS[name]
        assert expected_gate == gate
        assert torch.equal(total_bias(made, default, gate), torch.full((64,), value))
    else:
        assert not total_bias(made, default, gate).any()
    chosen = initialised(made, forget_bias=2.5)
    assert torch.equal(total_bias(made, chosen, gate), torch.full((64,), sign * 2.5))
    for parameter in made.parameters:
        for block in parameter.blocks:
            if block != gate and parameter.name != f"b_{gate}":
                same = torch.equal(
                    rows(made, chosen, parameter.name, block), rows(made, default, parameter.name, block)
                )
                assert same, (parameter.name, block)
    assert set(DEFAULTS) <= set(registry)


@pytest.mark.parametrize("name", [name for name, made in registry.items() if made.initialisation.keep])
def test_a_high_forget_bias_keeps_the_state(name: str) -> None:
    """Not by name but by what it does: with bias 20 and small weights the state hardly changes."""
    made = CELLS[name]
    weights = {
        key: value * 1e-3 if key.startswith(("weight", "gain_")) else value
        for key, value in initialised(made, forget_bias=20.0).items()
    }
    if made.initialisation.write:  # an input gate of its own is closed
        total_bias_rows = [p for p in made.parameters if p.kind == "bias" and made.initialisation.write in p.blocks]
        for parameter in total_bias_rows:
            rows(made, weights, parameter.name, made.initialisation.write)[:] = -20.0
        if not total_bias_rows:
            weights[f"b_{made.initialisation.write}"][:] = -20.0
    random = torch.Generator().manual_seed(3)
    width = {part: SIZES[w] for part, w in made.state_widths.items()}
    state = State(**{part: torch.rand(2, size, generator=random) + 0.5 for part, size in width.items()})
    after = made.bind(weights, SIZES)(torch.randn(2, 24, generator=random), state)
    kept = "c" if "c" in made.state_parts else "h"
    if name == "slstm":
        assert torch.allclose(after.c / after.n, state.c / state.n, atol=1e-3)
    else:
        assert torch.allclose(after.parts()[kept], state.parts()[kept], atol=1e-3)


@pytest.mark.parametrize("name", ["lstm", "lstm_layer_norm", "gru", "mgu", "min_gru", "janet", "slstm"])
@pytest.mark.parametrize("longest", [3, 200])
def test_chrono_spreads_the_memory_up_to_the_longest_dependency(name: str, longest: int) -> None:
    made = CELLS[name]
    keep, write = made.initialisation.keep or "", made.initialisation.write
    weights = initialised(made, chrono=longest)
    sign = -1.0 if keep[0] == "-" else 1.0
    value = sign * total_bias(made, weights, keep.lstrip("-"))
    steps = value.exp()  # a unit with bias log(T) forgets over T steps
    assert steps.min() >= 1.0 - 1e-5
    assert steps.max() <= longest - 1 + 1e-3
    assert steps.max() > 1 + 0.9 * (longest - 2)
    assert abs(float(steps.mean()) - longest / 2) < 0.15 * longest  # uniform, not log-uniform
    if write is not None:
        assert torch.equal(total_bias(made, weights, write), -value)


def test_options_that_exclude_each_other_or_make_no_sense() -> None:
    with pytest.raises(UsageError, match="give one of them"):
        initialised(CELLS["lstm"], forget_bias=1.0, chrono=10)
    with pytest.raises(UsageError, match="at least 3"):
        initialised(CELLS["lstm"], chrono=2)
    with pytest.raises(UsageError, match="names no gate that keeps the state"):
        initialised(CELLS["rnn"], forget_bias=1.0)
    with pytest.raises(UsageError, match="names no gate that keeps the state"):
        initialised(CELLS["indrnn"], chrono=10)
    for wrong in (float("nan"), float("inf"), "a", True):
        with pytest.raises(UsageError, match="forget_bias is a finite number"):
            initialised(CELLS["lstm"], forget_bias=wrong)
    for wrong in (20.5, "a", True):
        with pytest.raises(UsageError, match="a whole number of at least 3"):
            initialised(CELLS["lstm"], chrono=wrong)
    with pytest.raises(UsageError, match="unknown initialisation '3'"):
        initialised(CELLS["lstm"], scheme=3)


def test_vectors_start_as_they_say() -> None:
    @cell(keep="f", init="orthogonal")
    def vectors(x, h):
        f = sigmoid(affine("f", x, h) + vector("low", init=(2.0, 3.0)) + vector("three", init=3.0) * vector("zero"))
        return State(h=f * h + (1 - f) * tanh(affine("n", x, h)))

    for scheme in ("uniform", "orthogonal", "identity"):
        weights = initialised(vectors, scheme=scheme)
        assert torch.equal(weights["three"], torch.full((64,), 3.0))
        assert not weights["zero"].any()
        assert 2.0 <= weights["low"].min() < 2.2 < 2.8 < weights["low"].max() <= 3.0
    indrnn = initialised(get_cell("indrnn"))
    assert 0.0 <= indrnn["u"].min() < 0.1
    assert 0.9 < indrnn["u"].max() <= 1.0
    gains = initialised(get_cell("lstm_layer_norm"))
    assert torch.equal(gains["gain_x_i"], torch.ones(64))
    assert not gains["b_i"].any()


def test_a_named_gate_without_a_bias_is_an_error() -> None:
    @cell(keep="q")
    def misnamed(x, h):
        return State(h=tanh(affine("n", x, h)))

    with pytest.raises(UsageError, match="gate 'q' of cell 'misnamed' has no bias"):
        initialised(misnamed, forget_bias=1.0)


def test_the_cell_s_own_defaults_travel_with_it() -> None:
    loaded = Cell.from_json(CELLS["lstm"].to_json())
    assert loaded.initialisation == CELLS["lstm"].initialisation == Initialisation("orthogonal", 1.0, None, "f", "i")
    first, again = initialised(CELLS["lstm"]), initialised(loaded)
    assert all(torch.equal(value, again[key]) for key, value in first.items())
