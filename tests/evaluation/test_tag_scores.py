"""Scores of taggers as sums, their intervals, and the baselines behind one interface."""

from __future__ import annotations

import random

import numpy as np
import pytest

from rondo.data.labelled import Labelled, Origin
from rondo.data.tagging.schemes import BIOES, convert_tags, get_scheme
from rondo.errors import ModelError
from rondo.evaluation.resampling import difference, interval
from rondo.evaluation.rivals_file import parse_rivals, rival_bytes
from rondo.evaluation.spans import score_tags
from rondo.evaluation.tag_rivals import CRFOnFeatures, MostFrequentTag, tag_rivals
from rondo.evaluation.tagging import TagMeasure, TagPredictions, all_scores, main_measure
from tests.tasks.tag.people import people

IOB2 = get_scheme("IOB2")


def noisy(tags: list[list[str]], share: float, seed: int = 0) -> list[list[str]]:
    choose = random.Random(seed)
    every = ["O", "B-PER", "I-PER", "B-LOC"]
    return [[choose.choice(every) if choose.random() < share else tag for tag in own] for own in tags]


TRUE = people(60)[1]
SAID = TagPredictions(TRUE, noisy(TRUE, 0.2), IOB2)


def test_the_scores_are_those_of_the_spans() -> None:
    spans, strict = score_tags(TRUE, SAID.predicted), score_tags(TRUE, SAID.predicted, strict=IOB2)
    assert TagMeasure("spans")(SAID) == pytest.approx(spans.f1)
    assert TagMeasure("strict")(SAID) == pytest.approx(strict.f1)
    assert TagMeasure("tokens")(SAID) == pytest.approx(spans.accuracy)
    assert len({strict.f1, spans.f1, spans.accuracy, 1.0}) == 4
    scores = all_scores(SAID)
    assert scores["f1"] == spans.f1
    assert scores["strict_f1"] == strict.f1
    assert main_measure(IOB2)(SAID) == pytest.approx(spans.f1)
    plain = TagPredictions(TRUE, SAID.predicted, None)
    assert all_scores(plain) == {"accuracy": pytest.approx(spans.accuracy)}
    assert main_measure(None)(plain) == pytest.approx(spans.accuracy)


@pytest.mark.parametrize("kind", ["spans", "strict", "tokens"])
def test_an_interval_is_of_sentences_drawn_anew(kind: str) -> None:
    measure = TagMeasure(kind)  # type: ignore[arg-type]
    found = interval(measure, SAID, seed=1)
    assert found.low < found.value < found.high
    rng, scores = np.random.default_rng(0), []
    for _ in range(300):
        drawn = rng.integers(len(TRUE), size=len(TRUE))
        scores.append(measure(TagPredictions([TRUE[i] for i in drawn], [SAID.predicted[i] for i in drawn], IOB2)))
    assert np.quantile(scores, [0.025, 0.975]) == pytest.approx([found.low, found.high], abs=0.02)
    other = TagPredictions(TRUE, noisy(TRUE, 0.5, seed=1), IOB2)
    gap = difference(measure, SAID, other)
    assert gap.value == pytest.approx(measure(SAID) - measure(other))
    assert 0 < gap.low < gap.value < gap.high
    assert gap.ahead > 0.99


def data(count: int = 80, seed: int = 0, scheme: str = "IOB2") -> Labelled:
    sentences, tags = people(count, seed)
    own = [tuple(convert_tags(each, get_scheme(scheme))) for each in tags]
    return Labelled([tuple(each) for each in sentences], list(own), None, [Origin("", n) for n in range(count)])


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", "BMES"])
@pytest.mark.parametrize("kind", [MostFrequentTag, CRFOnFeatures])
def test_baselines_answer_in_the_scheme_of_the_data(kind: type, scheme: str) -> None:
    if kind is CRFOnFeatures:
        pytest.importorskip("pycrfsuite")
    rival = kind().fit(data(scheme=scheme), get_scheme(scheme))
    asked = data(30, seed=1, scheme=scheme)
    said = TagPredictions(asked.labels or [], rival.predict(asked.items), get_scheme(scheme))
    assert all_scores(said)["strict_f1"] > 0.9
    assert rival.about.count(".") >= 1
    (again,) = parse_rivals("b.npz", rival_bytes([rival]), [MostFrequentTag, CRFOnFeatures])
    assert again.predict(asked.items) == said.predicted
    assert (again.name, again.about) == (rival.name, rival.about)


def test_tags_that_are_no_spans_are_learned_as_they_are() -> None:
    asked = data()
    rival = MostFrequentTag().fit(asked, None)
    assert {tag for tags in rival.predict(asked.items) for tag in tags} <= {"O", "B-PER", "I-PER", "B-LOC"}
    (again,) = parse_rivals("b.npz", rival_bytes([rival]), [MostFrequentTag])
    assert again.predict(asked.items) == rival.predict(asked.items)


def test_without_crfsuite_the_simple_baseline_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rondo.evaluation.feature_crf.pycrfsuite", None)
    assert [rival.name for rival in tag_rivals()] == ["most frequent tag of each word"]


def test_a_damaged_file_is_refused() -> None:
    rival = MostFrequentTag().fit(data(), BIOES)
    broken = rival_bytes([rival])
    with pytest.raises(ModelError, match="it is damaged"):
        parse_rivals("b.npz", broken[: len(broken) // 2], [MostFrequentTag])
