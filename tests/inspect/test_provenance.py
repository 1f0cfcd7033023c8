"""What is collected is what this process and this machine are."""

import json
import platform
import time

import pytest
import torch

import rondo
from rondo.inspect import Provenance, Report, collect, provenance
from rondo.inspect.report import data_rows
from rondo.inspect.wording import size


def test_collect_looks_at_this_process(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(b"x" * 321)
    found = collect(seed=5, seconds=2.5, data=[file, tmp_path / "gone"], command="rondo demo")
    assert found.seed == 5
    assert found.command == "rondo demo"
    assert [(f.path, f.bytes) for f in found.data] == [("a.txt", 321), ("gone", 0)]
    assert found.data_folder == tmp_path.name
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


@pytest.mark.parametrize("count", [8, 9])
def test_many_files_are_counted_and_none_says_where_it_lies(count, tmp_path, monkeypatch):
    (tmp_path / "lib" / "deep").mkdir(parents=True)
    paths = [tmp_path / "lib" / ("deep" if n % 2 else "") / f"m{n}.py" for n in range(count)]
    for path in paths:
        path.write_bytes(bytes(1000))
    found = Provenance.from_dict(json.loads(json.dumps(collect(data=paths).to_dict())))
    rows = data_rows(found)
    if count == 8:
        assert [name for name, _ in rows] == [f"m{n}.py" for n in range(8)]
    else:
        assert rows == [["9 files in lib", size(9000)]]
        assert data_rows(found, "zh")[0][0] == "lib 中的 9 个文件"
    page = Report("a").provenance(found).html()
    assert str(tmp_path) not in json.dumps(found.to_dict()["data"]) + json.dumps(rows)
    assert rows[0][0] in page
    monkeypatch.chdir(tmp_path)
    assert collect(data=["lib/m0.py"]).data[0].path == "lib/m0.py"
