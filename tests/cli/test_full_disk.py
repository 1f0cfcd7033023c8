"""A disk without room: one message, what was there is as it was, training goes on where there is room again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.small import SMALL, contents

LIMITED = """
import resource, sys
from rondo.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.exit(main(sys.argv[2:]))
"""
"""The system refuses to let any file grow beyond a few bytes."""


def on_a_full_disk(room: int, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LIMITED, str(room), *words], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("room", [10, 3000, 30000])
def test_a_full_disk_while_training(room: int, text: Path, tmp_path: Path) -> None:
    words = ["train", "text", str(text), "--out", "m", "--steps", "2", "--bptt-length", "20", *SMALL, "--quiet"]
    ended = on_a_full_disk(room, *words, folder=tmp_path)
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr.startswith("rondo: cannot write m/")
    assert "disk is full" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not [name for name in contents(tmp_path) if name.endswith("tmp")]
    again = on_a_full_disk(100_000_000, *words, "--resume", folder=tmp_path)
    assert again.returncode == 0, again.stderr


def test_a_full_disk_while_a_model_is_trained_further(text: Path, text_model: Path, tmp_path: Path) -> None:
    shutil.copytree(text_model, tmp_path / "m")
    before = contents(tmp_path)
    words = ["train", "text", str(text), "--out", "m", "--steps", "9", "--bptt-length", "20", *SMALL, "--quiet"]
    ended = on_a_full_disk(10, *words, "--resume", folder=tmp_path)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1), ended.stderr
    assert "disk is full" in ended.stderr
    after = contents(tmp_path)
    kept = [name for name in before if not name.endswith("log.jsonl")]
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def test_a_full_disk_while_drawing(tmp_path: Path) -> None:
    (tmp_path / "gru.svg").write_text("an older drawing")
    before = contents(tmp_path)
    ended = on_a_full_disk(100, "explain", "gru", "--svg", "gru.svg", folder=tmp_path)
    assert ended.returncode == 1
    assert "cannot write gru.svg: the disk is full" in ended.stderr
    assert contents(tmp_path) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written() -> None:
    command = f"{sys.executable} -m rondo explain gru > /dev/full"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, "rondo: the disk is full; make room and try again\n")
