"""`rondo.DigitClassifier`: what it takes, what it gives, and that scikit-learn can use it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import rondo
from rondo.errors import DataError, UsageError

BUNCH = load_digits()
IMAGES, DIGITS = BUNCH.images[:300], BUNCH.target[:300]
OTHERS, ASKED = BUNCH.images[300:400], BUNCH.target[300:400]
SMALL: dict[str, Any] = {"hidden": 24, "steps": 90, "evaluations": 2, "batch_size": 32, "learning_rate": 1e-2}
QUICK = {**SMALL, "hidden": 8, "steps": 5}


@pytest.fixture(scope="module")
def fitted() -> rondo.DigitClassifier:
    return rondo.DigitClassifier(**SMALL).fit(IMAGES, DIGITS)


def probabilities(**options: Any) -> np.ndarray:
    return rondo.DigitClassifier(**{**QUICK, **options}).fit(IMAGES, DIGITS).predict_proba(OTHERS)


def test_it_learns(fitted: rondo.DigitClassifier) -> None:
    assert fitted.score(OTHERS, ASKED) > 0.8
    assert fitted.classes_.tolist() == list(range(10))
    np.testing.assert_allclose(fitted.predict_proba(OTHERS).sum(1), 1)


def test_square_images_may_be_rows_of_their_pixels(fitted: rondo.DigitClassifier) -> None:
    expected = fitted.predict_proba(OTHERS)
    for given in (OTHERS.reshape(100, 64), OTHERS.tolist(), list(OTHERS), OTHERS.astype(np.uint8)):
        np.testing.assert_array_equal(fitted.predict_proba(given), expected)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((2, 5, 5)), "item 1: an image of 5 x 5 pixels; the model learned from 8 x 8"),
        (np.zeros((2, 60)), "rows of 60 pixels are no square images"),
        (np.zeros(8), r"has 1 axes; images are \(number, height, width\)"),
        (np.full((2, 8, 8), np.nan), "item 1 has a pixel that is no finite number"),
        ([np.zeros((8, 8)), np.zeros((8, 7))], "images all have the same size"),
        (np.full((2, 8, 8), "a"), "pixels are numbers"),
    ],
    ids=["other size", "not square", "one axis", "nan", "two sizes", "texts"],
)
def test_what_is_no_image_of_these_is_refused(given: Any, said: str, fitted: rondo.DigitClassifier) -> None:
    with pytest.raises(ValueError, match=said):
        fitted.predict(given)


@pytest.mark.parametrize(
    "options",
    [
        {"order": "columns"}, {"order": "both"}, {"order": "pixels"}, {"permute": 0}, {"shift": 1.0}, {"rotate": 20.0},
        {"zoom": 0.2}, {"valid_fraction": 0.3}, {"bidirectional": False}, {"cell": "lstm"}, {"layers": 2},
        {"readout": "max"}, {"conv_channels": 6}, {"output_dropout": 0.0}, {"random_state": 1}, {"calibrate": True},
        {"class_weight": "balanced"},
    ],
    ids=str,
)  # fmt: skip
def test_an_option_changes_the_result(options: dict[str, Any]) -> None:
    assert not np.array_equal(probabilities(), probabilities(**options))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"permute": -1}, "permute is a seed of at least 0"),
        ({"shift": -1.0}, "shift is at least 0, not -1.0"),
        ({"rotate": 180.0}, "rotate is at least 0 and below 180"),
        ({"zoom": 1.0}, "zoom is at least 0 and below 1"),
    ],
    ids=str,
)
def test_what_cannot_be_is_said_in_words_of_python(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=f"^{said}"):
        probabilities(**options)


@pytest.mark.parametrize("permute", [None, 7])
def test_a_pickle_and_a_folder_are_the_same_estimator(permute: int | None, tmp_path: Path) -> None:
    classifier = rondo.DigitClassifier(**QUICK, permute=permute, order="columns").fit(IMAGES, DIGITS)
    expected = classifier.predict_proba(OTHERS)
    np.testing.assert_array_equal(probabilities(permute=permute, order="columns"), expected)  # and the same twice
    classifier.save(tmp_path / "m")
    loaded = rondo.load(tmp_path / "m")
    assert isinstance(loaded, rondo.DigitClassifier)
    for again in (pickle.loads(pickle.dumps(classifier)), loaded):
        np.testing.assert_array_equal(again.predict_proba(OTHERS), expected)
        assert again.get_params() == classifier.get_params() == clone(classifier).get_params()
    with pytest.raises(DataError, match="the model learned from 8 x 8"):
        loaded.predict(np.zeros((1, 9, 9)))


def test_cross_validation_works() -> None:
    scores = cross_val_score(rondo.DigitClassifier(**QUICK, threads=1), IMAGES, DIGITS, cv=2, n_jobs=2)
    assert scores.shape == (2,)


def test_pipelines_and_searches_work() -> None:
    rows = IMAGES.reshape(len(IMAGES), -1)
    classifier = rondo.DigitClassifier(**QUICK, threads=1)
    piped = make_pipeline(MinMaxScaler(), classifier).fit(rows, DIGITS)
    assert piped.predict(rows[:5]).shape == (5,)
    assert not np.array_equal(piped.predict_proba(rows), piped[-1].predict_proba(rows))  # the scaler is in between
    search = GridSearchCV(classifier, {"order": ["rows", "columns"]}, cv=2).fit(rows, DIGITS)
    assert search.best_params_["order"] in ("rows", "columns")
    assert search.best_estimator_.predict(rows[:5]).shape == (5,)


def test_a_file_of_images_is_taken_as_it_is(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=IMAGES, y=DIGITS.astype(str))
    found = rondo.DigitClassifier(**QUICK).fit(tmp_path / "d.npz")
    np.testing.assert_array_equal(found.predict_proba(OTHERS), probabilities())
    assert found.score(rondo.read_images(tmp_path / "d.npz")) == found.score(IMAGES, DIGITS.astype(str))
    found.save(tmp_path / "m")
    card = (tmp_path / "m" / "README.md").read_text()
    assert "Classifier of images, read by rows" in card
    with pytest.raises(UsageError, match="did not learn from scikit-learn's digits"):
        rondo.load(tmp_path / "m").evaluate()
