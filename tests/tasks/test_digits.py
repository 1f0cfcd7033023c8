"""Digits read row by row: the split, the model, its folder and its page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import rondo
from rondo.errors import UsageError
from rondo.tasks.digits.data import ShuffledDigits, read_digits
from rondo.tasks.digits.model import build_network
from rondo.tasks.digits.options import DigitData, DigitNetwork
from tests.tasks.helpers import Crash, CrashAt, changed, same, shown, weights

SMALL = {"hidden": 12, "steps": 5, "warmup_steps": 0}


def train(out: Path, **options: Any) -> dict[str, Any]:
    return rondo.train("digits", out=out, **changed(SMALL, **options))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("digits") / "m"
    return folder, train(folder, steps=60, hidden=24)


def test_no_image_is_in_two_parts_and_classes_are_alike() -> None:
    split = read_digits(DigitData(), seed=0)
    assert [len(part) for part in (split.train, split.valid, split.test)] == [1293, 144, 360]

    rows = torch.cat([part.rows for part in (split.train, split.valid, split.test)])
    assert len({image.numpy().tobytes() for image in rows}) == 1797  # no image is there twice at all
    assert (rows.min(), rows.max()) == (0, 1)
    for part in (split.train, split.valid, split.test):
        counts = torch.bincount(part.digit, minlength=10).double() / len(part)
        assert (counts - 0.1).abs().max() < 0.02


def test_the_seed_and_the_fractions_decide_the_split() -> None:
    def test_part(seed: int, **options: float) -> bytes:
        return read_digits(DigitData(**options), seed=seed).test.rows.numpy().tobytes()

    assert test_part(1) == test_part(1) != test_part(2)
    assert len(read_digits(DigitData(test_fraction=0.5), seed=0).test) == 899
    assert len(read_digits(DigitData(valid_fraction=0.5), seed=0).valid) == 719
    for name in ("test_fraction", "valid_fraction"):
        with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} is between 0 and 1, not 1.0"):
            read_digits(DigitData(**{name: 1.0}), seed=0)


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own() -> None:
    digits = read_digits(DigitData(), seed=0).train
    source = ShuffledDigits(digits, batch_size=100, seed=3)
    assert source.batches_per_epoch == 13

    def epoch(number: int) -> torch.Tensor:
        return torch.cat([source.batch(number, index).rows for index in range(13)])

    seen = sorted(image.numpy().tobytes() for image in epoch(0))
    assert seen == sorted(image.numpy().tobytes() for image in digits.rows)
    assert not torch.equal(epoch(0), epoch(1))
    assert torch.equal(epoch(1), epoch(1))
    assert not torch.equal(epoch(0), torch.cat([ShuffledDigits(digits, batch_size=100, seed=4).batch(0, 0).rows]))
    with pytest.raises(UsageError, match="--batch-size is at least 1"):
        ShuffledDigits(digits, batch_size=0, seed=0)


def test_a_handful_is_learned_by_heart() -> None:
    torch.manual_seed(0)
    network, _ = build_network(DigitNetwork(hidden=24, output_dropout=0.0))
    few = read_digits(DigitData(), seed=0).train
    rows, digit = few.rows[:20], few.digit[:20]
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(80):
        optimiser.zero_grad()
        F.cross_entropy(network(rows), digit).backward()
        optimiser.step()
    assert F.cross_entropy(network(rows), digit).item() < 0.02


def test_the_folder_is_the_model_and_the_result_its_score(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, result = trained
    model = rondo.load(folder)
    split = read_digits(DigitData(), seed=0)
    read = model.predict(split.test.rows)

    assert result["score"] == float((read == split.test.digit).double().mean())
    assert result["score"] > result["baselines"]["majority class"] + 0.3
    assert result["score_interval"][0] < result["score"] < result["score_interval"][1]
    assert result["baseline"] == "logistic regression"
    assert result["baseline_score"] == result["baselines"]["logistic regression"] > 0.9
    probabilities = model.predict_proba(split.valid.rows)
    loss = F.nll_loss(probabilities.double().log(), split.valid.digit).item()
    assert result["valid_loss"] == pytest.approx(loss, rel=1e-5)
    right = (probabilities.argmax(1) == split.valid.digit).double().mean().item()
    assert result["valid_accuracy"] == right
    assert {"task", "model", "seconds", "epochs", "parameters", "seed", "steps"} <= set(result)
    assert json.loads(json.dumps(result)) == result == model.config["result"]
    evaluated = model.evaluate()
    assert evaluated == {
        "task": "digits", "accuracy": result["score"], "images": 360, "baselines": result["baselines"],
    }  # fmt: skip


def test_images_are_read_from_arrays_and_other_shapes_refused(trained: tuple[Path, dict[str, Any]]) -> None:
    model = rondo.load(trained[0])
    images = read_digits(DigitData(), seed=0).test.rows[:5]
    proba = model.predict_proba(images.double().numpy())
    torch.testing.assert_close(proba, model.predict_proba(images))
    torch.testing.assert_close(proba.sum(1), torch.ones(5))
    assert model.predict(images.tolist()).tolist() == proba.argmax(1).tolist()
    for shape in ((8, 8), (5, 64), (5, 8, 7)):
        with pytest.raises(UsageError, match=r"expected \(N, 8, 8\)"):
            model.predict(np.zeros(shape))
    with pytest.raises(UsageError, match="takes no files"):
        model.evaluate(["a.txt"])


def test_page_and_card_hold_the_baselines(trained: tuple[Path, dict[str, Any]]) -> None:
    page, card = shown(trained[0] / "report.html"), (trained[0] / "README.md").read_text()
    for said in ("Handwritten digits", "accuracy beside the baselines", "what was read in them", "learning curves"):
        assert said in page
    for said in ("majority class", "logistic regression", "gru"):
        assert said in page
        assert said in card
    assert f"rondo evaluate {trained[0]}" in card


@pytest.mark.parametrize(
    "options",
    [
        {"seed": 1}, {"cell": "lstm"}, {"layers": 2}, {"hidden": 13}, {"bidirectional": False}, {"output_dropout": 0.0},
        {"batch_size": 30}, {"learning_rate": 1e-3}, {"weight_decay": 0.5}, {"test_fraction": 0.3},
        {"valid_fraction": 0.3}, {"input_dropout": 0.3}, {"recurrent_dropout": 0.3}, {"readout": "max"},
        {"conv_channels": 6},
    ],
    ids=str,
)  # fmt: skip
def test_an_option_changes_what_is_learned(
    tmp_path: Path, no_report: None, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    monkeypatch.setattr("rondo.tasks.digits.task.logistic_regression", lambda *_: 0.5)
    train(tmp_path / "a")
    train(tmp_path / "b")
    train(tmp_path / "c", **options)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_what_is_kept_is_what_is_scored(tmp_path: Path, no_report: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rondo.tasks.digits.task.logistic_regression", lambda *_: 0.5)
    options = {"steps": 12, "eval_every": 3, "learning_rate": 1.0, "schedule": "constant"}  # it does not get better
    kept = {keep: train(tmp_path / keep, keep=keep, **options)["valid_loss"] for keep in ("best", "last")}
    assert kept["best"] < kept["last"]


def test_double_precision_trains_and_is_kept(tmp_path: Path, no_report: None) -> None:
    result = train(tmp_path / "m", precision="64")
    assert weights(tmp_path / "m")["head.weight"].dtype == torch.float64
    assert rondo.load(tmp_path / "m").evaluate()["accuracy"] == result["score"]


def test_a_training_that_broke_off_ends_with_the_same_weights(tmp_path: Path, no_report: None) -> None:
    options = {"steps": 30, "eval_every": 5, "checkpoint_steps": 11}
    train(tmp_path / "whole", **options)
    with pytest.raises(Crash):
        rondo.train("digits", out=tmp_path / "m", progress=CrashAt(25), **changed(SMALL, **options))

    train(tmp_path / "m", resume=True, **options)

    assert same(weights(tmp_path / "m"), weights(tmp_path / "whole"))


def test_without_a_budget_it_trains_for_epochs(
    tmp_path: Path, no_report: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rondo.tasks.digits.task.DEFAULT_EPOCHS", 2)
    result = train(tmp_path / "m", steps=None, batch_size=500)
    assert (result["epochs"], result["stopped"]) == (2, "epochs")
