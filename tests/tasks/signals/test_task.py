"""Classifying signals from files: one command's way to a model folder, its page, and what is done with it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rondo
from rondo.errors import DataError, UsageError
from tests.tasks.helpers import Crash, CrashAt, changed, same, shown, weights
from tests.tasks.signals.waves import QUICK, SMALL, waves, write_ts


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ts(tmp_path_factory.mktemp("waves") / "waves.ts", *waves())


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ts(tmp_path_factory.mktemp("waves") / "others.ts", *waves(40, seed=1))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, file: Path) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("signals") / "m"
    return folder, rondo.train("signals", file, out=folder, calibrate=True, **changed(SMALL, steps=40, noise=0.05))


def train(file: Path, out: Path, **options: Any) -> dict[str, Any]:
    return rondo.train("signals", file, out=out, **changed({**QUICK, "baselines": False}, **options))


def test_the_result_says_what_was_learned_and_how_well(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, result = trained
    assert (result["task"], result["model"]) == ("signals", str(folder))
    assert {"seconds", "epochs", "parameters", "steps", "stopped", "seed"} <= set(result)
    assert (result["metric"], result["scored_on"], result["items"]) == ("accuracy", "test", 9)
    assert result["score_interval"][0] <= result["score"] <= result["score_interval"][1]
    assert set(result["baselines"]) == {
        "majority class", "nearest neighbour, Euclidean", "nearest neighbour, time warping",
    }  # fmt: skip
    assert result["baseline_score"] == max(result["baselines"].values()) == result["baselines"][result["baseline"]]
    assert result["score"] > result["baselines"]["majority class"]
    assert json.loads(json.dumps(result)) == result == rondo.load(folder).model_.config["result"]


def test_the_folder_is_an_estimator(trained: tuple[Path, dict[str, Any]], others: Path) -> None:
    classifier = rondo.load(trained[0])
    assert isinstance(classifier, rondo.SignalClassifier)
    assert (classifier.hidden, classifier.calibrate, classifier.noise) == (8, True, 0.05)
    evaluated = classifier.evaluate(others)
    signals, labels = waves(40, seed=1)
    rounded = [np.round(signal, 4) for signal in signals]
    assert evaluated["score"] == classifier.score(rounded, labels) > 0.8
    assert set(evaluated["baselines"]) == set(trained[1]["baselines"])
    assert {"task", "seconds", "epochs", "parameters", "metric", "score", "score_interval", "baseline",
            "baseline_score"} <= set(evaluated)  # fmt: skip


def test_the_page_says_all_that_it_should(file: Path, tmp_path: Path) -> None:
    train(file, tmp_path / "m", steps=2, test_fraction=0.5, noise=0.1, stretch=0.1)
    page = shown(tmp_path / "m" / "report.html")
    for said in (
        "A classifier of signals", "Accuracy beside the baselines", "Class by class", "The worst mistakes",
        "Bars are steps. Orange: what spoke for", "waves.ts, line", "Learning curves", "12 to 24 steps of 2 channels",
        "Each channel is scaled", "noise of 0.1 deviations", "up to 10% faster or slower", "rondo predict",
    ):  # fmt: skip
        assert said in page, said
    card = (tmp_path / "m" / "README.md").read_text()
    for said in ("Says which class a signal has: early, flat, late.", "rondo.load", "(steps, 2)", "rondo predict"):
        assert said in card, said


def test_an_estimator_fitted_on_the_same_signals_is_the_same_model(file: Path, tmp_path: Path, no_report: None) -> None:
    from rondo.tasks.options import from_flat
    from rondo.tasks.signals.options import SignalOptions
    from rondo.tasks.signals.task import read_parts

    train(file, tmp_path / "m")
    parts = read_parts([file], from_flat(SignalOptions, {"valid_fraction": QUICK["valid_fraction"]}))
    fitted = rondo.SignalClassifier(**QUICK).fit(
        list(parts.train.items), parts.train.labels, X_val=list(parts.valid.items), y_val=parts.valid.labels
    )
    fitted.save(tmp_path / "n")
    assert same(weights(tmp_path / "m"), weights(tmp_path / "n"))


def test_scaling_is_that_of_the_training_part_alone(file: Path, tmp_path: Path, no_report: None) -> None:
    signals, labels = waves(20, seed=2)
    far = write_ts(tmp_path / "far.ts", [signal + 1000 for signal in signals], labels)
    train(file, tmp_path / "m", valid=str(far), test=str(far))
    assert (np.abs(rondo.load(tmp_path / "m").model_.encoder.centre - 3) < 1).all()


def test_what_belongs_together_is_not_parted(tmp_path: Path, no_report: None) -> None:
    signals, labels = waves(60, equal=True)
    who = np.repeat(np.arange(6), 10)
    np.savez(tmp_path / "a.npz", x=np.stack(signals), y=np.array(labels), who=who)
    result = train(tmp_path / "a.npz", tmp_path / "m", group_column="who")
    assert result["items"] == 10
    signals.append(signals[0][:5])
    length = np.array([len(signal) for signal in signals])
    np.savez(tmp_path / "b.npz", data=np.concatenate(signals), n=length, y=np.array([*labels, "flat"]))
    assert train(tmp_path / "b.npz", tmp_path / "n", lengths="n")["items"] == 6


def test_a_training_that_broke_off_ends_with_the_same_weights(file: Path, tmp_path: Path, no_report: None) -> None:
    options = {"steps": 20, "eval_every": 5, "checkpoint_steps": 1, "noise": 0.2, "stretch": 0.2}
    train(file, tmp_path / "whole", **options)
    with pytest.raises(Crash):
        train(file, tmp_path / "m", progress=CrashAt(15), **options)
    train(file, tmp_path / "m", resume=True, **options)
    assert same(weights(tmp_path / "m"), weights(tmp_path / "whole"))


def test_answers_come_signal_by_signal(trained: tuple[Path, dict[str, Any]], others: Path) -> None:
    classifier = rondo.load(trained[0])
    answers = list(classifier.answers(others))
    typed = list(classifier.answers(io.StringIO(others.read_text()), at_once=1))
    assert [answer.line for answer in answers] == [answer.line for answer in typed]
    assert len(answers) == 40
    assert set(answers[0].values["probabilities"]) == {"early", "flat", "late"}


def test_other_channels_are_named_with_their_place(
    trained: tuple[Path, dict[str, Any]], file: Path, tmp_path: Path
) -> None:
    signals, labels = waves(9)
    three = write_ts(tmp_path / "three.ts", [np.tile(signal[:, :1], 3) for signal in signals], labels)
    classifier = rondo.load(trained[0])
    said = r"three\.ts, line 5: 3 channels; the model learned from 2 channels"
    with pytest.raises(DataError, match=said):
        classifier.evaluate(three)
    with pytest.raises(DataError, match=said):
        list(classifier.answers(three))
    with pytest.raises(DataError, match=said):
        train(file, tmp_path / "m", test=str(three))
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,1,2\na,3,4\n" * 5, "all items are of one class, 'a'"),
        ("a,1,2\nb,3,x\n", r"bad\.csv, line 2, column 3: 'x' is no number"),
        ("", "is empty"),
    ],
    ids=["one class", "no number", "empty"],
)
def test_files_that_cannot_be_learned_from(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        train(tmp_path / "bad.csv", tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_a_test_share_of_all_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--test-fraction is at least 0 and below 1"):
        train(file, tmp_path / "m", test_fraction=1.0)
