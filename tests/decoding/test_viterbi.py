"""The best paths against all paths."""

from __future__ import annotations

import math

import pytest
import torch

from rondo.decoding.viterbi import PADDING, n_best, viterbi
from rondo.errors import DataError, UsageError
from rondo.layers.transitions import Transitions
from tests.layers.paths import allowed_for, every_path, make, random_emission

LENGTHS = [3, 0, 5, 1, 5, 2]


@pytest.mark.parametrize("allowed", [None, allowed_for(4)], ids=["all allowed", "some forbidden"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_equals_all_paths_in_order(allowed: Transitions | None, dtype: torch.dtype) -> None:
    crf, emission = make(4, allowed=allowed, dtype=dtype), random_emission(6, 5, 4, dtype=dtype)
    best = viterbi(emission, crf.scores(), lengths=LENGTHS)
    many = n_best(emission, crf.scores(), 30, lengths=LENGTHS)
    assert best.tags.dtype == many.tags.dtype == torch.int64
    assert many.tags.shape == (6, 30, 5)
    for row, length in enumerate(LENGTHS):
        paths = [pair for pair in every_path(emission[row, :length].double(), crf.scores()) if pair[1] > -torch.inf]
        paths.sort(key=lambda pair: -pair[1].item())
        assert tuple(best.tags[row, :length].tolist()) == paths[0][0]
        assert best.score[row].item() == pytest.approx(paths[0][1].item(), rel=1e-6)
        assert best.tags[row, length:].eq(PADDING).all()
        for rank in range(30):
            if rank < len(paths):
                assert tuple(many.tags[row, rank, :length].tolist()) == paths[rank][0]
                assert many.score[row, rank].item() == pytest.approx(paths[rank][1].item(), rel=1e-6)
                assert many.tags[row, rank, length:].eq(PADDING).all()
            else:
                assert many.score[row, rank] == -torch.inf
                assert many.tags[row, rank].eq(PADDING).all()


def test_probabilities_of_all_paths_sum_to_one() -> None:
    crf, emission = make(3), random_emission(2, 3, 3)
    found = n_best(emission, crf.scores(), 27)
    shares = (found.score - crf.log_partition(emission)[:, None]).exp()
    assert torch.allclose(shares.sum(1), torch.ones(2, dtype=torch.float64))
    assert torch.allclose(shares[:, 0].log(), crf(emission, found.tags[:, 0]))
    assert (shares.diff(dim=1) <= 0).all()


def test_the_best_is_the_first_of_the_best_in_large() -> None:
    crf, emission = make(11), random_emission(30, 40, 11)
    lengths = torch.randint(0, 41, (30,), generator=torch.Generator().manual_seed(0))
    best, few = viterbi(emission, crf.scores(), lengths=lengths), n_best(emission, crf.scores(), 3, lengths=lengths)
    more = n_best(emission, crf.scores(), 7, lengths=lengths)
    assert torch.equal(best.tags, few.tags[:, 0])
    assert torch.equal(few.tags, more.tags[:, :3])
    assert torch.allclose(few.score, more.score[:, :3], rtol=1e-12)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    assert torch.equal(viterbi(emission[order], crf.scores(), lengths=lengths[order]).tags, best.tags[order])


@pytest.mark.parametrize("K", [1, 2, 3])
def test_the_best_one_alone(K: int) -> None:
    crf, emission = make(K), random_emission(4, 6, K)
    best, one = viterbi(emission, crf.scores()), n_best(emission, crf.scores(), 1)
    assert torch.equal(one.tags, best.tags[:, None])
    assert torch.allclose(one.score[:, 0], best.score, rtol=1e-12)


def test_padding_never_matters() -> None:
    crf, emission = make(4), random_emission(6, 5, 4)
    usual, several = (
        viterbi(emission, crf.scores(), lengths=LENGTHS),
        n_best(emission, crf.scores(), 4, lengths=LENGTHS),
    )
    for filling in (math.nan, math.inf):
        for row, length in enumerate(LENGTHS):
            emission[row, length:] = filling
        assert torch.equal(viterbi(emission, crf.scores(), lengths=LENGTHS).tags, usual.tags)
        assert torch.equal(n_best(emission, crf.scores(), 4, lengths=LENGTHS).tags, several.tags)


@pytest.mark.parametrize("shape", [(0, 5, 3), (4, 0, 3), (1, 1, 1)], ids=str)
def test_edges_of_shapes(shape: tuple[int, int, int]) -> None:
    crf, emission = make(shape[2]), random_emission(*shape)
    best, two = viterbi(emission, crf.scores()), n_best(emission, crf.scores(), 2)
    assert best.tags.shape == shape[:2]
    assert two.tags.shape == (shape[0], 2, shape[1])
    assert best.score.isfinite().all()
    assert torch.equal(two.score[:, 0], best.score)


def test_where_there_is_no_path() -> None:
    """Tag 0 begins, tag 1 ends, and neither follows the other."""
    apart = Transitions(torch.tensor([True, False]), torch.eye(2) > 0, torch.tensor([False, True]))
    crf, emission = make(2, allowed=apart), random_emission(1, 3, 2)
    for found in (viterbi(emission, crf.scores()), n_best(emission, crf.scores(), 2)):
        assert found.score.eq(-torch.inf).all()
        assert found.tags.eq(PADDING).all()
    assert crf.log_partition(emission).item() == -torch.inf


def test_what_is_refused() -> None:
    crf, emission = make(3), random_emission(2, 4, 3)
    with pytest.raises(UsageError, match="at least 1 path"):
        n_best(emission, crf.scores(), 0)
    with pytest.raises(UsageError, match=r"\(2, 4, 2\) and \(3, 3\)"):
        viterbi(emission[..., :2], crf.scores())
    with pytest.raises(UsageError, match="4 steps"):
        viterbi(emission, crf.scores(), lengths=[9, 1])
    emission[1, 2, 0] = math.nan
    with pytest.raises(DataError, match="NaN"):
        viterbi(emission, crf.scores())
