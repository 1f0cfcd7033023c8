"""Atomic writes and distrustful reading, with real full disks as far as a test can make them."""

from __future__ import annotations

import errno
import io
import os
import pickle
import subprocess
import sys
import textwrap

import pytest
import torch

from rondo import storage
from rondo.errors import ModelError, RondoError


def some_tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {
        "weight": torch.randn(3, 5, generator=generator),
        "double": torch.randn(7, generator=generator, dtype=torch.float64),
        "count": torch.tensor(11),
        "flag": torch.tensor([True, False]),
        "bytes": torch.arange(9, dtype=torch.uint8),
        "half": torch.randn(2, 3, generator=generator).to(torch.bfloat16),
        "empty": torch.zeros(0, 4),
    }


def test_tensors_survive_a_round_trip(tmp_path):
    tensors = some_tensors()
    storage.write_tensors(tmp_path / "a.safetensors", tensors, {"step": "12"})
    read = storage.read_tensors(tmp_path / "a.safetensors")
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)
    assert storage.read_metadata(tmp_path / "a.safetensors") == {"step": "12"}


def test_tied_transposed_and_sliced_tensors_are_written_by_value(tmp_path):
    weight = torch.randn(4, 6)
    storage.write_tensors(tmp_path / "a", {"a": weight, "tied": weight, "t": weight.T, "part": weight[1:3]})
    read = storage.read_tensors(tmp_path / "a")
    assert torch.equal(read["tied"], weight)
    assert torch.equal(read["t"], weight.T)
    assert torch.equal(read["part"], weight[1:3])


def test_what_is_read_can_be_written_to(tmp_path):
    storage.write_tensors(tmp_path / "a", some_tensors())
    read = storage.read_tensors(tmp_path / "a")
    read["weight"].add_(1)
    assert read["weight"].data_ptr() % 64 == 0
    assert not torch.equal(read["weight"], storage.read_tensors(tmp_path / "a")["weight"])


def test_json_and_text_round_trip(tmp_path):
    value = {"name": "明月", "numbers": [1, 2.5, None], "nested": {"a": True}}
    storage.write_json(tmp_path / "deep" / "a.json", value)
    assert storage.read_json(tmp_path / "deep" / "a.json") == value
    storage.write_text(tmp_path / "a.txt", "詩\n")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "詩\n"


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, failing):
    path = tmp_path / "a.json"
    storage.write_json(path, {"old": 1})

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    if failing == "write":

        class FullFile(io.FileIO):
            write = full

        monkeypatch.setattr("builtins.open", lambda name, mode: FullFile(name, mode))
    else:
        monkeypatch.setattr(os, failing, full)
    with pytest.raises(RondoError, match=r"a\.json: the disk is full"):
        storage.write_json(path, {"new": 2})
    monkeypatch.undo()
    assert storage.read_json(path) == {"old": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_several_files_change_together_or_not_at_all(tmp_path):
    """A limit on the size of files, set in a child, makes the second file fail as a full disk does."""
    (tmp_path / "a").write_bytes(b"old a")
    (tmp_path / "b").write_bytes(b"old b")
    code = f"""
        import resource
        from rondo import storage
        from rondo.errors import RondoError
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            storage.write_together({{{str(tmp_path / "a")!r}: b"new", {str(tmp_path / "b")!r}: b"x" * 5000}})
        except RondoError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert f"cannot write {tmp_path / 'b'}: the disk is full" in done.stdout
    assert (tmp_path / "a").read_bytes() == b"old a"
    assert (tmp_path / "b").read_bytes() == b"old b"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a", "b"]


def test_a_write_without_permission_says_so(tmp_path, monkeypatch):
    def refused(*_args):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("builtins.open", refused)
    with pytest.raises(RondoError, match="no permission"):
        storage.write_text(tmp_path / "a.txt", "text")


def test_leftovers_of_a_killed_process_are_removed_and_nothing_else(tmp_path):
    (tmp_path / f".a.json.123{storage.TEMPORARY_SUFFIX}").write_text("half")
    (tmp_path / ".mine").write_text("keep")
    storage.remove_temporaries(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == [".mine"]


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("header", [0x0180, 0x0280, 0x0580])
def test_a_header_whose_length_looks_like_a_pickle_is_read(tmp_path, header):
    path, tensors = tmp_path / "a.safetensors", {"weight": torch.arange(3.0)}
    spare = header - int.from_bytes(storage.tensor_bytes(tensors, {"note": ""})[:8], "little")
    storage.write_tensors(path, tensors, {"note": "x" * spare})
    assert path.read_bytes()[:3] == bytes([0x80, header >> 8, 0])
    assert torch.equal(storage.read_tensors(path)["weight"], tensors["weight"])
    assert len(storage.read_metadata(path)["note"]) == spare


@pytest.mark.parametrize("form", ["pickle", "torch zip", "torch legacy"])
def test_a_pickle_is_refused_and_not_opened(tmp_path, form):
    path, trap = tmp_path / "model.safetensors", tmp_path / "trap"
    if form == "pickle":
        path.write_bytes(pickle.dumps(Hostile(trap)))
    else:
        torch.save({"w": Hostile(trap)}, path, _use_new_zipfile_serialization=form == "torch zip")
    with pytest.raises(ModelError, match="pickle"):
        storage.read_tensors(path)
    with pytest.raises(ModelError, match="pickle"):
        storage.read_metadata(path)
    assert not trap.exists()


def damage_cut(data: bytes) -> bytes:
    return data[:-3]


def damage_header(data: bytes) -> bytes:
    return data[:8] + b"#" + data[9:]


def damage_length(data: bytes) -> bytes:
    return (2**60).to_bytes(8, "little") + data[8:]


@pytest.mark.parametrize(
    "damage",
    [
        damage_cut,
        damage_header,
        damage_length,
        lambda data: b"",
        lambda data: b"{}",
        lambda data: data + b"x",
    ],
)
def test_damaged_tensors_are_refused(tmp_path, damage):
    path = tmp_path / "a.safetensors"
    storage.write_tensors(path, some_tensors())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelError, match=r"a\.safetensors is damaged"):
        storage.read_tensors(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1', "line 1"),
        (b"\xff\xfe{}", "not UTF-8 at byte 0"),
        (b"", "line 1"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_damaged_json_is_refused(tmp_path, content, message):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        storage.read_json(path)


def test_what_is_not_a_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, message in [
        ("pipe", "not a regular file"),
        (".", "not a regular file"),
        ("no", "does not exist"),
    ]:
        with pytest.raises(ModelError, match=message):
            storage.read_tensors(tmp_path / name)
        with pytest.raises(ModelError, match=message):
            storage.read_json(tmp_path / name)


def test_json_lines_forgive_a_cut_last_line_only(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n{"a":')
    assert list(storage.read_json_lines(path)) == [{"a": 1}, {"a": 2}]
    path.write_text('{"a": 1}\n{"a"\n{"a": 3}\n')
    with pytest.raises(ModelError, match="line 2"):
        list(storage.read_json_lines(path))


def test_the_main_process_is_rank_0(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert storage.is_main_process()
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert not storage.is_main_process()
    monkeypatch.setenv("RANK", "0")
    assert storage.is_main_process()
