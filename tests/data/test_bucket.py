"""Whole sequences in padded batches: each once an epoch, with little padding."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rondo.data.bucket import IGNORED, LengthBuckets, PaddedBatch
from rondo.errors import DataError, UsageError


def sequences(count: int = 200, longest: int = 60) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(1, 100, size=rng.integers(1, longest)) for _ in range(count)]


def epoch_of(buckets: LengthBuckets, epoch: int = 0) -> list[PaddedBatch]:
    return [buckets.batch(epoch, index) for index in range(buckets.batches_per_epoch)]


@settings(deadline=None)
@given(st.integers(1, 50), st.integers(1, 12), st.integers(0, 3))
def test_every_sequence_comes_once_and_whole(count: int, batch_size: int, epoch: int) -> None:
    data = sequences(count)
    batches = epoch_of(LengthBuckets(data, data, batch_size=batch_size), epoch)
    assert sorted(torch.cat([batch.indices for batch in batches]).tolist()) == list(range(count))
    sizes = [len(batch.inputs) for batch in batches]
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    for batch in batches:
        assert batch.inputs.shape[1] == batch.lengths.max()
        for row, target, length, index in zip(batch.inputs, batch.targets, batch.lengths, batch.indices, strict=True):
            np.testing.assert_array_equal(row[:length], data[index])
            np.testing.assert_array_equal(target[:length], data[index])
            assert (row[length:] == 0).all()
            assert (target[length:] == IGNORED).all()


def padding_share(batches: list[PaddedBatch]) -> float:
    return 1 - sum(int(b.lengths.sum()) for b in batches) / sum(b.inputs.numel() for b in batches)


def test_like_lengths_come_together() -> None:
    data = sequences(2000)
    assert padding_share(epoch_of(LengthBuckets(data, data, batch_size=16))) < 0.05


def test_a_batch_may_be_measured_in_tokens() -> None:
    data = sequences(500)
    for epoch in range(3):
        batches = epoch_of(LengthBuckets(data, data, batch_tokens=300), epoch)
        assert all(batch.inputs.numel() <= 300 for batch in batches)
        assert sorted(torch.cat([batch.indices for batch in batches]).tolist()) == list(range(500))
        assert padding_share(batches) < 0.1
    assert len(epoch_of(LengthBuckets(data, data, batch_tokens=600))) < len(batches)


@pytest.mark.parametrize("measure", [{"batch_size": 8}, {"batch_tokens": 200}])
def test_batches_depend_on_their_place_alone(measure: dict[str, Any]) -> None:
    data = sequences()
    one, other = (LengthBuckets(data, data, seed=5, **measure) for _ in range(2))
    for epoch, index in [(2, 3), (0, 0), (2, 3), (1, 7)]:
        assert torch.equal(one.batch(epoch, index).inputs, other.batch(epoch, index).inputs)
    reread = pickle.loads(pickle.dumps(one))
    assert torch.equal(reread.batch(1, 1).inputs, one.batch(1, 1).inputs)


@pytest.mark.parametrize("measure", [{"batch_size": 8}, {"batch_tokens": 200}])
def test_seed_and_epoch_change_the_batches(measure: dict[str, Any]) -> None:
    data = sequences()

    def order(seed: int, epoch: int) -> list[int]:
        return torch.cat([b.indices for b in epoch_of(LengthBuckets(data, data, seed=seed, **measure), epoch)]).tolist()

    assert len({tuple(order(*place)) for place in ((0, 0), (0, 1), (1, 0))}) == 3


def test_one_target_a_sequence_and_features() -> None:
    rng = np.random.default_rng(0)
    data = [rng.normal(size=(length, 3)).astype(np.float32) for length in (2, 5, 3)]
    buckets = LengthBuckets(data, [7, 8, 9], batch_size=3, padding=-1.0)
    batch = buckets.batch(0, 0)
    assert batch.inputs.shape == (3, 5, 3)
    assert batch.inputs.dtype == torch.float32
    assert batch.targets.tolist() == [7 + i for i in batch.indices.tolist()]
    row = batch.indices.tolist().index(0)
    assert (batch.inputs[row, 2:] == -1).all()
    np.testing.assert_array_equal(batch.inputs[row, :2], data[0])


def test_values_of_a_sequence_that_are_as_many_as_its_steps_are_not_padded() -> None:
    data, values = [[1, 2, 3], [4, 5, 6]], [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]
    for longer in (data, [[1, 2, 3], [4, 5, 6, 7]]):
        batch = LengthBuckets(longer, values, batch_size=2, stepwise=False).batch(0, 0)
        assert batch.targets.tolist() == [values[i] for i in batch.indices.tolist()]


def test_empty_sequences_are_batched_too() -> None:
    batch = LengthBuckets([[], [4, 5]], [0, 1], batch_size=2).batch(0, 0)
    assert sorted(batch.lengths.tolist()) == [0, 2]


def test_bad_arguments() -> None:
    data = sequences(5)
    with pytest.raises(DataError, match="no sequences"):
        LengthBuckets([], [], batch_size=2)
    with pytest.raises(DataError, match="5 sequences have 1"):
        LengthBuckets(data, [1], batch_size=2)
    with pytest.raises(UsageError, match="one of the two"):
        LengthBuckets(data, data)
    with pytest.raises(UsageError, match="one of the two"):
        LengthBuckets(data, data, batch_size=2, batch_tokens=100)
    with pytest.raises(UsageError, match="at least 1"):
        LengthBuckets(data, data, batch_size=0)
    with pytest.raises(UsageError, match="longest sequence, of 9"):
        LengthBuckets([range(9), range(3)], [0, 1], batch_tokens=8)
    with pytest.raises(IndexError):
        LengthBuckets(data, data, batch_size=2).batch(0, 3)
