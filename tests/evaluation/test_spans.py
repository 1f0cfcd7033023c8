"""Span scores against conlleval's own output and against seqeval, on hard cases made by hand and at random."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rondo.data.tagging import SCHEMES, Span, convert_tags, read_spans
from rondo.errors import DataError
from rondo.evaluation.spans import Mistake, SpanScores, mistakes, score_tags

# True tags, predicted tags, and what conlleval (version of 2004-01-26) says of them: phrases, found, correct.
HARD = [
    ("I-PER I-PER O I-LOC", "I-PER I-PER O I-LOC", (2, 2, 2)),
    ("I-LOC B-LOC I-LOC O", "I-LOC I-LOC I-LOC O", (2, 1, 0)),
    ("I-LOC B-LOC I-LOC O", "B-LOC B-LOC I-LOC O", (2, 2, 2)),
    ("B-ORG I-ORG B-ORG O", "B-ORG I-ORG I-ORG O", (2, 1, 0)),
    ("O O B-PER I-PER", "O O I-PER I-PER", (1, 1, 1)),
    ("B-PER I-PER I-PER", "B-PER I-ORG I-PER", (1, 3, 0)),
    ("B-MISC O B-MISC", "I-MISC I-MISC I-MISC", (2, 1, 0)),
    ("O B-LOC I-LOC", "B-LOC I-LOC I-LOC", (1, 1, 0)),
    ("B-PER I-LOC O", "B-PER I-LOC O", (2, 2, 2)),
    ("O O", "O I-ORG", (0, 1, 0)),
    ("B-ORG", "O", (1, 0, 0)),
    ("I-PER B-ORG I-PER", "B-PER I-ORG B-PER", (3, 3, 3)),
]
TRUE = [true.split() for true, _, _ in HARD]
PREDICTED = [predicted.split() for _, predicted, _ in HARD]


@pytest.mark.parametrize(("true", "predicted", "expected"), HARD)
def test_each_hard_case_as_conlleval_counts_it(true: str, predicted: str, expected: tuple[int, int, int]) -> None:
    counts = score_tags([true.split()], [predicted.split()]).overall
    assert (counts.true, counts.predicted, counts.correct) == expected


def test_all_hard_cases_as_conlleval_prints_them() -> None:
    """accuracy: 60.53%; precision: 55.56%; recall: 52.63%; FB1: 54.05, and a line for each kind."""
    scores = score_tags(TRUE, PREDICTED)
    assert round(100 * scores.accuracy, 2) == 60.53
    overall = scores.overall
    assert [round(100 * x, 2) for x in (overall.precision, overall.recall, scores.f1)] == [55.56, 52.63, 54.05]
    printed = {
        kind: [round(100 * x, 2) for x in (counts.precision, counts.recall, counts.f1)] + [counts.predicted]
        for kind, counts in scores.kinds.items()
    }
    assert printed == {
        "LOC": [66.67, 57.14, 61.54, 6],
        "MISC": [0.0, 0.0, 0.0, 1],
        "ORG": [25.0, 25.0, 25.0, 4],
        "PER": [71.43, 83.33, 76.92, 7],
    }
    assert scores.macro_f1 == pytest.approx((0.61538 + 0 + 0.25 + 0.76923) / 4, abs=1e-5)


tags = st.lists(st.sampled_from(["O", *(f"{letter}-{kind}" for letter in "BIES" for kind in "AB")]), min_size=1)


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None)
@given(st.lists(st.tuples(tags, tags), min_size=1))
def test_equals_seqeval(pairs: list[tuple[list[str], list[str]]]) -> None:
    theirs = pytest.importorskip("seqeval.metrics")
    cut = [(one[: len(other)], other[: len(one)]) for one, other in pairs]
    true, predicted = [one for one, _ in cut], [other for _, other in cut]
    scores = score_tags(true, predicted)
    overall = scores.overall
    assert scores.f1 == pytest.approx(theirs.f1_score(true, predicted))
    if scores.kinds:  # the mean of nothing is not a number there
        assert scores.macro_f1 == pytest.approx(theirs.f1_score(true, predicted, average="macro"))
    assert overall.precision == pytest.approx(theirs.precision_score(true, predicted))
    assert overall.recall == pytest.approx(theirs.recall_score(true, predicted))
    assert scores.accuracy == pytest.approx(theirs.accuracy_score(true, predicted))


@pytest.mark.filterwarnings("ignore")
def test_the_strict_score_has_its_own_name_and_is_seqeval_s() -> None:
    theirs = pytest.importorskip("seqeval.metrics")
    scheme = pytest.importorskip("seqeval.scheme").IOB2
    true = [["B-A", "I-A", "O"], ["B-B", "O", "B-A"]]
    predicted = [["I-A", "I-A", "O"], ["B-B", "O", "B-A"]]
    usual, strict = score_tags(true, predicted), score_tags(true, predicted, strict=SCHEMES["IOB2"])
    assert usual.f1 == 1
    assert strict.f1 == pytest.approx(theirs.f1_score(true, predicted, mode="strict", scheme=scheme)) == 0.8
    assert usual.to_dict()["f1"] == 1
    assert "f1" not in strict.to_dict()
    assert strict.to_dict()["strict_f1"] == pytest.approx(0.8)
    assert strict.to_dict()["accuracy"] == usual.to_dict()["accuracy"] == pytest.approx(5 / 6)


def test_other_schemes_score_the_same() -> None:
    right = (
        [convert_tags(tags, SCHEMES["IOB2"]) for tags in TRUE],
        [convert_tags(t, SCHEMES["IOB2"]) for t in PREDICTED],
    )
    expected = score_tags(*right)
    for scheme in SCHEMES.values():
        converted = [[convert_tags(tags, scheme) for tags in part] for part in right]
        found = score_tags(*converted)
        assert found.kinds == expected.kinds
        assert found.sentences == expected.sentences
        assert score_tags(*converted, strict=scheme).kinds == expected.kinds


def test_nothing_to_find() -> None:
    scores = score_tags([["O", "O"], []], [["O", "O"], []])
    assert scores.f1 == scores.macro_f1 == scores.overall.precision == 0
    assert scores.accuracy == 1
    assert SpanScores().to_dict()["f1"] == 0


def test_lengths_must_match() -> None:
    with pytest.raises(DataError, match="1 predicted tags cannot be held against 2"):
        score_tags([["O", "O"]], [["O"]])
    with pytest.raises(DataError, match="0 predicted sentences"):
        score_tags([["O"]], [])


def test_mistakes_are_told_apart() -> None:
    true = read_spans(["B-PER", "I-PER", "O", "B-LOC", "O", "B-ORG", "I-ORG", "O", "B-LOC", "O", "O"])
    said = read_spans(["B-PER", "O", "O", "B-ORG", "O", "B-LOC", "I-LOC", "I-LOC", "O", "O", "B-MISC"])
    found = mistakes(true, said)
    assert [mistake.what for mistake in found] == ["borders", "kind", "kind and borders", "missed", "invented"]
    assert found[0] == Mistake(Span(0, 2, "PER"), Span(0, 1, "PER"))
    assert found[3] == Mistake(Span(8, 9, "LOC"), None)
    assert mistakes(true, true) == []


def test_of_two_spans_in_the_way_the_longer_one_is_meant() -> None:
    found = mistakes([Span(0, 5, "A")], [Span(0, 1, "A"), Span(1, 5, "B")])
    assert found == [Mistake(None, Span(0, 1, "A")), Mistake(Span(0, 5, "A"), Span(1, 5, "B"))]
    (same,) = [m for m in mistakes([Span(0, 4, "A")], [Span(0, 2, "B"), Span(2, 4, "A")]) if m.true]
    assert same.predicted == Span(2, 4, "A")
