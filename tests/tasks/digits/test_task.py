"""Images from files, or scikit-learn's digits: the model folder, its page, and what is done with it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

import rondo
from rondo.errors import DataError, UsageError
from rondo.evaluation.classification import Predictions
from rondo.tasks.digits.report import tiles
from tests.tasks.helpers import Crash, CrashAt, changed, same, shown, weights

SMALL = {"hidden": 12, "steps": 5, "warmup_steps": 0}


def train(out: Path, *files: Path, **options: Any) -> dict[str, Any]:
    return rondo.train("digits", list(files), out=out, **changed({**SMALL, "baselines": False}, **options))


def idx(array: np.ndarray[Any, Any]) -> bytes:
    shape = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + shape + array.astype(np.uint8).tobytes(), mtime=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files as MNIST has them, of two hundred images to learn from and fifty to test on."""
    folder, bunch = tmp_path_factory.mktemp("images"), load_digits()
    for name, part in (("train", slice(0, 200)), ("t10k", slice(200, 250))):
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(idx(bunch.images[part]))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(idx(bunch.target[part]))
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("digits") / "m"
    return folder, train(folder, steps=60, hidden=24, baselines=True)


def test_the_result_says_what_was_learned_and_how_well(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, result = trained
    assert {"task", "model", "seconds", "epochs", "parameters", "seed", "steps", "valid_loss"} <= set(result)
    assert (result["task"], result["metric"], result["scored_on"], result["items"]) == (
        "digits", "accuracy", "test", 359,
    )  # fmt: skip
    assert result["score_interval"][0] < result["score"] < result["score_interval"][1]
    assert set(result["baselines"]) == {"majority class", "logistic regression", "nearest neighbour"}
    assert result["baselines"]["logistic regression"] > 0.93
    assert result["baselines"]["nearest neighbour"] > 0.97
    assert result["score"] > result["baselines"]["majority class"] + 0.3
    assert json.loads(json.dumps(result)) == result == rondo.load(folder).model_.config["result"]


def test_without_files_a_model_of_the_built_in_digits_is_scored_again(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, result = trained
    evaluated = rondo.load(folder).evaluate()
    assert evaluated["score"] == result["score"]
    assert evaluated["baselines"] == pytest.approx(result["baselines"])


def test_page_and_card_hold_the_baselines(trained: tuple[Path, dict[str, Any]]) -> None:
    page, card = shown(trained[0] / "report.html"), (trained[0] / "README.md").read_text()
    for said in (
        "A classifier of images, read by rows", "Images and what was read in them", "The worst mistakes",
        "Orange: what spoke for", "pixel by pixel", "Learning curves", "8 x 8 pixels are read row by row",
        "359 of 1797 items, drawn by class, with seed 0",
    ):  # fmt: skip
        assert said in page, said
    assert "Others than those above" in page
    for said in ("majority class", "logistic regression", "nearest neighbour", "gru", f"rondo evaluate {trained[0]}"):
        assert said in page
        assert said in card


def test_files_as_mnist_has_them(folder: Path, tmp_path: Path, no_report: None) -> None:
    images, test = (folder / f"{name}-images-idx3-ubyte.gz" for name in ("train", "t10k"))
    result = train(tmp_path / "m", images, test=str(test), steps=40, hidden=24, learning_rate=1e-2)
    assert (result["items"], result["score"] > 0.5) == (50, True)
    classifier = rondo.load(tmp_path / "m")
    evaluated = classifier.evaluate([test])
    assert evaluated["score"] == result["score"]
    answers = list(classifier.answers(test))
    right = [answer.line == str(digit) for answer, digit in zip(answers, load_digits().target[200:250], strict=True)]
    assert np.mean(right) == result["score"]
    assert answers[0].values["probability"] == max(answers[0].values["probabilities"].values())
    with pytest.raises(UsageError, match="name a file of images to score this model on"):
        classifier.evaluate()


def test_files_of_arrays(folder: Path, tmp_path: Path, no_report: None) -> None:
    bunch = load_digits()
    who = np.arange(100) // 10
    np.savez(tmp_path / "a.npz", images=bunch.images[:100], y=bunch.target[:100] % 2, who=who)
    result = train(tmp_path / "m", tmp_path / "a.npz", group_column="who")
    assert result["items"] % 10 == 0
    assert rondo.load(tmp_path / "m").classes_.tolist() == ["0", "1"]


def test_labels_that_do_not_match_are_named(folder: Path, tmp_path: Path) -> None:
    images = folder / "train-images-idx3-ubyte.gz"
    wrong = folder / "t10k-labels-idx1-ubyte.gz"
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz has 50 labels, .*ubyte\.gz 200 images"):
        train(tmp_path / "m", images, labels=str(wrong))
    (tmp_path / "wide.gz").write_bytes(idx(np.zeros((4, 8, 9))))
    (tmp_path / "four.gz").write_bytes(idx(np.arange(4)))
    np.savez(tmp_path / "wide.npz", x=np.zeros((4, 8, 9)), y=np.arange(4))
    with pytest.raises(DataError, match=r"wide\.npz, image 1: an image of 8 x 9 pixels; the model learned from 8 x 8"):
        train(tmp_path / "m", images, test=str(tmp_path / "wide.npz"))
    with pytest.raises(DataError, match="has images of 8 x 9 pixels"):
        train(tmp_path / "m", images, tmp_path / "wide.npz")
    assert not (tmp_path / "m").exists()


def test_what_is_kept_is_what_is_scored(tmp_path: Path, no_report: None) -> None:
    # A rate with which it wanders: of thirty looks the last one is hardly the best.
    options = {"steps": 30, "eval_every": 1, "learning_rate": 10.0, "schedule": "constant"}
    kept = {keep: train(tmp_path / keep, keep=keep, **options)["valid_loss"] for keep in ("best", "last")}
    assert kept["best"] < kept["last"]


def test_double_precision_trains_and_is_kept(tmp_path: Path, no_report: None) -> None:
    result = train(tmp_path / "m", precision="64")
    assert weights(tmp_path / "m")["head.weight"].dtype == torch.float64
    assert rondo.load(tmp_path / "m").evaluate()["score"] == result["score"]


def test_a_training_that_broke_off_ends_with_the_same_weights(tmp_path: Path, no_report: None) -> None:
    options = {"steps": 30, "eval_every": 5, "checkpoint_steps": 11, "shift": 1.0, "rotate": 5.0, "zoom": 0.1}
    train(tmp_path / "whole", **options)
    with pytest.raises(Crash):
        rondo.train("digits", out=tmp_path / "m", progress=CrashAt(25), baselines=False, **{**SMALL, **options})
    train(tmp_path / "m", resume=True, **options)
    assert same(weights(tmp_path / "m"), weights(tmp_path / "whole"))


def test_images_that_are_left_out_give_room_to_others() -> None:
    items = np.arange(6)[:, None, None] * np.ones((1, 2, 2))
    predictions = Predictions(np.array([0, 0, 1, 1, 0, 1]), np.array([0, 1, 1, 1, 0, 0]), ("a", "b"))
    run: Any = SimpleNamespace(judgement=SimpleNamespace(predictions=predictions, data=SimpleNamespace(items=items)))
    assert [tile.pixels[0, 0] for tile in tiles(run, 3)] == [1, 5, 0]
    assert [tile.pixels[0, 0] for tile in tiles(run, 3, leave={1, 0})] == [5, 2, 3]


def test_pictures_in_folders_of_classes(tmp_path: Path, no_report: None) -> None:
    bunch = load_digits()
    for number, (pixels, digit) in enumerate(zip(bunch.images[:120], bunch.target[:120] % 2, strict=True)):
        (tmp_path / "p" / str(digit)).mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15).astype(np.uint8)).save(tmp_path / "p" / str(digit) / f"{number}.png")
    result = train(tmp_path / "m", tmp_path / "p", resize=(6, 7), steps=30)
    assert (result["metric"], result["items"]) == ("accuracy", 24)
    classifier = rondo.load(tmp_path / "m")
    assert classifier.model_.encoder.to_json() | {"height": 6, "width": 7} == classifier.model_.encoder.to_json()
    answers = list(classifier.answers(tmp_path / "p" / "1"))
    said = [answer.line for answer in answers]
    assert [Path(answer.values["file"]) for answer in answers] == sorted((tmp_path / "p" / "1").iterdir())
    assert classifier.predict(tmp_path / "p" / "1").tolist() == said
    assert classifier.evaluate([tmp_path / "p"])["items"] == 120
    found = rondo.DigitClassifier(hidden=8, steps=5).fit(tmp_path / "p")
    assert (found.classes_.tolist(), found.model_.encoder.to_json()["height"]) == (["0", "1"], 8)
    with pytest.raises(UsageError, match="--label-column is about tables"):
        train(tmp_path / "n", tmp_path / "p", label_column="digit")
