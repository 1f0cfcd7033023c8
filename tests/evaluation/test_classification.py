"""Scores of classifiers against scikit-learn's, and their intervals against how often they hold."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from rondo.data.labelled import from_python
from rondo.errors import DataError, UsageError
from rondo.evaluation.classification import MEASURES, Predictions, all_scores, measure, per_class
from rondo.evaluation.resampling import difference, interval, too_few


def drawn(seed: int, *, items: int = 200, classes: int = 4, right: float = 0.6) -> Predictions:
    """Probabilities that lean to the truth, of classes of very different frequency."""
    rng = np.random.default_rng(seed)
    true = rng.choice(classes, size=items, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    logits = rng.normal(size=(items, classes)) + 3 * right * np.eye(classes)[true]
    sure = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions(true, sure.argmax(axis=1), tuple(range(classes)), sure)


def drawn_several(seed: int, *, items: int = 200) -> Predictions:
    rng = np.random.default_rng(seed)
    true = rng.random((items, 3)) < [0.6, 0.2, 0.05]
    sure = np.clip(0.15 + 0.6 * true + 0.15 * rng.normal(size=true.shape), 0.01, 0.99)
    return Predictions(true, sure > 0.5, ("x", "y", "z"), sure)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_scores_of_one_label_are_scikit_learn_s(pairs: list[tuple[int, int]]) -> None:
    true, said = np.array(pairs).T
    ours = all_scores(Predictions(true, said, (0, 1, 2, 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = {
            "accuracy": metrics.accuracy_score(true, said),
            "balanced_accuracy": metrics.balanced_accuracy_score(true, said),
            "macro_f1": metrics.f1_score(true, said, average="macro", zero_division=0),
            "micro_f1": metrics.f1_score(true, said, average="micro", zero_division=0),
        }
        expected = metrics.precision_recall_fscore_support(true, said, labels=[0, 1, 2, 3], zero_division=0)
    assert ours == pytest.approx(theirs)
    found = [(c.precision, c.recall, c.f1, c.support) for c in per_class(Predictions(true, said, (0, 1, 2, 3)))]
    np.testing.assert_allclose(found, np.transpose(expected))


@pytest.mark.parametrize("seed", range(3))
def test_scores_of_several_labels_are_scikit_learn_s(seed: int) -> None:
    given_ = drawn_several(seed)
    true, said = given_.true, given_.predicted
    scores = all_scores(given_)
    assert set(scores) == {"subset_accuracy", "macro_f1", "micro_f1", "log_loss", "calibration_error"}
    assert scores["subset_accuracy"] == pytest.approx(metrics.accuracy_score(true, said))
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(true, said, average="macro", zero_division=0))
    assert scores["micro_f1"] == pytest.approx(metrics.f1_score(true, said, average="micro", zero_division=0))
    assert given_.probabilities is not None
    each = [metrics.log_loss(true[:, k], given_.probabilities[:, k], labels=[0, 1]) for k in range(3)]
    assert scores["log_loss"] == pytest.approx(np.mean(each))
    expected = metrics.precision_recall_fscore_support(true, said, zero_division=0)
    found = [(c.precision, c.recall, c.f1, c.support) for c in per_class(given_)]
    np.testing.assert_allclose(found, np.transpose(expected))


def test_log_loss_is_scikit_learn_s() -> None:
    given_ = drawn(0)
    expected = metrics.log_loss(given_.true, given_.probabilities, labels=range(4))
    assert measure("log_loss")(given_) == pytest.approx(expected)
    excluded = Predictions(np.array([0]), np.array([1]), (0, 1), np.array([[0.0, 1.0]]))
    assert measure("log_loss")(excluded) == pytest.approx(36.04, abs=0.01)


def test_predictions_by_label() -> None:
    data = from_python(["t"] * 4, ["b", "a", "new", "a"])
    given_ = Predictions.of(
        data, ["b", "b", "b", "a"], classes=("b", "a"), probabilities=[[0.9, 0.1]] * 3 + [[0.2, 0.8]]
    )
    assert given_.classes == ("b", "a", "new")
    assert given_.true.tolist() == [0, 1, 2, 1]
    assert measure("accuracy")(given_) == 0.5
    assert given_.probabilities is not None
    assert given_.probabilities[2].tolist() == [0.9, 0.1, 0]
    several = Predictions.of(from_python(["t"] * 2, [["x"], []]), [("x", "y"), ()], classes=("x", "y"))
    assert (several.true.tolist(), several.predicted.tolist()) == (
        [[True, False], [False] * 2],
        [[True, True], [False] * 2],
    )
    with pytest.raises(DataError):
        Predictions.of(data, ["b"], classes=("b", "a"))
    with pytest.raises(DataError, match="probabilities have the shape"):
        Predictions.of(data, ["b"] * 4, classes=("b", "a"), probabilities=[[1.0, 0.0]])


def test_scores_by_name() -> None:
    assert measure("macro_f1").name == "macro F1"
    with pytest.raises(UsageError, match="no score 'macro_f2'; did you mean 'macro_f1'"):
        measure("macro_f2")
    without = Predictions(np.array([0, 1]), np.array([0, 1]), (0, 1))
    assert set(all_scores(without)) == {"accuracy", "balanced_accuracy", "macro_f1", "micro_f1"}
    for name in ("log_loss", "subset_accuracy"):
        with pytest.raises(UsageError, match="cannot be said"):
            measure(name)(without)


def resampled(given_: Predictions, rng: np.random.Generator) -> Predictions:
    chosen = rng.integers(len(given_), size=len(given_))
    sure = given_.probabilities
    return Predictions(
        given_.true[chosen], given_.predicted[chosen], given_.classes, sure if sure is None else sure[chosen]
    )


CASES = [("one", name) for name, each in MEASURES.items() if each.items != "several"]
CASES += [("several", name) for name, each in MEASURES.items() if each.items != "one"]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_intervals_are_those_of_a_plain_bootstrap(kind: str, name: str) -> None:
    given_ = drawn(1, items=150) if kind == "one" else drawn_several(1, items=150)
    rng = np.random.default_rng(2)
    plain = np.quantile([MEASURES[name](resampled(given_, rng)) for _ in range(800)], [0.025, 0.975])
    found = interval(MEASURES[name], given_, resamples=4000)
    width = plain[1] - plain[0]
    assert found.value == MEASURES[name](given_)
    assert (found.low, found.high) == pytest.approx(tuple(plain), abs=0.12 * width)


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_differences_are_paired(kind: str, name: str) -> None:
    ours = drawn(3, right=0.7) if kind == "one" else drawn_several(3)
    sure = np.asarray(ours.probabilities)
    worse = 0.5 * sure + 0.5 * np.roll(sure, 1, axis=1)
    said = worse.argmax(axis=1) if kind == "one" else worse > 0.5
    theirs = Predictions(ours.true, said, ours.classes, worse)
    each = MEASURES[name]
    found = difference(each, ours, theirs)
    assert found.value == each(ours) - each(theirs)
    assert found.low < found.value < found.high
    alone = [interval(each, system) for system in (ours, theirs)]
    assert found.high - found.low < sum(one.high - one.low for one in alone)
    if name == "log_loss":
        assert (found.value < 0, found.ahead) == (True, 1.0)
    back = difference(each, theirs, ours)
    assert back.ahead == pytest.approx(1 - found.ahead, abs=0.05)
    same = difference(each, ours, ours)
    assert (same.value, same.low, same.high, same.ahead) == (0, 0, 0, 0.5)


def test_intervals_hold_as_often_as_they_say() -> None:
    """Accuracy 0.7 of 120 items, 200 times: a 90 % interval holds it in 180 of them, give or take 3 times 4.2."""
    rng = np.random.default_rng(4)
    holds = 0
    for seed in range(200):
        right = rng.random(120) < 0.7
        found = interval(
            MEASURES["accuracy"], Predictions(np.ones(120, int), right.astype(int), (0, 1)), level=0.9, seed=seed
        )
        holds += found.low <= 0.7 <= found.high
    assert 165 <= holds <= 195


def test_options_of_intervals() -> None:
    given_, accuracy = drawn(5), MEASURES["log_loss"]
    usual = interval(accuracy, given_)
    assert interval(accuracy, given_) == usual
    assert interval(accuracy, given_, seed=1) != usual
    assert interval(accuracy, given_, resamples=50) != usual
    narrow = interval(accuracy, given_, level=0.5)
    assert usual.low < narrow.low < narrow.high < usual.high
    for options, message in [({"level": 95}, "between 0 and 1"), ({"resamples": 0}, "at least 1")]:
        with pytest.raises(UsageError, match=message):
            interval(accuracy, given_, **options)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="200 and 10 items"):
        difference(accuracy, given_, drawn(5, items=10))


def test_groups_that_resemble_each_other_widen_the_interval() -> None:
    rng = np.random.default_rng(6)
    right = np.repeat(rng.random(40) < 0.6, 25)
    given_ = Predictions(np.ones(1000, int), right.astype(int), (0, 1))
    groups: list[Any] = [f"g{i // 25}" for i in range(1000)]
    alone, whole = (interval(MEASURES["accuracy"], given_, groups=g) for g in (None, groups))
    assert alone.value == whole.value
    half = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 40)
    assert (whole.low, whole.high) == pytest.approx((right.mean() - half, right.mean() + half), abs=half / 5)
    assert whole.high - whole.low > 4 * (alone.high - alone.low)
    other = Predictions(given_.true, 1 - given_.predicted, (0, 1))
    gaps = [difference(MEASURES["accuracy"], given_, other, groups=g) for g in (None, groups)]
    assert gaps[1].high - gaps[1].low > 4 * (gaps[0].high - gaps[0].low)
    with pytest.raises(DataError, match="1000 items have 3 groups"):
        interval(MEASURES["accuracy"], given_, groups=groups[:3])


@pytest.mark.parametrize(("count", "why"), [(1, "all items are in one group"), (4, "4 groups"), (5, None)])
def test_of_few_groups_there_is_no_interval_and_it_is_said_why(count: int, why: str | None) -> None:
    given_, other = drawn(7), drawn(8)
    groups = [f"g{i % count}" for i in range(200)]
    found = interval(MEASURES["accuracy"], given_, groups=groups)
    gap = difference(MEASURES["accuracy"], given_, other, groups=groups)
    assert found.value == MEASURES["accuracy"](given_)
    assert gap.value == found.value - MEASURES["accuracy"](other)
    if why is None:
        assert too_few(groups) is None
        assert found.ends == [found.low, found.high]
        assert found.low < found.high
    else:
        assert why in str(too_few(groups))
        assert found.ends is gap.ends is None


def test_predictions_of_different_shapes_are_refused() -> None:
    for true, said in [([0, 1], [0]), ([], []), ([[1, 0]], [1])]:
        with pytest.raises(DataError, match="cannot be held against"):
            Predictions(np.array(true), np.array(said), (0, 1))
