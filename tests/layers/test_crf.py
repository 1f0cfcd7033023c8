"""The CRF against every path one by one; its derivatives, lengths, forbidden transitions and extreme scores."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from rondo.decoding.viterbi import viterbi
from rondo.errors import DataError, UsageError
from rondo.layers import chain
from rondo.layers.chain import Rows, forward_backward, log_partition_reference
from rondo.layers.crf import CRF
from rondo.layers.transitions import Transitions
from rondo.testing.tolerances import assert_close
from tests.layers.paths import allowed_for, every_path, legal_paths, make, random_emission

LENGTHS = [3, 0, 5, 1, 5, 2]
TYPES = [torch.float64, torch.float32]
LIMITS = [None, allowed_for(4)]
limits = pytest.mark.parametrize("allowed", LIMITS, ids=["all allowed", "some forbidden"])


def by_hand(crf: CRF, emission: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor]:
    """Log partition functions and marginals, path by path."""
    totals, shares = [], torch.zeros_like(emission)
    for row, length in enumerate(lengths):
        paths = every_path(emission[row, :length], crf.scores())
        total = torch.stack([score for _, score in paths]).logsumexp(0)
        totals.append(total)
        for path, score in paths:
            for t, tag in enumerate(path):
                shares[row, t, tag] += (score - total).exp()
    return torch.stack(totals), shares


@limits
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_equals_all_paths_one_by_one(allowed: Transitions | None, dtype: torch.dtype) -> None:
    crf, emission = make(4, allowed=allowed, dtype=dtype), random_emission(6, 5, 4, dtype=dtype)
    totals, shares = by_hand(crf, emission, LENGTHS)
    assert_close(crf.log_partition(emission, lengths=LENGTHS), totals, dtype)
    assert_close(crf.marginals(emission, lengths=LENGTHS), shares, dtype, what="marginals")
    tags = legal_paths(crf, LENGTHS, 5)
    scores = [
        dict(every_path(emission[row, :length], crf.scores()))[tuple(tags[row, :length].tolist())]
        for row, length in enumerate(LENGTHS)
    ]
    assert_close(crf.score(emission, tags, lengths=LENGTHS), torch.stack(scores), dtype, what="scores")
    likelihood = crf(emission, tags, lengths=LENGTHS)
    assert likelihood.dtype == dtype
    assert_close(likelihood, torch.stack(scores) - totals, dtype, what="likelihood")
    assert likelihood[1] == 0


@limits
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_gradients_equal_those_through_all_paths(allowed: Transitions | None, dtype: torch.dtype) -> None:
    crf, emission = make(4, allowed=allowed, dtype=dtype), random_emission(6, 5, 4, dtype=dtype).requires_grad_()
    weight = random_emission(6, dtype=dtype, seed=5)
    inputs = [emission, *crf.parameters()]
    found = torch.autograd.grad((crf.log_partition(emission, lengths=LENGTHS) * weight).sum(), inputs)
    totals = [
        torch.stack([s for _, s in every_path(emission[row, :length], crf.scores()) if s > -torch.inf]).logsumexp(0)
        for row, length in enumerate(LENGTHS)
    ]
    expected = torch.autograd.grad((torch.stack(totals) * weight).sum(), inputs)
    for name, one, other in zip(["emission", "start", "transition", "end"], found, expected, strict=True):
        assert_close(one, other, dtype, what=name, gradients=True)


@limits
def test_first_and_second_derivatives_of_the_likelihood(allowed: Transitions | None) -> None:
    crf, emission = make(4, allowed=allowed), random_emission(3, 4, 4).requires_grad_()
    lengths = [2, 4, 0]
    tags = legal_paths(crf, lengths, 4)

    def likelihood(emission: Tensor, *scores: Tensor) -> Tensor:
        named = dict(zip(["start", "transition", "end"], scores, strict=True))
        return torch.func.functional_call(crf, named, (emission, tags), {"lengths": lengths})

    inputs = (emission, *(p.detach().requires_grad_() for p in crf.parameters()))
    assert torch.autograd.gradcheck(likelihood, inputs)
    assert torch.autograd.gradgradcheck(likelihood, inputs)


def test_torch_and_numpy_do_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    crf, emission = make(4, allowed=allowed_for(4)), random_emission(6, 30, 4).requires_grad_()
    lengths = [3, 0, 30, 1, 17, 30]
    results = []
    for lib in (np, torch):
        monkeypatch.setattr(chain, "library", lambda device, lib=lib: lib)
        total = crf.log_partition(emission, lengths=lengths)
        results.append([total, *torch.autograd.grad(total.sum(), [emission, *crf.parameters()])])
    for one, other in zip(*results, strict=True):
        assert_close(one, other, torch.float64)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu() -> None:
    crf, emission = make(4, allowed=allowed_for(4)), random_emission(6, 5, 4)
    tags = legal_paths(crf, LENGTHS, 5)
    expected = crf(emission, tags, lengths=LENGTHS)
    shares, best = crf.marginals(emission, lengths=LENGTHS), viterbi(emission, crf.scores(), lengths=LENGTHS)
    there = CRF(4, allowed=allowed_for(4), dtype=torch.float64, device="cuda")
    there.load_state_dict(crf.state_dict())
    emission = emission.cuda().requires_grad_()
    found = there(emission, tags.cuda(), lengths=torch.tensor(LENGTHS, device="cuda"))
    assert_close(found.cpu(), expected, torch.float64)
    found.sum().backward()
    assert emission.grad is not None
    assert_close(there.marginals(emission, lengths=LENGTHS).cpu(), shares, torch.float64)
    assert torch.equal(viterbi(emission, there.scores(), lengths=LENGTHS).tags.cpu(), best.tags)


def test_derivative_of_some_inputs_only() -> None:
    crf, emission = make(3), random_emission(2, 4, 3)
    crf.requires_grad_(False)
    assert not crf.log_partition(emission).requires_grad
    crf.transition.requires_grad_()
    (of_transition,) = torch.autograd.grad(crf.log_partition(emission).sum(), [crf.transition])
    assert of_transition.sum() == pytest.approx(2 * 3)  # three transitions in each sequence, however they are shared


@limits
def test_what_stands_in_the_padding_never_matters(allowed: Transitions | None) -> None:
    crf, emission = make(4, allowed=allowed), random_emission(6, 5, 4)
    tags = legal_paths(crf, LENGTHS, 5)
    outputs = []
    for filling, tag in [(0.0, 0), (math.nan, -100), (math.inf, 10**6), (-1e300, 3)]:
        padded, path = emission.clone(), tags.clone()
        for row, length in enumerate(LENGTHS):
            padded[row, length:], path[row, length:] = filling, tag
        padded.requires_grad_()
        likelihood = crf(padded, path, lengths=LENGTHS)
        gradients = torch.autograd.grad(likelihood.sum(), [padded, *crf.parameters()])
        outputs.append([likelihood, crf.marginals(padded, lengths=LENGTHS), *gradients])
    for others in outputs[1:]:
        assert all(torch.equal(one, other) for one, other in zip(outputs[0], others, strict=True))
    assert all(outputs[0][2][row, length:].eq(0).all() for row, length in enumerate(LENGTHS))


def test_the_reference_passes_over_the_padding_too() -> None:
    crf, emission = make(4), random_emission(6, 5, 4)
    for row, length in enumerate(LENGTHS):
        emission[row, length:] = math.nan
    emission.requires_grad_()
    total = log_partition_reference(emission, crf.scores(), torch.tensor(LENGTHS))
    (gradient,) = torch.autograd.grad(total.sum(), [emission])
    assert total.isfinite().all()
    assert gradient.isfinite().all()


def test_a_batch_equals_its_sequences_in_any_order() -> None:
    crf, emission = make(7), random_emission(40, 23, 7)
    lengths = torch.randint(0, 24, (40,), generator=torch.Generator().manual_seed(0))
    whole = crf.log_partition(emission, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        assert_close(crf.log_partition(emission[row : row + 1, :length])[0], whole[row], torch.float64)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    assert_close(crf.log_partition(emission[order], lengths=lengths[order]), whole[order], torch.float64)


@pytest.mark.parametrize("shape", [(0, 5, 3), (4, 0, 3), (1, 1, 1)], ids=str)
def test_edges_of_shapes(shape: tuple[int, int, int]) -> None:
    crf, emission = make(shape[2]), random_emission(*shape).requires_grad_()
    tags = torch.zeros(shape[:2], dtype=torch.int64)
    likelihood = crf(emission, tags)
    assert likelihood.tolist() == [0.0] * shape[0]  # there is one path only
    likelihood.sum().backward()
    assert emission.grad is not None
    assert emission.grad.eq(0).all()
    assert crf.marginals(emission).shape == shape


@pytest.mark.parametrize("spread", [1e-3, 30.0, 1e3, 1e6])
@limits
def test_extreme_scores_are_exact(allowed: Transitions | None, spread: float) -> None:
    crf, emission = make(4, allowed=allowed), random_emission(6, 5, 4, spread=spread).requires_grad_()
    totals, shares = by_hand(crf, emission.detach(), LENGTHS)
    total = crf.log_partition(emission, lengths=LENGTHS)
    assert_close(total / spread, totals / spread, torch.float64)
    (gradient,) = torch.autograd.grad(total.sum(), [emission])
    allowed_error = 1e-12 * max(1.0, spread)  # the rounding of scores of this size
    assert (gradient - shares).abs().max() < allowed_error
    assert (crf.marginals(emission, lengths=LENGTHS) - shares).abs().max() < allowed_error


@torch.no_grad()
def trusted(crf: CRF, emission: Tensor, lengths: Tensor) -> bool:
    """Whether the fast way was taken."""
    rows = Rows.of(lengths, emission.shape[1], emission.device)
    return forward_backward(emission, crf.scores(), rows, backward=True)[2]


def test_a_path_that_seemed_hopeless_may_be_the_only_one() -> None:
    """Tag 1 is e**-900 times as likely as tag 0 at first; and then only it can go on."""
    between = torch.tensor([[True, False], [True, True]])
    crf = make(2, allowed=Transitions(torch.ones(2) > 0, between, torch.ones(2) > 0))
    emission = torch.tensor([[[900.0, 0.0], [0.0, 2000.0]]], dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([2])
    assert not trusted(crf, emission.detach(), lengths)
    total = crf.log_partition(emission)
    expected = crf.start[1] + crf.transition[1, 1] + crf.end[1] + 2000
    assert total.item() == pytest.approx(expected.item(), rel=1e-12)
    (gradient,) = torch.autograd.grad(total, [emission])
    assert_close(gradient, torch.tensor([[[0.0, 1.0], [0.0, 1.0]]], dtype=torch.float64), torch.float64)


def test_a_path_that_becomes_hopeless_little_by_little_may_be_the_only_one() -> None:
    """No step makes tag 1 less likely than e**-100, all together e**-1000; and only it can end."""
    apart = Transitions(torch.ones(2) > 0, torch.eye(2) > 0, torch.tensor([False, True]))
    crf = make(2, allowed=apart)
    emission = torch.tensor([100.0, 0.0], dtype=torch.float64).expand(1, 10, 2)
    assert not trusted(crf, emission, torch.tensor([10]))
    expected = crf.start[1] + 9 * crf.transition[1, 1] + crf.end[1]
    assert crf.log_partition(emission).item() == pytest.approx(expected.item(), rel=1e-12)
    assert_close(crf.marginals(emission)[0, :, 1], torch.ones(10, dtype=torch.float64), torch.float64)


def test_usual_scores_take_the_fast_way() -> None:
    crf, emission = make(9), random_emission(8, 40, 9, spread=20)
    assert trusted(crf, emission, torch.full((8,), 40))


def test_a_long_sequence_of_single_precision_keeps_its_digits() -> None:
    crf, emission = make(5, dtype=torch.float32), random_emission(1, 4_000, 5, dtype=torch.float32)
    exact = log_partition_reference(
        emission.double(), Transitions(*(s.double() for s in crf.scores())), torch.tensor([4_000])
    )
    assert crf.log_partition(emission).item() == pytest.approx(exact.item(), rel=1e-7)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_comes_back_as_single(dtype: torch.dtype) -> None:
    crf, emission = make(4, dtype=torch.float32), random_emission(2, 6, 4).to(dtype)
    total = crf.log_partition(emission)
    assert total.dtype == torch.float32
    assert torch.equal(total, crf.log_partition(emission.float()))


def test_forbidden_transitions_have_no_probability_and_no_gradient() -> None:
    allowed = allowed_for(4)
    crf, emission = make(4, allowed=allowed), random_emission(3, 5, 4)
    marginals = crf.marginals(emission)
    assert marginals[:, 0, ~allowed.start].eq(0).all()
    assert marginals[:, -1, ~allowed.end].eq(0).all()
    before = crf.log_partition(emission)
    before.sum().backward()
    gradients = crf.start.grad, crf.transition.grad, crf.end.grad
    for gradient, mask in zip(gradients, allowed, strict=True):
        assert gradient is not None
        assert gradient[~mask].eq(0).all()
        assert gradient[mask].ne(0).any()
    with torch.no_grad():
        crf.transition[~allowed.between] += 100
    assert torch.equal(crf.log_partition(emission), before)
    assert "allowed" not in " ".join(crf.state_dict())


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ([0, 1, 1], "sequence 1 of the batch has tag 0 at the beginning"),
        ([1, 2, 0], "sequence 1 of the batch has tag 0 at step 3 after tag 2"),
        ([1, 1, 2], "sequence 1 of the batch has tag 2 at the end"),
    ],
)
def test_a_path_that_is_forbidden_is_an_error(path: list[int], message: str) -> None:
    between = torch.ones(3, 3) > 0
    between[2, 0] = False
    allowed = Transitions(torch.tensor([False, True, True]), between, torch.tensor([True, True, False]))
    crf, emission = make(3, allowed=allowed), random_emission(2, 4, 3)
    tags = torch.tensor([[1, 1, 1, 0], [*path, 9]])
    with pytest.raises(DataError, match=message):
        crf(emission, tags, lengths=[4, 3])
    beyond = torch.tensor([[1, 1, 1, 0], [1, 1, *path[:1], 0]])
    assert crf(emission, beyond, lengths=[4, 2]).isfinite().all()


@limits
def test_the_probability_of_a_piece(allowed: Transitions | None) -> None:
    crf, emission = make(4, allowed=allowed), random_emission(6, 5, 4)
    tags = legal_paths(crf, LENGTHS, 5)
    pieces = [(0, 0, 2), (2, 1, 4), (2, 0, 5), (4, 3, 4), (3, 0, 1), (1, 0, 0), (4, 2, 2)]
    found = crf.probability(emission, tags, pieces, lengths=LENGTHS)
    for (row, start, stop), share in zip(pieces, found.tolist(), strict=True):
        paths = every_path(emission[row, : LENGTHS[row]], crf.scores())
        total = torch.stack([score for _, score in paths]).logsumexp(0)
        wanted = tuple(tags[row, start:stop].tolist())
        expected = sum((s - total).exp().item() for path, s in paths if path[start:stop] == wanted)
        assert share == pytest.approx(expected, abs=1e-12)
    whole = crf(emission, tags, lengths=LENGTHS).exp()
    assert found[2].item() == pytest.approx(whole[2].item())
    assert crf.probability(emission, tags, [], lengths=LENGTHS).shape == (0,)


@limits
def test_the_probability_of_pairs_of_tags(allowed: Transitions | None) -> None:
    crf, emission = make(4, allowed=allowed), random_emission(6, 5, 4)
    before, after = torch.tensor([[1, 0, 1, 0], [0, 1, 0, 0]]), torch.tensor([[0, 1, 1, 0], [1, 0, 1, 1]])
    expected = torch.zeros(6, 5, 2, dtype=torch.float64)
    for row, length in enumerate(LENGTHS):
        paths = every_path(emission[row, :length], crf.scores())
        total = torch.stack([score for _, score in paths]).logsumexp(0)
        for path, score in paths:
            for t in range(1, length):
                expected[row, t] += (before[:, path[t - 1]] * after[:, path[t]]) * (score - total).exp()
    found = crf.pair_probability(emission, before, after, lengths=LENGTHS)
    assert_close(found, expected, found.dtype)
    assert crf.pair_probability(emission[:, :0], before, after).shape == (6, 0, 2)


@limits
def test_a_temperature_divides_all_scores(allowed: Transitions | None) -> None:
    crf, emission = make(4, allowed=allowed), random_emission(6, 5, 4)
    cooler = crf.at_temperature(2.0)
    tags = legal_paths(crf, LENGTHS, 5)
    scores = [one.score(x, tags, lengths=LENGTHS) for one, x in ((crf, emission / 1), (cooler, emission / 2))]
    assert_close(scores[1] * 2, scores[0], scores[0].dtype)
    assert (crf.start != cooler.start).all()
    assert cooler.marginals(emission / 2, lengths=LENGTHS).max() < crf.marginals(emission, lengths=LENGTHS).max()


def test_learns_what_neighbours_say() -> None:
    """Emissions say nothing; the tags go round: a CRF learns the order, and who begins."""
    crf, emission = make(3), torch.zeros(1, 7, 3, dtype=torch.float64)
    tags = torch.arange(7)[None] % 3
    optimiser = torch.optim.Adam(crf.parameters(), lr=0.2)
    for _ in range(150):
        optimiser.zero_grad()
        loss = -crf(emission, tags).sum()
        loss.backward()
        optimiser.step()
    assert loss < 0.05
    assert torch.equal(crf.marginals(emission).argmax(2), tags)


def refused(call: Callable[[CRF], object], message: str, error: type[Exception] = UsageError) -> None:
    with pytest.raises(error, match=message):
        call(make(3))


def test_what_is_refused() -> None:
    x, y = random_emission(2, 4, 3), torch.zeros(2, 4, dtype=torch.int64)
    refused(lambda crf: CRF(0), "at least one tag")
    refused(lambda crf: CRF(2, allowed=allowed_for(3)), r"start has shape \(3,\); 2 tags")
    refused(lambda crf: crf(x[0], y), r"\(B, T, 3\)")
    refused(lambda crf: crf(x[..., :2], y), r"got \(2, 4, 2\)")
    refused(lambda crf: crf(x.long(), y), "are scores")
    refused(lambda crf: crf(x, y[:, :3]), r"shape \(2, 4\)")
    refused(lambda crf: crf(x, y.double()), "whole numbers")
    refused(lambda crf: crf(x, y + 3), "from 0 to 2; got 3 to 3", DataError)
    refused(lambda crf: crf(x, y, lengths=[5, 1]), "4 steps")
    refused(lambda crf: crf.probability(x, y, [(0, 1, 5)]), "within the sequence's length")
    refused(lambda crf: crf.probability(x, y, [(2, 0, 1)]), "within the sequence's length")


def test_numbers_that_are_none_give_none() -> None:
    crf, emission = make(3), random_emission(2, 4, 3)
    emission[0, 1, 2] = math.nan
    total = crf.log_partition(emission)
    assert total.isnan().tolist() == [True, False]
