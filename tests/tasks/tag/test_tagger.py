"""`rondo.Tagger`: what it takes, what it gives, and that scikit-learn can use it."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils import estimator_checks

import rondo
from rondo.data.tagging import convert_tags, first_problem, get_scheme, read_spans
from rondo.errors import DataError, ModelError, UsageError
from rondo.evaluation.spans import score_tags
from tests.tasks.tag.people import QUICK, SMALL, by_characters, people, write_columns

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


@pytest.mark.parametrize("inner", ["BIOES", "same"])
@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", "BMES"])
def test_probabilities_of_tags_are_sums_over_all_readings(scheme: str, inner: str) -> None:
    own = [convert_tags(tags, get_scheme(scheme)) for tags in TAGS[:40]]
    tagger = rondo.Tagger(**QUICK, inner_scheme=inner).fit(SENTENCES[:40], own)
    asked = [["Ada", "Bohr", "Oslo"], [], ["saw"]]
    found = tagger.predict_proba(asked)
    assert [one.shape for one in found] == [
        (3, len(tagger.classes_)),
        (0, len(tagger.classes_)),
        (1, len(tagger.classes_)),
    ]
    for probable, readings in zip(found, tagger.predict_n_best(asked, 3000), strict=True):
        expected = np.zeros_like(probable)
        for tags, probability in readings:
            for place, tag in enumerate(tags):
                expected[place, tagger.classes_.tolist().index(tag)] += probability
        assert probable == pytest.approx(expected, abs=1e-5)
        assert probable.sum(1) == pytest.approx(1)
    assert found[0].max() < 0.999


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", None])
def test_probabilities_of_tags_each_by_itself(scheme: str | None) -> None:
    own = [convert_tags(tags, get_scheme(scheme)) if scheme else [tag[-1] for tag in tags] for tags in TAGS[:40]]
    tagger = rondo.Tagger(**QUICK, crf=False).fit(SENTENCES[:40], own)
    (probable,) = tagger.predict_proba([["Ada", "Bohr", "saw"]])
    assert probable.sum(1) == pytest.approx(1)
    assert (probable >= 0).all()
    if scheme is None:
        assert tagger.classes_[probable.argmax(1)].tolist() == tagger.predict([["Ada", "Bohr", "saw"]])[0]


@pytest.mark.parametrize("crf", [True, False])
def test_calibration_changes_how_sure_it_is_and_nothing_else(crf: bool, tmp_path: Path) -> None:
    other = {"B-PER": "B-LOC", "I-PER": "I-LOC", "B-LOC": "B-PER"}
    wrong = [[other.get(tag, tag) for tag in own] for own in TAGS[:8]]
    watched: dict[str, Any] = {"X_val": SENTENCES[:30], "y_val": [*wrong, *TAGS[8:30]]}
    made = {
        calibrate: rondo.Tagger(**{**SMALL, "keep": "last"}, crf=crf, calibrate=calibrate).fit(
            SENTENCES, TAGS, **watched
        )
        for calibrate in (False, True)
    }
    assert made[False].model_.temperature == 1
    heat = made[True].model_.temperature
    assert heat > 1.2
    asked = HELD_OUT[0]
    assert made[True].predict(asked) == made[False].predict(asked)
    sure = {key: np.concatenate([one.max(1) for one in each.predict_proba(asked)]).mean() for key, each in made.items()}
    assert sure[True] < sure[False]
    spans = [[s["probability"] for own in made[key].predict_spans(asked) for s in own] for key in (True, False)]
    assert np.mean(spans[0]) < np.mean(spans[1])
    readings = [made[key].predict_n_best(asked[:1], 1)[0][0] for key in (True, False)]
    assert readings[0].tags == readings[1].tags
    assert readings[0].probability < readings[1].probability

    def loss(temperature: float) -> float:
        classes = made[True].classes_.tolist()
        found = made[True].model_.marginals(watched["X_val"], temperature=temperature)
        pairs = zip(found, watched["y_val"], strict=True)
        return -sum(
            float(np.log(row[classes.index(tag)])) for rows, own in pairs for row, tag in zip(rows, own, strict=True)
        )

    if not crf:  # each tag by itself, the true tags' likelihood in the data's scheme follows that in the network's
        assert loss(heat) < min(loss(1.0), loss(heat * 3))
    made[True].save(tmp_path / "m")
    assert rondo.load(tmp_path / "m").model_.temperature == heat
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps({**config, "temperature": 0}))
    with pytest.raises(ModelError, match="its temperature is 0"):
        rondo.load(tmp_path / "m")


def test_many_spans_of_long_sentences_need_bounded_room(fitted: rondo.Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = fitted.predict_spans(HELD_OUT[0][:5])
    monkeypatch.setattr("rondo.tasks.tag.model.ROOM", 1)
    found = fitted.predict_spans(HELD_OUT[0][:5])
    pairs = [pair for own in zip(found, expected, strict=True) for pair in zip(*own, strict=True)]
    assert len(pairs) > 5
    assert all(one["probability"] == pytest.approx(other["probability"]) for one, other in pairs)


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


def test_files_and_frames_are_sentences_too(tmp_path: Path) -> None:
    sentences, tags = people(40)
    path = write_columns(tmp_path / "p.conll", (sentences, tags))
    frame = pandas.DataFrame({"tokens": sentences, "tags": tags})
    expected = rondo.Tagger(**QUICK).fit(sentences, tags)
    asked = expected.predict_spans(sentences)
    for given in (path, str(path), frame, rondo.read_sentences(path)):
        made = rondo.Tagger(**QUICK).fit(given)
        assert made.predict_spans(sentences) == asked
        assert made.score(given) == expected.score(sentences, tags)
    assert expected.predict(path) == expected.predict(frame[["tokens"]]) == expected.predict(sentences)
    assert rondo.Tagger(**QUICK).fit(frame[["tokens"]], tags).predict_spans(sentences) == asked
    assert rondo.Tagger(**QUICK).fit(path, X_val=path).history_ != expected.history_
    with pytest.raises(UsageError, match="leave y out"):
        rondo.Tagger(**QUICK).fit(path, tags)
    with pytest.raises(UsageError, match="no tags"):
        rondo.Tagger(**QUICK).fit(rondo.read_sentences(frame, tagged=False))


def test_long_sentences_are_read_in_pieces_and_tagged_as_one() -> None:
    long = [word for own in SENTENCES[:40] for word in own]
    tags = [tag for own in TAGS[:40] for tag in own]
    whole = rondo.Tagger(**SMALL).fit(SENTENCES, TAGS)
    pieces = rondo.Tagger(**SMALL, max_tokens=40).fit(SENTENCES, TAGS)
    assert [len(own) for own in pieces.predict([long, ["Ada"], []])] == [len(long), 1, 0]
    assert pieces.score([long], [tags]) > 0.9
    sure = [tagger.predict_proba([long])[0] for tagger in (whole, pieces)]
    assert sure[0].shape == sure[1].shape
    assert (sure[0] != sure[1]).any()
    # Sentences that fit are read as ever, and what is read besides a piece makes its edges like any other place.
    assert pieces.predict_proba(SENTENCES[:1])[0] == pytest.approx(whole.predict_proba(SENTENCES[:1])[0])
    learned = rondo.Tagger(**SMALL, max_tokens=20).fit([long, *SENTENCES[40:]], [tags, *TAGS[40:]])
    assert learned.score(*HELD_OUT) > 0.8


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
    card = (tmp_path / "m" / "README.md").read_text()
    sizes = fitted.model_.config["parts"]
    for said in ("span F1 on the validation part", "rondo predict", f"| training | {sizes['training']} sentences |"):
        assert said in card, said


def test_baselines_are_fitted_on_request_and_stand_in_card_and_evaluation(tmp_path: Path) -> None:
    path, made = write_columns(tmp_path / "a.conll", HELD_OUT), {}
    for baselines in (False, True):
        tagger = rondo.Tagger(**QUICK).fit(SENTENCES, TAGS, baselines=baselines)
        tagger.save(tmp_path / "m")
        made[baselines] = rondo.load(tmp_path / "m").evaluate([path]), (tmp_path / "m" / "README.md").read_text()
    (alone, plain), (beside, card) = made[False], made[True]
    assert alone["baselines"] == {}
    assert (alone["score"], alone["epochs"]) == (beside["score"], beside["epochs"])
    assert alone["epochs"] > 0
    assert "fit(..., baselines=True)" in alone["notes"][0]
    assert "notes" not in beside
    assert beside["baselines"]["most frequent tag of each word"] > 0.3
    assert beside["baseline_score"] == max(beside["baselines"].values())
    assert ("most frequent tag of each word" in plain, "most frequent tag of each word" in card) == (False, True)


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
