"""The model folder: what is complete, what is refused, and which output folders may be written to."""

from __future__ import annotations

import errno
import json
import os
import pickle

import pytest
import torch

from rondo import storage
from rondo.errors import ModelError, RondoError, UsageError
from rondo.models import folder as model_folder
from rondo.models.folder import check_output_folder, prepare_output_folder, read_model, save_model


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model"
    generator = torch.Generator().manual_seed(5)
    save_model(path, {"task": "text", "hidden": 4}, {"weight_ih_l0": torch.randn(4, 3, generator=generator)})
    return path


def edit_config(path, **changes):
    config = json.loads((path / "config.json").read_text())
    config.update(changes)
    (path / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


def test_a_model_survives_a_round_trip(saved):
    config, tensors = read_model(saved)
    assert config["format"] == 1
    assert config["task"] == "text"
    expected = torch.randn(4, 3, generator=torch.Generator().manual_seed(5))
    assert torch.equal(tensors["weight_ih_l0"], expected)


def test_a_config_edited_by_hand_still_loads(saved):
    edit_config(saved, note="mine")
    assert read_model(saved)[0]["note"] == "mine"


def break_nothing_there(path):
    return path / "missing"


def break_is_file(path):
    return path / "config.json"


def break_no_config(path):
    (path / "config.json").unlink()


def break_no_weights(path):
    (path / "model.safetensors").unlink()


def break_no_weights_but_pickle(path):
    (path / "model.safetensors").rename(path / "pytorch_model.bin")


def break_interrupted(path):
    (path / "config.json").unlink()
    (path / "checkpoint.safetensors").write_bytes(b"")


def break_newer(path):
    edit_config(path, format=2, rondo="9.1")


def break_format_zero(path):
    edit_config(path, format=0)


def break_format_text(path):
    edit_config(path, format="1")


def break_not_rondo(path):
    edit_config(path, rondo=None)


def break_config_list(path):
    (path / "config.json").write_text("[1]")


def break_config_cut(path):
    (path / "config.json").write_text('{"format": 1,')


def break_pickle(path):
    (path / "model.safetensors").write_bytes(pickle.dumps({"a": 1}))


def break_cut_weights(path):
    data = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(data[: len(data) // 2])


def break_one_bit(path):
    data = bytearray((path / "model.safetensors").read_bytes())
    data[-1] ^= 4
    (path / "model.safetensors").write_bytes(data)


def break_other_weights(path):
    storage.write_tensors(path / "model.safetensors", {"weight_ih_l0": torch.ones(4, 3)})


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (break_nothing_there, "does not exist"),
        (break_is_file, "is a file"),
        (break_no_config, r"config\.json missing"),
        (break_no_weights, r"model\.safetensors missing"),
        (break_no_weights_but_pickle, r"pytorch_model\.bin is a pickle"),
        (break_interrupted, "--resume continues it"),
        (break_newer, r"made by Rondo 9\.1.*newer version"),
        (break_format_zero, "format 0"),
        (break_format_text, "not the configuration"),
        (break_not_rondo, "not the configuration"),
        (break_config_list, "not the configuration"),
        (break_config_cut, "damaged: line 1"),
        (break_pickle, "a pickle"),
        (break_cut_weights, "damaged"),
        (break_one_bit, "checksum"),
        (break_other_weights, "checksum"),
    ],
    ids=lambda value: value.__name__.removeprefix("break_") if callable(value) else "",
)
def test_a_broken_folder_is_refused_in_words(saved, break_it, message):
    path = break_it(saved) or saved
    with pytest.raises(ModelError, match=message) as caught:
        read_model(path)
    assert str(saved) in str(caught.value)


def test_a_full_disk_keeps_the_older_model_whole(saved, monkeypatch):

    real, calls = os.fsync, []

    def full_at_the_second_file(handle):
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    before = read_model(saved)
    monkeypatch.setattr(os, "fsync", full_at_the_second_file)
    with pytest.raises(RondoError, match="disk is full"):
        save_model(saved, {"task": "digits"}, {"weight_ih_l0": torch.zeros(4, 3)})
    monkeypatch.undo()
    after = read_model(saved)
    assert after[0] == before[0]
    assert torch.equal(after[1]["weight_ih_l0"], before[1]["weight_ih_l0"])


def test_output_folders_that_are_free(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        assert check_output_folder(tmp_path / name) == tmp_path / name
        assert check_output_folder(tmp_path / name, resume=True) == tmp_path / name
    assert not (tmp_path / "new").exists()


def test_an_output_folder_with_other_things_is_refused_even_with_overwrite(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    for flags in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(UsageError, match="something other"):
            prepare_output_folder(tmp_path, **flags)
    with pytest.raises(UsageError, match="is a file"):
        check_output_folder(tmp_path / "thesis.tex")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_model_is_only_replaced_when_asked(saved):
    with pytest.raises(UsageError, match="already holds a model"):
        check_output_folder(saved)
    with pytest.raises(UsageError, match="one of them"):
        check_output_folder(saved, resume=True, overwrite=True)
    prepare_output_folder(saved, resume=True)
    assert read_model(saved)
    (saved / "notes.txt").write_text("mine")
    prepare_output_folder(saved, overwrite=True)
    assert sorted(entry.name for entry in saved.iterdir()) == ["log.jsonl", "notes.txt"]


def test_a_prepared_folder_is_known_as_an_unfinished_training(tmp_path):
    path = prepare_output_folder(tmp_path / "new" / "deep")
    (path / "vocabulary.json").write_text("[]")
    with pytest.raises(UsageError, match="not finished"):
        prepare_output_folder(path)
    log = (path / model_folder.LOG).read_text()
    prepare_output_folder(path, resume=True)
    assert (path / model_folder.LOG).read_text() == log


def test_other_processes_leave_the_folder_to_the_main_one(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert prepare_output_folder(tmp_path / "new") == tmp_path / "new"
    assert not (tmp_path / "new").exists()
