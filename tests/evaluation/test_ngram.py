"""Kneser-Ney against a plain dictionary version of the published equations, and as a distribution."""

from __future__ import annotations

import io
import math
import pickle
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rondo.data.files import read_text
from rondo.errors import DataError, ModelError, UsageError
from rondo.evaluation.ngram import KneserNey, choose_order
from rondo.evaluation.ngram_counts import continuations, count, discounts

GOLDEN = [3.6645386857774733, 2.777240282538573, 0.023910074631623698, 0.07464727963178963]


def text_of(length: int, size: int = 7, seed: int = 0) -> np.ndarray:
    """A random text with structure: each token depends on the two before it."""
    table = np.random.default_rng(5).dirichlet(np.full(size, 0.3), size=(size, size))
    rng = np.random.default_rng(seed)
    tokens = [0, 1]
    for _ in range(length - 2):
        tokens.append(int(rng.choice(size, p=table[tokens[-2], tokens[-1]])))
    return np.array(tokens, dtype=np.uint8)


class Plain:
    """Chen and Goodman's interpolated model, written from the equations with dictionaries."""

    def __init__(self, tokens: list[int], order: int, size: int, modified: bool) -> None:
        self.size, self.order = size, order
        self.children: list[dict[tuple[int, ...], Counter[int]]] = []
        self.discount: list[list[float]] = []
        for n in range(1, order + 1):
            grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
            if n == order:
                counted = Counter(grams)
            else:
                behind = defaultdict(set)
                for gram in {tuple(tokens[i : i + n + 1]) for i in range(len(tokens) - n)}:
                    behind[gram[1:]].add(gram[0])
                counted = Counter({gram: len(before) for gram, before in behind.items()})
            children: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
            for gram, c in counted.items():
                children[gram[:-1]][gram[-1]] = c
            self.children.append(children)
            n1, n2, n3, n4 = (sum(c == k for c in counted.values()) for k in (1, 2, 3, 4))
            y = n1 / (n1 + 2 * n2) if n1 and n2 else 0.5
            taken = [y, y, y]
            if modified:
                for k, (a, b) in enumerate(((n1, n2), (n2, n3), (n3, n4)), start=1):
                    if a and b and 0 < k - (k + 1) * y * b / a < k:
                        taken[k - 1] = k - (k + 1) * y * b / a
            self.discount.append(taken)

    def probability(self, context: tuple[int, ...], token: int) -> float:
        if len(context) >= self.order:
            context = context[len(context) - self.order + 1 :]
        shorter = self.probability(context[1:], token) if context else 1 / self.size
        followers = self.children[len(context)].get(context)
        if not followers:
            return shorter
        taken = self.discount[len(context)]
        total = sum(followers.values())
        rest = sum(taken[min(c, 3) - 1] for c in followers.values()) / total
        c = followers.get(token, 0)
        return (max(c - taken[min(c, 3) - 1], 0) / total if c else 0.0) + rest * shorter


@pytest.mark.parametrize("modified", [True, False])
@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_equals_the_plain_version(order: int, modified: bool) -> None:
    train, held_out = text_of(600), text_of(80, seed=1)
    plain = Plain(train.tolist(), order, 9, modified)
    model = KneserNey.fit(train, order=order, vocabulary_size=9, modified=modified)
    past = held_out.tolist()
    expected = [-math.log(plain.probability(tuple(past[:t]), past[t])) for t in range(len(past))]
    np.testing.assert_allclose(model.nats(held_out), expected, rtol=1e-12)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=60),
    st.lists(st.integers(0, 6), max_size=6),
    st.integers(1, 6),
)
def test_is_a_distribution_after_any_context(train: list[int], context: list[int], order: int) -> None:
    model = KneserNey.fit(train, order=order, vocabulary_size=7)
    distribution = model.probabilities(context)
    assert distribution.shape == (7,)
    assert distribution.min() > 0
    assert distribution.sum() == pytest.approx(1, abs=1e-12)
    costs = [model.nats([*context, token])[-1] for token in range(7)]
    np.testing.assert_allclose(np.exp(np.negative(costs)), distribution, rtol=1e-10)


def test_an_unknown_context_falls_back_to_a_shorter_one() -> None:
    model = KneserNey.fit(text_of(500), order=4, vocabulary_size=9)
    np.testing.assert_array_equal(model.probabilities([8, 2, 3]), model.probabilities([2, 3]))
    np.testing.assert_array_equal(model.probabilities([1, 2, 8]), model.probabilities([]))


def test_what_lies_further_back_than_the_order_does_not_count() -> None:
    model = KneserNey.fit(text_of(500), order=3)
    np.testing.assert_array_equal(model.probabilities([0, 5, 1, 2]), model.probabilities([6, 1, 2]))
    assert (model.probabilities([0, 2]) != model.probabilities([1, 2])).any()


def test_loss_leaves_out_the_first_token() -> None:
    model = KneserNey.fit(text_of(400), order=3)
    costs = model.nats([6, 1, 2, 0])
    assert model.loss([6, 1, 2, 0]) == pytest.approx(costs[1:].mean())
    assert model.loss([6, 1, 2, 0]) != pytest.approx(costs.mean())


def test_three_discounts_are_better_than_one_here_and_not_the_same() -> None:
    train, held_out = text_of(20_000), text_of(2_000, seed=1)
    three = KneserNey.fit(train, order=6).loss(held_out)
    one = KneserNey.fit(train, order=6, modified=False).loss(held_out)
    assert three < one


def test_discounts_by_hand() -> None:
    counts = np.repeat([1, 2, 3, 4, 9], [8, 4, 2, 1, 5])
    y = 8 / (8 + 2 * 4)
    np.testing.assert_allclose(discounts(counts), [0, 1 - 2 * y / 2, 2 - 3 * y / 2, 3 - 4 * y / 2])
    np.testing.assert_allclose(discounts(counts, modified=False), [0, y, y, y])
    np.testing.assert_allclose(discounts(np.array([7, 9])), [0, 0.5, 0.5, 0.5])


def test_choose_order_agrees_with_fitting_each() -> None:
    train, held_out = text_of(1_500), text_of(300, seed=2)
    choice = choose_order(train, held_out, max_order=5, vocabulary_size=8)
    fitted = {n: KneserNey.fit(train, order=n, vocabulary_size=8).loss(held_out) for n in range(1, 6)}
    assert choice.losses == pytest.approx(fitted, rel=1e-12)
    assert choice.model.order == min(fitted, key=fitted.__getitem__) == 3
    assert choice.model.loss(held_out) == pytest.approx(min(fitted.values()), rel=1e-12)
    one = choose_order(train, held_out, max_order=5, vocabulary_size=8, modified=False)
    assert one.losses[3] != pytest.approx(choice.losses[3], rel=1e-6)
    assert not one.model.modified


def test_choose_order_takes_in_tokens_that_only_the_validation_part_has() -> None:
    choice = choose_order([0, 1, 0, 1, 0, 1], [0, 1, 5], max_order=3)
    assert choice.model.vocabulary_size == 6
    assert np.isfinite(list(choice.losses.values())).all()


def test_vocabulary_size_spreads_what_is_left_over() -> None:
    train = text_of(200)
    wide, narrow = (KneserNey.fit(train, order=2, vocabulary_size=v) for v in (100, 7))
    assert wide.loss(train) > narrow.loss(train)


def test_continuations_follow_from_the_trie() -> None:
    counts = count(text_of(700), 5, 7)
    for derived, counted in zip(continuations(counts.levels), counts.continued, strict=True):
        np.testing.assert_array_equal(derived, counted)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_texts_shorter_than_the_order(length: int) -> None:
    model = KneserNey.fit(np.arange(length), order=6, vocabulary_size=5)
    assert model.probabilities([0, 1]).sum() == pytest.approx(1)
    assert np.isfinite(model.nats([0, 1, 2, 3, 4])).all()


@pytest.mark.parametrize("modified", [True, False])
def test_save_and_load(tmp_path: Path, modified: bool) -> None:
    model = KneserNey.fit(text_of(5_000), order=5, vocabulary_size=300, modified=modified)
    model.save(tmp_path / "baseline.npz")
    loaded = KneserNey.load(tmp_path / "baseline.npz")
    held_out = text_of(500, seed=3)
    np.testing.assert_array_equal(loaded.nats(held_out), model.nats(held_out))
    assert (loaded.order, loaded.vocabulary_size, loaded.modified) == (5, 300, modified)
    assert (tmp_path / "baseline.npz").stat().st_size < 4 * model.size


def damaged(data: bytes) -> dict[str, bytes]:
    def rewritten(**changes: np.ndarray) -> bytes:
        with np.load(io.BytesIO(data)) as archive:
            arrays = {name: archive[name] for name in archive} | changes
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        return buffer.getvalue()

    return {
        "empty": b"",
        "cut": data[: len(data) // 2],
        "text": b"not a model",
        "pickle": pickle.dumps({"a": 1}),
        "array of objects": rewritten(counts=np.array([{}], dtype=object)),
        "bit": data[:200] + bytes([data[200] ^ 0xFF]) + data[201:],
        "too few children": rewritten(children_2=np.zeros(3, np.uint8)),
        "token outside": rewritten(tokens_1=np.full(7, 200, np.uint8)),
        "counts of floats": rewritten(counts=np.zeros(3)),
        "no levels": rewritten(header=np.array([1, 7, 1, 0])),
        "short header": rewritten(header=np.array([1, 7])),
    }


def test_damaged_and_hostile_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "baseline.npz"
    KneserNey.fit(text_of(300), order=3).save(path)
    for name, data in damaged(path.read_bytes()).items():
        path.write_bytes(data)
        with pytest.raises(ModelError, match=r"baseline\.npz"):
            pytest.fail(f"{name}: loaded {KneserNey.load(path).size} n-grams")


def test_missing_and_newer_files(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        KneserNey.load(tmp_path / "baseline.npz")
    np.savez(tmp_path / "newer.npz", header=np.array([99, 1, 1, 1]))
    with pytest.raises(ModelError, match="newer version"):
        KneserNey.load(tmp_path / "newer.npz")


def test_bad_arguments() -> None:
    with pytest.raises(DataError, match="at least one"):
        KneserNey.fit([])
    with pytest.raises(DataError, match="from 0 to 4"):
        KneserNey.fit([0, 7], vocabulary_size=5)
    with pytest.raises(DataError, match="from 0 to 1"):
        KneserNey.fit([0, 1]).nats([0, 5])
    with pytest.raises(DataError, match="row of token ids"):
        KneserNey.fit([[0.5, 1.0]])
    with pytest.raises(DataError, match="two tokens"):
        KneserNey.fit([0, 1]).loss([0])
    with pytest.raises(UsageError, match="1 or more"):
        KneserNey.fit([0, 1], order=0)


def test_reads_files_of_format_1() -> None:
    """Written by version 0.1.0 from "the theme returns and then the theme returns again", order 4."""
    model = KneserNey.load(Path(__file__).parent / "golden" / "baseline-format-1.npz")
    text = np.frombuffer(b"the theme returns", np.uint8)
    assert (model.order, model.vocabulary_size, model.modified) == (4, 128, True)
    np.testing.assert_allclose(model.nats(text)[[0, 1, 5, 16]], GOLDEN, rtol=1e-12)


def test_tiny_shakespeare(data_folder: Path) -> None:
    """Order 6 with one discount scores 1.558 nats a character; three discounts are better."""
    text = np.frombuffer(read_text(data_folder / "tinyshakespeare" / "input.txt.gz").encode("ascii"), np.uint8)
    train, held_out = np.split(text, [int(0.9 * len(text))])
    # The vocabulary of the figure: 65 characters and one for the unknown.
    number = np.cumsum(np.bincount(text, minlength=256) > 0)
    train, held_out = number[train], number[held_out]
    one = KneserNey.fit(train, order=6, vocabulary_size=66, modified=False)
    assert one.loss(held_out) == pytest.approx(1.5581, abs=1e-4)
    choice = choose_order(train, held_out, vocabulary_size=66)
    assert (choice.model.order, choice.losses[7]) == (7, pytest.approx(1.5165, abs=1e-4))
