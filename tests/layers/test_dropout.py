"""Every kind of dropout: that it changes the result in training, how, and what it does in evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from rondo.backends import BACKENDS
from rondo.cells import Cell, State, affine, cell, exp, get_cell, registry, tanh
from rondo.errors import UsageError
from rondo.layers import Recurrent
from rondo.layers.dropout import dropped

KINDS = ["input_dropout", "layer_dropout", "recurrent_dropout", "zoneout", "weight_drop"]
CELLS = ["lstm", "gru", "lstm_peephole"]


@cell
def averaged(x, h, c, n):
    """A running mean of what was written, with its weight n; exp of a product is not a scale that is kept."""
    i = exp(tanh(affine("i", x, h)))
    n = 0.5 * n + i
    c = 0.5 * c + i * tanh(affine("g", x, h))
    return State(h=c / n, c=c, n=n)


def make(name: str | Cell = "lstm", hidden: int = 8, **options: Any) -> Recurrent:
    torch.manual_seed(0)
    layer = Recurrent(name, 4, hidden, layers=2, dtype=torch.float64, **options)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return layer


def run(layer: Recurrent, x: Tensor, seed: int) -> Tensor:
    torch.manual_seed(seed)
    return layer(x).sequence


@pytest.fixture
def x() -> Tensor:
    return torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("kind", KINDS)
def test_acts_in_training_by_the_seed(kind: str, cell: str, x: Tensor) -> None:
    plain, layer = make(cell), make(cell, **{kind: 0.4})
    layer.load_state_dict(plain.state_dict())
    assert not torch.equal(run(layer, x, 1), run(plain, x, 1))
    assert torch.equal(run(layer, x, 1), run(layer, x, 1))
    assert not torch.equal(run(layer, x, 1), run(layer, x, 2))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("kind", KINDS)
def test_in_evaluation_nothing_is_random_and_only_zoneout_acts(kind: str, cell: str, x: Tensor) -> None:
    plain, layer = make(cell).eval(), make(cell, **{kind: 0.4}).eval()
    assert torch.equal(run(layer, x, 1), run(layer, x, 2))
    difference = (run(layer, x, 1) - run(plain, x, 1)).abs().max()
    assert (difference > 1e-3) if kind == "zoneout" else (difference < 1e-12)


@pytest.mark.parametrize("kind", ["input_dropout", "layer_dropout"])
def test_locked_dropout_takes_one_mask_for_all_steps(kind: str) -> None:
    """With the input always the same and no recurrence, steps differ exactly where masks do."""
    x = torch.ones(2, 5, 4, dtype=torch.float64)
    for locked in (False, True):
        layer = make("min_gru", hidden=16, **{kind: 0.5}, locked_dropout=locked)
        with torch.no_grad():
            for name, value in layer.named_parameters():
                if name.startswith("bias_ih") and "min" not in name:
                    value[:16] = 40.0  # the gate z = 1 everywhere: the new state is the candidate alone
        sequence = run(layer, x, 3)
        same = all(torch.allclose(sequence[:, t], sequence[:, 0]) for t in range(1, 5))
        assert same is locked
        assert not torch.allclose(sequence[0], sequence[1])  # each sequence has a mask of its own


def seen(monkeypatch: pytest.MonkeyPatch, layer: Recurrent, run_layer: Callable[[], Any]) -> list[dict[str, Any]]:
    """What the backend was given, call by call."""
    calls: list[dict[str, Any]] = []
    layer.backend = "reference"
    backend = type(BACKENDS["reference"])
    original = backend.unroll

    def watched(self: Any, cell: Any, weights: Any, x: Any, state: Any, **options: Any) -> Any:
        calls.append({"weights": weights, **options})
        return original(self, cell, weights, x, state, **options)

    monkeypatch.setattr(backend, "unroll", watched)
    run_layer()
    return calls


def test_recurrent_dropout_has_one_mask_a_sequence_layer_and_direction(
    monkeypatch: pytest.MonkeyPatch, x: Tensor
) -> None:
    layer = make("gru", hidden=400, recurrent_dropout=0.3, bidirectional=True)
    calls = seen(monkeypatch, layer, lambda: layer(x))
    masks = [call["masks"]["recurrent"] for call in calls]
    assert [mask.shape for mask in masks] == [(3, 400)] * 4
    assert not any(torch.equal(a, b) for i, a in enumerate(masks) for b in masks[:i])
    values = torch.cat([mask.flatten() for mask in masks])
    assert set(values.tolist()) == {0.0, 1 / 0.7}
    assert (values == 0).double().mean() == pytest.approx(0.3, abs=0.03)


def test_zoneout_keeps_parts_at_each_step_by_its_probability(monkeypatch: pytest.MonkeyPatch, x: Tensor) -> None:
    layer = make(averaged, hidden=200, zoneout=0.2)
    first = seen(monkeypatch, layer, lambda: layer(x))[0]["zoneout"]
    assert set(first) == {"h", "c", "n"}
    assert first["h"].shape == (3, 6, 200)
    assert torch.equal(first["c"], first["n"])
    assert not torch.equal(first["h"], first["c"])
    assert not torch.equal(first["h"][:, 0], first["h"][:, 1])
    assert first["h"].double().mean() == pytest.approx(0.2, abs=0.03)
    assert seen(monkeypatch, layer, lambda: layer.eval()(x))[0]["zoneout"] == dict.fromkeys("hcn", 0.2)


def test_zoneout_is_refused_where_a_part_of_the_state_is_a_logarithmic_scale() -> None:
    """A mean of sLSTM's states, part by part, is not a state of the same memory on a mean scale."""
    for given in ("slstm", get_cell("slstm", heads=2), Cell.from_json(get_cell("slstm").to_json())):
        with pytest.raises(UsageError, match="zoneout: not for cell 'slstm': m is a logarithmic scale"):
            make(given, zoneout=0.1)
    assert {name: found.log_scales for name, found in registry.items() if found.log_scales} == {"slstm": ("m",)}


def test_weight_drop_drops_elements_of_the_recurrent_matrix_only(monkeypatch: pytest.MonkeyPatch, x: Tensor) -> None:
    layer = make("lstm_peephole", hidden=60, weight_drop=0.4)
    weights = seen(monkeypatch, layer, lambda: layer(x))[0]["weights"]
    dropped = weights["weight_hh"] == 0
    assert dropped.double().mean() == pytest.approx(0.4, abs=0.03)
    assert torch.allclose(weights["weight_hh"][~dropped], layer.weight_hh_l0[~dropped] / 0.6)
    assert torch.equal(weights["weight_ih"], layer.weight_ih_l0)
    weights["weight_hh"].sum().backward()
    assert torch.equal(layer.weight_hh_l0.grad == 0, dropped)


def test_weight_drop_leaves_torchs_fused_layer_in_place() -> None:
    assert "vendor     runs" in make("lstm", weight_drop=0.4, backend="vendor").explain()


def test_layer_dropout_acts_between_layers_and_not_after_the_last(x: Tensor) -> None:
    for backend in ("vendor", "reference"):
        layer = make("gru", layer_dropout=0.9, backend=backend)
        single = Recurrent("gru", 4, 8, layer_dropout=0.9, backend=backend, dtype=torch.float64)
        assert torch.equal(run(single, x, 1), run(single, x, 2))
        sequence = run(layer, x, 1)
        assert (sequence != 0).all()
        assert not torch.equal(sequence, run(layer, x, 2))


def test_dropout_keeps_expectations() -> None:
    torch.manual_seed(0)
    ones = torch.ones(400, 50, 2, dtype=torch.float64)
    for locked in (False, True):
        result = dropped(ones, 0.25, locked=locked)
        assert result.mean() == pytest.approx(1.0, abs=0.05)
        assert set(result.flatten().tolist()) == {0.0, 1 / 0.75}


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_step_in_training_is_refused_since_masks_are_for_sequences(kind: str, x: Tensor) -> None:
    layer = make("gru", **{kind: 0.4})
    with pytest.raises(UsageError, match="eval"):
        layer.step(x[:, 0])
    whole = layer.eval()(x)
    state, h = None, None
    for x_t in x.unbind(1):
        h, state = layer.step(x_t, state)
    assert torch.allclose(h, whole.last, rtol=0, atol=1e-12)


def test_gradients_flow_through_every_kind_at_once(x: Tensor) -> None:
    layer = make("lstm", locked_dropout=True, learned_state=True, **dict.fromkeys(KINDS, 0.2))
    reset = torch.zeros(3, 6, dtype=torch.bool)
    reset[1, 2] = True
    layer(x, lengths=[6, 4, 0], reset=reset).sequence.sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in layer.parameters())
    assert all(value.grad.any() for value in layer.parameters())
