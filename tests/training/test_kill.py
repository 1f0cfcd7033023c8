"""SIGKILL at random moments, at least twenty: resumed until it ends, the model is the same to the last bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rondo.models.folder import read_model
from rondo.storage import TEMPORARY_SUFFIX, read_json_lines

KILLS = 24
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_moment_and_resumed_it_ends_the_same(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.killing", str(tmp_path), "7", str(KILLS)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["kills"] >= KILLS
    assert len(set(report["resumed_from"])) > 3, "the kills should fall on different moments"
    reference = tmp_path / "reference"
    _, tensors = read_model(reference)
    assert tensors
    for name in report["rounds"]:
        victim = tmp_path / name
        assert (victim / "model.safetensors").read_bytes() == (reference / "model.safetensors").read_bytes()
        assert read_model(victim)[0] == read_model(reference)[0]
        assert not list(victim.glob(f".*{TEMPORARY_SUFFIX}"))
        assert logged(victim) == logged(reference)


def logged(folder: Path) -> list[dict[str, object]]:
    """The training as it was logged, without times and without the traces of the kills."""
    events = read_json_lines(folder / "log.jsonl")
    kept = [event for event in events if event["event"] in ("train", "evaluation")]
    return [{key: value for key, value in event.items() if key != "seconds"} for event in kept]
