"""`Recurrent.inspect`: gates, candidates and states of every step, on every backend those of the equations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import rondo.nn
from rondo.backends import BACKENDS
from rondo.backends.cpu.native import why_not
from rondo.backends.cpu.reduced import why_not_bfloat16
from rondo.backends.reference import ReferenceBackend
from rondo.cells import Cell, State, affine, cell, mean, project, recur, registry, sigmoid, tanh, vector, where
from rondo.errors import UsageError
from rondo.ir.interpret import run
from rondo.ir.passes import visible
from rondo.layers import Recurrent
from rondo.testing.tolerances import assert_close

engine_only = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
BOTH = ["reference", pytest.param("cpu", marks=engine_only)]
DOUBLE = torch.float64

LENGTHS = [5 * b % 14 for b in range(32)]
GIVEN: dict[str, dict[str, Any]] = {
    "dense": {},
    "lengths": {"lengths": LENGTHS},
    "cut": {"lengths": LENGTHS[::-1], "reset": torch.arange(32 * 13).view(32, 13) % 8 == 0},
}
"""For 32 sequences of 13 steps, which the engine runs in several chunks, with or without."""


def make(
    given: str | Cell, *, inputs: int = 5, hidden: int = 19, dtype: torch.dtype = DOUBLE, **options: Any
) -> Recurrent:
    """A layer with random weights everywhere."""
    if given == "lstm_projected":
        options.setdefault("projection_size", 7)
    layer = Recurrent(given, inputs, hidden, dtype=dtype, **options)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in layer.parameters():
            drawn = torch.randn(parameter.shape, generator=random, dtype=DOUBLE)
            parameter.copy_(drawn * 1.5 / hidden**0.5)
    return layer


def random_x(B: int = 32, T: int = 13, inputs: int = 5, dtype: torch.dtype = DOUBLE) -> Tensor:
    return torch.randn(B, T, inputs, generator=torch.Generator().manual_seed(2), dtype=DOUBLE).to(dtype)


def on(layer: Recurrent, backend: str) -> Recurrent:
    layer.backend = backend
    return layer


def assert_same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], dtype: torch.dtype = DOUBLE) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == dtype
        assert_close(found[name], value, dtype, what=name)


@engine_only
@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("name", registry)
def test_the_engine_sees_what_the_reference_sees(name: str, given: str) -> None:
    layer, x = make(name, layers=2, bidirectional=True), random_x()
    expected = on(layer, "reference").inspect(x, **GIVEN[given])
    assert len(expected) == 4 * len(visible(layer.cell.graph))
    assert_same(on(layer, "cpu").inspect(x, **GIVEN[given]), expected)
    single = {key: value.float() for key, value in expected.items()}
    assert_same(layer.float().inspect(x.float(), **GIVEN[given]), single, torch.float32)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", registry)
def test_the_reference_sees_what_the_equations_say(name: str, reverse: bool) -> None:
    """Of the graph in NumPy, one step after the other."""
    layer, x = make(name, bidirectional=True, backend="reference"), random_x(3, 4)
    end = "_l0_reverse" if reverse else "_l0"
    graph = replace(layer.cell.graph, outputs=visible(layer.cell.graph))
    sizes = {"input": 5, "hidden": 19, "projection": 7}
    weights = {p.name: getattr(layer, p.name + end).detach().numpy() for p in layer.cell.parameters}
    before = {part: value[..., :].numpy() for part, value in layer.initial_state(3).parts().items()}
    before = {part: before[part + end] for part in layer.cell.state_parts}
    seen = layer.inspect(x)
    for t in reversed(range(4)) if reverse else range(4):
        given = {"input": {"x": x[:, t].numpy()}, "state": before}
        step = run(graph, sizes, weights, lambda node, given=given: given[node.op][node["name"]])
        for value, expected in step.items():
            assert_close(seen[value + end][:, t], torch.from_numpy(expected), DOUBLE, what=f"{value} at {t}")
        before = {part: step[part] for part in before}


@pytest.mark.parametrize("backend", BOTH)
def test_the_gates_of_a_gru_by_hand(backend: str) -> None:
    layer, x = make("gru", backend=backend), random_x(2, 3)
    seen = layer.inspect(x)
    assert list(seen) == ["r_l0", "z_l0", "n_l0", "h_l0"]
    W, U, b, c = (getattr(layer, name).detach().unflatten(0, (3, 19)) for name in (
        "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0",
    ))  # fmt: skip
    h = torch.zeros(2, 19, dtype=DOUBLE)
    for t in range(3):
        from_x = [x[:, t] @ W[gate].T + b[gate] for gate in range(3)]
        from_h = [h @ U[gate].T + c[gate] for gate in range(3)]
        r = 1 / (1 + (-from_x[0] - from_h[0]).exp())
        z = 1 / (1 + (-from_x[1] - from_h[1]).exp())
        n = torch.tanh(from_x[2] + r * from_h[2])
        h = (1 - z) * n + z * h
        assert_same({name: value[:, t] for name, value in seen.items()}, {"r_l0": r, "z_l0": z, "n_l0": n, "h_l0": h})


@pytest.mark.parametrize("backend", BOTH)
@pytest.mark.parametrize("given", GIVEN)
def test_the_outputs_are_those_of_the_layer_which_stays_as_it_was(given: str, backend: str) -> None:
    """In evaluation, also of a layer in training; from a state that is given."""
    layer = make(
        "lstm", layers=2, bidirectional=True, zoneout=0.3, layer_dropout=0.5, input_dropout=0.5, recurrent_dropout=0.5,
        weight_drop=0.5, learned_state=True, backend=backend,
    )  # fmt: skip
    x, begin = random_x(), layer.initial_state(32).map(lambda part: part + 0.3)
    expected = layer.eval()(x, begin, **GIVEN[given])
    drawn = torch.get_rng_state()
    seen = layer.train().inspect(x, begin, **GIVEN[given])
    assert layer.training
    assert torch.equal(torch.get_rng_state(), drawn)
    assert not any(value.requires_grad for value in seen.values())
    assert_close(torch.cat([seen["h_l1"], seen["h_l1_reverse"]], 2), expected.sequence, DOUBLE)
    again = layer.eval()(x, begin, **GIVEN[given])
    assert torch.equal(again.sequence, expected.sequence)
    last = torch.tensor(GIVEN[given].get("lengths", [13] * 32)) - 1
    for row in torch.nonzero(last >= 0).flatten():
        for part in ("h_l0", "c_l0", "c_l1"):
            assert_close(seen[part][row, last[row]], expected.state[part][row], DOUBLE, what=part)
        assert_close(seen["c_l0_reverse"][row, 0], expected.state["c_l0_reverse"][row], DOUBLE)


@pytest.mark.parametrize("backend", BOTH)
@pytest.mark.parametrize("name", ["gru", "lstm_layer_norm"])
def test_behind_the_lengths_is_nothing(name: str, backend: str) -> None:
    layer, x = make(name, layers=2, bidirectional=True, backend=backend), random_x()
    for row, length in enumerate(LENGTHS):
        x[row, length:] = float("nan")
    for key, value in layer.inspect(x, **GIVEN["lengths"]).items():
        for row, length in enumerate(LENGTHS):
            assert value[row, :length].isfinite().all(), key
            assert not value[row, length:].any(), key


@engine_only
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gru", {"hidden": 1}),
        ("gru", {"hidden": 32, "inputs": 16, "bias": False}),
        ("lstm_projected", {"projection_size": 33, "hidden": 17, "bias": False}),
        ("lstm", {"zoneout": 0.2, "learned_state": True}),
        ("slstm", {"cell_options": {"heads": 2}, "hidden": 6}),
        ("min_gru", {"hidden": 16, "zoneout": 0.2}),
        ("rnn", {"cell_options": {"nonlinearity": "relu"}, "recompute_steps": 3}),
    ],
    ids=str,
)
@pytest.mark.parametrize(("B", "T"), [(1, 1), (5, 1), (33, 7), (1, 3), (0, 4), (2, 0)])
def test_options_and_shapes(name: str, options: dict[str, Any], B: int, T: int) -> None:
    layer = make(name, layers=2, bidirectional=True, **options)
    x = random_x(B, T, layer.input_size)
    begin = layer.initial_state(B).map(lambda part: part + 0.3)
    reset = torch.arange(B * T).view(B, T) % 3 == 2
    for given in ({}, {"reset": reset}, {"lengths": [T * (b % 2) for b in range(B)]}):
        expected = on(layer, "reference").inspect(x, begin, **given)
        assert_same(on(layer, "cpu").inspect(x, begin, **given), expected)


@cell
def odd(x: Any, h: Any, c: Any) -> State:
    """Values of every width, some the same for all sequences, and a comparison."""
    doubled = x * 2.0
    keep = sigmoid(vector("rate"))
    middle = mean(h)
    level = 1.0 / (1.0 + middle * middle)
    low = c < 0.1
    a = project("a", doubled) + recur("a", h)
    chosen = where(low, tanh(a), keep * a)
    return State(h=keep * h + level * chosen, c=sigmoid(affine("o", x, c)) * chosen)


@pytest.mark.parametrize("backend", BOTH)
def test_values_of_every_width(backend: str) -> None:
    layer, x = make(odd, layers=2, backend=backend), random_x()
    assert "low" in layer.cell.graph.names
    seen = layer.inspect(x, lengths=LENGTHS)
    widths = {"doubled": 5, "keep": 19, "middle": 1, "level": 1, "a": 19, "chosen": 19, "h": 19, "c": 19}
    assert {name: value.shape[2] for name, value in seen.items() if name.endswith("_l0")} == {
        f"{name}_l0": width for name, width in widths.items()
    }
    for row, length in enumerate(LENGTHS):
        here = {name: seen[f"{name}_l0"][row, :length] for name in widths}
        h = torch.cat([torch.zeros(1, 19, dtype=DOUBLE), here["h"]])[:length]
        assert_close(here["doubled"], 2 * x[row, :length], DOUBLE)
        assert_close(here["keep"], layer.rate_l0.detach().sigmoid().expand(length, -1), DOUBLE)
        assert_close(here["middle"], h.mean(1, keepdim=True), DOUBLE)
        assert_close(here["h"], here["keep"] * h + here["level"] * here["chosen"], DOUBLE)
        assert not seen["keep_l0"][row, length:].any()
    again = Recurrent(Cell.from_json(layer.cell.to_json()), 5, 19, layers=2, dtype=DOUBLE, backend=backend)
    again.load_state_dict(layer.state_dict())
    assert_same(again.inspect(x, lengths=LENGTHS), seen)


@pytest.mark.parametrize("backend", BOTH)
def test_only_what_is_asked_for(backend: str) -> None:
    layer, x = make("lstm", layers=2, backend=backend), random_x()
    all_of_them = layer.inspect(x)
    for values in (["f", "c"], ("o",), "g"):
        seen = layer.inspect(x, values=values)
        assert_same(seen, {f"{name}_l{layer}": all_of_them[f"{name}_l{layer}"] for layer in (0, 1) for name in values})
    assert layer.inspect(x, values=[]) == {}


def test_a_name_that_is_not_there() -> None:
    layer = make("gru")
    with pytest.raises(UsageError, match="cell 'gru' names no value 'rr'; did you mean 'r'"):
        layer.inspect(random_x(), values=["z", "rr"])
    with pytest.raises(UsageError, match="no value 'forget'; known: r, z, n, h"):
        layer.inspect(random_x(), values="forget")
    for wrong in (3, [3], ["r", None]):
        with pytest.raises(UsageError, match="values are names of what the cell computes"):
            layer.inspect(random_x(), values=wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no value 'low'"):
        make(odd).inspect(random_x(), values="low")
    with pytest.raises(UsageError, match=r"expected \(batch, time, 5\)"):
        layer.inspect(random_x()[0])
    with pytest.raises(UsageError, match="lengths"):
        layer.inspect(random_x(), lengths=[14] * 32)


@engine_only
def test_it_is_the_engine_that_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = make("gru", layers=2, bidirectional=True), random_x()
    expected = layer.inspect(x, **GIVEN["cut"])

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the reference was asked")

    monkeypatch.setattr(ReferenceBackend, "inspect", refuse)
    monkeypatch.setattr(ReferenceBackend, "unroll", refuse)
    for backend in ("auto", "cpu", "vendor"):
        given = {} if backend == "vendor" else GIVEN["cut"]
        seen = on(layer, backend).inspect(x, **given)
        if given:
            assert_same(seen, expected)
    with pytest.raises(AssertionError, match="the reference was asked"):
        on(layer, "reference").inspect(x)


def test_where_torch_runs_another_backend_shows_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine, or where there is none the reference."""
    layer, x = make("lstm", layers=2), random_x()
    expected = on(layer, "reference").inspect(x)
    assert on(layer, "vendor").explain().splitlines()[1].startswith("vendor")
    assert_same(layer.inspect(x), expected)
    engine = type(BACKENDS["cpu"])
    monkeypatch.setattr(engine, "refuses", lambda *_: "it is not there")
    monkeypatch.setattr(engine, "inspect", lambda *_, **__: pytest.fail("it was asked although it refuses"))
    assert_same(layer.inspect(x), expected)
    assert_same(on(layer, "auto").inspect(x), expected)


@pytest.mark.skipif(why_not_bfloat16() is not None, reason=str(why_not_bfloat16()))
def test_bfloat16() -> None:
    layer, x = make("lstm", layers=2), random_x()
    expected = on(layer, "reference").inspect(x, **GIVEN["cut"])
    half = on(layer, "cpu").to(torch.bfloat16)
    seen = half.inspect(x.to(torch.bfloat16), **GIVEN["cut"])
    assert_same(seen, {name: value.to(torch.bfloat16) for name, value in expected.items()}, torch.bfloat16)


@pytest.mark.parametrize("backend", BOTH)
def test_of_each_example(backend: str) -> None:
    layer, xs = make("gru", backend=backend), torch.stack([random_x(2, 3), random_x(2, 3) + 1])
    seen = torch.func.vmap(lambda x: layer.inspect(x)["n_l0"])(xs)
    assert_close(seen, torch.stack([layer.inspect(x)["n_l0"] for x in xs]), DOUBLE)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", ["GRU", "LSTM", "RNN"])
def test_stand_ins_of_torch(kind: str, batch_first: bool) -> None:
    module = getattr(rondo.nn, kind)(5, 6, 2, bidirectional=True, batch_first=batch_first, dtype=DOUBLE, dropout=0.5)
    like = Recurrent(kind.lower(), 5, 6, layers=2, bidirectional=True, dtype=DOUBLE)
    like.load_state_dict(module.state_dict())
    x = random_x()
    expected = like.inspect(x, lengths=LENGTHS)
    seen = module.inspect(x if batch_first else x.transpose(0, 1), lengths=LENGTHS)
    turned = {name: value if batch_first else value.transpose(0, 1) for name, value in seen.items()}
    assert_same(turned, expected)
    assert list(module.inspect(x if batch_first else x.transpose(0, 1), values="h")) == [
        "h_l0", "h_l0_reverse", "h_l1", "h_l1_reverse",
    ]  # fmt: skip
    assert np.isfinite(turned["h_l1"].numpy()).all()
