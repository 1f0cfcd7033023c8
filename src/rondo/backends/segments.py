"""Time cut into segments that are run one after the other, the state handed from each to the next."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from torch import Tensor

from rondo.errors import UsageError

RecomputeSteps = int | Literal["auto"]


class Segment(NamedTuple):
    """Steps from ``begin`` up to ``end``, with what `Backend.unroll` takes, for these steps alone."""

    begin: int
    end: int
    lengths: Tensor | None
    reset: Tensor | None
    anew: Tensor | None
    """(B,) bool: sequences that begin anew where this segment begins, which no mark inside says."""


ROWS = 384
"""Of a segment, over batch and steps, below which the gradients of matrices cost more than they should."""


def checked_steps(steps: RecomputeSteps | None) -> RecomputeSteps | None:
    """What a user gave as ``recompute_steps``; `UsageError` for what cannot be."""
    if steps is None or steps == "auto":
        return steps
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise UsageError(f"recompute_steps is a whole number of at least 1, or 'auto', not {steps!r}")
    return steps


def segment_length(steps: RecomputeSteps, B: int, T: int) -> int:
    """Steps of a segment: those asked for, or the root of T; for few sequences more, but at most three times that."""
    if steps != "auto":
        return steps
    root = max(1, math.ceil(math.sqrt(T)))
    return min(max(root, ROWS // max(B, 1)), 3 * root)


def segments(
    T: int, length: int, lengths: Tensor | None = None, reset: Tensor | None = None, *, reverse: bool = False
) -> list[Segment]:
    """In the order in which they are run. A ragged batch is cut into ragged batches; there is one at least."""
    cut = [
        Segment(
            begin,
            end := min(begin + length, T),
            None if lengths is None else (lengths - begin).clamp(0, end - begin),
            None if reset is None else reset[:, begin:end],
            _begin_anew(end, lengths, reset) if reverse and reset is not None and end < T else None,
        )
        for begin in range(0, max(T, 1), length)
    ]
    # Behind the longest sequence there is nothing to do.
    cut = [one for one in cut if one.begin == 0 or one.lengths is None or one.lengths.any()]
    return cut[::-1] if reverse else cut


def _begin_anew(end: int, lengths: Tensor | None, reset: Tensor) -> Tensor:
    """A mark cuts between the step before it and its own: backwards in time, before the step before it."""
    marks = reset[:, end]
    return marks if lengths is None else marks & (lengths > end).to(marks.device)
