"""`rondo.Tagger`: what it takes, what it gives, and that scikit-learn can use it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils import estimator_checks

import rondo
from rondo.data.tagging import convert_tags, first_problem, get_scheme, read_spans
from rondo.errors import DataError, UsageError
from rondo.evaluation.spans import score_tags
from tests.tasks.tag.people import QUICK, SMALL, by_characters, people

SENTENCES, TAGS = people()
HELD_OUT = people(40, seed=1)


@pytest.fixture(scope="module")
def fitted() -> rondo.Tagger:
    return rondo.Tagger(**SMALL).fit(SENTENCES, TAGS)


def quick(**options: Any) -> rondo.Tagger:
    return rondo.Tagger(**{**QUICK, **options}).fit(SENTENCES[:40], TAGS[:40])


def test_it_learns(fitted: rondo.Tagger) -> None:
    sentences, tags = HELD_OUT
    said = fitted.predict(sentences)
    assert [len(own) for own in said] == [len(own) for own in sentences]
    assert fitted.score(sentences, tags) == pytest.approx(score_tags(tags, said).f1)
    assert fitted.score(sentences, tags) > 0.9
    assert fitted.classes_.tolist() == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert fitted.history_


@pytest.mark.parametrize("scheme", ["IOB1", "BIOES", "BMES"])
def test_answers_are_in_the_scheme_of_the_data_and_keep_to_it(scheme: str) -> None:
    own = [convert_tags(tags, get_scheme(scheme)) for tags in TAGS]
    tagger = rondo.Tagger(**SMALL).fit(SENTENCES, own)
    said = tagger.predict(HELD_OUT[0])
    assert all(first_problem(tags, get_scheme(scheme)) is None for tags in said)
    assert tagger.score(HELD_OUT[0], [convert_tags(tags, get_scheme(scheme)) for tags in HELD_OUT[1]]) > 0.9


def test_characters_are_tagged_with_pairs_and_without_spellings() -> None:
    tagger = rondo.Tagger(**SMALL).fit(*by_characters(people()))
    assert tagger.model_.network.input.spelling is None
    assert tagger.model_.network.input.pairs is not None
    assert tagger.model_.config["unit"] == "characters"
    assert tagger.score(*by_characters(HELD_OUT)) > 0.9
    sentence = by_characters(HELD_OUT)[0][0]
    (spans,) = tagger.predict_spans([sentence])
    assert all("".join(sentence)[s["start"] : s["end"]] == s["text"] for s in spans)
    assert spans
    plain = rondo.Tagger(**QUICK, pairs="no").fit(*by_characters(people(30)))
    assert plain.model_.network.input.pairs is None


def test_parts_of_speech_are_tagged_without_a_scheme(fitted: rondo.Tagger) -> None:
    tags = [["NAME" if tag != "O" else "WORD" for tag in own] for own in TAGS]
    tagger = rondo.Tagger(**SMALL).fit(SENTENCES, tags)
    said = tagger.predict(SENTENCES)
    pairs = [pair for own, true in zip(said, tags, strict=True) for pair in zip(own, true, strict=True)]
    right = np.mean([one == other for one, other in pairs])
    assert tagger.score(SENTENCES, tags) == pytest.approx(right)
    assert right > 0.9
    assert tagger.predict_spans(SENTENCES[:1]) == [[]]
    assert tagger.classes_.tolist() == ["NAME", "WORD"]


@pytest.mark.parametrize("crf", [True, False])
def test_the_best_readings_come_in_order_with_their_probabilities(crf: bool) -> None:
    tagger = quick(crf=crf)
    for tokens, readings in zip(HELD_OUT[0][:6], tagger.predict_n_best(HELD_OUT[0][:6], 8), strict=True):
        sure = [reading.probability for reading in readings]
        assert len({tuple(reading.tags) for reading in readings}) == len(readings) > 1
        assert all(len(reading.tags) == len(tokens) for reading in readings)
        assert 0 < sum(sure) <= 1 + 1e-9
        if crf:
            assert sure == sorted(sure, reverse=True)
            assert readings[0].tags == tagger.predict([tokens])[0]
    one = tagger.predict_n_best([["Ada"]], 10_000)[0]
    assert sum(reading.probability for reading in one) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("crf", [True, False])
def test_spans_have_places_and_the_probability_of_their_tags(crf: bool) -> None:
    tagger = rondo.Tagger(**{**SMALL, "steps": 150}, crf=crf).fit(SENTENCES, TAGS)
    sentence = ["Ada", "Noether", "came", "to", "Oslo", "."]
    (spans,) = tagger.predict_spans([sentence])
    assert [(s["label"], s["text"], s["tokens"]) for s in spans] == [
        ("PER", "Ada Noether", [0, 2]), ("LOC", "Oslo", [4, 5]),
    ]  # fmt: skip
    text = " ".join(sentence)
    assert [text[s["start"] : s["end"]] for s in spans] == ["Ada Noether", "Oslo"]
    every = tagger.predict_n_best([sentence], 3000)[0]
    for span in spans:
        wanted = (*span["tokens"], span["label"])
        # Of all readings those that have this span; the few that are left out are improbable.
        total = sum(r.probability for r in every if wanted in [tuple(s) for s in read_spans(r.tags)])
        assert span["probability"] == pytest.approx(total, abs=0.02)


def test_empty_sentences_unknown_words_and_one_token(fitted: rondo.Tagger) -> None:
    assert fitted.predict([[], ["Ada"], ["Zzyzx", "🙂"], []])[0] == []
    assert [len(own) for own in fitted.predict([[], ["Ada"], ["Zzyzx", "🙂"], []])] == [0, 1, 2, 0]
    assert fitted.predict([[]]) == [[]]
    assert fitted.predict([]) == []
    assert fitted.predict_spans([[], ["Oslo"]])[0] == []
    assert fitted.predict_n_best([[]], 3)[0][0].tags == []
    long = ["the"] * 5000 + ["Ada"]
    assert len(fitted.predict([long])[0]) == 5001


def test_answers_do_not_depend_on_what_stands_beside(fitted: rondo.Tagger) -> None:
    together = fitted.predict(HELD_OUT[0])
    assert [fitted.predict([tokens])[0] for tokens in HELD_OUT[0]] == together


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [
        ([["a", "b"], ["c"]], [["O"], ["O"]], "sentence 1: 2 tokens have 1 tags"),
        ([["a"], ["c"]], [["O"]], "2 sentences have 1 lists of tags"),
        (["a b", "c"], [["O"], ["O"]], "sentence 1 is a text"),
        ([["a"], ["c"]], [["O"], ["I-"]], "no tag|of no scheme|nothing to tell"),
        ([["a", "b"], ["c", "d"]] * 9, [["B-X", "I-Y"], ["O", "O"]] * 9, "sentence 1: tag 'I-Y' after 'B-X'"),
        ([["a"], ["b"]], [["O"], ["O"]], "all tokens have the tag 'O'"),
        ([["a"]], [["O"]], "there is only 1 sample"),
        ([[], []], [[], []], "no token"),
        ([["a"], ["b"]], None, "requires y"),
    ],
    ids=str,
)
def test_what_cannot_be_learned_is_said(X: Any, y: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        rondo.Tagger(**QUICK).fit(X, y)


def test_tags_that_training_has_not_seen_are_ones_it_is_wrong_about() -> None:
    tagger = rondo.Tagger(**QUICK).fit(SENTENCES, TAGS, X_val=[["Ada", "x"]], y_val=[["B-NEW", "O"]])
    assert tagger.score([["Ada", "x"]], [["B-NEW", "O"]]) == 0
    assert "B-NEW" not in tagger.classes_


def test_broken_tags_are_mended_on_request() -> None:
    broken = [[tag.replace("B-", "I-") for tag in own] for own in TAGS]
    with pytest.raises(DataError, match="broken mend"):
        rondo.Tagger(**QUICK, scheme="BIO").fit(SENTENCES, broken)
    said = rondo.Tagger(**SMALL, scheme="BIO", broken="mend").fit(SENTENCES, broken).predict(HELD_OUT[0])
    assert said == rondo.Tagger(**SMALL, scheme="BIO").fit(SENTENCES, TAGS).predict(HELD_OUT[0])


def test_the_same_seed_gives_the_same_tagger() -> None:
    first = quick(random_state=3).predict_n_best(HELD_OUT[0], 2)
    assert quick(random_state=3).predict_n_best(HELD_OUT[0], 2) == first
    assert quick(random_state=4).predict_n_best(HELD_OUT[0], 2) != first


@pytest.mark.parametrize("option", [
    {"lowercase": False}, {"digits": True}, {"min_count": 5}, {"longest_word": 2}, {"inner_scheme": "same"},
    {"word_dropout": 0.0}, {"crf": False}, {"spelling": "convolution"}, {"spelling": "none"}, {"shape_embedding": 0},
    {"pairs": "yes"}, {"cell": "gru"}, {"batch_size": 5}, {"vocabulary_size": 3}, {"valid_fraction": 0.4},
], ids=str)  # fmt: skip
def test_every_option_changes_the_result(option: dict[str, Any]) -> None:
    asked = [["Ada", "saw", "Turin", "2024"]]
    usual, other = (tagger.predict_n_best(asked, 1)[0][0].probability for tagger in (quick(), quick(**option)))
    assert usual != other


@pytest.mark.parametrize("option", [{"min_pair_count": 1}, {"pairs_at_most": 3}], ids=str)
def test_options_of_pairs_change_the_result(option: dict[str, Any]) -> None:
    asked = [["Ada", "saw", "Turin"]]
    first, second = (quick(pairs="yes", **more).predict_n_best(asked, 1)[0][0].probability for more in ({}, option))
    assert first != second


def test_saved_loaded_and_pickled_it_is_the_same(fitted: rondo.Tagger, tmp_path: Path) -> None:
    expected = fitted.predict_spans(HELD_OUT[0])
    fitted.save(tmp_path / "m")
    loaded = rondo.load(tmp_path / "m")
    assert isinstance(loaded, rondo.Tagger)
    for again in (loaded, pickle.loads(pickle.dumps(fitted)), rondo.Tagger.load(tmp_path / "m")):
        assert again.predict_spans(HELD_OUT[0]) == expected
        assert again.classes_.tolist() == fitted.classes_.tolist()
    assert loaded.get_params() == fitted.get_params()


def test_scikit_learn_can_use_it() -> None:
    tagger = rondo.Tagger(**QUICK)
    assert clone(tagger).get_params() == tagger.get_params()
    assert tagger.set_params(hidden=7).hidden == 7
    scores = cross_val_score(clone(tagger), SENTENCES, TAGS, cv=2, n_jobs=2)
    assert scores.shape == (2,)
    assert np.isfinite(scores).all()
    search = GridSearchCV(tagger, {"steps": [2, 60], "learning_rate": [3e-2]}, cv=2).fit(SENTENCES, TAGS)
    assert search.best_params_["steps"] == 60


@pytest.mark.parametrize(
    "name",
    ["check_no_attributes_set_in_init", "check_parameters_default_constructible", "check_get_params_invariance",
     "check_set_params", "check_estimator_repr", "check_estimator_cloneable"],
)  # fmt: skip
def test_the_checks_of_scikit_learn_that_need_no_numbers(name: str) -> None:
    getattr(estimator_checks, name)("Tagger", rondo.Tagger())


def test_unknown_parameters_and_unfitted_taggers_are_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'spelling'"):
        rondo.Tagger(speling="none")
    with pytest.raises(ValueError, match="not fitted"):
        rondo.Tagger().predict([["a"]])
    with pytest.raises(UsageError, match="X_val and y_val go together"):
        rondo.Tagger().fit(SENTENCES, TAGS, X_val=SENTENCES)
