"""Time in segments: where they are cut, and what of a ragged batch is in each."""

from __future__ import annotations

import pytest
import torch

from rondo.backends.segments import segment_length, segments


@pytest.mark.parametrize("B", [1, 16, 500])
@pytest.mark.parametrize("T", [1, 2, 7, 100, 1000, 46341**2])
def test_the_automatic_length_bounds_what_is_alive(B: int, T: int) -> None:
    """A segment and the states before each of them: at most four roots in all."""
    length = segment_length("auto", B, T)
    assert length >= 1
    assert min(length, T) + -(-T // length) <= 4 * T**0.5
    assert segment_length(5, B, T) == 5


def test_few_sequences_have_longer_segments() -> None:
    assert segment_length("auto", 1, 10_000) > segment_length("auto", 100, 10_000) == 100


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_every_step_is_in_one_segment(reverse: bool) -> None:
    lengths = torch.tensor([10, 4, 0, 7])
    cut = segments(10, 3, lengths, reverse=reverse)
    assert [(one.begin, one.end) for one in cut][:: -1 if reverse else 1] == [(0, 3), (3, 6), (6, 9), (9, 10)]
    assert torch.equal(sum(one.lengths for one in cut), lengths)


def test_behind_the_longest_sequence_there_is_none() -> None:
    assert [one.begin for one in segments(10, 3, torch.tensor([2, 5]))] == [0, 3]
    assert [one.begin for one in segments(10, 3, torch.tensor([0, 0]))] == [0]
    assert [one.begin for one in segments(0, 3)] == [0]


def test_a_mark_on_a_border_is_seen_from_both_sides() -> None:
    """Forwards inside the later segment; backwards the earlier one begins anew, unless the sequence ends there."""
    reset = torch.zeros(3, 6, dtype=torch.bool)
    reset[:2, 3] = True
    lengths = torch.tensor([6, 3, 6])
    forwards = segments(6, 3, lengths, reset)
    assert [one.anew for one in forwards] == [None, None]
    assert forwards[1].reset[:, 0].tolist() == [True, True, False]
    later, earlier = segments(6, 3, lengths, reset, reverse=True)
    assert later.anew is None
    assert earlier.anew.tolist() == [True, False, False]
