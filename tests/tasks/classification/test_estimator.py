"""The base of the estimators: scikit-learn's checks, and what it promises besides."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from rondo.errors import DataError, ModelError, UsageError
from rondo.tasks.options import option_names
from rondo.testing.estimators import expected_failed_checks
from tests.tasks.classification.numbers import NumberClassifier, NumberOptions

SMALL: dict[str, Any] = {
    "cell": "min_gru", "hidden": 16, "layers": 1, "readout": "concat", "steps": 150, "evaluations": 3, "batch_size": 16,
    "learning_rate": 2e-2,
}  # fmt: skip
QUICK = {**SMALL, "steps": 12, "hidden": 6}


@parametrize_with_checks([NumberClassifier(**SMALL)], expected_failed_checks=expected_failed_checks)
def test_the_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


def test_what_is_expected_to_fail_does_not_in_64_bits() -> None:
    assert set(expected_failed_checks(NumberClassifier())) == {"check_methods_subset_invariance"}
    assert expected_failed_checks(NumberClassifier(precision="64")) == {}
    estimator_checks.check_methods_subset_invariance("NumberClassifier", NumberClassifier(**QUICK, precision="64"))


@pytest.fixture(scope="module")
def blobs() -> tuple[np.ndarray, np.ndarray]:
    X, y = make_blobs(90, n_features=6, centers=3, cluster_std=3.0, random_state=0)
    return X, np.array(["low", "mid", "high"])[y]


@pytest.fixture(scope="module")
def fitted(blobs: tuple[np.ndarray, np.ndarray]) -> NumberClassifier:
    return NumberClassifier(**SMALL).fit(*blobs)


def probabilities(blobs: tuple[np.ndarray, Any], **options: Any) -> np.ndarray:
    X, y = blobs
    return NumberClassifier(**{**QUICK, **options}).fit(X, y).predict_proba(X)


def test_the_parameters_are_the_options_of_the_task() -> None:
    names = set(option_names(NumberOptions))
    given = set(NumberClassifier().get_params())
    assert names - given == {"seed", "devices", "tensorboard", "checkpoint_minutes", "checkpoint_steps"}
    assert given - names == {"random_state"}
    for section in ("data", "model", "training"):
        own = getattr(NumberOptions(), section)
        for name, value in NumberClassifier().get_params().items():
            assert getattr(own, name, value) == value, name


def test_the_documentation_has_every_parameter_in_words_of_python() -> None:
    documented = inspect.getdoc(NumberClassifier) or ""
    for name in NumberClassifier().get_params():
        assert f"\n{name} : " in documented
    assert "--" not in documented.replace("----------", "")
    assert "hidden : int, default 256" in documented
    assert str(inspect.signature(NumberClassifier)).startswith("(*, valid_fraction=0.2, cell='lstm', layers=2")


def test_what_is_no_parameter_is_said_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="NumberClassifier has no parameter 'hiden'; did you mean 'hidden'"):
        NumberClassifier(hiden=3)
    with pytest.raises(ValueError, match="Invalid parameter 'hiden'"):
        NumberClassifier().set_params(hiden=3)
    assert NumberClassifier(hidden=0).hidden == 0  # taken note of, and refused when it is used


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hidden": 0}, "hidden is at least 1, not 0"),
        ({"hidden": "many"}, "hidden needs a whole number, not 'many'"),
        ({"learning_rate": -1}, "learning_rate must be above 0"),
        ({"optimiser": "adan"}, "optimiser cannot be 'adan'; did you mean 'adam'"),
        ({"batch_size": 0}, "batch_size is at least 1"),
        ({"label_smoothing": 1.0}, "label_smoothing must be at least 0 and below 1"),
        ({"class_weight": "even"}, "class_weight cannot be 'even'"),
        ({"class_weight": {"none": 2}}, "class_weight has a weight for 'none', which is none of the classes"),
        ({"class_weight": {"low": -1}}, "class_weight needs weights of zero or more"),
    ],
    ids=str,
)
def test_what_cannot_be_is_said_in_words_of_python(
    options: dict[str, Any], said: str, blobs: tuple[np.ndarray, np.ndarray]
) -> None:
    with pytest.raises(UsageError, match=f"^{said}"):
        NumberClassifier(**{**QUICK, **options}).fit(*blobs)


def test_it_learns(fitted: NumberClassifier, blobs: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = blobs
    assert fitted.classes_.tolist() == ["high", "low", "mid"]
    assert fitted.score(X, y) > 0.9
    found = fitted.predict_proba(X)
    np.testing.assert_allclose(found.sum(1), 1)
    assert (fitted.classes_[found.argmax(1)] == fitted.predict(X)).all()
    assert [event["event"] for event in fitted.history_][-1] == "end"


def test_the_same_seed_gives_the_same_predictions(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    one, other = probabilities(blobs, random_state=3), probabilities(blobs, random_state=3)
    np.testing.assert_array_equal(one, other)
    assert not np.allclose(one, probabilities(blobs, random_state=4))
    drawn = probabilities(blobs, random_state=np.random.RandomState(0))
    np.testing.assert_array_equal(drawn, probabilities(blobs, random_state=np.random.RandomState(0)))
    assert not np.allclose(probabilities(blobs, random_state=None), probabilities(blobs, random_state=None))


def test_fitting_leaves_the_random_numbers_and_the_threads_of_others_alone(
    blobs: tuple[np.ndarray, np.ndarray],
) -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    expected, drawn, threads = torch.rand(3), np.random.rand(), torch.get_num_threads()
    torch.manual_seed(5)
    np.random.seed(5)
    NumberClassifier(**QUICK, threads=threads + 1).fit(*blobs)
    assert torch.equal(torch.rand(3), expected)
    assert np.random.rand() == drawn
    assert torch.get_num_threads() == threads


def test_a_copy_says_the_same(fitted: NumberClassifier, blobs: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    X, _ = blobs
    expected = fitted.predict_proba(X)
    fitted.save(tmp_path / "model")
    for again in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted), NumberClassifier.load(tmp_path / "model")):
        np.testing.assert_array_equal(again.predict_proba(X), expected)
        np.testing.assert_array_equal(again.classes_, fitted.classes_)
        assert again.get_params() == fitted.get_params()


def test_weights_of_classes_are_written_down(blobs: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    NumberClassifier(**QUICK, class_weight={"mid": 2.0, "low": 0.5}).fit(*blobs).save(tmp_path / "m")
    assert NumberClassifier.load(tmp_path / "m").class_weight == {"mid": 2.0, "low": 0.5}


def test_labels_may_be_numbers_of_numpy(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = blobs
    expected = NumberClassifier(**QUICK).fit(X, y).predict(X)
    np.testing.assert_array_equal(NumberClassifier(**QUICK).fit(X, list(y)).predict(X), expected)
    with pytest.raises(UsageError, match="random_state must be at least 0"):
        NumberClassifier(**QUICK, random_state=-1).fit(X, y)


def test_a_clone_is_not_fitted(fitted: NumberClassifier, blobs: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    again = clone(fitted)
    assert again.get_params() == fitted.get_params()
    for use in (again.predict, again.predict_proba, lambda _: again.save(tmp_path / "m"), lambda X: again.score(X, X)):
        with pytest.raises(NotFittedError):
            use(blobs[0])
    assert not (tmp_path / "m").exists()


def test_nothing_of_the_training_is_left_behind(
    blobs: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    NumberClassifier(**QUICK).fit(*blobs)
    with pytest.raises(UsageError):
        NumberClassifier(**{**QUICK, "metric": "loss"}).fit(*blobs)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options",
    [
        {"class_weight": "balanced"}, {"class_weight": {"mid": 5.0}}, {"label_smoothing": 0.3}, {"calibrate": True},
        {"valid_fraction": 0.4}, {"batch_size": 7}, {"bidirectional": False}, {"readout": "attention"},
        {"conv_channels": 4},
    ],
    ids=str,
)  # fmt: skip
def test_an_option_changes_the_result(options: dict[str, Any], blobs: tuple[np.ndarray, np.ndarray]) -> None:
    few = blobs[0][:70], np.where(blobs[1][:70] == "mid", "low", blobs[1][:70])  # classes of unequal size
    few[1][:3] = "mid"
    assert not np.allclose(probabilities(few), probabilities(few, **options))


def test_calibration_divides_by_a_temperature(blobs: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    X, y = blobs
    plain, scaled = (NumberClassifier(**QUICK, calibrate=way).fit(X, y) for way in (False, True))
    logits = plain.model_.logits(list(X))
    np.testing.assert_array_equal(scaled.model_.logits(list(X)), logits)
    temperature = scaled.model_.temperature
    assert temperature != 1 == plain.model_.temperature
    powers = np.exp(logits / temperature)
    np.testing.assert_allclose(scaled.predict_proba(X), powers / powers.sum(1, keepdims=True))
    scaled.save(tmp_path / "m")
    assert NumberClassifier.load(tmp_path / "m").model_.temperature == temperature


def test_what_is_watched_can_be_given(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = blobs
    with_it = NumberClassifier(**QUICK).fit(X, y, X_val=X[:9], y_val=y[:9])
    assert {round(event["valid_accuracy"] * 9, 6) % 1 for event in with_it.history_ if "valid_accuracy" in event} == {0}
    with pytest.raises(UsageError, match="X_val and y_val go together"):
        NumberClassifier(**QUICK).fit(X, y, X_val=X[:9])
    with pytest.raises(DataError, match="the label 'huge' was not seen in training"):
        NumberClassifier(**QUICK).fit(X, y, X_val=X[:9], y_val=["huge"] * 9)


def test_groups_are_not_parted(blobs: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = blobs
    groups = np.arange(90) // 9
    seen = []
    from rondo.tasks.classification import estimator

    real = estimator.make_parts
    monkeypatch.setattr(estimator, "make_parts", lambda *a, **k: seen.append(real(*a, **k)) or seen[-1])
    NumberClassifier(**QUICK).fit(X, y, groups=groups)
    train, valid = seen[0].train, seen[0].valid
    assert train.groups
    assert valid.groups
    assert not set(train.groups) & set(valid.groups)
    assert len(train) + len(valid) == 90


@pytest.mark.parametrize("form", ["rows of 0 and 1", "lists of labels"])
def test_an_item_can_have_several_classes(form: str, blobs: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    X, _ = blobs
    table = np.stack([X[:, 0] > X[:, 0].mean(), X[:, 1] > X[:, 1].mean(), np.zeros(90, bool)], 1).astype(int)
    table[0, 2] = 1
    names: list[Any] = [0, 1, 2] if form == "rows of 0 and 1" else ["big", "loud", "odd"]
    y: Any = table if form == "rows of 0 and 1" else [[names[k] for k in np.flatnonzero(row)] for row in table]

    classifier = NumberClassifier(**SMALL).fit(X, y)

    assert classifier.classes_.tolist() == names
    found = classifier.predict(X)
    assert found.shape == (90, 3)
    assert (found[:, :2] == table[:, :2]).mean() > 0.8
    np.testing.assert_array_equal(found, classifier.predict_proba(X) >= 0.5)
    assert classifier.score(X, y) == (found == table).all(1).mean()
    classifier.save(tmp_path / "m")
    np.testing.assert_array_equal(NumberClassifier.load(tmp_path / "m").predict(X), found)


def test_what_cannot_be_learned_from_is_said(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    X, _ = blobs
    classifier = NumberClassifier(**QUICK)
    with pytest.raises(DataError, match="all items are of one class, 'a'"):
        classifier.fit(X, ["a"] * 90)
    with pytest.raises(DataError, match=r"item 1: the label is of type bytes; labels are texts or numbers"):
        classifier.fit(X, [b"a", b"b"] * 45)
    with pytest.raises(DataError, match="90 items have 80 labels"):
        classifier.fit(X, ["a", "b"] * 40)
    with pytest.raises(DataError, match="item 3 has no label"):
        classifier.fit(X, ["a", "b", None] * 30)
    with pytest.raises(DataError, match="no item has any label"):
        classifier.fit(X, [[]] * 90)


def test_ctrl_c_in_fit_is_what_it_is_elsewhere(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    from tests.tasks.helpers import InterruptAt

    classifier = NumberClassifier(**QUICK)
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(*blobs, progress=InterruptAt(8))
    assert not hasattr(classifier, "model_")


def test_a_model_is_not_saved_among_other_things(fitted: NumberClassifier, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name, said in (("own", "holds something other than a Rondo model"), ("file", "is a file")):
        with pytest.raises(UsageError, match=said):
            fitted.save(tmp_path / name)
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["notes.txt"]


def test_a_model_that_is_replaced_leaves_nothing_of_its_training(
    fitted: NumberClassifier, blobs: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    fitted.save(tmp_path / "m")
    (tmp_path / "m" / "report.html").write_text("of the first model")
    fitted.save(tmp_path / "m")
    assert (tmp_path / "m" / "report.html").exists()
    first = (tmp_path / "m" / "log.jsonl").read_text()
    NumberClassifier(**QUICK).fit(*blobs).save(tmp_path / "m")
    assert not (tmp_path / "m" / "report.html").exists()
    assert (tmp_path / "m" / "log.jsonl").read_text() != first


def test_the_folder_of_another_task_is_named(fitted: NumberClassifier, tmp_path: Path) -> None:
    fitted.save(tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps({**config, "task": "classify"}))
    with pytest.raises(ModelError, match="holds a model of the task classify, no NumberClassifier"):
        NumberClassifier.load(tmp_path / "m")


def test_an_estimator_without_files_says_so(blobs: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="NumberClassifier reads no files"):
        NumberClassifier(**QUICK).fit(tmp_path)
