"""Numbers that are not numbers, infinite, or so small that few bits are left of them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rondo.backends import BACKENDS, Backend
from rondo.backends.cpu.native import why_not
from rondo.backends.cpu.scan import scan
from rondo.cells import State, registry
from rondo.layers import Recurrent
from rondo.testing.conformance import Case, gradients, make_case
from rondo.testing.tolerances import assert_close
from tests.backends.cpu.sets import SETS

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

CPU, REFERENCE = BACKENDS["cpu"], BACKENDS["reference"]
CELLS = ["rnn", "gru", "lstm", "gru_layer_norm", "lstm_layer_norm", "min_gru", "min_lstm"]
SHAPES = {"small": (3, 6, 4, 20), "chunks": (20, 25, 4, 20)}
VALUES = [math.nan, math.inf]

Results = dict[str, Tensor]


@pytest.fixture(params=SETS)
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each instruction set in turn."""
    monkeypatch.setenv("RONDO_ISA", request.param)


def results_of(case: Case, backend: Backend, dy: Tensor | None = None) -> Results:
    """Values and gradients: of a random weighting of all results, or where ``dy`` is what arrives at the outputs."""
    sequence, state = case.run(backend)
    parts = {f"state {part}": value for part, value in state.parts().items()}
    if dy is None:
        found = gradients(case, sequence, state)
    else:
        leaves = case.leaves()
        found = dict(zip(leaves, torch.autograd.grad(sequence, list(leaves.values()), dy), strict=True))
    return {"sequence": sequence, **parts, **{f"gradient of {name}": value for name, value in found.items()}}


def agree(found: Results, expected: Results, value: float, *, exactly: bool) -> None:
    """All numbers are those of the reference; and so is what is infinite, and what is no number.

    Not ``exactly``: the same is finite. Where h is infinite, ``(1 - z) h`` is something else than ``h - z h``.
    """
    for result, theirs in expected.items():
        ours = found[result]
        if math.isinf(value) and not exactly:
            ours, theirs = (one.where(one.isfinite(), math.inf) for one in (ours, theirs))
        assert_close(ours, theirs, torch.float64, what=result, gradients=True)


def of_sequences(case: Case) -> list[str]:
    """The results of which each sequence has its own."""
    parts = case.cell.state_parts
    return ["sequence", "gradient of x", *(f"state {p}" for p in parts), *(f"gradient of {p}" for p in parts)]


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", CELLS)
def test_what_is_no_number_stays_in_its_sequence_and_goes_on_in_time(name: str, shape: str, value: float) -> None:
    clean, spoilt = (make_case(registry[name], SHAPES[shape]).cast(torch.float64) for _ in range(2))
    B, T, _ = spoilt.x.shape
    with torch.no_grad():
        spoilt.x[1, T // 2, 0] = value
    before, found, expected = results_of(clean, CPU), results_of(spoilt, CPU), results_of(spoilt, REFERENCE)
    others = [b for b in range(B) if b != 1]
    for result in of_sequences(clean):
        assert torch.equal(found[result][others], before[result][others]), result
    assert torch.equal(found["sequence"][1, : T // 2], before["sequence"][1, : T // 2])
    if name != "min_lstm" or math.isnan(value):  # whose gates are inf - inf by its equation, and a share in the engine
        agree(found, expected, value, exactly=True)
    else:
        theirs = expected["sequence"]
        assert torch.equal(found["sequence"][theirs.isinf()], theirs[theirs.isinf()])
    here = found["sequence"][1, T // 2]
    assert here.isnan().all() if math.isnan(value) else not torch.equal(here, before["sequence"][1, T // 2])
    assert not found["gradient of x"][1].isfinite().all() or math.isinf(value)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", CELLS)
def test_a_gradient_that_is_no_number_stays_in_its_sequence(name: str, shape: str, value: float) -> None:
    case = make_case(registry[name], SHAPES[shape]).cast(torch.float64)
    B, T, _ = case.x.shape
    H = case.state.h.shape[1]
    clean = torch.randn(B, T, H, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    spoilt = clean.clone()
    spoilt[1, T // 2, 3] = value
    before, found = results_of(case, CPU, clean), results_of(case, CPU, spoilt)
    expected = results_of(case, REFERENCE, spoilt)
    others = [b for b in range(B) if b != 1]
    for result in of_sequences(case):
        assert torch.equal(found[result][others], before[result][others]), result
    of_x = "gradient of x"
    assert torch.equal(found[of_x][1, T // 2 + 1 :], before[of_x][1, T // 2 + 1 :])
    assert not found[of_x][1, T // 2].isfinite().any()
    agree(found, expected, value, exactly=False)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", CELLS)
def test_a_stepper_keeps_what_is_no_number_where_it_is(name: str, value: float) -> None:
    torch.manual_seed(0)
    layer = Recurrent(name, 4, 20, layers=2, dtype=torch.float64, backend="cpu")
    slow = Recurrent(name, 4, 20, layers=2, dtype=torch.float64, backend="reference")
    slow.load_state_dict(layer.state_dict())
    clean = torch.randn(3, 6, 4, dtype=torch.float64)
    spoilt = clean.clone()
    spoilt[1, 2, 0] = value

    def stepped(x: Tensor) -> Tensor:
        stepper.reset()
        return torch.stack([stepper(x_t.contiguous()).clone() for x_t in x.unbind(1)], 1)

    stepper = layer.stepper(3)
    assert stepper.prepared
    before, found = stepped(clean), stepped(spoilt)
    assert torch.equal(found[[0, 2]], before[[0, 2]])
    assert torch.equal(found[1, :2], before[1, :2])
    assert not torch.equal(found[1, 2], before[1, 2])
    assert_close(found, slow(spoilt).sequence, torch.float64)
    stepper.reset([False, True, False])
    assert stepper(clean[:, 0].contiguous()).isfinite().all()


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("size", [1e3, 1e6, 1e12, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", ["min_gru", "min_lstm"])
def test_gates_far_out(name: str, dtype: torch.dtype, size: float) -> None:
    """Open and closed gates, two closed ones among them, whose pre-activations are of any size."""
    cell, H, generator = registry[name], 20, torch.Generator().manual_seed(0)
    blocks = ["f", "i", "h"] if name == "min_lstm" else ["z", "h"]
    sums = size * torch.randn(3, 9, len(blocks) * H, generator=generator, dtype=dtype)
    sums[..., -H:] /= size  # what is written, so that its gradient is no larger than others
    sums.requires_grad_()
    state, weights = State(h=torch.zeros(3, H, dtype=dtype)), {"bias_ih": torch.zeros(len(blocks) * H, dtype=dtype)}
    found, _ = scan(cell, weights, sums, state)
    expected, _ = REFERENCE.unroll(cell, {"weight_ih": torch.eye(len(blocks) * H, dtype=dtype), **weights}, sums, state)
    ours, theirs = (torch.autograd.grad(one.square().sum(), sums)[0] for one in (found, expected))
    assert_close(found, expected, dtype, what="sequence")
    assert_close(ours, theirs, dtype, what="gradient", gradients=True)


SMALL_TO_NORMAL = 1 << 12


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", CELLS)
def test_subnormal_numbers_are_numbers(name: str, dtype: torch.dtype) -> None:
    """All that is given but the matrices, which make normal numbers of it."""
    case = make_case(registry[name], (2, 4, 3, 17))
    subnormal = torch.finfo(dtype).tiny / 16
    for p in case.cell.parameters:
        if p.kind == "matrix":
            case.weights[p.name] *= SMALL_TO_NORMAL
        elif not p.name.startswith("gain"):
            case.weights[p.name] *= subnormal
    case.x, case.state = case.x * subnormal, case.state.map(lambda part: part * subnormal)
    case = case.cast(dtype)
    dy = torch.randn(2, 4, 17, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
    found, expected = results_of(case, CPU, dy), results_of(case.cast(torch.float64), REFERENCE, dy.double())
    for result, theirs in expected.items():
        each = (found[result], theirs)
        for ours, true in zip(*(value.unbind(1) for value in each), strict=True) if theirs.dim() == 3 else [each]:
            agree_however_small(ours, true, dtype, result)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", CELLS)
def test_subnormal_gradients_are_numbers(name: str, dtype: torch.dtype) -> None:
    case = make_case(registry[name], (2, 4, 3, 17))
    case.weights["weight_ih"] *= SMALL_TO_NORMAL
    case.x = case.x / SMALL_TO_NORMAL
    case = case.cast(dtype)
    dy = torch.randn(2, 4, 17, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    dy = (dy * torch.finfo(dtype).tiny / 16).to(dtype)
    found, expected = results_of(case, CPU, dy), results_of(case.cast(torch.float64), REFERENCE, dy.double())
    for result, theirs in expected.items():
        agree_however_small(found[result], theirs, dtype, result)


def agree_however_small(found: Tensor, expected: Tensor, dtype: torch.dtype, what: str) -> None:
    """As `assert_close`, in units of the largest value. What is subnormal may be rounded as such, or become zero."""
    about = torch.finfo(dtype)
    least = about.tiny * about.eps
    assert expected.any() or what not in ("sequence", "gradient of x")
    may_be_zero = (found == 0) & (expected.abs() < about.tiny)
    rounded = (found.double() - expected).abs() <= 16 * least
    ours = found.double().where(~may_be_zero & ~rounded, expected)
    unit = expected.abs().max().clamp(min=least)
    assert_close(ours / unit, expected / unit, dtype, what=what, gradients=True)
