"""Signals as a network reads them: scaled, and in training a little different each time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rondo.data.bucket import LengthBuckets
from rondo.data.changed import ChangedBatches
from rondo.errors import ModelError
from rondo.tasks.signals.changes import SignalChanges
from rondo.tasks.signals.encoder import SignalEncoder

RNG = np.random.default_rng(0)
SIGNALS = [RNG.normal((3, -2), (2, 0.5), (steps, 2)).astype(np.float32) for steps in (5, 9, 30)]
LENGTHS = torch.tensor([9, 4])


def test_channels_are_scaled_by_the_training_part() -> None:
    encoder = SignalEncoder.train(SIGNALS, "training")
    steps = np.concatenate([encoder.encode(signal) for signal in SIGNALS])
    np.testing.assert_allclose(steps.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(steps.std(0), 1, atol=1e-6)
    np.testing.assert_allclose(encoder.encode(SIGNALS[0] + 1) - encoder.encode(SIGNALS[0]), 1 / encoder.spread[None]
                               * np.ones((5, 2)), atol=1e-5)  # fmt: skip
    assert encoder.encode(SIGNALS[0]).dtype == np.float32


def test_each_signal_is_scaled_by_itself() -> None:
    encoder = SignalEncoder.train(SIGNALS, "each")
    found = encoder.encode(SIGNALS[1])
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(found.std(0), 1, atol=1e-6)
    np.testing.assert_allclose(encoder.encode(7 * SIGNALS[1] + 4), found, atol=1e-5)
    np.testing.assert_array_equal(SignalEncoder.train(SIGNALS, "none").encode(SIGNALS[1]), SIGNALS[1])


@pytest.mark.parametrize("scaling", ["training", "each"])
def test_a_channel_that_does_not_change_is_zero(scaling: Any) -> None:
    constant = [np.stack([np.full(6, 0.1), np.arange(6)], 1).astype(np.float32)] * 2
    found = SignalEncoder.train(constant, scaling).encode(constant[0])
    np.testing.assert_allclose(found[:, 0], 0, atol=1e-6)
    assert np.ptp(found[:, 1]) > 2


def test_it_is_the_same_again_from_its_description(tmp_path: Path) -> None:
    for scaling in ("training", "each", "none"):
        encoder = SignalEncoder.train(SIGNALS, scaling)  # type: ignore[arg-type]
        again = SignalEncoder.load(tmp_path, json.loads(json.dumps(encoder.to_json())))
        np.testing.assert_array_equal(again.encode(SIGNALS[2]), encoder.encode(SIGNALS[2]))


@pytest.mark.parametrize(
    "change",
    [
        {"scaling": "all"}, {"centre": [1.0]}, {"centre": 3}, {"spread": [0, 1.0]}, {"spread": ["1", 1.0]},
        {"spread": [float("inf"), 1.0]}, {"spread": [10**400, 1]}, {"centre": [], "spread": []}, None, 5,
    ],
    ids=str,
)  # fmt: skip
def test_a_description_that_is_none(change: Any, tmp_path: Path) -> None:
    saved = {**SignalEncoder.train(SIGNALS, "training").to_json(), **change} if isinstance(change, dict) else change
    with pytest.raises(ModelError, match="does not say how signals are scaled"):
        SignalEncoder.load(tmp_path, saved)


def changed(inputs: torch.Tensor, *, noise: float = 0.0, stretch: float = 0.0, seed: int = 0) -> torch.Tensor:
    return SignalChanges(noise, stretch)(inputs, LENGTHS, np.random.default_rng(seed))


def test_noise_has_its_deviation() -> None:
    inputs = torch.zeros(2, 9, 400)
    found = changed(inputs, noise=0.3)
    assert found.std().item() == pytest.approx(0.3, rel=0.05)
    assert torch.equal(found, changed(inputs, noise=0.3))
    assert not torch.equal(found, changed(inputs, noise=0.3, seed=1))


def test_stretching_reads_along_the_signal_and_not_beyond_its_end() -> None:
    ramp = torch.arange(9.0)[None, :, None].repeat(2, 1, 1)
    ramp[1, 4:] = 1000.0  # padding
    found = changed(ramp, stretch=0.5)[..., 0]
    for row, length in zip(found, LENGTHS.tolist(), strict=True):
        steps = row[:length].diff()
        assert (steps >= -1e-6).all()
        assert (steps <= 1.5 + 1e-6).all()
        assert 0 <= row[:length].min() <= row[:length].max() <= length - 1
    assert not torch.allclose(found[0], ramp[0, :, 0])


def test_changed_batches_depend_on_their_place_alone() -> None:
    signals = [np.zeros((steps, 2), np.float32) for steps in (3, 4, 5, 6)]
    source = LengthBuckets(signals, [0, 1, 0, 1], batch_size=2, stepwise=False)

    def batches(seed: int) -> ChangedBatches:
        return ChangedBatches(source, SignalChanges(1.0, 0.0), seed=seed)

    one = batches(0).batch(1, 1)
    assert torch.equal(one.inputs, batches(0).batch(1, 1).inputs)
    assert torch.equal(one.lengths, source.batch(1, 1).lengths)
    assert not torch.equal(one.inputs, batches(1).batch(1, 1).inputs)
    assert batches(0).batches_per_epoch == 2
    same_shape = [batches(0).batch(epoch, 0).inputs.flatten()[:6] for epoch in range(2)]
    assert not torch.equal(*same_shape)
