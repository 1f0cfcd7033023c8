"""All paths through a small chain, one by one: what a CRF is held against."""

from __future__ import annotations

import torch
from torch import Tensor

from rondo.layers.crf import CRF
from rondo.layers.transitions import Transitions


def every_path(emission: Tensor, transitions: Transitions) -> list[tuple[tuple[int, ...], Tensor]]:
    """Every path through one sequence (T, K) with its score, in the order of the tags; -inf where it is forbidden."""
    T, K = emission.shape
    if not T:
        return [((), emission.new_zeros(()))]
    paths = torch.cartesian_prod(*[torch.arange(K)] * T).reshape(-1, T)
    score = transitions.start[paths[:, 0]] + emission[torch.arange(T), paths].sum(1) + transitions.end[paths[:, -1]]
    score = score + transitions.between[paths[:, :-1], paths[:, 1:]].sum(1)
    return [(tuple(path), one) for path, one in zip(paths.tolist(), score, strict=True)]


def allowed_for(K: int, seed: int = 0) -> Transitions:
    """Some transitions that may not be, never all of a tag's; a tag that may not begin, another that may not end."""
    between = torch.rand(K, K, generator=torch.Generator().manual_seed(seed)) < 0.6
    between |= torch.eye(K, dtype=torch.bool)
    start, end = torch.ones(K, dtype=torch.bool), torch.ones(K, dtype=torch.bool)
    start[0], end[K - 1] = K == 1, K == 1
    return Transitions(start, between, end)


def make(K: int, *, allowed: Transitions | None = None, dtype: torch.dtype = torch.float64, seed: int = 0) -> CRF:
    """A CRF with random scores."""
    crf = CRF(K, allowed=allowed, dtype=dtype)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random, dtype=dtype))
    return crf


def random_emission(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 1, spread: float = 1.0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype) * spread


def legal_paths(crf: CRF, lengths: list[int], T: int, seed: int = 2) -> Tensor:
    """A random path for each length that breaks nothing; numbers that are no tags beyond it."""
    random = torch.Generator().manual_seed(seed)
    tags = torch.full((len(lengths), T), -100)
    for row, length in enumerate(lengths):
        paths = [
            path
            for path, score in every_path(torch.zeros(length, crf.tags, dtype=torch.float64), crf.scores())
            if score > -torch.inf
        ]
        chosen = int(torch.randint(len(paths), (), generator=random))
        tags[row, :length] = torch.tensor(paths[chosen], dtype=torch.int64)
    return tags
