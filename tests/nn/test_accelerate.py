"""`rondo.accelerate`: the same model, run by Rondo."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import rondo
from rondo.backends.cpu.native import why_not
from rondo.errors import UsageError
from rondo.testing.tolerances import assert_close

BACKENDS = ["auto", "reference", "vendor"]


class Mixed(nn.Module):
    """Layers and cells of every kind, nested, shared, packed and in lists."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.encoder = nn.ModuleDict({"lstm": nn.LSTM(6, 5, 2, batch_first=True, bidirectional=True, dropout=0.0)})
        self.middle = nn.ModuleList([nn.GRU(10, 7), nn.RNN(7, 7, nonlinearity="relu", bias=False)])
        self.again = self.middle[1]
        self.lstm_cell, self.gru_cell, self.rnn_cell = nn.LSTMCell(7, 4), nn.GRUCell(4, 4), nn.RNNCell(4, 3)
        self.relu_cell = nn.RNNCell(3, 3, nonlinearity="relu", bias=False)

    def forward(self, tokens: Tensor, lengths: list[int]) -> Tensor:
        packed = pack_padded_sequence(self.embedding(tokens), lengths, batch_first=True, enforce_sorted=False)
        x, _ = pad_packed_sequence(self.encoder["lstm"](packed)[0], batch_first=True)
        x = self.middle[0](x.transpose(0, 1))[0]
        x = self.again(self.middle[1](x)[0])[0]
        state, h, last = None, None, None
        for step in x.unbind(0):
            state = self.lstm_cell(step, state)
            h = self.gru_cell(state[0], h)
            last = self.relu_cell(self.rnn_cell(h), last)
        assert last is not None
        return last


def run(model: nn.Module) -> list[Tensor]:
    tokens = torch.randint(0, 11, (3, 6), generator=torch.Generator().manual_seed(3))
    return [model(tokens, [4, 6, 2])]


@pytest.mark.parametrize("backend", BACKENDS)
def test_outputs_gradients_and_training_agree(backend: str) -> None:
    torch.manual_seed(1)
    theirs = Mixed().double()
    ours = rondo.accelerate(copy.deepcopy(theirs), backend=backend)
    optimisers = [torch.optim.Adam(model.parameters(), 0.02) for model in (theirs, ours)]
    for _ in range(4):
        losses = []
        for model, optimiser in zip((theirs, ours), optimisers, strict=True):
            optimiser.zero_grad()
            (output,) = run(model)
            loss = (output - 1).square().sum()
            loss.backward()
            optimiser.step()
            losses.append(loss.detach())
        assert_close(losses[1], losses[0], torch.float64, gradients=True)
    for (name, one), other in zip(theirs.named_parameters(), ours.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-8), name


def test_every_layer_becomes_rondos_and_stays_the_object_it_was() -> None:
    model = Mixed()
    before = {name: (module, dict(module.named_parameters(recurse=False))) for name, module in model.named_modules()}
    seen: list[Any] = []
    model.middle[0].register_forward_hook(lambda *_: seen.append(1))
    assert rondo.accelerate(model) is model
    for name, module in model.named_modules():
        assert module is before[name][0]
        assert all(module.get_parameter(key) is value for key, value in before[name][1].items())
        kind = type(module).__name__
        if isinstance(module, nn.RNNBase | nn.RNNCellBase):
            assert type(module) is getattr(rondo.nn, kind)
    run(model)
    assert seen
    assert model.again is model.middle[1]
    assert "runs" in model.middle[0].explain()  # type: ignore[operator]
    assert "torch's own step" in model.gru_cell.explain()  # type: ignore[operator]


def test_a_layer_alone_and_a_second_time() -> None:
    layer = nn.GRU(3, 4)
    x = torch.randn(5, 2, 3)
    expected = layer(x)[0]
    made = rondo.accelerate(layer)
    assert isinstance(made, rondo.nn.GRU)
    assert_close(made(x)[0], expected, torch.float32)
    assert rondo.accelerate(layer, backend="reference").backend == "reference"
    assert "reference  runs, asked for" in made.explain()


def test_what_does_something_else_is_left_alone() -> None:
    class Doubled(nn.GRU):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            output, state = super().forward(*args, **kwargs)
            return 2 * output, state

    parametrized = nn.utils.parametrizations.weight_norm(nn.LSTM(3, 4), "weight_hh_l0")
    model = nn.ModuleDict({"doubled": Doubled(3, 4), "linear": nn.Linear(3, 4), "normed": parametrized})
    model["again"], model["plain"] = model["doubled"], nn.GRU(3, 4)
    kinds = [type(one) for one in model.values()]
    with pytest.warns(UserWarning, match="leaves alone") as said:
        rondo.accelerate(model)
    assert [str(one.message).partition(": ")[2] for one in said] == ["'doubled' (Doubled), 'normed' (ParametrizedLSTM)"]
    assert said[0].filename == __file__
    assert [type(one) for one in model.values()] == [*kinds[:-1], rondo.nn.GRU]
    with pytest.warns(UserWarning, match=r"the module itself \(Doubled\)"):
        rondo.accelerate(Doubled(3, 4))


def test_what_is_rondos_already_is_no_reason_to_warn() -> None:
    class Own(rondo.nn.GRU):
        pass

    parametrized = nn.utils.parametrizations.weight_norm(rondo.nn.LSTM(3, 4), "weight_hh_l0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rondo.accelerate(nn.ModuleList([Mixed(), rondo.nn.GRUCell(3, 4), rondo.nn.RNN(3, 4), Own(3, 4), parametrized]))


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_what_the_documentation_says_of_outputs() -> None:
    layer, x = rondo.accelerate(nn.GRU(4, 4)), torch.randn(5, 2, 4)
    h, _ = layer(x)
    h += x
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        h.sum().backward()
    (layer(x)[0] + x).sum().backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x)[0].dtype == torch.float32


def test_what_cannot_be() -> None:
    with pytest.raises(UsageError, match="did you mean 'reference'"):
        rondo.accelerate(nn.GRU(3, 4), backend="referense")
    for kind in (nn.GRU, nn.GRUCell):
        with pytest.raises(UsageError, match="backend is one of 'auto', 'cpu', 'vendor', 'reference'; not None"):
            rondo.accelerate(kind(3, 4), backend=None)  # type: ignore[arg-type]
        layer = rondo.accelerate(kind(3, 4))
        layer.backend = None  # type: ignore[assignment]
        with pytest.raises(UsageError, match="backend is one of 'auto', 'cpu', 'vendor', 'reference'; not None"):
            layer(torch.zeros(2, 3))
    with pytest.raises(UsageError, match="not list"):
        rondo.accelerate([nn.GRU(3, 4)])  # type: ignore[type-var]


@pytest.mark.parametrize("backend", ["auto", "cpu", "reference", "vendor"])
@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
def test_cells_equal_torchs(kind: str, backend: str) -> None:
    if backend == "cpu" and (reason := why_not()):
        pytest.skip(reason)
    for bias in (True, False):
        theirs = getattr(nn, kind)(3, 5, bias=bias, dtype=torch.float64)
        ours = rondo.accelerate(copy.deepcopy(theirs), backend=backend)
        for shape in ((2,), ()):
            x = torch.randn(*shape, 3, dtype=torch.float64)
            h = [torch.randn(*shape, 5, dtype=torch.float64) for _ in range(2 if kind == "LSTMCell" else 1)]
            for state in (None, tuple(h) if kind == "LSTMCell" else h[0]):
                results = [cell(x, state) for cell in (theirs, ours)]
                flat = [one if isinstance(one, tuple) else (one,) for one in results]
                for one, other in zip(*flat, strict=True):
                    assert one.shape == other.shape
                    assert_close(other, one, torch.float64)
    for wrong in (torch.randn(2, 4, dtype=torch.float64), torch.randn(2, 3)):
        with pytest.raises((RuntimeError, ValueError)):
            ours(wrong)
    with pytest.raises((RuntimeError, ValueError)):
        ours(torch.randn(2, 2, 3, dtype=torch.float64))


@pytest.mark.parametrize("backend", ["auto", "cpu", "reference"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("GRU", {"num_layers": 2, "dropout": 0.5}),
        ("LSTM", {"batch_first": True, "bias": False}),
        ("LSTM", {"proj_size": 2}),
        ("RNN", {"nonlinearity": "relu", "dtype": torch.float64}),
    ],
)
def test_steps_of_a_layer_equal_torchs_run_over_the_whole(kind: str, options: dict[str, Any], backend: str) -> None:
    if backend == "cpu" and (reason := why_not()):
        pytest.skip(reason)
    theirs = getattr(nn, kind)(3, 5, **options).eval()
    ours = rondo.accelerate(copy.deepcopy(theirs), backend=backend).train()
    drawn = torch.get_rng_state()
    stepper = ours.stepper(2)
    assert torch.equal(torch.get_rng_state(), drawn)
    dtype = options.get("dtype", torch.float32)
    x = torch.randn(2, 7, 3, dtype=dtype)
    whole, after = theirs(x if theirs.batch_first else x.transpose(0, 1))
    whole = whole if theirs.batch_first else whole.transpose(0, 1)
    for t in range(7):
        assert_close(stepper(x[:, t]), whole[:, t], dtype)
    parts = zip("hc", after, strict=True) if kind == "LSTM" else [("h", after)]
    for name, layers in parts:
        for layer, state in enumerate(layers):
            assert_close(stepper.state[f"{name}_l{layer}"], state, dtype)


def test_a_stepper_has_the_layers_own_parameters() -> None:
    layer = rondo.nn.GRU(3, 5)
    stepper = layer.stepper()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(0.5)
    x = torch.randn(1, 3)
    with torch.no_grad():
        assert_close(stepper(x), layer(x)[0], torch.float32)
        layer.weight_hh_l0 = nn.Parameter(torch.randn(15, 5))
        torch.nn.utils.parametrizations.weight_norm(layer, "weight_ih_l0")
        layer.parametrizations.weight_ih_l0.original0.mul_(3)
        stepper.refresh()
        stepper.reset()
        assert_close(stepper(x), layer(x)[0], torch.float32)
    with pytest.raises(UsageError, match="direction"):
        rondo.nn.GRU(3, 5, bidirectional=True).stepper()
