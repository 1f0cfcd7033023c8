"""`rondo.SignalClassifier`: what it takes, what it gives, and that scikit-learn can use it."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import rondo
from rondo.errors import DataError, ModelError, UsageError
from rondo.testing.estimators import expected_failed_checks
from tests.tasks.signals.waves import QUICK, SMALL, waves

SIGNALS, LABELS = waves()
OTHERS = waves(40, seed=1)
CHECKED: dict[str, Any] = {**SMALL, "steps": 120, "cell": "min_gru", "learning_rate": 2e-2, "batch_size": 16}


@parametrize_with_checks([rondo.SignalClassifier(**CHECKED)], expected_failed_checks=expected_failed_checks)
def test_the_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


@pytest.fixture(scope="module")
def fitted() -> rondo.SignalClassifier:
    return rondo.SignalClassifier(**SMALL).fit(SIGNALS, LABELS)


def probabilities(**options: Any) -> np.ndarray:
    return rondo.SignalClassifier(**{**QUICK, **options}).fit(SIGNALS, LABELS).predict_proba(OTHERS[0])


def test_it_learns(fitted: rondo.SignalClassifier) -> None:
    assert fitted.score(*OTHERS) > 0.9
    assert fitted.classes_.tolist() == ["early", "flat", "late"]
    np.testing.assert_allclose(fitted.predict_proba(OTHERS[0]).sum(1), 1)


def test_arrays_lists_and_frames_are_the_same_signals() -> None:
    signals, labels = waves(30, equal=True)
    one = np.stack(signals)[..., 1]
    expected = rondo.SignalClassifier(**QUICK).fit(one, labels).predict_proba(one)
    forms: list[Any] = [one[..., None], list(one), one.tolist(), [row[:, None] for row in one]]
    for name in ("pandas", "polars"):
        frames = pytest.importorskip(name) if name == "pandas" else _module(name)
        if frames is not None:
            forms.append(frames.DataFrame({f"t{step}": column for step, column in enumerate(one.T)}))
    for form in forms:
        classifier = rondo.SignalClassifier(**QUICK).fit(form, labels)
        np.testing.assert_array_equal(classifier.predict_proba(form), expected)


def _module(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError:
        return None


def test_signals_may_be_longer_or_shorter_than_those_it_learned_from(fitted: rondo.SignalClassifier) -> None:
    equal = np.stack(waves(9, equal=True)[0])
    classifier = rondo.SignalClassifier(**QUICK).fit(equal[..., 0], ["a", "b", "c"] * 3)
    assert classifier.predict(list(equal[:, :7, 0])).shape == (9,)
    with pytest.raises(ValueError, match="X has 7 features, but SignalClassifier is expecting 20"):
        classifier.predict(equal[:, :7, 0])
    classifier.fit(equal, ["a", "b", "c"] * 3)
    assert classifier.predict(equal[:, :7]).shape == (9,)
    assert fitted.predict([SIGNALS[0][:1], np.repeat(SIGNALS[1], 5, axis=0)]).shape == (2,)


def test_the_order_of_the_signals_and_their_company_do_not_matter(fitted: rondo.SignalClassifier) -> None:
    whole = fitted.predict_proba(OTHERS[0])
    np.testing.assert_allclose(fitted.predict_proba(OTHERS[0][::-1])[::-1], whole, atol=1e-6)
    alone = np.concatenate([fitted.predict_proba([signal]) for signal in OTHERS[0]])
    np.testing.assert_allclose(alone, whole, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([np.ones((5, 3))], "item 1: 3 channels; the model learned from 2 channels"),
        ([np.ones((5, 2)), np.ones(5)], "item 2: 1 channels, where the first signal has 2"),
        (np.ones((4, 6)), "item 1: 1 channel; the model learned from 2 channels"),
        (np.ones(4), "Expected 2D array, got 1D array"),
        (np.ones((2, 3, 2, 2)), "Found array with dim 4"),
        ([np.array([[1.0, np.inf]])], "item 1 has infinite values"),
        (["early"], "item 1 is no signal"),
        ([np.ones((0, 2))], "item 1 has no steps"),
    ],
    ids=str,
)
def test_what_is_no_signal_of_these_is_refused(given: Any, said: str, fitted: rondo.SignalClassifier) -> None:
    with pytest.raises(ValueError, match=said):
        fitted.predict(given)


def test_channels_that_differ_are_refused_in_the_validation_part() -> None:
    with pytest.raises(DataError, match="item 1: 1 channel; the model learned from 2"):
        rondo.SignalClassifier(**QUICK).fit(SIGNALS, LABELS, X_val=[np.ones(9)], y_val=["flat"])


def test_missing_values_are_filled_along_straight_lines(fitted: rondo.SignalClassifier) -> None:
    whole = SIGNALS[0].copy()
    whole[4] = (whole[3] + whole[5]) / 2
    holed = whole.copy()
    holed[4] = np.nan
    np.testing.assert_allclose(fitted.predict_proba([holed]), fitted.predict_proba([whole]), atol=1e-6)
    assert np.isfinite(fitted.predict_proba([np.full((5, 2), np.nan)])).all()


def test_the_same_seed_gives_the_same_predictions_twice() -> None:
    np.testing.assert_array_equal(probabilities(random_state=1), probabilities(random_state=1))
    assert not np.allclose(probabilities(random_state=1), probabilities(random_state=2))


@pytest.mark.parametrize(
    "options",
    [
        {"scaling": "each"}, {"scaling": "none"}, {"noise": 0.5}, {"stretch": 0.5}, {"valid_fraction": 0.4},
        {"conv_channels": 0}, {"conv_layers": 2}, {"conv_kernel": 3}, {"conv_stride": 2}, {"readout": "last"},
        {"bidirectional": False}, {"cell": "lstm"}, {"class_weight": "balanced"}, {"calibrate": True},
        {"label_smoothing": 0.2}, {"precision": "64"},
    ],
    ids=str,
)  # fmt: skip
def test_an_option_changes_the_result(options: dict[str, Any]) -> None:
    assert not np.array_equal(probabilities(), probabilities(**options))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"noise": -1.0}, "noise is at least 0, not -1.0"),
        ({"stretch": 1.0}, "stretch is at least 0 and below 1, not 1.0"),
        ({"scaling": "all"}, "scaling cannot be 'all'"),
        ({"conv_kernel": 4}, "conv_kernel is an odd number, not 4"),
        ({"valid_fraction": 0.0}, "valid_fraction is between 0 and 1"),
    ],
    ids=str,
)
def test_what_cannot_be_is_said_in_words_of_python(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=f"^{said}"):
        probabilities(**options)


def test_a_pickle_and_a_folder_are_the_same_estimator(fitted: rondo.SignalClassifier, tmp_path: Path) -> None:
    expected = fitted.predict_proba(OTHERS[0])
    fitted.save(tmp_path / "m")
    loaded = rondo.load(tmp_path / "m")
    assert isinstance(loaded, rondo.SignalClassifier)
    for again in (pickle.loads(pickle.dumps(fitted)), loaded):
        np.testing.assert_array_equal(again.predict_proba(OTHERS[0]), expected)
        assert again.get_params() == fitted.get_params()
    with pytest.raises(DataError, match="the model learned from 2 channels"):
        loaded.predict([np.ones((5, 3))])
    assert clone(fitted).get_params() == fitted.get_params()


def test_pipelines_cross_validation_and_searches_work() -> None:
    signals, labels = waves(60, equal=True)
    rows = np.stack(signals)[..., 1]
    classifier = rondo.SignalClassifier(**QUICK, threads=1)
    assert make_pipeline(StandardScaler(), classifier).fit(rows, labels).predict(rows).shape == (60,)
    assert cross_val_score(classifier, rows, labels, cv=2, n_jobs=2).shape == (2,)
    search = GridSearchCV(classifier, {"scaling": ["each", "training"]}, cv=2).fit(rows, labels)
    assert search.best_estimator_.predict(rows[:1])[0] in ("early", "late", "flat")


def test_files_and_what_a_reader_gave_are_the_same_signals(tmp_path: Path) -> None:
    X, y = np.stack([signal[:20] for signal in np.random.default_rng(0).normal(size=(40, 20))]), ["a", "b"] * 20
    path = tmp_path / "t.tsv"
    path.write_text(
        "".join("\t".join([label, *map(repr, row.tolist())]) + "\n" for label, row in zip(y, X, strict=True))
    )
    expected = rondo.SignalClassifier(**QUICK).fit(list(X), y)
    data = rondo.read_signals(path)
    for given in (path, str(path), data):
        found = rondo.SignalClassifier(**QUICK).fit(given)
        np.testing.assert_allclose(found.predict_proba(list(X)), expected.predict_proba(list(X)), atol=1e-6)
    assert found.score(path) == found.score(data) == found.score(list(X), y)
    np.testing.assert_array_equal(found.predict(path), found.predict(list(X)))
    found.save(tmp_path / "m")
    assert "Classifier of signals" in (tmp_path / "m" / "README.md").read_text()
    with pytest.raises(ModelError, match="a model of the task signals, no DigitClassifier"):
        rondo.DigitClassifier.load(tmp_path / "m")
