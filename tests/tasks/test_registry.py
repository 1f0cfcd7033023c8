"""Training and loading by the task's name, from Python."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rondo
from rondo.errors import ModelError, UsageError
from rondo.tasks.registry import TASKS, get_task


def test_the_tasks() -> None:
    assert set(TASKS) == {"text", "poetry", "classify", "signals", "tag", "digits", "forecast"}
    for task in TASKS.values():
        assert callable(task.train)
        assert task.options()
        assert get_task(task.name) is task


def test_an_unknown_task_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown task 'texts'; did you mean 'text'\?"):
        rondo.train("texts", tmp_path / "a.txt", out=tmp_path / "m")


def test_files_are_needed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'text' needs at least one file"):
        rondo.train("text", out=tmp_path / "m")
    with pytest.raises(UsageError, match="'signals' needs at least one file"):
        rondo.train("signals", out=tmp_path / "m")
    with pytest.raises(UsageError, match=r"unknown option 'hiden'; did you mean 'hidden'\?"):
        rondo.train("text", tmp_path / "a.txt", out=tmp_path / "m", hiden=3)
    assert not (tmp_path / "m").exists()


def test_what_is_no_model_is_not_loaded(tmp_path: Path, models: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match="there is no model at"):
        rondo.load(tmp_path / "nothing")
    strange = tmp_path / "strange"
    shutil.copytree(models["characters"], strange)
    config = json.loads((strange / "config.json").read_text())
    (strange / "config.json").write_text(json.dumps({**config, "task": "teext"}))
    with pytest.raises(ModelError, match=r"a model for task 'teext'; did you mean 'text'\?"):
        rondo.load(strange)
    (strange / "config.json").write_text(json.dumps({**config, "task": ["text"]}))
    with pytest.raises(ModelError, match="a model for task"):
        rondo.load(strange)


@pytest.mark.parametrize("value", [None, -1, 10_000, "a"])
def test_a_start_token_that_cannot_be_is_damage(tmp_path: Path, models: dict[str, Path], value: object) -> None:
    shutil.copytree(models["characters"], tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps({**config, "start_token": value}))
    with pytest.raises(ModelError, match="start_token is"):
        rondo.load(tmp_path / "m")


def test_the_baseline_of_another_model_is_noticed(tmp_path: Path, models: dict[str, Path]) -> None:
    shutil.copytree(models["characters"], tmp_path / "m")
    shutil.copy(models["words"] / "baseline.npz", tmp_path / "m" / "baseline.npz")
    with pytest.raises(ModelError, match="of another model"):
        rondo.load(tmp_path / "m")
    shutil.copy(models["words"] / "vocabulary.json", tmp_path / "m" / "vocabulary.json")
    with pytest.raises(ModelError, match=r"do not belong to its config\.json"):
        rondo.load(tmp_path / "m")


@pytest.mark.parametrize(
    ("level", "name"),
    [("characters", "vocabulary.json"), ("pieces", "tokenizer.json"), ("characters", "baseline.npz")],
)
def test_a_part_that_is_missing_is_named(level: str, name: str, tmp_path: Path, models: dict[str, Path]) -> None:
    shutil.copytree(models[level], tmp_path / "m")
    (tmp_path / "m" / name).unlink()
    with pytest.raises(ModelError, match=rf"m is not a complete model: {name} is missing$"):
        rondo.load(tmp_path / "m")


@pytest.mark.parametrize("content", ["[]", "3", '"characters"'])
def test_what_is_no_vocabulary_is_called_so(content: str, tmp_path: Path, models: dict[str, Path]) -> None:
    shutil.copytree(models["characters"], tmp_path / "m")
    (tmp_path / "m" / "vocabulary.json").write_text(content)
    with pytest.raises(ModelError, match=r"vocabulary\.json is not a vocabulary$"):
        rondo.load(tmp_path / "m")


WITHOUT_OPENCC = """
import sys
sys.modules["opencc"] = None
import rondo, rondo.cli.main, rondo.tasks.registry
print(rondo.load(sys.argv[1]).generate(length=5, seed=0)[0])
import rondo.tasks.poetry.model
try:
    rondo.train("poetry", sys.argv[2], out="poet")
except rondo.errors.RondoError as error:
    print("said:", error)
"""


def test_without_opencc_all_but_verse_works(tmp_path: Path, models: dict[str, Path]) -> None:
    (tmp_path / "poems.txt").write_text("白日依山盡，黃河入海流。欲窮千里目，更上一層樓。\n", encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_OPENCC, str(models["words"]), str(tmp_path / "poems.txt")],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.endswith("said: classical verse needs OpenCC: pip install 'rondo[poetry]'\n")
    assert not (tmp_path / "poet").exists()


def test_a_device_that_is_not_there_leaves_the_older_model_alone(tmp_path: Path) -> None:
    rondo.train("digits", out=tmp_path / "model", steps=1, hidden=4)
    before = (tmp_path / "model/model.safetensors").read_bytes()
    with pytest.raises(UsageError, match="cannot be 'tpu'"):
        rondo.train("digits", out=tmp_path / "model", steps=1, hidden=4, overwrite=True, device="tpu")
    assert (tmp_path / "model/model.safetensors").read_bytes() == before
