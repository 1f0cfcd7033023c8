"""Sampling against straightforward references, and that nothing grows however long the text."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from rondo.decoding import Sampling, random_numbers, sample
from rondo.decoding.sampling import shape
from rondo.errors import UsageError

LOGITS = torch.tensor([[2.0, -1.0, 0.5, 1.2, -3.0, 0.4, 1.9]])


def chances(sampling: Sampling, **given: Any) -> list[float]:
    return shape(LOGITS, sampling, **given).double().softmax(1)[0].tolist()


def expected(logits: dict[int, float]) -> list[float]:
    """The softmax of some tokens, 0 for the others, by hand."""
    total = sum(math.exp(value) for value in logits.values())
    return [math.exp(logits[i]) / total if i in logits else 0.0 for i in range(LOGITS.shape[1])]


def drawn(sampling: Sampling, *, rows: int, seed: int = 0, **given: Any) -> Tensor:
    made = sample(
        lambda tokens, state: (LOGITS.expand(rows, -1), state), LOGITS.expand(rows, -1), None, sampling,
        generator=random_numbers(torch.device("cpu"), seed), **given,
    )  # fmt: skip
    return next(made)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_as_often_as_the_softmax_says(temperature: float) -> None:
    rows = 40_000
    wanted = expected({i: value / temperature for i, value in enumerate(LOGITS[0].tolist())})
    counts = torch.bincount(drawn(Sampling(temperature=temperature), rows=rows), minlength=7).tolist()

    for count, p in zip(counts, wanted, strict=True):
        assert abs(count - rows * p) < 5 * math.sqrt(rows * p * (1 - p)) + 1
    assert chances(Sampling(temperature=temperature)) == pytest.approx(wanted, abs=1e-6)


def test_top_k_keeps_the_likeliest() -> None:
    values = LOGITS[0].tolist()
    kept = sorted(range(7), key=lambda i: -values[i])
    for k in range(1, 7):
        assert chances(Sampling(top_k=k)) == pytest.approx(expected({i: values[i] for i in kept[:k]}), abs=1e-6)
    assert chances(Sampling(top_k=0)) == chances(Sampling(top_k=99)) == chances(Sampling())


@pytest.mark.parametrize("top_p", [0.01, 0.3, 0.35, 0.6, 0.8, 0.95, 0.999])
def test_top_p_keeps_the_smallest_set_with_that_probability(top_p: float) -> None:
    plain = chances(Sampling())
    order = sorted(range(7), key=lambda i: -plain[i])
    size = next(n for n in range(1, 8) if sum(plain[i] for i in order[:n]) >= top_p)

    kept = {i for i, p in enumerate(chances(Sampling(top_p=top_p))) if p > 0}

    assert kept == set(order[:size])


def test_top_p_is_taken_after_temperature_and_top_k() -> None:
    values = LOGITS[0].tolist()
    assert {i for i, p in enumerate(chances(Sampling(top_p=0.5, temperature=0.2))) if p} == {0}
    two = expected({0: values[0], 6: values[6]})
    assert chances(Sampling(top_k=2, top_p=0.9)) == pytest.approx(two, abs=1e-6)
    assert two[0] < 0.9 < two[0] + two[6]


def test_the_repetition_penalty_weakens_what_was_seen_whatever_its_sign() -> None:
    window = torch.tensor([[0, 1, 0]])
    values = LOGITS[0].tolist()
    weaker = {**dict(enumerate(values)), 0: values[0] / 1.5, 1: values[1] * 1.5}

    assert chances(Sampling(repetition_penalty=1.5), window=window) == pytest.approx(expected(weaker), abs=1e-6)
    assert chances(Sampling(), window=window) == chances(Sampling())


def test_the_penalty_looks_back_over_its_window_and_over_the_prompt() -> None:
    step = lambda tokens, state: (LOGITS.clone(), state)  # noqa: E731
    greedy = Sampling(temperature=0.0, repetition_penalty=9.0, repetition_window=2)

    made = [int(t) for t in itertools.islice(sample(step, LOGITS, None, greedy, history=torch.tensor([[0, 3]])), 5)]

    assert made == [6, 0, 3, 6, 0]  # each time the best of those that are not among the last two


def test_temperature_zero_and_top_one_take_the_likeliest() -> None:
    assert set(drawn(Sampling(temperature=0.0), rows=50).tolist()) == {0}
    assert set(drawn(Sampling(top_k=1, temperature=3.0), rows=50).tolist()) == {0}


def test_a_very_low_temperature_is_greedy_and_has_no_nan() -> None:
    assert chances(Sampling(temperature=1e-42)) == expected({0: 0.0})
    assert set(drawn(Sampling(temperature=1e-42), rows=50, forbidden=torch.arange(7) == 0).tolist()) == {6}


def test_forbidden_tokens_and_a_constraint_are_never_drawn() -> None:
    class Even:
        taken: list[Tensor]

        def allowed(self) -> Tensor:
            return torch.arange(7) % 2 == 0

        def advance(self, tokens: Tensor) -> None:
            self.taken = [*getattr(self, "taken", []), tokens]

    even = Even()
    made = sample(
        lambda tokens, state: (LOGITS.expand(500, -1), state), LOGITS.expand(500, -1), None, Sampling(temperature=9.0),
        generator=random_numbers(torch.device("cpu"), 1), constraint=even, forbidden=torch.arange(7) == 4,
    )  # fmt: skip
    rows = list(itertools.islice(made, 3))

    assert set(torch.cat(rows).tolist()) == {0, 2, 6}
    assert all(torch.equal(*pair) for pair in zip(even.taken, rows[:2], strict=True))


def test_the_same_seed_draws_the_same_and_none_draws_anew() -> None:
    assert drawn(Sampling(), rows=64, seed=4).tolist() == drawn(Sampling(), rows=64, seed=4).tolist()
    assert drawn(Sampling(), rows=64, seed=4).tolist() != drawn(Sampling(), rows=64, seed=5).tolist()
    seeds = {random_numbers(torch.device("cpu"), None).initial_seed() for _ in range(3)}
    assert len(seeds) == 3


def test_the_model_is_asked_only_for_what_is_wanted() -> None:
    asked = []

    def step(tokens: Tensor, state: int) -> tuple[Tensor, int]:
        asked.append((int(tokens), state))
        return LOGITS.roll(int(tokens) + 1, 1), state + 1

    made = sample(step, LOGITS, 0, Sampling(temperature=0.0))

    assert [int(t) for t in itertools.islice(made, 3)] == [0, 1, 2]
    assert asked == [(0, 0), (1, 1)]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("temperature", -0.1), ("temperature", math.nan), ("temperature", math.inf), ("top_k", -1), ("top_p", 0.0),
        ("top_p", 1.01), ("top_p", math.nan), ("repetition_penalty", 0.0), ("repetition_penalty", math.inf),
        ("repetition_window", 0),
    ],
)  # fmt: skip
def test_an_option_out_of_range_is_named(option: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{option} is .*{value}"):
        next(sample(lambda t, s: (LOGITS, s), LOGITS, None, Sampling(**{option: value})))


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_that_torch_does_not_take_is_refused(seed: int) -> None:
    with pytest.raises(UsageError, match=f"seed is from 0 to 18446744073709551615, not {seed}"):
        random_numbers(torch.device("cpu"), seed)
