"""What is collected is what this process and this machine are."""

import json
import platform
import time

import pytest
import torch

import rondo
from rondo.inspect import Provenance, collect, provenance


def test_collect_looks_at_this_process(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(b"x" * 321)
    found = collect(seed=5, seconds=2.5, data=[file, tmp_path / "gone"], command="rondo demo")
    assert found.seed == 5
    assert found.command == "rondo demo"
    assert [(f.path, f.bytes) for f in found.data] == [(str(file), 321), (str(tmp_path / "gone"), 0)]
    assert found.versions["rondo"] == rondo.__version__
    assert found.versions["python"] == platform.python_version()
    assert found.versions["torch"] == torch.__version__
    assert found.processor
    assert found.cores >= 1
    assert found.threads == torch.get_num_threads()
    assert found.device == "cpu"
    begun = time.mktime(time.strptime(found.started[:19], "%Y-%m-%dT%H:%M:%S"))
    assert abs(time.time() - 2.5 - begun) < 60


def test_extra_packages_are_named_and_absent_ones_left_out():
    assert "pytest" in collect(extra_packages=["pytest", "no-such-package-anywhere"]).versions
    assert "no-such-package-anywhere" not in collect(extra_packages=["no-such-package-anywhere"]).versions
    assert "pytest" not in collect().versions


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["/usr/bin/rondo", "train", "text", "my file.txt"], "rondo train text 'my file.txt'"),
        (["C:/x/rondo.exe", "demo"], "rondo demo"),
        (["/x/src/rondo/__main__.py", "info", "m"], "python -m rondo info m"),
        (["/usr/lib/ipykernel_launcher.py", "-f", "x.json"], None),
        ([""], None),
        ([], None),
    ],
)
def test_command_line_can_be_typed_again(arguments, expected):
    assert provenance.command_line(arguments) == expected


def test_provenance_survives_json(tmp_path):
    (tmp_path / "a").write_bytes(b"1234")
    found = collect(seed=1, seconds=1.0, data=[tmp_path / "a"])
    assert Provenance.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert Provenance.from_dict({"seed": 3, "of_a_newer_version": 1}) == Provenance(seed=3)
