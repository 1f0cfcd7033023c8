"""What is said about the ways through a linear chain, for who searches one and who sums over all."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Transitions(NamedTuple):
    """Something about each way through a chain of K tags: its score, or whether it is allowed."""

    start: Tensor
    """(K,): about the tag of the first step."""
    between: Tensor
    """(K, K): about a tag (row) and the one after it (column)."""
    end: Tensor
    """(K,): about the tag of the last step."""
