"""The last output alone: the same as in the whole run, in memory that does not grow with the number of steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rondo.backends.cpu.native import engine_module, why_not
from rondo.cells import registry
from rondo.errors import UsageError
from rondo.layers import Readout, Recurrent
from rondo.models.classifier import NumberClassifierOptions, number_classifier
from rondo.testing.tolerances import assert_close

BACKENDS_HERE = ["reference", *([] if why_not() else ["cpu"])]
engine_only = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

OPTIONS: dict[str, dict[str, Any]] = {
    "one": {},
    "deep": {"layers": 3, "zoneout": 0.2},
    "both-ways": {"layers": 2, "bidirectional": True},
    "learned": {"learned_state": True, "layers": 2},
}
GIVEN: dict[str, dict[str, Any]] = {
    "dense": {},
    "lengths": {"lengths": [20, 0, 3, 11]},
    "reset": {"reset": torch.arange(80).view(4, 20) % 7 == 0},
    "both": {"lengths": [9, 20, 0, 16], "reset": torch.arange(80).view(4, 20) % 5 == 0},
}


@pytest.mark.parametrize("backend", BACKENDS_HERE)
@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("name", OPTIONS)
def test_it_is_the_last_of_the_whole_run(name: str, given: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one piece and in several, evaluated and trained."""
    layer = Recurrent("lstm", 3, 6, dtype=torch.float64, backend=backend, **OPTIONS[name])
    x = torch.randn(4, 20, 3, dtype=torch.float64)
    begin = layer.initial_state(4).map(lambda part: part + 0.3).detach()
    layer.eval()
    with torch.no_grad():
        expected = layer(x, begin, **GIVEN[given])
        for fewest in (64, 6):
            monkeypatch.setattr("rondo.layers.stack.FEWEST_STEPS", fewest)
            monkeypatch.setattr("rondo.layers.stack.PIECE", 1)
            found = layer(x, begin, last_only=True, **GIVEN[given])
            assert found.sequence is None
            assert_close(found.last, expected.last, torch.float64)
            for part, value in expected.state.parts().items():
                assert_close(found.state[part], value, torch.float64, what=part)
    layer.train()
    gradients = []
    for last_only in (False, True):
        torch.manual_seed(3)
        last = layer(x, begin, last_only=last_only, **GIVEN[given]).last
        leaves = [p for key, p in layer.named_parameters() if "reset" in GIVEN[given] or "initial" not in key]
        gradients.append([last, *torch.autograd.grad(last.square().sum(), leaves)])
    for ours, theirs in zip(*gradients, strict=True):
        assert_close(ours, theirs, torch.float64, gradients=True)


@pytest.mark.parametrize("name", registry)
def test_every_cell(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = registry[name]
    layer = Recurrent(cell, 3, 18, layers=2, projection_size=4 if cell.has_projection else None).eval()
    x = torch.randn(2, 150, 3)
    with torch.no_grad():
        expected = layer(x)
        assert_close(layer(x, last_only=True).last, expected.last, torch.float32)
        monkeypatch.setattr("rondo.layers.stack.PIECE", 1)
        assert_close(layer(x, last_only=True).last, expected.last, torch.float32)


@engine_only
@pytest.mark.filterwarnings("ignore")  # of torch.jit, for all it sees
def test_what_is_traced_has_no_pieces_of_one_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rondo.layers.stack.PIECE", 1)
    monkeypatch.setattr("rondo.layers.stack.FEWEST_STEPS", 4)
    layer = Recurrent("gru", 3, 6, layers=2).eval().requires_grad_(False)

    def last(x: torch.Tensor) -> torch.Tensor:
        return layer(x, last_only=True).last

    with torch.no_grad():
        traced = torch.jit.trace(last, torch.randn(2, 8, 3))
        for T in (8, 33):
            x = torch.randn(3, T, 3)
            assert_close(traced(x), layer(x).last, torch.float32)


def test_what_is_dropped_is_drawn_for_the_whole_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rondo.layers.stack.PIECE", 1)
    monkeypatch.setattr("rondo.layers.stack.FEWEST_STEPS", 4)
    drops = {"recurrent_dropout": 0.3, "zoneout": 0.2, "layer_dropout": 0.2, "weight_drop": 0.1}
    layer, x = Recurrent("gru", 3, 6, layers=2, **drops), torch.randn(2, 20, 3)
    found = []
    for last_only in (False, True):
        torch.manual_seed(1)
        with torch.no_grad():
            found.append(layer(x, last_only=last_only).last)
    assert_close(found[1], found[0], torch.float32)


@engine_only
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("name", ["gru", "lstm_peephole"])
def test_a_million_steps_in_constant_memory(name: str, layers: int) -> None:
    module: Any = engine_module()
    layer = Recurrent(name, 4, 8, layers=layers, backend="cpu").eval()
    x = torch.randn(1, 1, 4).expand(1, 10**6, 4)
    with torch.no_grad():
        expected = layer(x[:, :5000], last_only=True).last
        module.release_memory()
        before = module.memory()[0]
        output = layer(x, last_only=True)
        peak = module.memory()[2] - before
    assert peak < 6 << 20  # the outputs of one layer would be 64 MB
    assert_close(output.last, expected, torch.float32)  # the same input all the time: long since at rest


@engine_only
def test_steps_may_lie_in_a_file(tmp_path: Path) -> None:
    T = 200_000
    rows = np.memmap(tmp_path / "x", np.float32, "w+", shape=(T, 4))
    rows[:] = np.random.default_rng(0).standard_normal((T, 4), np.float32)
    layer = Recurrent("gru", 4, 8, layers=2, backend="cpu").eval()
    x = torch.from_numpy(rows)[None]
    marks = torch.zeros(1, T, dtype=torch.bool)
    marks[0, T - 300] = True
    with torch.no_grad():
        last = layer(x, last_only=True, reset=marks).last
        assert_close(last, layer(x[:, T - 300 :]).last, torch.float32)
        assert not torch.allclose(last, layer(x[:, : T - 1], last_only=True).last)


@engine_only
def test_training_keeps_less_of_a_ragged_batch() -> None:
    """A dense one keeps its outputs, which are residuals."""
    module: Any = engine_module()
    layer, x = Recurrent("gru", 8, 64, backend="cpu"), torch.randn(32, 100, 8)
    peaks = []
    for last_only in (False, True):
        module.release_memory()
        before = module.memory()[0]
        layer(x, lengths=torch.arange(32) + 60, last_only=last_only).last.sum().backward()
        peaks.append(module.memory()[2] - before)
    assert peaks[1] <= peaks[0] - 4 * 64 * 32 * 100


def test_a_classifier_that_reads_the_last_asks_for_no_other() -> None:
    x, asked = torch.randn(3, 9, 3), []
    for readout in ("last", "mean"):
        model = number_classifier(3, 4, NumberClassifierOptions(cell="gru", hidden=6, readout=readout)).eval()
        model.recurrent.register_forward_hook(lambda *call: asked.append(call[2].sequence is None))
        expected = model.head(model.readout(model.recurrent(x)))
        assert_close(model(x), expected, torch.float32)
    assert asked == [False, True, False, False]


def test_a_read_out_of_all_steps_says_that_it_needs_them() -> None:
    layer = Recurrent("gru", 3, 6)
    with pytest.raises(UsageError, match="'mean' needs the outputs of all steps"):
        Readout("mean", 6)(layer(torch.randn(2, 4, 3), last_only=True))
