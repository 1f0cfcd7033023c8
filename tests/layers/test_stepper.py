"""`Stepper`: steps equal the whole, the state can be taken out and put back, changed weights are noticed."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rondo import nn as stand_ins
from rondo.backends.cpu.native import why_not
from rondo.cells import State, affine, cell, mean, registry, sigmoid, tanh
from rondo.errors import UsageError
from rondo.layers import Recurrent, StackState, Stepper
from rondo.testing.tolerances import assert_close

BACKENDS = ["reference"] if why_not() else ["reference", "cpu"]
needs_engine = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
WIDE = ["gru", "lstm", "lstm_layer_norm", "gru_reset_before", "lstm_projected", "min_gru", "slstm"]


def make(
    name: str, *, inputs: int = 5, hidden: int = 6, dtype: torch.dtype = torch.float64, **options: Any
) -> Recurrent:
    """A layer with random weights everywhere."""
    if registry[name].has_projection:
        options.setdefault("projection_size", 2 * (hidden // 3))
    layer = Recurrent(name, inputs, hidden, dtype=dtype, **{"layers": 2, **options})
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random, dtype=dtype) * 1.5 / hidden**0.5)
    return layer


def random_x(B: int, T: int = 6, inputs: int = 5, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(B, T, inputs, generator=torch.Generator().manual_seed(2), dtype=dtype)


def stepped(stepper: Stepper, x: Tensor) -> Tensor:
    return torch.stack([stepper(x_t.contiguous()).clone() for x_t in x.unbind(1)], 1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("B", [1, 3, 33])
@pytest.mark.parametrize("name", registry)
def test_steps_equal_the_whole(name: str, B: int, dtype: torch.dtype, backend: str) -> None:
    layer, x = make(name, hidden=18, dtype=dtype, learned_state=True, backend=backend), random_x(B, dtype=dtype)
    whole = layer(x)
    stepper = layer.stepper(B)
    assert_close(stepped(stepper, x), whole.sequence, dtype)
    for part, value in whole.state.parts().items():
        assert_close(stepper.state[part], value, dtype, what=part)
    assert stepper.prepared == (backend == "cpu")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", [name for name, cell in registry.items() if not cell.log_scales])
def test_zoneout_is_its_expectation_and_nothing_is_dropped(name: str, backend: str) -> None:
    drops = {"input_dropout": 0.5, "layer_dropout": 0.5}
    if registry[name].has_recurrent_product:
        drops |= {"recurrent_dropout": 0.5, "weight_drop": 0.5}
    layer, x = make(name, zoneout=0.3, bias=False, backend=backend, **drops), random_x(2)
    stepper = layer.train().stepper(2)
    steps = stepped(stepper, x)
    assert_close(steps, layer.eval()(x).sequence, torch.float64)
    assert not torch.allclose(steps, make(name, bias=False)(x).sequence)
    assert not steps.requires_grad


@needs_engine
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("B", [1, 2, 20])
@pytest.mark.parametrize("name", WIDE)
def test_a_team_gives_what_one_thread_gives(name: str, B: int, dtype: torch.dtype, two_threads: None) -> None:
    layer = make(name, inputs=7, hidden=210, dtype=dtype, backend="cpu")
    readout = nn.Linear(layer.output_size, 100, dtype=dtype)
    x = random_x(B, inputs=7, dtype=dtype)
    whole = make(name, inputs=7, hidden=210, dtype=dtype, backend="reference")(x)
    stepper = layer.stepper(B, readout=readout)
    steps = stepped(stepper, x)
    assert_close(steps, readout(whole.sequence).detach(), dtype)
    stepper.reset()
    slowly = []
    for x_t in x.unbind(1):
        slowly.append(stepper(x_t.contiguous()).clone())
        time.sleep(1e-3)  # the team sleeps, and is not waited for
    assert torch.equal(steps, torch.stack(slowly, 1))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_state_is_taken_out_put_back_and_the_layers_own(backend: str) -> None:
    layer, x = make("lstm", backend=backend), random_x(3, T=9)
    whole = layer(x).sequence
    stepper = layer.stepper(3)
    stepped(stepper, x[:, :4])
    kept = stepper.state
    first = stepped(stepper, x[:, 4:])
    stepper.state = kept
    assert torch.equal(stepped(stepper, x[:, 4:]), first)
    other = layer.stepper(3)
    other.state = StackState(kept.state_dict())
    assert torch.equal(stepped(other, x[:, 4:]), first)
    other.state = layer(x[:, :4]).state
    assert_close(stepped(other, x[:, 4:]), whole[:, 4:], torch.float64)
    assert_close(layer(x[:, 4:], kept).sequence, whole[:, 4:], torch.float64)
    other.state = layer(x[1:2, :4]).state.select([0, 0, 0])
    assert_close(stepped(other, x[1:2, 4:].expand(3, -1, -1)), whole[1:2, 4:].expand(3, -1, -1), torch.float64)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_reset_begins_anew_for_all_or_some(backend: str) -> None:
    layer, x = make("gru", learned_state=True, backend=backend), random_x(3)
    stepper = layer.stepper(3)
    first = stepped(stepper, x)
    stepper.reset()
    assert torch.equal(stepped(stepper, x), first)
    before = stepper.state
    stepper.reset([False, True, False])
    anew = stepped(stepper, x)
    assert torch.equal(anew[1], first[1])
    stepper.state = before
    on = stepped(stepper, x)
    assert torch.equal(anew[[0, 2]], on[[0, 2]])
    assert not torch.allclose(on[1], first[1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_changed_weights_are_noticed(backend: str) -> None:
    layer, x = make("gru", backend=backend), random_x(2)
    readout = nn.Linear(6, 4).double()
    stepper = layer.stepper(2, readout=readout)
    plain = stepped(stepper, x)

    def expected() -> Tensor:
        return readout(layer(x).sequence).detach()

    changes = {
        "an optimiser's step": lambda: _learn(layer, readout),
        "load_state_dict": lambda: layer.load_state_dict(make("gru", learned_state=False).state_dict()),
        "a bias of the read-out alone": lambda: nn.init.constant_(readout.bias, 0.7),
        "one weight of the upper layer": lambda: nn.init.eye_(layer.weight_ih_l1[:6].detach()),
    }
    for what, change in changes.items():
        before = expected()
        change()
        assert not torch.allclose(expected(), before), what
        stepper.reset()
        assert_close(stepped(stepper, x), expected(), torch.float64, what=what)
    assert not torch.allclose(expected(), plain)


def _learn(layer: Recurrent, readout: nn.Linear) -> None:
    optimiser = torch.optim.SGD([*layer.parameters(), *readout.parameters()], lr=0.5)
    readout(layer(random_x(2)).sequence).square().sum().backward()
    optimiser.step()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_change_in_the_middle_keeps_the_state_and_refresh_takes_what_is_not_counted(backend: str) -> None:
    layer, x = make("lstm", backend=backend), random_x(1)
    stepper = layer.stepper()
    stepped(stepper, x[:, :3])
    state = stepper.state
    with torch.no_grad():
        layer.weight_hh_l0.mul_(-1.0)
    assert_close(stepped(stepper, x[:, 3:]), layer(x[:, 3:], state).sequence, torch.float64)
    stepper.state = state
    layer.weight_ih_l0.data = layer.weight_ih_l0.data * -1.0
    stepper.refresh()
    assert_close(stepped(stepper, x[:, 3:]), layer(x[:, 3:], state).sequence, torch.float64)
    layer.float()
    stepper.refresh()
    assert stepper(x[:, 0].float()).dtype == torch.float32


@pytest.mark.parametrize("backend", BACKENDS)
def test_any_tensor_of_the_right_shape_and_type_will_do(backend: str) -> None:
    layer, x = make("gru", backend=backend), random_x(4)
    expected = layer(x).sequence[:, 0].detach()
    odd = torch.full((4, 5, 3), torch.nan, dtype=torch.float64)
    odd[:, :, 1] = x[:, 0]
    shifted = torch.cat([torch.zeros(1, dtype=torch.float64), x[:, 0].flatten()])[1:].view(4, 5)
    for given in (x[:, 0], odd[:, :, 1], shifted, nn.Parameter(x[:, 0]), x[:, 0].t().contiguous().t()):
        assert_close(layer.stepper(4)(given).clone(), expected, torch.float64)
    with torch.inference_mode():
        assert_close(layer.stepper(4)(x[:, 0].clone()).clone(), expected, torch.float64)


@needs_engine
def test_the_output_is_one_buffer() -> None:
    stepper, x = make("gru", backend="cpu").stepper(2), random_x(2)
    first = stepper(x[:, 0])
    kept = first.clone()
    second = stepper(x[:, 1])
    assert second.data_ptr() == first.data_ptr()
    assert not torch.allclose(first, kept)


@needs_engine
def test_rows_of_tables_are_added_up() -> None:
    layer = make("gru", backend="cpu")
    tables = torch.randn(4, 5).double(), torch.randn(7, 5).double()
    numbers = torch.tensor([[3, 0, 1], [6, 6, 0]])
    stepper = layer.stepper(3, tables=[(tables[0], 2.0), (tables[1], 1.0)])
    x = 2.0 * tables[0][numbers[0]] + tables[1][numbers[1]]
    assert_close(stepper.step_rows(numbers), layer(x[:, None]).last.detach(), torch.float64)
    before = stepper.state
    for wrong in (-1, 7):
        with pytest.raises(IndexError, match=f"{wrong} is no row of a table of 7"):
            stepper.step_rows(torch.tensor([[3, 0, 1], [6, wrong, 0]]))
    assert torch.equal(stepper.state.h_l1, before.h_l1)
    with pytest.raises(UsageError, match=r"torch.int32 \(2, 3\); this stepper expects int64 \(2, 3\)"):
        stepper.step_rows(numbers.int())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(2, 4).double(), r"x has shape \(2, 4\)"),
        (torch.zeros(1, 5).double(), r"x has shape \(1, 5\)"),
        (torch.zeros(2, 1, 5).double(), r"x has shape \(2, 1, 5\)"),
        (torch.zeros(2, 5), "x has dtype torch.float32, the layer torch.float64"),
        ([[0.0] * 5] * 2, "x is a tensor, not list"),
        (torch.zeros(2, 5, dtype=torch.float64, device="meta"), "x is on meta"),
    ],
    ids=["features", "batch", "dimensions", "type", "list", "device"],
)
def test_wrong_input_is_refused(x: Any, message: str, backend: str) -> None:
    stepper = make("gru", backend=backend).stepper(2)
    with pytest.raises(UsageError, match=message):
        stepper(x)


def test_what_cannot_be_is_refused() -> None:
    layer = make("gru")
    for wrong in (0, -1, True, 1.5):
        with pytest.raises(UsageError, match="batch_size is a whole number of at least 1"):
            layer.stepper(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a bidirectional layer needs the whole sequence"):
        make("gru", bidirectional=True).stepper()
    stepper = layer.stepper()
    with pytest.raises(UsageError, match="the state is for 2 sequences, x has 1"):
        stepper.state = layer.initial_state(2)
    with pytest.raises(UsageError, match="no c_l0"):
        make("lstm").stepper().state = layer.initial_state(1)
    with pytest.raises(UsageError, match="a state is a StackState"):
        stepper.state = torch.zeros(1, 6)  # type: ignore[assignment]
    with pytest.raises(UsageError, match="mask has shape"):
        stepper.reset([True, False])


class _Doubled(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2.0 * super().forward(x)


def _biased(bias: Tensor) -> nn.Linear:
    made = nn.Linear(6, 3).double()
    made.bias = nn.Parameter(bias)
    return made


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("layers_of", ["Recurrent", "nn"])
@pytest.mark.parametrize(
    ("readout", "message"),
    [
        (nn.Linear(4, 3).double(), r"weights of shape \(3, 4\); the layer needs \(outputs, 6\)"),
        (nn.Linear(9, 3).double(), r"weights of shape \(3, 9\); the layer needs \(outputs, 6\)"),
        (_biased(torch.zeros(2).double()), r"a bias of shape \(2,\); its weights need \(3,\)"),
        (_biased(torch.zeros(3)), "readout has dtype torch.float32, the layer torch.float64"),
        (nn.Linear(6, 3), "readout has dtype torch.float32, the layer torch.float64"),
        (nn.Linear(6, 3, dtype=torch.float64, device="meta"), "readout is on meta, the layer on cpu"),
        (nn.LazyLinear(3, dtype=torch.float64), "readout has no weights yet"),
        (_Doubled(6, 3).double(), "readout is a torch.nn.Linear, not _Doubled"),
        (nn.Sequential(nn.Linear(6, 3)), "readout is a torch.nn.Linear, not Sequential"),
        (3, "readout is a torch.nn.Linear, not int"),
    ],
    ids=["narrow", "wide", "bias", "bias type", "type", "device", "lazy", "its own forward", "module", "number"],
)
def test_a_readout_that_does_not_fit_is_refused(readout: Any, message: str, layers_of: str, backend: str) -> None:
    layer: Any = make("gru", backend=backend)
    if layers_of == "nn":
        layer = stand_ins.GRU(5, 6, num_layers=2, dtype=torch.float64)
        layer.backend = backend
    with pytest.raises(UsageError, match=message):
        layer.stepper(readout=readout)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([(torch.zeros(3, 1).double(), 1.0)], r"table 0 has shape \(3, 1\); the layer needs \(rows, 5\)"),
        ([(torch.zeros(3, 5).double(), 1.0), (torch.zeros(5).double(), 1.0)], r"table 1 has shape \(5,\)"),
        ([(torch.zeros(3, 5), 1.0)], "table 0 has dtype torch.float32, the layer torch.float64"),
        ([(torch.zeros(3, 5, dtype=torch.float64, device="meta"), 1.0)], "table 0 is on meta, the layer on cpu"),
        ([torch.zeros(3, 5).double()], "tables are pairs of a tensor and a factor"),
        ((torch.zeros(3, 5).double(), 1.0), "tables are pairs of a tensor and a factor"),
        ([(torch.zeros(3, 5).double(), "2")], "tables are pairs of a tensor and a factor"),
        ([(torch.zeros(3, 5).double(), True)], "tables are pairs of a tensor and a factor"),
        ([([[0.0] * 5], 1.0)], "tables are pairs of a tensor and a factor"),
        (3, "tables are pairs of a tensor and a factor"),
    ],
    ids=["narrow", "vector", "type", "device", "no factor", "no list", "word", "bool", "lists", "number"],
)
def test_tables_that_do_not_fit_are_refused(tables: Any, message: str, backend: str) -> None:
    with pytest.raises(UsageError, match=message):
        make("gru", backend=backend).stepper(tables=tables)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_no_longer_fits_is_refused_before_the_next_step(backend: str) -> None:
    def empty(*shape: int) -> nn.Parameter:
        return nn.Parameter(torch.zeros(*shape).double())

    layer, readout = make("gru", learned_state=True, backend=backend), nn.Linear(6, 4).double()
    rows = torch.zeros(3, 5).double()
    stepper, x = layer.stepper(readout=readout, tables=[(rows, 1.0)]), random_x(1)[:, 0]
    expected = stepper(x).clone()
    for module, name, shape, message in [
        (readout, "weight", (4, 9), r"readout has weights of shape \(4, 9\)"),
        (readout, "bias", (2,), r"readout has a bias of shape \(2,\)"),
        (layer, "weight_hh_l1", (3, 3), r"weight_hh_l1 has shape \(3, 3\); this layer needs \(18, 6\)"),
        (layer, "bias_ih_l0", (1,), r"bias_ih_l0 has shape \(1,\)"),
        (layer, "initial_h_l0", (1,), r"initial_h_l0 has shape \(1,\)"),
    ]:
        stored = getattr(module, name)
        setattr(module, name, empty(*shape))
        with pytest.raises(UsageError, match=message):
            stepper.refresh()
        setattr(module, name, stored)
        stepper.refresh()
    rows.resize_(5, 3)  # torch counts this
    with pytest.raises(UsageError, match=r"table 0 has shape \(5, 3\)"):
        stepper(x)
    rows.resize_(3, 5)
    stepper.reset()
    assert torch.equal(stepper(x), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_are_numbers_of_tables_that_are_there(backend: str) -> None:
    layer = make("gru", backend=backend)
    with pytest.raises(UsageError, match="this stepper has no tables"):
        layer.stepper().step_rows(torch.tensor([2]))
    with pytest.raises(UsageError, match=r"numbers are a tensor of int64 \(1, 1\), not list"):
        layer.stepper(tables=[(torch.zeros(3, 5).double(), 1.0)]).step_rows([2])  # type: ignore[arg-type]


@needs_engine
def test_steppers_of_one_layer_and_of_copies_go_their_own_ways() -> None:
    layer, x = make("lstm", backend="cpu"), random_x(1)
    whole = layer(x).sequence
    one, two, of_a_copy = layer.stepper(), layer.stepper(), copy.deepcopy(layer).stepper()
    stepped(one, x)
    assert_close(stepped(two, x), whole, torch.float64)
    assert_close(stepped(of_a_copy, x), whole, torch.float64)
    del layer, two
    one.reset()
    assert_close(stepped(one, x), whole, torch.float64)


@cell
def c_first(x, c, h):
    """The output is the second part."""
    c = sigmoid(affine("f", x, h)) * c + tanh(affine("g", x, h))
    return State(h=tanh(c) * sigmoid(affine("o", x, h)), c=c)


@cell
def m_first(x, m, h):
    """One number a row, before the output."""
    a = affine("a", x, h)
    return State(h=tanh(a - m), m=0.9 * m + 0.1 * mean(a))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("made", [c_first, m_first], ids=["c_first", "m_first"])
def test_the_output_need_not_be_the_first_part(made: Any, backend: str) -> None:
    layer = Recurrent(made, 5, 6, layers=2, dtype=torch.float64, backend=backend)
    x = random_x(3)
    whole = layer(x)
    stepper = layer.stepper(3)
    assert stepper.prepared == (backend == "cpu")
    assert_close(stepped(stepper, x), whole.sequence, torch.float64)
    for name, value in whole.state.parts().items():
        assert_close(stepper.state.parts()[name], value, torch.float64, what=name)
    stepper.state = layer(x[:, :4]).state
    assert_close(stepped(stepper, x[:, 4:]), whole.sequence[:, 4:], torch.float64)
