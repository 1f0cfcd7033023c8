"""Classifying texts from files: one command's way to a model folder, its page, and what is done with it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rondo
from rondo.data.columns import TextFormat
from rondo.errors import DataError, UsageError
from rondo.tasks.classify.encoder import TextEncoder
from rondo.tasks.classify.options import ClassifyData, ClassifyScoring
from tests.tasks.classify.reviews import QUICK, SMALL, reviews, write_table
from tests.tasks.helpers import Crash, CrashAt, InterruptAt, Messages, changed, same, shown, weights


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("reviews") / "reviews.tsv", *reviews())


@pytest.fixture(scope="module")
def other_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("reviews") / "others.tsv", *reviews(80, seed=1))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, table: Path) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("classify") / "m"
    return folder, rondo.train("classify", table, out=folder, calibrate=True, **SMALL)


def train(table: Path, out: Path, **options: Any) -> dict[str, Any]:
    return rondo.train("classify", table, out=out, **changed({**QUICK, "baselines": False}, **options))


def test_the_result_says_what_was_learned_and_how_well(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, result = trained
    assert result["task"] == "classify"
    assert result["model"] == str(folder)
    assert {"seconds", "epochs", "parameters", "steps", "stopped", "seed"} <= set(result)
    assert (result["metric"], result["scored_on"], result["items"]) == ("accuracy", "test", 24)
    assert result["score_interval"][0] <= result["score"] <= result["score_interval"][1]
    assert set(result["baselines"]) == {"majority class", "TF-IDF and logistic regression"}
    assert result["baseline"] == "TF-IDF and logistic regression"
    assert result["baseline_score"] == max(result["baselines"].values())
    assert result["score"] > result["baselines"]["majority class"] + 0.2
    assert result["lead"] == pytest.approx(result["score"] - result["baseline_score"])
    assert {"macro_f1", "balanced_accuracy", "log_loss", "calibration_error"} <= set(result["scores"])
    assert 0 < result["valid_accuracy"] <= 1
    assert json.loads(json.dumps(result)) == result == rondo.load(folder).model_.config["result"]


def test_the_folder_is_an_estimator(trained: tuple[Path, dict[str, Any]], other_table: Path) -> None:
    classifier = rondo.load(trained[0])
    assert isinstance(classifier, rondo.TextClassifier)
    assert (classifier.hidden, classifier.calibrate, classifier.random_state) == (12, True, 0)
    texts, labels = reviews(80, seed=1)
    evaluated = classifier.evaluate(other_table)
    assert evaluated["score"] == classifier.score(texts, labels) > 0.8
    assert {"task", "seconds", "epochs", "parameters", "metric", "score", "score_interval", "baselines", "baseline",
            "baseline_score"} <= set(evaluated)  # fmt: skip


def test_an_estimator_fitted_on_the_same_texts_is_the_same_model(table: Path, tmp_path: Path, no_report: None) -> None:
    from rondo.tasks.classify.options import ClassifyOptions
    from rondo.tasks.classify.task import read_parts
    from rondo.tasks.options import from_flat

    train(table, tmp_path / "m")
    parts = read_parts([table], from_flat(ClassifyOptions, {}))
    fitted = rondo.TextClassifier(**QUICK).fit(
        parts.train.items, parts.train.labels, X_val=parts.valid.items, y_val=parts.valid.labels
    )
    fitted.save(tmp_path / "n")
    assert same(weights(tmp_path / "m"), weights(tmp_path / "n"))


def test_the_page_says_all_that_it_should(trained: tuple[Path, dict[str, Any]]) -> None:
    page = shown(trained[0] / "report.html")
    for said in (
        "A classifier of texts", "Accuracy beside the baselines", "TF-IDF and logistic regression", "majority class",
        "Class by class", "Confusion matrix", "The worst mistakes", "Do the probabilities mean what they say?",
        "before the probabilities were scaled by the temperature", "Learning curves",
        "24 of 240 items, drawn by class, with seed 0",
        "Texts are read as words, in lower case", "No text of the training part is longer", "What to type next",
        "Where this comes from", "Seed", "Processor", "rondo predict", "balanced accuracy",
    ):  # fmt: skip
        assert said in page, said
    card = (trained[0] / "README.md").read_text()
    for said in ("bad or good", "rondo.load", "majority class", "What it cannot do", "rondo predict"):
        assert said in card


def test_where_a_baseline_wins_the_first_line_says_so(table: Path, tmp_path: Path) -> None:
    train(table, tmp_path / "m", baselines=True, steps=2, test_fraction=0.5)
    page = shown(tmp_path / "m" / "report.html")
    assert "A baseline wins: TF-IDF and logistic regression" in page
    assert "were classified wrong. Here are those" in page
    assert "what spoke for the class that was said" in page
    assert "reviews.tsv, line" in page


def test_files_are_named_for_each_part(table: Path, other_table: Path, tmp_path: Path) -> None:
    result = train(table, tmp_path / "m", valid=str(other_table), test=str(other_table))
    assert result["items"] == 80
    page = shown(tmp_path / "m" / "report.html")
    assert "80 of 80 test items are in the validation part too (100.0%)" in page
    provenance = rondo.load(tmp_path / "m").model_.config["provenance"]
    assert [Path(file["path"]).name for file in provenance["data"]] == ["reviews.tsv", "others.tsv", "others.tsv"]


def test_without_a_test_part_the_page_says_what_that_means(table: Path, tmp_path: Path) -> None:
    result = train(table, tmp_path / "m", test_fraction=0.0, baselines=True)
    assert (result["scored_on"], result["items"]) == ("validation", 24)
    assert set(result["baselines"]) == {"majority class", "TF-IDF and logistic regression"}
    assert "That flatters the model a little." in shown(tmp_path / "m" / "report.html")


def test_long_texts_are_cut_and_the_page_says_how_many(table: Path, tmp_path: Path) -> None:
    train(table, tmp_path / "m", max_tokens=9)
    page = shown(tmp_path / "m" / "report.html")
    assert "Texts are read up to 9 words, a quarter from the start, the rest from the end:" in page
    assert "in the training part are longer" in page


def test_what_is_several_labels_a_text_is_scored_by_f1(tmp_path: Path) -> None:
    texts, _ = reviews()
    marks = [";".join(word for word in ("film", "music", "story") if word in text.lower()) for text in texts]
    path = write_table(tmp_path / "marks.tsv", texts, marks)
    result = train(path, tmp_path / "m", label_separator=";", baselines=True)
    assert result["metric"] == "micro F1"
    assert "subset_accuracy" in result["scores"]
    classifier = rondo.load(tmp_path / "m")
    assert classifier.classes_.tolist() == ["film", "music", "story"]
    answers = list(classifier.answers(path))
    assert {name for answer in answers for name in answer.values["classes"]} <= {"film", "music", "story"}
    assert answers[0].line == ", ".join(answers[0].values["classes"])
    assert classifier.evaluate(path)["metric"] == "micro F1"
    page = shown(tmp_path / "m" / "report.html")
    assert "any of film, music, story" in page
    for said in (
        "rightly not said",
        "were not given it, how many were given the class of the column",
        "each class yes or no) were wrong",
        "what spoke for the decision",
        "Micro F1 on the validation part",
    ):
        assert said in page
    assert re.search(r"(said|did not say) (film|music|story) \([0-9.]+%\), has ", page)
    assert 0 <= result["valid_f1"] <= 1


@pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl", "folder", "lines and labels"])
def test_every_form_of_the_same_texts_gives_the_same_model(
    kind: str, tmp_path: Path, table: Path, no_report: None
) -> None:
    texts, labels = reviews()
    pairs = list(zip(texts, labels, strict=True))
    more: dict[str, Any] = {}
    if kind == "folder":
        path = tmp_path / "data"
        for number, (text, label) in enumerate(pairs):
            (path / label).mkdir(parents=True, exist_ok=True)
            (path / label / f"{number:03}.txt").write_text(text)
        ordered = sorted(pairs, key=lambda pair: pair[1])
        table = write_table(tmp_path / "ordered.tsv", [t for t, _ in ordered], [c for _, c in ordered])
    elif kind == "lines and labels":
        path = tmp_path / "texts.txt"
        path.write_text("".join(f"{text}\n" for text in texts))
        (tmp_path / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
        more = {"labels": str(tmp_path / "labels.txt")}
    else:
        path = tmp_path / f"reviews.{kind}"
        rows = {
            "tsv": ["text\tlabel", *(f"{t}\t{c}" for t, c in pairs)],
            "csv": ["label,text", *(f'{c},"{t}"' for t, c in pairs)],
            "jsonl": [json.dumps({"text": t, "label": c}) for t, c in pairs],
        }[kind]
        path.write_text("\n".join(rows) + "\n")
    train(table, tmp_path / "expected", steps=4)
    train(path, tmp_path / "m", steps=4, **more)
    assert same(weights(tmp_path / "m"), weights(tmp_path / "expected"))


def test_parts_and_what_is_evaluated_may_have_their_classes_in_a_file_beside_them(
    tmp_path: Path, table: Path, no_report: None
) -> None:
    texts, labels = reviews(30, seed=2)
    lines, classes = tmp_path / "texts.txt", tmp_path / "labels.txt"
    lines.write_text("".join(f"{text}\n" for text in texts))
    classes.write_text("".join(f"{label}\n" for label in labels))
    both = {"valid": str(lines), "valid_labels": str(classes), "test": str(lines), "test_labels": str(classes)}
    result = train(table, tmp_path / "m", steps=4, **both)
    assert (result["items"], result["scored_on"]) == (30, "test")
    classifier = rondo.load(tmp_path / "m")
    said = classifier.evaluate(lines, scoring=ClassifyScoring(labels=str(classes)))
    assert said["score"] == result["score"] == classifier.score(texts, labels)
    with pytest.raises(UsageError, match="--valid-labels goes with --valid"):
        train(table, tmp_path / "n", valid_labels=str(classes))


@pytest.mark.parametrize(
    "options",
    [
        {"seed": 1}, {"test_fraction": 0.3}, {"valid_fraction": 0.3}, {"embedding": 9}, {"max_tokens": 6},
        {"ensemble": 2},
        {"class_weight": "balanced"}, {"weight_decay": 0.5}, {"learning_rate": 1e-3}, {"batch_size": 9},
        {"bidirectional": False}, {"pretrain": "self"}, {"pretrain": "self", "pretrain_epochs": 1},
        {"pretrain": "self", "ensemble": 2},
        {"pretrain": "self", "pretrain_learning_rate": 1e-3}, {"pretrain": "self", "pretrain_minutes": 0.002},
    ],
    ids=str,
)  # fmt: skip
def test_an_option_changes_what_is_learned(
    options: dict[str, Any], table: Path, tmp_path: Path, no_report: None
) -> None:
    base = {"pretrain": "self"} if len(options) > 1 else {}
    train(table, tmp_path / "a", steps=4, **base)
    train(table, tmp_path / "b", steps=4, **base)
    train(table, tmp_path / "c", steps=4, **options)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


@pytest.mark.parametrize("name", ["pretrain_epochs", "pretrain_minutes", "pretrain_learning_rate"])
def test_pretraining_is_not_described_where_there_is_none(name: str, table: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} goes with --pretrain"):
        train(table, tmp_path / "m", **{name: 1})
    assert not (tmp_path / "m").exists()


def test_a_group_lies_on_one_side(tmp_path: Path, no_report: None) -> None:
    texts, labels = reviews()
    path = tmp_path / "r.csv"
    rows = [f'{n // 8},{label},"{text}"\n' for n, (text, label) in enumerate(zip(texts, labels, strict=True))]
    path.write_text("author,label,text\n" + "".join(rows))
    plain = train(path, tmp_path / "a")
    grouped = train(path, tmp_path / "b", group_column="author")
    assert grouped["items"] % 8 == 0 != plain["items"] - grouped["items"] + 1
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "b"))


# ------------------------------------------------------------------------------------------- pre-training


def test_an_encoder_learns_the_language_first(table: Path, tmp_path: Path) -> None:
    unlabelled = tmp_path / "unlabelled.txt"
    unlabelled.write_text("".join(f"{text}\n" for text in reviews(400, seed=5)[0]) + "xylophone xylophone\n")
    told = Messages()
    result = rondo.train(
        "classify", table, out=tmp_path / "m", pretrain=str(unlabelled), pretrain_epochs=40, progress=told,
        pretrain_learning_rate=2e-2, baselines=False, **SMALL,
    )  # fmt: skip
    assert result["score"] > 0.8
    classifier = rondo.load(tmp_path / "m")
    assert not classifier.model_.network.recurrent.bidirectional
    figures = classifier.model_.config["pretraining"]
    assert 2 < figures["perplexity"] < 0.9 * classifier.model_.encoder.input_size  # most words are drawn at random
    assert figures["source"] == str(unlabelled)
    assert classifier.model_.encoder.tokenizer.number("xylophone") is not None
    assert any("perplexity" in said for said in told.said)
    assert "The encoder first learned to predict" in shown(tmp_path / "m" / "report.html")
    assert (tmp_path / "m" / "pretraining" / "log.jsonl").exists()


@pytest.mark.parametrize("where", ["pre-training", "training"])
def test_a_training_that_broke_off_ends_with_the_same_weights(
    where: str, table: Path, tmp_path: Path, no_report: None
) -> None:
    options = {"pretrain": "self", "pretrain_epochs": 6, "steps": 20, "eval_every": 5, "checkpoint_steps": 1}
    train(table, tmp_path / "whole", **options)

    class CrashThere(CrashAt):
        parts = 0

        def start(self, *, step: int, parameters: int, device: str) -> None:
            self.parts += 1

        def evaluation(self, *, step: int, metrics: dict[str, float], best: bool) -> None:
            if self.parts == (1 if where == "pre-training" else 2):
                super().evaluation(step=step, metrics=metrics, best=best)

    at = 4 if where == "pre-training" else 15
    with pytest.raises(Crash):
        train(table, tmp_path / "m", progress=CrashThere(at), **options)
    train(table, tmp_path / "m", resume=True, **options)
    assert same(weights(tmp_path / "m"), weights(tmp_path / "whole"))
    assert rondo.load(tmp_path / "m").model_.config["pretraining"]["epochs"] == 6

    train(table, tmp_path / "m", overwrite=True, **{**options, "pretrain_epochs": 2})
    assert rondo.load(tmp_path / "m").model_.config["pretraining"]["epochs"] == 2


def test_pre_training_that_is_interrupted_is_gone_on_with(table: Path, tmp_path: Path, no_report: None) -> None:
    options = {"pretrain": "self", "pretrain_epochs": 6}
    with pytest.raises(KeyboardInterrupt):
        train(table, tmp_path / "m", progress=InterruptAt(4), **options)
    train(table, tmp_path / "m", resume=True, **options)
    train(table, tmp_path / "whole", **options)
    assert same(weights(tmp_path / "m"), weights(tmp_path / "whole"))


def test_words_that_were_seldom_met_keep_little_of_their_vectors() -> None:
    from rondo.models.classifier import TokenClassifierOptions, token_classifier
    from rondo.models.language_model import LanguageModel, LanguageModelOptions
    from rondo.tasks.classify.pretraining import take_over

    torch.manual_seed(0)
    options = {"cell": "gru", "layers": 1, "hidden": 6, "embedding": 6}
    network = token_classifier(4, 2, TokenClassifierOptions(**options, bidirectional=False))
    model = LanguageModel(4, LanguageModelOptions(**options))
    take_over(network, model, torch.tensor([0, 10, 90, 10**9]))
    expected = model.embedding.weight * model.gain * torch.tensor([0, 0.5, 0.9, 1.0])[:, None]
    torch.testing.assert_close(network.input.embedding.weight, expected)
    x = torch.tensor([[3, 3, 3]])
    torch.testing.assert_close(network.recurrent(network.input(x)[0]).sequence, model(x).raw, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bidirectional": True}, "does not go with --bidirectional"),
        ({"vectors": "v.txt"}, "give it or --vectors"),
        ({"devices": 2}, "runs in one process"),
        ({"pretrain": "nothing.txt"}, "nothing.txt does not exist"),
        ({"pretrain_epochs": 0}, "--pretrain-epochs must be above 0"),
    ],
    ids=str,
)
def test_what_does_not_go_with_pre_training(options: dict[str, Any], said: str, table: Path, tmp_path: Path) -> None:
    with pytest.raises((UsageError, DataError), match=said):
        train(table, tmp_path / "m", **{"pretrain": "self", **options})
    assert not (tmp_path / "m" / "config.json").exists()


def test_too_little_text_to_pre_train_on(table: Path, tmp_path: Path) -> None:
    (tmp_path / "few.txt").write_text("good film\n")
    with pytest.raises(DataError, match=r"few\.txt has 3 words: too few to learn a language from"):
        train(table, tmp_path / "m", pretrain=str(tmp_path / "few.txt"))


# ------------------------------------------------------------------------------------------- using it


def test_answers_come_line_by_line(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    classifier = rondo.load(trained[0])
    texts = [*reviews(30, seed=3)[0], "", "a tab\tin it", "splendid"]
    (tmp_path / "t.txt").write_text("\n".join(texts) + "\n")
    answers = list(classifier.answers(tmp_path / "t.txt"))
    assert [answer.line for answer in answers] == classifier.predict(texts).tolist()
    found = np.array([list(answer.values["probabilities"].values()) for answer in answers])
    np.testing.assert_allclose(found, classifier.predict_proba(texts), atol=1e-6)
    assert all(answer.values["probability"] == max(answer.values["probabilities"].values()) for answer in answers)


@pytest.mark.parametrize("at_once", [1, 7, None])
def test_a_stream_is_read_no_further_than_it_must_be(
    at_once: int | None, trained: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rondo.data.pools.POOL_ITEMS", 16)
    classifier, read = rondo.load(trained[0]), []

    class Lines:
        def __iter__(self) -> Any:
            for number in range(100):
                read.append(number)
                yield "a good film\n"

    answers = classifier.answers(Lines(), at_once=at_once)  # type: ignore[arg-type]
    next(answers)
    assert len(read) <= (at_once or 16) + 1
    assert len(list(answers)) == 99


def test_labels_that_training_has_not_seen_are_wrong_and_told(
    trained: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    path = write_table(tmp_path / "o.tsv", ["good", "bad", "odd"], ["good", "bad", "so-so"])
    found = rondo.load(trained[0]).evaluate(path)
    assert found["unseen_labels"] == {"so-so": 1}
    assert found["score"] <= 2 / 3


def test_columns_are_as_in_training_unless_said(table: Path, tmp_path: Path, no_report: None) -> None:
    path = tmp_path / "odd.csv"
    rows = [f'{label},"{text}"\n' for text, label in zip(*reviews(), strict=True)]
    path.write_text("verdict,words\n" + "".join(rows))
    train(path, tmp_path / "m", text_column="words", label_column="verdict")
    classifier = rondo.load(tmp_path / "m")
    assert classifier.evaluate(path)["items"] == 240
    assert classifier.reading() == TextFormat(text_column="words", label_column="verdict")
    assert classifier.evaluate(table, reading=TextFormat())["items"] == 240
    with pytest.raises(DataError, match="no column 'verdict'"):
        classifier.evaluate(table)


def test_a_second_training_leaves_nothing_of_the_first(table: Path, tmp_path: Path, no_report: None) -> None:
    train(table, tmp_path / "m", level="pieces", vocabulary_size=300)
    train(table, tmp_path / "m", level="words", overwrite=True)
    assert rondo.load(tmp_path / "m").model_.encoder.level == "words"
    train(table, tmp_path / "m", level="pieces", vocabulary_size=300, overwrite=True)
    assert rondo.load(tmp_path / "m").model_.encoder.level == "pieces"
    shutil.copy(tmp_path / "m" / "config.json", tmp_path / "m" / "tokenizer.json")
    with pytest.raises(rondo.errors.ModelError):
        rondo.load(tmp_path / "m")


def test_the_vocabulary_is_of_the_training_part_alone(table: Path, tmp_path: Path, no_report: None) -> None:
    train(table, tmp_path / "m", min_count=1)
    encoder = rondo.load(tmp_path / "m").model_.encoder
    whole = TextEncoder.train(reviews()[0], ClassifyData(min_count=1))
    assert encoder.input_size <= whole.input_size
    odd = write_table(tmp_path / "odd.tsv", ["unheard"] * 40 + ["of"] * 40, ["good"] * 40 + ["bad"] * 40)
    train(table, tmp_path / "n", min_count=1, test=str(odd), valid=str(odd))
    assert rondo.load(tmp_path / "n").model_.encoder.tokenizer.number("unheard") is None


def test_double_precision_trains_and_is_kept(table: Path, tmp_path: Path, no_report: None) -> None:
    train(table, tmp_path / "m", precision="64", steps=3)
    assert weights(tmp_path / "m")["head.weight"].dtype == torch.float64
    assert rondo.load(tmp_path / "m").predict(["good"]).shape == (1,)
