"""Splits: shares of classes, whole groups, the same on every machine, and what the parts have in common."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rondo.data.labelled import Labelled, Origin
from rondo.data.splits import draw, make_parts, normalised, overlap
from rondo.errors import DataError, UsageError


def items(labels: list[Any] | None, groups: list[Any] | None = None, texts: Sequence[Any] | None = None) -> Labelled:
    count = len(labels or groups or texts or [])
    texts = texts if texts is not None else [f"text {i}" for i in range(count)]
    return Labelled(texts, labels, groups, [Origin("a.csv", i + 2) for i in range(count)])


@settings(deadline=None, max_examples=80)
@given(st.lists(st.sampled_from("aabcd"), min_size=2), st.floats(0.05, 0.95), st.integers(0, 9))
def test_every_item_is_on_one_side_and_classes_keep_their_shares(labels: list[str], fraction: float, seed: int) -> None:
    data = items(labels)
    kept, held = draw(data, fraction, seed=seed)
    assert sorted([*kept, *held]) == list(range(len(labels)))
    assert len(held) >= 1
    for name, count in Counter(labels).items():
        assert any(labels[i] == name for i in kept) or count == 1
        assert abs(sum(labels[i] == name for i in held) - count * fraction) <= 1 or count == 1


def test_the_size_is_right_and_chance_decides() -> None:
    data = items(["a"] * 55 + ["b"] * 25 + ["c"] * 20)
    held = draw(data, 0.3, seed=1)[1]
    assert len(held) == 30
    assert Counter(data.select(held).labels) in (Counter(a=16, b=8, c=6), Counter(a=17, b=7, c=6))
    assert draw(data, 0.3, seed=1)[1].tolist() == held.tolist()
    assert draw(data, 0.3, seed=2)[1].tolist() != held.tolist()
    assert draw(data, 0.3, seed=-1)[1].tolist() != held.tolist()
    small = {tuple(np.array(data.labels)[draw(data, 0.01, seed=seed)[1]]) for seed in range(30)}
    assert small == {("a",)}
    even = items(list("abcdefgh") * 2)
    assert len({tuple(np.array(even.labels)[draw(even, 0.125, seed=seed)[1]]) for seed in range(20)}) > 5


def test_without_labels_and_with_classes_of_one() -> None:
    assert len(draw(items(None, None, ["x"] * 10), 0.2)[1]) == 2
    assert len(draw(items(list("abcdef")), 0.2)[1]) == 1
    with pytest.raises(DataError, match="1 item cannot be parted"):
        draw(items(["a"]), 0.5)
    for fraction in (0.0, 1.0, 25.0):
        with pytest.raises(UsageError, match="between 0 and 1"):
            draw(items(["a", "b"]), fraction)


def test_groups_stay_whole_and_classes_keep_their_shares() -> None:
    rng = np.random.default_rng(3)
    groups = [f"g{i}" for i in rng.integers(0, 60, size=1200)]
    labels = ["rare" if rng.random() < 0.1 else "often" for _ in groups]
    data = items(labels, groups)
    for seed in range(5):
        kept, held = draw(data, 0.25, seed=seed)
        assert not {groups[i] for i in kept} & {groups[i] for i in held}
        assert len(held) / len(groups) == pytest.approx(0.25, abs=0.03)
        rare = [sum(labels[i] == "rare" for i in part) / labels.count("rare") for part in (kept, held)]
        assert rare[1] == pytest.approx(0.25, abs=0.05)
    sides = {tuple(sorted({groups[i] for i in draw(data, 0.25, seed=seed)[1]})) for seed in range(5)}
    assert len(sides) == 5


def test_few_groups() -> None:
    data = items(["a", "b"] * 30, ["u"] * 20 + ["v"] * 20 + ["w"] * 20)
    for fraction in (0.01, 0.3, 0.99):
        kept, held = draw(data, fraction, seed=0)
        assert len(kept) >= 20
        assert len(held) >= 20
    with pytest.raises(DataError, match="of the same group"):
        draw(items(["a", "b"], ["u", "u"]), 0.5)


def test_several_labels_keep_their_shares() -> None:
    rng = np.random.default_rng(4)
    table = rng.random((800, 4)) < [0.5, 0.2, 0.1, 0.03]
    data = items([tuple("wxyz"[i] for i in np.flatnonzero(row)) for row in table])
    held = draw(data, 0.2, seed=0)[1]
    assert len(held) == pytest.approx(160, abs=8)
    np.testing.assert_allclose(table[held].sum(axis=0), 0.2 * table.sum(axis=0), atol=4)


def test_parts_from_one_set_and_from_several() -> None:
    data = items(["a", "b"] * 50)
    parts = make_parts(data, test_fraction=0.2, valid_fraction=0.25, seed=5)
    assert parts.test is not None
    assert [len(part) for part in (parts.train, parts.valid, parts.test)] == [60, 20, 20]
    assert sorted(o.number for part in (parts.train, parts.valid, parts.test) for o in part.origins) == list(
        range(2, 102)
    )
    assert parts.drawn == (
        "The test part is 20 of 100 items, drawn by class, with seed 5.",
        "The validation part is 20 of 80 items, drawn by class, with seed 5.",
    )
    other = items(["a", "b"], texts=["new", "newer"])
    given_parts = make_parts(data, valid=other, test=other.select([0]), seed=5)
    assert (len(given_parts.train), given_parts.drawn) == (100, ())
    assert make_parts(data, seed=5).test is None
    assert make_parts(data, seed=6).valid.items != make_parts(data, seed=5).valid.items


def test_groups_that_lie_on_both_sides_are_refused() -> None:
    train = items(["a"] * 4 + ["b"] * 4, ["u", "v", "w", "x"] * 2)
    test = items(["a", "b"], ["z", "v"], ["new", "newer"])
    with pytest.raises(
        DataError, match=r"a\.csv, line 3: the group 'v' of the test part is in the (training|validation)"
    ):
        make_parts(train, test=test, valid_fraction=0.25)
    parts = make_parts(train, test=test.select([0]), valid_fraction=0.25, seed=1)
    assert "as one whole group" in parts.drawn[0]


def test_identical_items_are_reported() -> None:
    train = items(["a", "b", "a"], texts=["Good  film!", "bad", "ｆｉｎｅ"])
    test = items(["a", "a", "b", "b"], texts=["good\nfilm!", "Bad", "FINE", "new"])
    found = overlap(test, train)
    assert found.pairs == ((0, 0), (1, 1), (2, 2))
    assert (found.share, found.differing) == (0.75, 2)
    assert str(found) == "3 of 4 test items are in the training part too (75.0%), 2 with another label"
    assert make_parts(train, valid=test.select([3]), test=test).overlaps[0] == found
    assert [o.other for o in make_parts(train, valid=test.select([3]), test=test).overlaps] == [
        "training",
        "validation",
    ]
    assert make_parts(train, valid=test.select([3])).overlaps == ()
    assert normalised("  Straße\tﬁn ") == "strasse fin"


def test_identical_signals_are_those_with_the_same_bytes() -> None:
    rng = np.random.default_rng(6)
    signals = [rng.normal(size=(n, 2)).astype(np.float32) for n in (3, 4, 6)]
    train, test = (
        items(None, None, signals),
        items(None, None, [signals[2].copy(), signals[0] + 1e-6, signals[1].reshape(2, 4)]),
    )
    assert overlap(test, train).pairs == ((0, 2),)


def test_the_split_does_not_depend_on_python_s_hashes() -> None:
    program = (
        "from rondo.data.labelled import from_python; from rondo.data.splits import draw\n"
        "names = ['x', 'y', 'z', 'u', 'v']\n"
        "data = from_python([str(i) for i in range(60)], [names[i % 3] for i in range(60)])\n"
        "grouped = from_python(data.items, data.labels, [names[i % 5] for i in range(60)])\n"
        "several = from_python(data.items, [names[: i % 4] for i in range(60)])\n"
        "print([draw(d, 0.3, seed=1)[1].tolist() for d in (data, grouped, several)])\n"
    )
    results = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(results) == 1
    assert len(results.pop()) > 100
