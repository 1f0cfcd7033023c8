"""Wherever x and the gradient of the outputs lie in memory: read in place or gathered, the results are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from rondo.backends import BACKENDS
from rondo.backends.cpu.native import why_not
from rondo.cells import get_cell
from rondo.layers import Recurrent
from rondo.testing.conformance import compare, make_case
from rondo.testing.tolerances import assert_close

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

Drawn = Callable[..., Tensor]

LAYOUTS: dict[str, Callable[[Drawn, int, int, int], Tensor]] = {
    "batch first": lambda draw, B, T, N: draw(B, T, N),
    "time first": lambda draw, B, T, N: draw(T, B, N).transpose(0, 1),
    "part of a wider one": lambda draw, B, T, N: draw(B, T, N + 5)[:, :, 3 : 3 + N],
    "part of a wider one, time first": lambda draw, B, T, N: draw(T, B, N + 5).transpose(0, 1)[:, :, 3 : 3 + N],
    "every other step": lambda draw, B, T, N: draw(B, 2 * T, N)[:, ::2],
    "the same at all steps": lambda draw, B, T, N: draw(B, 1, N).expand(B, T, N),
    "the same for all sequences": lambda draw, B, T, N: draw(1, T, N).expand(B, T, N),
    "units apart": lambda draw, B, T, N: draw(B, N, T).transpose(1, 2),
}
SIZES = {"rows": (24, 7), "few rows": (3, 30), "one sequence": (1, 90), "one step": (70, 1)}


@pytest.fixture(autouse=True, params=[1, 3], ids=["one thread", "three"])
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(
    ("cell", "I", "H"), [("gru", 5, 33), ("lstm", 17, 9), ("min_gru", 16, 48), ("indrnn", 13, 41), ("rnn", 16, 32)]
)
def test_results_do_not_depend_on_where_arrays_lie(cell: str, I: int, H: int, sizes: str, layout: str) -> None:
    random = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    B, T = SIZES[sizes]
    layer = Recurrent(cell, I, H, bidirectional=True, dtype=torch.float64, backend="cpu")
    x, dy = LAYOUTS[layout](draw, B, T, I), LAYOUTS[layout](draw, B, T, 2 * H)
    names, weights = zip(*layer.named_parameters(), strict=True)
    # With lengths everything is gathered, also where they are those of x.
    expected = layer(x.contiguous(), lengths=[T] * B).sequence
    gradients = torch.autograd.grad(expected, weights, dy.contiguous())
    with torch.no_grad():
        assert_close(layer(x).sequence, expected, torch.float64)
    found = layer(x).sequence
    assert_close(found, expected, torch.float64)
    for name, ours, theirs in zip(names, torch.autograd.grad(found, weights, dy), gradients, strict=True):
        assert_close(ours, theirs, torch.float64, what=name, gradients=True)


RAGGED = {
    "lengths": ("lengths",),
    "backwards": ("lengths", "reverse"),
    "reset": ("lengths", "reset", "initial"),
    "masks": ("lengths", "masks"),
}
CASES = [
    *((name, asked, (70, 7, 5, 18)) for name in ("gru", "lstm_layer_norm", "gru_reset_before") for asked in RAGGED),
    *(("lstm_projected", asked, (70, 7, 5, 18)) for asked in ("lengths", "backwards")),
    *(("min_gru", asked, (70, 7, 5, 18)) for asked in ("lengths", "backwards")),
    # So few rows that panels are divided between threads.
    *(("gru", asked, (34, 7, 20, 100)) for asked in ("lengths", "backwards")),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(("name", "asked", "shape"), CASES, ids=["-".join([n, a, str(s[3])]) for n, a, s in CASES])
def test_many_short_sequences(name: str, asked: str, shape: tuple[int, int, int, int], dtype: torch.dtype) -> None:
    """Products over a chunk of steps leave out the rows that have ended."""
    compare(make_case(get_cell(name), shape, RAGGED[asked]), lambda case: case.run(BACKENDS["cpu"]), dtype)


@pytest.mark.parametrize("cell", ["gru", "lstm", "gru_reset_before", "min_gru", "lstm_projected"])
@pytest.mark.parametrize("given", ["lengths", "reset", "both"])
def test_without_gradients_states_are_not_kept(cell: str, given: str) -> None:
    """Runs with lengths for inference keep two states, not all; outputs and the padding behind them are the same."""
    more = {"projection_size": 9} if cell == "lstm_projected" else {}
    layer = Recurrent(cell, 5, 18, layers=2, bidirectional=True, backend="cpu", dtype=torch.float64, **more)
    x = torch.randn(30, 8, 5, dtype=torch.float64)
    options = {"lengths": torch.arange(30) % 9, "reset": torch.rand(30, 8) < 0.3}
    asked = options if given == "both" else {given: options[given]}
    expected = layer(x, **asked)
    with torch.no_grad():
        layer(x + 1, **asked)  # memory that is used again holds something
        found = layer(x, **asked)
    assert found.sequence is not None
    assert expected.sequence is not None
    assert_close(found.sequence, expected.sequence, torch.float64)
    assert found.sequence.stride() == expected.sequence.stride()
    for name, value in found.state.parts().items():
        assert_close(value, expected.state[name], torch.float64, what=name)
    if given != "reset":
        behind = torch.arange(8) >= options["lengths"][:, None]
        assert not found.sequence[behind].any()


@pytest.mark.parametrize("lengths", [None, [9, 0, 4, 7]], ids=["dense", "ragged"])
def test_both_directions_lie_side_by_side(lengths: list[int] | None) -> None:
    """Where nothing is recorded they are put together in memory of the engine's."""
    layer = Recurrent("gru", 5, 48, bidirectional=True, backend="cpu")
    x = torch.randn(4 if lengths else 90, 9, 5)
    recorded = layer(x, lengths=lengths).sequence
    with torch.no_grad():
        found = layer(x, lengths=lengths).sequence
        again = layer(x + 1, lengths=lengths).sequence
    assert_close(found, recorded, torch.float32)
    assert not torch.equal(found, again)
    assert found.stride() == recorded.stride()
    assert not found.requires_grad
