"""Contenders of a row: the same weights, the same results, and a row that says what was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from rondo import nn as stand_ins
from rondo.cells import get_cell, registry
from rondo.errors import UsageError
from rondo.layers import Recurrent
from rondo.testing.speed import layers, machine
from rondo.testing.speed.counting import Shape
from rondo.testing.speed.layers import (
    OURS,
    Case,
    Contender,
    contenders,
    disagreement,
    inputs,
    job,
    measure,
    torch_class,
)
from rondo.testing.speed.timing import QUICK

SHAPE = Shape(2, 4, 3, 6)


def case(name: str, *, train: bool = True, inner: bool = False) -> Case:
    return Case(registry[name], SHAPE, train, inner)


@pytest.mark.parametrize("name", registry)
def test_contenders_of_every_cell_agree(name: str) -> None:
    for inner in (False, True):
        ours, baselines = contenders(case(name, inner=inner))
        assert disagreement(case(name, inner=inner), ours, baselines.values()) is None
        by_torch = name in ("rnn", "lstm", "lstm_projected", "gru")
        assert list(baselines) == (["torch.nn"] if by_torch else ["eager loop", "eager loop, input at once"])


def test_stand_ins_run_the_registry_s_cells_and_recurrent_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    for kind in (stand_ins.GRU, stand_ins.LSTM, Recurrent):
        first = kind.__init__
        monkeypatch.setattr(
            kind, "__init__",
            lambda self, *a, first=first, kind=kind, **k: (made.append(kind.__name__), first(self, *a, **k))[1],
        )  # fmt: skip
    contenders(case("gru"))
    contenders(Case(get_cell("lstm"), SHAPE, True))
    contenders(case("mgu"))
    same = replace(get_cell("gru"), name="my_gru")
    _, baselines = contenders(Case(same, SHAPE, True))
    assert made == ["GRU", "LSTM", "Recurrent", "Recurrent"]
    assert list(baselines) == ["torch.nn"]


def test_a_relu_network_is_held_against_torch_s() -> None:
    layer = torch_class(get_cell("rnn", nonlinearity="relu"), {"input": 3, "hidden": 4})
    assert isinstance(layer, torch.nn.RNN)
    assert layer.mode == "RNN_RELU"
    assert torch_class(get_cell("mgu"), {"input": 3, "hidden": 4}) is None


@pytest.mark.parametrize(("train", "what"), [(False, "outputs differ"), (True, "gradients differ")])
def test_other_results_are_not_timed(train: bool, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = layers.contenders

    class Doubled(torch.autograd.Function):
        """The same outputs, twice the gradients."""

        @staticmethod
        def forward(ctx: Any, y: Tensor) -> Tensor:
            return y.clone()

        @staticmethod
        def backward(ctx: Any, *g: Tensor) -> Tensor:
            return 2 * g[0]

    def wrong(one: Case, backend: str = "auto") -> tuple[Contender, dict[str, Contender]]:
        ours, baselines = right(one, backend)
        bend = Doubled.apply if train else (lambda y: y + 0.01)
        return Contender(lambda x: bend(ours.outputs(x)), ours.parameters), baselines

    monkeypatch.setattr(layers, "contenders", wrong)
    row = measure(case("gru", train=train), QUICK)
    assert row.wrong is not None
    assert row.wrong.startswith(what)
    assert (row.samples, row.ratio, row.share) == (None, None, None)
    assert json.loads(json.dumps(row.to_dict()))["wrong"] == row.wrong


@pytest.mark.parametrize("inner", [False, True])
def test_a_training_step_leaves_the_gradients_of_one_step(inner: bool) -> None:
    one = case("lstm_peephole", inner=inner)
    ours, _ = contenders(one)
    x, outer = inputs(one)
    run = job(one, ours, x, outer)
    run()
    first = [p.grad.clone() for p in ours.parameters]
    run()
    assert all(torch.equal(a, p.grad) for a, p in zip(first, ours.parameters, strict=True))
    assert (x.grad is not None) is inner
    assert torch.allclose(ours.outputs(x), ours.outputs(x))


@pytest.mark.parametrize("inner", [False, True])
def test_forward_records_a_graph_only_where_it_is_asked_to(inner: bool) -> None:
    one = case("gru", train=False, inner=inner)
    ours, _ = contenders(one)
    outputs = job(one, ours, *inputs(one))()
    assert isinstance(outputs, Tensor)
    assert outputs.requires_grad is inner


def test_a_row_says_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "peak_gauge", lambda threads: lambda: 4e9)
    row = measure(case("min_gru"), QUICK, extra=lambda *given: {"another": lambda: None})
    found = json.loads(json.dumps(row.to_dict()))
    assert found["key"] == "train/min_gru/2×4×3×6/leaf"
    assert (found["backend"], found["shape"], found["peak_gigaflops"]) == (row.backend, [2, 4, 3, 6], 4.0)
    assert found["baseline"].startswith("eager loop")
    assert found["operations"] == 2 * 2 * 4 * 12 * 3 * 2
    assert found["gigaflops"] == pytest.approx(found["operations"] / found["seconds"][OURS]["median"] / 1e9)
    rates = [found["operations"] / s / 4e9 for s in row.samples.seconds[OURS]] if row.samples else []
    assert found["share"][0] == pytest.approx(sorted(rates)[len(rates) // 2])
    assert found["others"]["another"][0] < 1
    assert "another" in found["seconds"]
    assert found["ratio"][1] <= found["ratio"][0] <= found["ratio"][2]


def test_without_the_native_module_there_is_no_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "engine_module", lambda: None)
    row = measure(case("rnn", train=False), QUICK)
    assert row.share is None
    assert row.to_dict()["peak_gigaflops"] is None


def test_the_backend_can_be_chosen() -> None:
    assert measure(case("gru"), QUICK, backend="reference").backend == "reference"
    with pytest.raises(UsageError, match="unknown backend 'refrence'; did you mean 'reference'"):
        measure(case("gru"), QUICK, backend="refrence")
    with pytest.raises(UsageError, match="not those of a layer of torch's"):
        measure(case("mgu"), QUICK, backend="vendor")
