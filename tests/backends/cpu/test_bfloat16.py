"""Inference in bfloat16: ``layer.to(torch.bfloat16)`` under ``torch.no_grad()``.

Errors are stated against float64 with the same rounded weights and inputs: at most 4e-2 of the largest value, the
bound of `TOLERANCES` for this type, and less than what torch's own arithmetic in bfloat16 makes of the equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import rondo.nn
from rondo.backends import BACKENDS
from rondo.backends.cpu import backend as cpu_backend
from rondo.backends.cpu.reduced import why_not_bfloat16
from rondo.cells import Cell
from rondo.errors import UsageError
from rondo.layers import Recurrent
from rondo.testing.conformance import SITUATIONS, Case, all_cells, make_case
from rondo.testing.tolerances import assert_close, difference

HALF = torch.bfloat16
CPU, REFERENCE = BACKENDS["cpu"], BACKENDS["reference"]
needs_bfloat16 = pytest.mark.skipif(why_not_bfloat16() is not None, reason=str(why_not_bfloat16()))

CELLS = all_cells()


def rounded(cell: Cell, asked: Sequence[str], shape: tuple[int, int, int, int] = (5, 7, 18, 33)) -> tuple[Case, Case]:
    """A case in bfloat16, and in float64 with the same numbers."""
    half = make_case(cell, shape, asked, seed=21).cast(HALF)
    return half, half.cast(torch.float64)


def results(case: Case, backend: Any) -> dict[str, Tensor]:
    with torch.no_grad():
        sequence, state = case.run(backend)
    return {"sequence": sequence, **state.parts()}


@needs_bfloat16
@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("name", CELLS)
def test_near_the_exact_result(name: str, situation: str) -> None:
    asked = SITUATIONS[situation]
    if "masks" in asked and not CELLS[name].has_recurrent_product:
        pytest.skip("this cell has no product with its state to mask")
    half, exact = rounded(CELLS[name], asked)
    expected = results(exact, REFERENCE)
    for part, value in results(half, CPU).items():
        assert value.dtype == HALF
        assert_close(value, expected[part], HALF, what=part)


@needs_bfloat16
@pytest.mark.parametrize("asked", [("lengths",), ("lengths", "reverse"), ("lengths", "reset")], ids="-".join)
@pytest.mark.parametrize("name", ["gru", "lstm_layer_norm"])
def test_many_short_sequences(name: str, asked: tuple[str, ...]) -> None:
    half, exact = rounded(CELLS[name], asked, (70, 7, 18, 33))
    expected = results(exact, REFERENCE)
    for part, value in results(half, CPU).items():
        assert_close(value, expected[part], HALF, what=part)


@needs_bfloat16
@pytest.mark.parametrize("name", ["rnn", "gru", "lstm", "lstm_projected", "gru_reset_before"])
def test_sums_are_in_float32(name: str) -> None:
    """A fraction of the error of arithmetic in bfloat16; yet not what float32 computes."""
    half, exact = rounded(CELLS[name], (), (8, 30, 40, 96))
    expected = results(exact, REFERENCE)["sequence"]
    ours, theirs = (difference(results(half, backend)["sequence"], expected) for backend in (CPU, REFERENCE))
    single = results(half.cast(torch.float32), CPU)["sequence"]
    assert ours < 0.6 * theirs
    assert difference(single, expected) < 0.01 * ours
    assert difference(results(half, CPU)["sequence"].float(), single.to(HALF).float()) > 1e-4


@needs_bfloat16
@pytest.mark.parametrize("shape", [(0, 4, 3, 5), (3, 0, 3, 5), (1, 1, 1, 1), (40, 12, 5, 33), (70, 3, 65, 130)])
def test_sizes(shape: tuple[int, int, int, int]) -> None:
    half, exact = rounded(CELLS["gru"], (), shape)
    expected = results(exact, REFERENCE)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for part, value in results(half, CPU).items():
                assert_close(value, expected[part], HALF, what=part)
    finally:
        torch.set_num_threads(before)


MAKERS = {
    "recurrent": lambda **options: Recurrent("gru_reset_before", 6, 20, layers=2, bidirectional=True, **options),
    "stand-in": lambda **options: rondo.nn.GRU(6, 20, 2, batch_first=True, bidirectional=True),
}


@needs_bfloat16
@pytest.mark.parametrize("kind", MAKERS)
def test_layers(kind: str) -> None:
    layer = MAKERS[kind]().eval()
    x = torch.randn(4, 9, 6, generator=torch.Generator().manual_seed(1))
    exact = layer(x)[0]
    layer = layer.to(HALF)
    with torch.no_grad():
        assert "cpu        runs, the fastest that can" in layer.explain()
        found, *_ = layer(x.to(HALF))
        assert_close(found, exact, HALF)
    assert found.dtype == HALF


@needs_bfloat16
@pytest.mark.parametrize("kind", MAKERS)
def test_with_gradients_others_run(kind: str) -> None:
    layer = MAKERS[kind]().to(HALF)
    assert "cpu        does not run: in bfloat16 it computes without gradients only" in layer.explain()
    layer(torch.randn(2, 3, 6).to(HALF))[0].float().sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())
    layer.backend = "cpu"
    with pytest.raises(UsageError, match=r"cannot run this layer: in bfloat16 .*under torch.no_grad\(\) it runs"):
        layer(torch.randn(2, 3, 6).to(HALF))


@needs_bfloat16
def test_the_engine_never_trains_in_it() -> None:
    half, _ = rounded(CELLS["gru"], ())
    with pytest.raises(UsageError, match="asked for gradients"):
        half.run(CPU)


def test_a_machine_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other backends run, and the engine says why it does not."""
    monkeypatch.setattr(cpu_backend, "why_not", lambda: None)
    monkeypatch.setattr(cpu_backend, "why_not_bfloat16", lambda: "no instructions for it")
    layer = Recurrent("mgu", 3, 5, dtype=HALF)
    with torch.no_grad():
        assert "does not run: no instructions for it" in layer.explain()
        assert "reference  runs" in layer.explain()
        assert layer(torch.randn(2, 4, 3).to(HALF)).sequence.dtype == HALF


@needs_bfloat16
def test_another_instruction_set_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RONDO_ISA", "generic")
    with torch.no_grad():
        assert "RONDO_ISA asks for 'generic', which has no bfloat16" in Recurrent("mgu", 3, 5, dtype=HALF).explain()


@needs_bfloat16
def test_steps_are_those_of_the_whole() -> None:
    """The stepper is not for this type: it asks the layer for each step."""
    layer = Recurrent("lstm_peephole", 6, 20, layers=2).to(HALF).eval()
    x = torch.randn(3, 8, 6, generator=torch.Generator().manual_seed(2)).to(HALF)
    stepper = layer.stepper(batch_size=3)
    assert not stepper.prepared
    with torch.no_grad():
        whole = layer(x).sequence
    for t in range(8):
        step = stepper(x[:, t])
        assert step.dtype == HALF
        assert_close(step, whole[:, t], HALF)


@needs_bfloat16
def test_compiled() -> None:
    model = nn.Sequential(nn.Linear(6, 6), Recurrent("gru", 6, 20, backend="cpu")).to(HALF).eval()
    x = torch.randn(3, 8, 6).to(HALF)
    with torch.no_grad():
        expected = model(x).sequence
        found = torch.compile(model, fullgraph=True, backend="aot_eager")(x).sequence
    assert torch.equal(found, expected)
    assert found.stride() == expected.stride()


@needs_bfloat16
def test_the_operator_is_sound() -> None:
    half, _ = rounded(CELLS["lstm"], ("lengths",))
    with torch.no_grad():
        arguments = (
            half.cell.key(), half.x.detach(), [w.detach() for w in half.weights.values()],
            [half.state.h.detach(), half.state.c.detach()], [], [], half.options["lengths"], None, [-1.0, -1.0],
            False, False, 0, False, True,
        )  # fmt: skip
        torch.library.opcheck(torch.ops.rondo.unroll, arguments, test_utils=("test_schema", "test_faketensor"))


@needs_bfloat16
def test_each_example_for_itself() -> None:
    layer = Recurrent("gru", 3, 5, backend="cpu").to(HALF)
    x = torch.randn(4, 6, 3).to(HALF)
    with torch.no_grad():
        each = torch.func.vmap(lambda one: layer(one[None]).sequence[0])(x)
        assert torch.equal(each, layer(x).sequence)
