"""The plain loop computes what the reference computes, and is as frugal as a user of torch would write it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rondo.backends import BACKENDS
from rondo.cells import Cell, State, affine, cell, get_cell, project, recur, registry, sigmoid, tanh
from rondo.cells.language import (
    exp,
    layer_norm,
    log,
    maximum,
    mean,
    minimum,
    product,
    relu,
    silu,
    softplus,
    vector,
    where,
)
from rondo.errors import UsageError
from rondo.testing.speed.eager import eager_loop, loop_source
from rondo.testing.tolerances import difference

SIZES = {"input": 5, "hidden": 8, "projection": 3}


@cell
def crossed(x, h, c):
    """Gates that do not lie as they are added, a block alone, constants, every kind of function."""
    a = sigmoid(project("a", x) + recur("b", h))
    b = tanh(recur("a", c) + project("b", x))
    d = silu(affine("d", x, h)) - relu(recur("e", a * h, bias=False))
    bounded = minimum(maximum(d, -0.5), vector("top", init=0.5) * 2.0)
    c = where(a > 0.5, bounded, 0.25 * b) + maximum(0.1, c) / (1.5 + softplus(vector("soft") - a))
    return State(h=b - log(1.0 + exp(-c)) * mean(a * b), c=tanh(c))


@cell
def normalised(x, h):
    """Normalisations with and without gain and shift, whose parts are used elsewhere too."""
    given = layer_norm("x", project("a", x, bias=False), shift=True)
    a = recur("a", h)
    centred = a - mean(a)
    out = tanh(given + layer_norm("h", a) * centred + product("p", sigmoid(given)))
    return State(h=out)


CELLS = {**registry, "crossed": crossed, "normalised": normalised}


def results(cell: Cell, run: object) -> list[Tensor]:
    """Outputs and gradients for random weights and states."""
    random = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> Tensor:
        return (0.5 * torch.randn(*shape, generator=random, dtype=torch.float64)).requires_grad_()

    weights = {p.name: normal(*p.shape(SIZES)) for p in cell.parameters}
    x = normal(3, 6, SIZES["input"])
    state = {part: normal(3, SIZES[width]).detach().abs() for part, width in cell.state_widths.items()}
    outputs = run(x, weights, state)  # type: ignore[operator]
    outer = torch.randn(outputs.shape, generator=random, dtype=torch.float64)
    return [outputs, *torch.autograd.grad(outputs, [x, *weights.values()], outer, allow_unused=True)]


@pytest.mark.parametrize("hoisted", [False, True], ids=["each step", "input at once"])
@pytest.mark.parametrize("name", CELLS)
def test_outputs_and_gradients_are_those_of_the_reference(name: str, hoisted: bool) -> None:
    cell = CELLS[name]
    loop = eager_loop(cell, SIZES, hoisted=hoisted)
    reference = BACKENDS["reference"]
    expected = results(cell, lambda x, weights, state: reference.unroll(cell, weights, x, State(**state))[0])
    for found, right in zip(results(cell, loop), expected, strict=True):
        assert difference(found, right) < 1e-12


def body(source: str) -> tuple[str, str]:
    """What stands before the loop, and what runs at each step."""
    before, _, step = source.partition("    for ")
    return before, step


@pytest.mark.parametrize(("name", "products"), [("lstm", 2), ("gru", 2), ("gru_reset_before", 3), ("lstm_peephole", 2)])
def test_gates_that_read_the_same_vector_share_a_product(name: str, products: int) -> None:
    sizes = tuple(SIZES.items())
    before, step = body(loop_source(registry[name], sizes, hoisted=False))
    assert (before.count("F.linear"), step.count("F.linear")) == (0, products)
    before, step = body(loop_source(registry[name], sizes, hoisted=True))
    assert (before.count("F.linear"), step.count("F.linear")) == (1, products - 1)


def test_sums_of_whole_groups_are_one_addition() -> None:
    _, step = body(loop_source(registry["lstm"], tuple(SIZES.items()), hoisted=True))
    assert ".chunk(4, -1)" in step
    assert step.count(" + ") == 2  # of all gates, and of the cell state
    _, step = body(loop_source(registry["gru"], tuple(SIZES.items()), hoisted=True))
    assert step.count(".split([16, 8], -1)") == 2  # r and z are added as one, n stands apart


def test_normalisations_are_torch_s_own() -> None:
    source = loop_source(registry["lstm_layer_norm"], tuple(SIZES.items()), hoisted=True)
    before, step = body(source)
    assert (before.count("F.layer_norm"), step.count("F.layer_norm")) == (4, 5)
    assert "mean(" not in source
    assert "gain_c, shift_c" in step


def test_what_does_not_wait_for_the_state_is_done_before_the_loop() -> None:
    before, step = body(loop_source(registry["min_gru"], tuple(SIZES.items()), hoisted=True))
    assert "sigmoid" in before
    assert "sigmoid" not in step
    assert "sigmoid" in body(loop_source(registry["min_gru"], tuple(SIZES.items()), hoisted=False))[1]


def test_blocks_by_heads_have_no_plain_loop() -> None:
    with pytest.raises(UsageError, match="2 heads"):
        eager_loop(get_cell("slstm", heads=2), SIZES, hoisted=True)
