"""`rondo.TextClassifier`: what it takes, what it gives, and that scikit-learn can use it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import rondo
from rondo.errors import DataError, UsageError
from tests.tasks.classify.reviews import QUICK, SMALL, reviews, translated, write_table

TEXTS, LABELS = reviews()
HELD_OUT = reviews(80, seed=1)


@pytest.fixture(scope="module")
def fitted() -> rondo.TextClassifier:
    return rondo.TextClassifier(**SMALL).fit(TEXTS, LABELS)


def probabilities(**options: Any) -> np.ndarray:
    return rondo.TextClassifier(**{**QUICK, **options}).fit(TEXTS, LABELS).predict_proba(HELD_OUT[0])


def test_it_learns(fitted: rondo.TextClassifier) -> None:
    texts, labels = HELD_OUT
    assert fitted.score(texts, labels) > 0.95
    assert fitted.classes_.tolist() == ["bad", "good"]
    assert fitted.predict(["What a splendid film!", "dreadful"]).tolist() == ["good", "bad"]
    assert fitted.predict_proba(texts).shape == (80, 2)


@pytest.mark.parametrize("form", ["list", "tuple", "array", "object array", "column", "frame", "series"])
def test_texts_come_as_people_have_them(form: str, fitted: rondo.TextClassifier) -> None:
    class Frame:
        """A data frame with one column, as pandas and polars have them."""

        columns = ("text",)

        def __getitem__(self, name: str) -> Series:
            assert name == "text"
            return Series()

    class Series:
        def to_list(self) -> list[str]:
            return list(HELD_OUT[0])

    texts = HELD_OUT[0]
    given: Any = {
        "list": texts, "tuple": tuple(texts), "array": np.array(texts), "object array": np.array(texts, dtype=object),
        "column": np.array(texts)[:, None], "frame": Frame(), "series": Series(),
    }[form]  # fmt: skip
    np.testing.assert_array_equal(fitted.predict_proba(given), fitted.predict_proba(texts))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("one text", "put it into"),
        ([1, 2], "item 1 is no text but of type int"),
        (["a", None], "item 2 is missing"),
        (["a", float("nan")], "item 2 is missing"),
        (np.zeros((3, 2)), "item 1 is no text but of type list"),
    ],
    ids=str,
)
def test_what_is_no_text_is_refused(given: Any, said: str, fitted: rondo.TextClassifier) -> None:
    with pytest.raises(ValueError, match=said):
        fitted.predict(given)


def test_texts_without_words_have_a_class_too(fitted: rondo.TextClassifier) -> None:
    found = fitted.predict_proba(["", "  ", "\n", "zebra", "good"])
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[0], found[1])
    np.testing.assert_allclose(found[0], found[2])
    assert not np.allclose(found[0], found[3])
    assert len(fitted.predict([])) == 0


def test_the_order_of_the_texts_and_their_company_do_not_matter(fitted: rondo.TextClassifier) -> None:
    texts = HELD_OUT[0]
    whole = fitted.predict_proba(texts)
    np.testing.assert_allclose(fitted.predict_proba(texts[::-1])[::-1], whole, atol=1e-6)
    alone = np.concatenate([fitted.predict_proba([text]) for text in texts])
    np.testing.assert_allclose(alone, whole, atol=1e-6)


def test_chinese_is_read_by_characters() -> None:
    texts, labels = reviews(chinese=True)
    classifier = rondo.TextClassifier(**SMALL).fit(texts, labels)
    assert classifier.model_.encoder.level == "characters"
    assert classifier.score(*reviews(80, seed=1, chinese=True)) > 0.9
    assert classifier.predict([translated("splendid film")]).tolist() == ["good"]


def test_the_same_seed_gives_the_same_predictions_twice() -> None:
    np.testing.assert_array_equal(probabilities(random_state=1), probabilities(random_state=1))
    assert not np.allclose(probabilities(random_state=1), probabilities(random_state=2))


def test_a_pickle_is_the_same_estimator(fitted: rondo.TextClassifier) -> None:
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(HELD_OUT[0]), fitted.predict_proba(HELD_OUT[0]))
    assert clone(fitted).get_params() == fitted.get_params() == again.get_params()


@pytest.mark.parametrize("level", ["words", "characters", "pieces"])
def test_a_saved_model_is_the_same_estimator(level: str, tmp_path: Path) -> None:
    classifier = rondo.TextClassifier(**QUICK, level=level, calibrate=True, cell="min_gru").fit(TEXTS, LABELS)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text('{"rondo": "0.1.0"}')
    for name in ("vocabulary.json", "tokenizer.json"):  # what an earlier model may have left
        (tmp_path / "m" / name).write_text("{}")
    classifier.save(tmp_path / "m")

    again = loaded(tmp_path / "m")

    np.testing.assert_array_equal(again.predict_proba(HELD_OUT[0]), classifier.predict_proba(HELD_OUT[0]))
    assert again.get_params() == classifier.get_params()
    assert again.classes_.tolist() == classifier.classes_.tolist()


def loaded(folder: Path) -> rondo.TextClassifier:
    found = rondo.load(folder)
    assert isinstance(found, rondo.TextClassifier)
    return found


@pytest.mark.parametrize(
    "options",
    [
        {"level": "characters"}, {"lowercase": False}, {"vocabulary_size": 20}, {"min_count": 40}, {"max_tokens": 5},
        {"valid_fraction": 0.4}, {"embedding": 9}, {"token_dropout": 0.5},
        {"output_dropout": 0.0}, {"input_dropout": 0.0}, {"readout": "mean"}, {"bidirectional": False},
        {"cell": "gru"}, {"recurrent_dropout": 0.4}, {"zoneout": 0.2}, {"class_weight": {"bad": 3.0}},
        {"class_weight": "balanced"}, {"label_smoothing": 0.2}, {"calibrate": True}, {"precision": "64"},
    ],
    ids=str,
)  # fmt: skip
def test_a_parameter_changes_the_result(options: dict[str, Any]) -> None:
    assert not np.array_equal(probabilities(), probabilities(**options))


VECTORS = "".join(f"{word} {n} {n * n / 9} {1 - n} 0.5\n" for n, word in enumerate(["good", "bad", "film", "Great"]))


def test_pretrained_vectors_are_taken_and_their_coverage_told(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text(VECTORS)
    options = {**QUICK, "embedding": 4, "vectors": str(tmp_path / "v.txt"), "freeze_vectors": True}
    classifier = rondo.TextClassifier(**options).fit(TEXTS, LABELS)
    embedding, tokenizer = classifier.model_.network.input.embedding, classifier.model_.encoder.tokenizer
    rows = {word: embedding.weight[tokenizer.number(word)].tolist() for word in ("good", "film", "great")}
    assert rows["film"] == [2, pytest.approx(4 / 9), -1, 0.5]
    assert rows["great"] == [3, 1, -2, 0.5]
    told = classifier.model_.config["vectors"]
    assert told["width"] == 4 == embedding.embedding_dim
    assert told["vocabulary"] == pytest.approx(4 / tokenizer.size)
    assert 0.05 < told["text"] < 0.3
    classifier.save(tmp_path / "m")
    (tmp_path / "v.txt").unlink()
    np.testing.assert_array_equal(
        loaded(tmp_path / "m").predict_proba(HELD_OUT[0]), classifier.predict_proba(HELD_OUT[0])
    )


def test_vectors_that_are_not_frozen_learn(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text(VECTORS)
    options = {**QUICK, "embedding": 4, "vectors": str(tmp_path / "v.txt")}
    with pytest.raises(UsageError, match="embedding 12 does not fit pretrained vectors, which are 4 wide"):
        rondo.TextClassifier(**{**options, "embedding": 12}).fit(TEXTS, LABELS)
    frozen, free = (
        rondo.TextClassifier(**options, freeze_vectors=way).fit(TEXTS, LABELS).model_.network.input.embedding.weight
        for way in (True, False)
    )
    assert not np.allclose(frozen.detach().numpy(), free.detach().numpy())
    for more, said in (({"level": "pieces"}, "do not fit level pieces"), ({"vectors": None}, "which vectors names")):
        with pytest.raises(UsageError, match=said):
            rondo.TextClassifier(**{**options, "freeze_vectors": True, **more}).fit(TEXTS, LABELS)


def test_texts_can_have_several_labels() -> None:
    def marks_of(texts: list[str]) -> list[tuple[str, ...]]:
        return [tuple(word for word in ("film", "music", "story") if word in text.lower()) for text in texts]

    marks = marks_of(TEXTS)
    classifier = rondo.TextClassifier(**{**SMALL, "steps": 200}).fit(TEXTS, marks)
    assert classifier.classes_.tolist() == ["film", "music", "story"]
    expected = [[name in labels for name in classifier.classes_] for labels in marks_of(HELD_OUT[0])]
    right = classifier.predict(HELD_OUT[0]) == expected
    assert right.mean() > 0.9
    assert classifier.score(HELD_OUT[0], marks_of(HELD_OUT[0])) == right.all(1).mean()


def test_a_share_is_held_out_by_class_and_groups_stay_whole() -> None:
    with pytest.raises(DataError, match="240 items have 3 groups"):
        rondo.TextClassifier(**QUICK).fit(TEXTS, LABELS, groups=[1, 2, 3])
    assert not np.array_equal(
        probabilities(),
        rondo.TextClassifier(**QUICK).fit(TEXTS, LABELS, groups=np.arange(240) // 12).predict_proba(HELD_OUT[0]),
    )


def test_pipelines_cross_validation_and_searches_work() -> None:
    classifier = rondo.TextClassifier(**{**QUICK, "threads": 1})
    pipeline = make_pipeline(FunctionTransformer(lambda texts: [text.strip() for text in texts]), classifier)
    assert len(pipeline.fit(TEXTS, LABELS).predict(HELD_OUT[0])) == 80

    scores = cross_val_score(classifier, TEXTS, LABELS, cv=2, n_jobs=2)
    assert scores.shape == (2,)
    assert (scores > 0).all()

    search = GridSearchCV(classifier, {"hidden": [4, 8], "readout": ["last", "mean"]}, cv=2).fit(TEXTS, LABELS)
    assert set(search.best_params_) == {"hidden", "readout"}
    assert search.best_estimator_.predict(["good"])[0] in ("good", "bad")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for each class, a file a text."""
    path = tmp_path_factory.mktemp("texts") / "reviews"
    for number, (text, label) in enumerate(zip(TEXTS[:60], LABELS[:60], strict=True)):
        (path / label).mkdir(parents=True, exist_ok=True)
        (path / label / f"{number:03}.txt").write_text(text)
    return path


def test_a_folder_a_reader_and_lists_are_the_same_texts(folder: Path) -> None:
    data = rondo.read_texts(folder)
    assert sorted(data.items) == sorted(TEXTS[:60])
    expected = rondo.TextClassifier(**QUICK).fit(data.items, data.labels)
    answers = expected.predict_proba(data.items)
    for given in (folder, str(folder), data):
        found = rondo.TextClassifier(**QUICK).fit(given)
        np.testing.assert_array_equal(found.predict_proba(data.items), answers)
    for given in (folder, data):
        assert set(map(tuple, expected.predict_proba(given))) == set(map(tuple, answers))
        assert expected.score(given) == expected.score(data.items, data.labels)
    watched = rondo.TextClassifier(**QUICK).fit(folder, X_val=folder)
    assert watched.history_ != expected.history_


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_a_data_frame_says_by_its_columns_what_is_text_and_class(name: str) -> None:
    frames = pytest.importorskip(name)
    table = frames.DataFrame({"id": list(range(60)), "label": LABELS[:60], "review": TEXTS[:60]})
    expected = rondo.TextClassifier(**QUICK).fit(TEXTS[:60], LABELS[:60]).predict_proba(HELD_OUT[0])
    by_itself = rondo.TextClassifier(**QUICK).fit(table)
    np.testing.assert_array_equal(by_itself.predict_proba(HELD_OUT[0]), expected)
    with_y = rondo.TextClassifier(**QUICK).fit(table, table["label"])
    np.testing.assert_array_equal(with_y.predict_proba(HELD_OUT[0]), expected)
    np.testing.assert_array_equal(by_itself.predict(table), by_itself.predict(TEXTS[:60]))
    assert by_itself.score(table) == by_itself.score(TEXTS[:60], LABELS[:60])
    other = table.rename({"review": "said"}) if name == "polars" else table.rename(columns={"review": "said"})
    with pytest.raises(DataError, match="which column is the text"):
        rondo.TextClassifier(**QUICK).fit(other)
    named = rondo.read_texts(other, rondo.TextFormat(text_column="said"))
    np.testing.assert_array_equal(rondo.TextClassifier(**QUICK).fit(named).predict_proba(HELD_OUT[0]), expected)


def test_what_does_not_go_together_is_refused(folder: Path, fitted: rondo.TextClassifier, tmp_path: Path) -> None:
    fresh = rondo.TextClassifier(**QUICK)
    with pytest.raises(UsageError, match="has the classes of its items itself: leave y out"):
        fresh.fit(folder, LABELS)
    with pytest.raises(UsageError, match="requires y to be passed"):
        fresh.fit(TEXTS)
    with pytest.raises(UsageError, match="groups go with y"):
        fresh.fit(folder, groups=LABELS)
    with pytest.raises(DataError, match="does not exist"):
        fresh.fit(tmp_path / "none")
    with pytest.raises(DataError, match="240 items have 3 classes in y"):
        fitted.score(TEXTS, LABELS[:3])


def test_a_saved_model_has_a_card_and_a_log_and_says_that_it_has_no_baselines(
    fitted: rondo.TextClassifier, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "m")
    card = (tmp_path / "m" / "README.md").read_text()
    for said in ("Classifier of texts", "bad or good", "No baseline was measured", "216 texts", "24 texts",
                 f"rondo predict {tmp_path / 'm'}", "accuracy on the validation part"):  # fmt: skip
        assert said in card
    log = (tmp_path / "m" / "log.jsonl").read_text().splitlines()
    assert len(log) == 1 + len(fitted.history_)
    found = loaded(tmp_path / "m").evaluate(write_table(tmp_path / "t.tsv", *HELD_OUT))
    assert (found["baselines"], found["baseline"]) == ({}, None)
    assert found["epochs"] == pytest.approx(120 / 11)
    assert "baselines=True" in found["notes"][0]


def test_baselines_are_fitted_on_request_and_saved_with_the_model(tmp_path: Path) -> None:
    plain = rondo.TextClassifier(**QUICK).fit(TEXTS, LABELS)
    classifier = rondo.TextClassifier(**QUICK).fit(TEXTS, LABELS, baselines=True)
    np.testing.assert_array_equal(classifier.predict_proba(HELD_OUT[0]), plain.predict_proba(HELD_OUT[0]))
    classifier.save(tmp_path / "m")
    found = loaded(tmp_path / "m").evaluate(write_table(tmp_path / "t.tsv", *HELD_OUT))
    assert found["baseline"] == "TF-IDF and logistic regression"
    assert len(found["baselines"]) == 2
    assert found["baseline_score"] > 0.9
    assert "notes" not in found
    assert "TF-IDF and logistic regression" in (tmp_path / "m" / "README.md").read_text()


def test_the_language_may_be_learned_from_texts_or_from_several_files(tmp_path: Path) -> None:
    more = [*reviews(40, seed=7)[0], "two\nlines of a text", 'a "quoted" 文本']
    for name, part in (("a.txt", more[:20]), ("b.txt", more[20:])):
        (tmp_path / name).write_text("".join(" ".join(text.split()) + "\n" for text in part))
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    (tmp_path / "all.txt").write_text("".join(file.read_text() for file in files))
    options = {"pretrain_epochs": 1, "bidirectional": None}
    expected = probabilities(**options, pretrain=str(tmp_path / "all.txt"))
    for given in (more, tuple(more), np.array(more, dtype=object), files):
        np.testing.assert_array_equal(probabilities(**options, pretrain=given), expected)
    assert (probabilities(**options, pretrain=more[:30]) != expected).any()
    made = rondo.TextClassifier(**{**QUICK, **options}, pretrain=more).fit(TEXTS, LABELS)
    assert made.model_.config["pretraining"]["source"] == "42 texts"
    made.save(tmp_path / "m")
    assert rondo.load(tmp_path / "m").get_params()["pretrain"] is None
    assert len(clone(made).pretrain) == 42


@pytest.mark.parametrize(
    ("given", "said"),
    [([], "empty list"), (["one"], "too few to learn a language from"), ([Path("no.txt")], "no.txt does not exist"),
     ([3], "item 1 is no text")],
    ids=["nothing", "too few", "no file", "number"],
)  # fmt: skip
def test_a_language_cannot_be_learned_from_everything(given: Any, said: str) -> None:
    with pytest.raises((DataError, UsageError), match=said) as refused:
        rondo.TextClassifier(**QUICK, pretrain=given).fit(TEXTS, LABELS)
    assert "jsonl" not in str(refused.value)
