"""Streams for truncated BPTT: every window goes on where the last one ended."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rondo.data.streams import TokenStream
from rondo.errors import DataError, UsageError


def text(length: int) -> np.ndarray:
    return np.arange(length, dtype=np.uint16)


@given(st.integers(1, 5), st.integers(1, 7), st.integers(2, 200), st.integers(0, 3))
def test_rows_are_contiguous_and_targets_follow_inputs(rows: int, window: int, length: int, epoch: int) -> None:
    if length - 1 < rows * window:
        with pytest.raises(DataError, match="too short"):
            TokenStream(text(length), batch_size=rows, bptt_length=window)
        return
    stream = TokenStream(text(length), batch_size=rows, bptt_length=window, seed=7)
    batches = [stream.batch(epoch, index) for index in range(stream.batches_per_epoch)]
    inputs = torch.cat([batch.inputs for batch in batches], 1)
    targets = torch.cat([batch.targets for batch in batches], 1)
    assert inputs.dtype == targets.dtype == torch.int64
    assert all(batch.inputs.shape == (rows, window) for batch in batches)
    # Tokens are their own places here: the rows together are one run of the text.
    assert torch.equal(inputs.flatten(), inputs[0, 0] + torch.arange(inputs.numel()))
    assert torch.equal(targets, inputs + 1)
    assert int(targets.max()) < length
    assert length - 1 - inputs.numel() < rows * window
    assert [batch.fresh for batch in batches] == [True] + [False] * (len(batches) - 1)


def test_batches_depend_on_their_place_alone() -> None:
    one, other = (TokenStream(text(500), batch_size=3, bptt_length=11, seed=1) for _ in range(2))
    places = [(epoch, index) for epoch in range(3) for index in range(one.batches_per_epoch)]
    forwards = [one.batch(*place).inputs for place in places]
    backwards = [other.batch(*place).inputs for place in reversed(places)]
    assert all(torch.equal(a, b) for a, b in zip(forwards, reversed(backwards), strict=True))


def test_seed_and_epoch_move_the_windows() -> None:
    def starts(seed: int) -> list[int]:
        stream = TokenStream(text(1000), batch_size=4, bptt_length=64, seed=seed)
        return [int(stream.batch(epoch, 0).inputs[0, 0]) for epoch in range(6)]

    assert len(set(starts(0))) > 2
    assert starts(0) != starts(1)


def test_all_of_the_text_is_read_in_the_long_run() -> None:
    stream = TokenStream(text(100), batch_size=2, bptt_length=30)
    seen = {int(i) for epoch in range(400) for i in stream.batch(epoch, 0).targets.flatten()}
    assert seen == set(range(1, 100))


def test_tokens_are_not_changed_through_a_batch() -> None:
    tokens = text(50)
    TokenStream(tokens, batch_size=1, bptt_length=10).batch(0, 0).inputs.zero_()
    np.testing.assert_array_equal(tokens, text(50))


def test_bad_arguments() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        TokenStream(text(50), batch_size=0, bptt_length=3)
    with pytest.raises(DataError, match=r"50 tokens .* takes 81"):
        TokenStream(text(50), batch_size=8, bptt_length=10)
    with pytest.raises(IndexError):
        TokenStream(text(50), batch_size=2, bptt_length=10).batch(0, 2)
