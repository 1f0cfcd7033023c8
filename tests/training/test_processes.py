"""Two processes on one machine do what one does with the same global batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rondo import storage
from rondo.errors import UsageError
from tests.training.together import work
from tests.training.toy import run, same

ROOT = Path(__file__).resolve().parents[2]
PENALTIES = {"l1": 1e-3, "activation_reg": 0.1, "temporal_activation_reg": 0.1, "weight_decay": 0.01}
COMMON = {"steps": 50, "learning_rate": 0.01, "device": "cpu", "keep": "last", "eval_every": 10}
JOBS = {
    "float32": {"options": {"precision": "32"}},
    "float64": {"options": {"precision": "64"}},
    "float64 ragged": {"options": {"precision": "64"}, "ragged": True},
    "float32 sgd": {"options": {"optimiser": "sgd", "momentum": 0.9, "learning_rate": 0.3, "clip_norm": 0.2}},
    "float64 all": {
        "options": {"precision": "64", "averaging": "ema", "clip_value": 0.02, "keep": "best", **PENALTIES},
        "ragged": True,
    },
}
DROPOUT = {"options": {"checkpoint_steps": 7}, "dropout": 0.3}


def start(command: list[str], jobs: list[dict], folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "jobs.json").write_text(json.dumps(jobs))
    clean = {name: value for name, value in os.environ.items() if name not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
    return subprocess.run(
        [sys.executable, "-m", *command, str(folder / "jobs.json")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
        env={**clean, "OMP_NUM_THREADS": "1"},
    )


def job(folder: Path, description: dict, *, devices: int) -> dict:
    options = {**COMMON, **description["options"], "devices": devices}
    return {"dropout": 0.0, **description, "folder": str(folder), "options": options}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """All jobs, done by two processes that Fabric starts, one job after the other."""
    folder = tmp_path_factory.mktemp("two")
    jobs = [job(folder / name, description, devices=2) for name, description in JOBS.items()]
    jobs += [job(folder / "dropout", DROPOUT, devices=2), job(folder / "crashed", {**DROPOUT, "crash": 32}, devices=2)]
    done = start(["tests.training.together"], jobs, folder)
    assert done.returncode == 0, done.stderr
    return folder


def result(folder: Path, name: str = "weights") -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    path = folder / f"{name}.safetensors"
    return storage.read_tensors(path), storage.read_metadata(path)


@pytest.mark.parametrize("name", JOBS)
def test_two_processes_equal_one_after_50_steps(two, tmp_path, name):
    work(job(tmp_path, JOBS[name], devices=1))
    one, _ = result(tmp_path)
    both, metadata = result(two / name)
    tolerance = 1e-12 if "64" in name else 1e-5
    for key, tensor in one.items():
        difference = (tensor - both[key]).abs().max() / tensor.abs().max()
        assert difference <= tolerance, key
    assert json.loads(metadata["best"])["step"] > 0
    assert same(both, result(two / name, "weights-of-other")[0])


def test_only_the_main_process_has_a_history(two):
    assert int(result(two / "float32")[1]["events"]) > 5
    assert int(result(two / "float32", "weights-of-other")[1]["events"]) == 0


def test_processes_draw_different_dropout(two, tmp_path):
    """With dropout the processes must not use the same masks; that they do not shows against one process."""
    work(job(tmp_path, DROPOUT, devices=1))
    assert not same(result(tmp_path)[0], result(two / "dropout")[0])
    state = storage.read_tensors(two / "dropout" / "checkpoint.safetensors")
    assert not torch.equal(state["process/0/random/torch"], state["process/1/random/torch"])
    assert state["process/0/carried/h"].shape == state["process/1/carried/h"].shape == (1, 2, 12)


def test_two_processes_resume_bit_for_bit(two):
    assert same(result(two / "dropout")[0], result(two / "crashed")[0])


def test_one_process_does_not_resume_what_two_began(two):
    with pytest.raises(UsageError, match="training with 2 processes, and now there are 1"):
        run(two / "dropout", resume=True, steps=60)


def test_torchrun_starts_the_same_training(two, tmp_path):
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "tests.training.together"]
    done = start(launcher, [job(tmp_path / "float32", JOBS["float32"], devices=1)], tmp_path)
    assert done.returncode == 0, done.stderr
    assert same(result(two / "float32")[0], result(tmp_path / "float32")[0])


def test_an_error_in_the_main_process_ends_all_with_one_message(tmp_path):
    description = {"options": {"metric": "valid_los"}}
    done = start(["tests.training.together"], [job(tmp_path / "a", description, devices=2)], tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("UsageError: --metric: there is no metric 'valid_los'; did you mean 'valid_loss'?") == 1
    assert done.stderr.count("Traceback") == 1
    assert "terminate called" not in done.stderr
