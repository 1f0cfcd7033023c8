"""Classifying signals and images from the command line: one signal in, one line out."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import rondo as package
from tests.cli.small import Run
from tests.cli.test_classify import Typed
from tests.tasks.signals.waves import waves, write_ts

SMALL = ("--steps", "3", "--hidden", "5", "--conv-channels", "4", "--threads", "1", "--device", "cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from rondo.cli.main import main

    folder = tmp_path_factory.mktemp("signals")
    write_ts(folder / "waves.ts", *waves(60))
    assert main(["train", "signals", str(folder / "waves.ts"), "--out", str(folder / "m"), "--quiet", *SMALL]) == 0
    return folder / "m"


@pytest.fixture
def others(tmp_path: Path) -> Path:
    return write_ts(tmp_path / "others.ts", *waves(7, seed=3))


def test_training_says_who_is_ahead_and_what_comes_next(rondo: Run, tmp_path: Path) -> None:
    write_ts(tmp_path / "w.ts", *waves(40))
    ended = rondo("train", "signals", tmp_path / "w.ts", "--out", tmp_path / "m", "--quiet", *SMALL)
    assert (ended.code, ended.err) == (0, "")
    for said in ("nearest neighbour, time warping", "majority class", f"rondo predict {tmp_path / 'm'}"):
        assert said in ended.out


def test_a_signal_in_a_line_out(rondo: Run, model: Path, others: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = rondo("predict", model, others)
    assert (ended.code, ended.out.count("\n"), ended.err) == (0, 7, "")
    found = [json.loads(line) for line in rondo("predict", model, others, "--json").out.splitlines()]
    assert [one["class"] for one in found] == ended.out.splitlines()
    assert sum(found[0]["probabilities"].values()) == pytest.approx(1)
    monkeypatch.setattr(sys, "stdin", Typed(others.read_bytes()))
    assert rondo("predict", model, "-").out == ended.out


def test_evaluation_has_the_keys_of_training(rondo: Run, model: Path, others: Path) -> None:
    found = rondo("evaluate", model, others, "--json").json
    assert {"task", "model", "seconds", "epochs", "parameters", "metric", "score", "score_interval", "baselines",
            "baseline", "baseline_score"} <= set(found)  # fmt: skip
    assert found["items"] == 7
    assert "majority class" in rondo("evaluate", model, others).out


def test_what_was_learned_from_is_told(rondo: Run, model: Path) -> None:
    ended = rondo("evaluate", model, model.parent / "waves.ts")
    assert "waves.ts was learned from: the figures flatter both" in " ".join(ended.err.split())


def test_images_are_answered_from_a_file(rondo: Run, digit_model: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 17, (5, 8, 8))
    np.savez(tmp_path / "a.npz", images=images)
    ended = rondo("predict", digit_model, tmp_path / "a.npz")
    assert ended.out.splitlines() == package.load(digit_model).predict(images).tolist()
    np.savez(tmp_path / "b.npz", images=images[:, :7])
    wrong = rondo("predict", digit_model, tmp_path / "b.npz")
    assert (wrong.code, wrong.out) == (1, "")
    assert "image 1: an image of 7 x 8 pixels; the model learned from 8 x 8" in wrong.err


def test_lines_without_a_class_are_not_taken_to_have_one(rondo: Run, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    rows = ["\t".join(f"{value:.5f}" for value in draw.normal(size=12)) for _ in range(20)]
    (tmp_path / "t.tsv").write_text("".join(f"{n % 2}\t{row}\n" for n, row in enumerate(rows)))
    (tmp_path / "q.tsv").write_text("".join(f"{row}\n" for row in rows))
    assert rondo("train", "signals", tmp_path / "t.tsv", "--out", tmp_path / "m", "--quiet", *SMALL).code == 0
    wrong = rondo("predict", tmp_path / "m", tmp_path / "q.tsv")
    assert (wrong.code, wrong.out) == (1, "")
    assert "q.tsv, line 1: its first value" in wrong.err
    right = rondo("predict", tmp_path / "m", tmp_path / "q.tsv", "--label-column", "none")
    assert right.out == rondo("predict", tmp_path / "m", tmp_path / "t.tsv").out
    assert rondo("predict", tmp_path / "m", tmp_path / "q.tsv", "--label-column", "1").code == 0
