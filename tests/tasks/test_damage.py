"""Model folders with anything in them are refused in words, and soon."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import rondo
from rondo import storage
from rondo.data.tokenizers import CharacterTokenizer
from rondo.errors import ModelError, RondoError, UsageError
from rondo.models.language_model import LanguageModel, LanguageModelOptions, describe
from rondo.tasks.forecast.stored import FILE
from rondo.tasks.poetry.memory import LineMemory
from rondo.tasks.poetry.model import PoetryModel
from rondo.tasks.poetry.options import PoetryNetwork
from rondo.tasks.poetry.vocabulary import PoemVocabulary
from rondo.tasks.text.model import TextModel


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small text model that was not trained."""
    torch.manual_seed(0)
    options = LanguageModelOptions(hidden=5, layers=2, embedding=3, cell="lstm")
    tokenizer = CharacterTokenizer("abc ")
    network = LanguageModel(tokenizer.size, options)
    config = {"task": "text", "network": describe(network, options), "start_token": 1}
    TextModel(network, tokenizer, config).save(tmp_path / "model")
    return tmp_path / "model"


def edit(folder: Path, place: str, value: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    *path, last = place.split(".")
    inner = config
    for name in path:
        inner = inner[name]
    inner[last] = value
    (folder / "config.json").write_text(json.dumps(config))


def replace_weights(folder: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Other weights with the checksum that belongs to them."""
    path = folder / "model.safetensors"
    tensors = storage.read_tensors(path)
    storage.write_tensors(path, {name: change(tensor) for name, tensor in tensors.items()})
    edit(folder, "weights_sha256", hashlib.sha256(path.read_bytes()).hexdigest())


def test_the_model_is_sound_before(model: Path) -> None:
    assert rondo.load(model).generate("ab", length=3, seed=1)[0].startswith("ab")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("task", ["text"]),
        ("task", 3),
        ("network", 3),
        ("network.options", []),
        ("network.options.layers", 10**30),
        ("network.options.layers", 3),
        ("network.options.layers", "2"),
        ("network.options.hidden", 10**30),
        ("network.options.hidden", 10**9),
        ("network.options.hidden", 5.0),
        ("network.options.embedding", 10**12),
        ("network.options.projection", [1]),
        ("network.options.forget_bias", 10**30),
        ("network.options.zoneout", "a"),
        ("network.options.backend", ["auto"]),
        ("network.cell.initialisation.forget_bias", 10**30),
        ("network.cell.initialisation.forget_bias", True),
        ("network.cell.initialisation.chrono", 10**400),
        ("network.cell.initialisation.keep", 0),
        ("network.cell.initialisation.keep", []),
        ("network.cell.initialisation.keep", {}),
        ("network.cell.initialisation.scheme", []),
        ("start_token", True),
        ("start_token", 1.0),
    ],
)
def test_a_configuration_of_other_types_and_sizes(model: Path, place: str, value: Any) -> None:
    edit(model, place, value)
    with pytest.raises(ModelError, match=str(model)):
        rondo.load(model)


@pytest.fixture
def poet(tmp_path: Path) -> Path:
    """A small model of verse that was not trained and knows its place."""
    options = PoetryNetwork(hidden=5, layers=1, embedding=3)
    vocabulary = PoemVocabulary("春夏秋冬")
    network = LanguageModel(vocabulary.size, options, place=vocabulary.place_tokens)
    config = {"task": "poetry", "network": describe(network, options)}
    PoetryModel(network, vocabulary, LineMemory.of([]), config).save(tmp_path / "poet")
    return tmp_path / "poet"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("place", None), ("place", 3), ("place", {}), ("place.most", 14), ("place.most", 10**9), ("place.most", 10**30),
        ("place.most", -1), ("place.forms", []), ("place.forms", [2, 3, 4, 5, 10**30]), ("place.forms", [[2]]),
        ("place.forms", list(range(2, 10**5))), ("place.line_ends", [True, False]), ("place.line_ends", "78"),
    ],
)  # fmt: skip
def test_a_place_that_is_none(poet: Path, place: str, value: Any) -> None:
    assert rondo.load(poet).network.place is not None
    edit(poet, f"network.{place}", value)
    with pytest.raises(ModelError, match=str(poet)):
        rondo.load(poet)


def test_a_place_that_the_weights_know_of_only(poet: Path) -> None:
    config = json.loads((poet / "config.json").read_text())
    del config["network"]["place"]
    (poet / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"do not belong to its config\.json \(unknown: place\."):
        rondo.load(poet)


def test_a_number_of_thousands_of_digits(model: Path) -> None:
    text = (model / "config.json").read_text().replace('"start_token": 1', '"start_token": ' + "1" * 6000)
    (model / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json is damaged"):
        rondo.load(model)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.uint8, torch.complex64, torch.float8_e4m3fn], ids=str)
def test_weights_that_are_not_floating_numbers(model: Path, dtype: torch.dtype) -> None:
    replace_weights(model, lambda tensor: tensor.to(dtype))
    with pytest.raises(ModelError, match="not of one floating type"):
        rondo.load(model)


def test_weights_of_two_types(model: Path) -> None:
    replace_weights(model, lambda tensor: tensor.double() if tensor.dim() == 1 else tensor)
    with pytest.raises(ModelError, match="float32, float64, not of one"):
        rondo.load(model)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(model: Path, value: float) -> None:
    replace_weights(model, lambda tensor: tensor.index_fill(0, torch.tensor([0]), value))
    with pytest.raises(ModelError, match="not finite"):
        rondo.load(model)


def test_weights_too_large_to_score_with(model: Path, tmp_path: Path) -> None:
    replace_weights(model, lambda tensor: tensor.sign() * 1e38)
    (tmp_path / "a.txt").write_text("abcabc abc")
    with pytest.raises(ModelError, match="its loss is"):
        rondo.load(model).evaluate(tmp_path / "a.txt")


def test_a_device_that_is_none_is_not_damage(model: Path) -> None:
    with pytest.raises(UsageError, match="device 'toaster'"):
        rondo.load(model, device="toaster")


@pytest.mark.parametrize(
    "hashes",
    [torch.ones(3, dtype=torch.bfloat16), torch.full((3,), float("nan")), torch.ones(2, 2, dtype=torch.int64)],
)
def test_hashes_of_lines_are_one_list_of_integers(tmp_path: Path, hashes: torch.Tensor) -> None:
    LineMemory(np.array([3, 1], dtype=np.int64)).save(tmp_path)
    assert LineMemory.load(tmp_path).hashes.tolist() == [1, 3]
    storage.write_tensors(tmp_path / "training-lines.safetensors", {"hashes": hashes})
    with pytest.raises(ModelError, match=r"training-lines\.safetensors is damaged"):
        LineMemory.load(tmp_path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("weights_sha256", None),
        ("files_sha256", None),
        ("files_sha256", {"../a": ""}),
    ],
)
def test_a_model_has_checksums(model: Path, place: str, value: Any) -> None:
    edit(model, place, value)
    with pytest.raises(ModelError, match=r"checksum|not a file beside it"):
        rondo.load(model)


def test_the_vocabulary_of_another_model_of_the_same_size_is_noticed(model: Path) -> None:
    CharacterTokenizer("cba ").save(model)
    with pytest.raises(ModelError, match=r"vocabulary\.json does not belong to .*checksum"):
        rondo.load(model)


def test_a_full_disk_leaves_the_whole_older_model(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    loaded = rondo.load(model)
    loaded.tokenizer = CharacterTokenizer("xyz ")
    real, calls = os.fsync, []

    def full_at_the_last_file(handle: int) -> None:
        calls.append(handle)
        if len(calls) == len(before):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full_at_the_last_file)
    with pytest.raises(RondoError, match="disk is full"):
        loaded.save(model)
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


@pytest.fixture(scope="session")
def sound_forecaster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A forecaster with covariates of all kinds and calibrated intervals, which has hardly learned."""
    rng = np.random.default_rng(0)
    days = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 2, 9), eager=True)
    frame = pl.concat(
        pl.DataFrame({"shop": [shop] * 40, "day": days, "sold": rng.normal(9, 1, 40), "heat": rng.normal(size=40),
                      "kind": rng.choice(["a", "b"], 40), "place": [shop[0]] * 40})
        for shop in ("north", "south")
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("sound") / "forecaster"
    rondo.Forecaster(
        horizon=2, context_length=5, hidden=4, steps=1, conformal=True, valid_fraction=0.3, series="shop", time="day",
        target=("sold",), past=("heat", "kind"), static=("place",), series_embedding=True,
    ).fit(frame).save(folder)  # fmt: skip
    return folder


@pytest.fixture
def forecaster(sound_forecaster: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound_forecaster, tmp_path / "forecaster"))


def test_the_forecaster_is_sound_before(forecaster: Path) -> None:
    forecast(forecaster)
    assert len(rondo.load(forecaster).predict_quantiles([0.1, 0.9])) == 4


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("season", {}), ("season", "a"), ("season", 0), ("season", 10**30),
        ("encoder", 3), ("encoder.data", []), ("encoder.data.horizon", 0), ("encoder.data.horizon", "2"),
        ("encoder.data.horizon", True), ("encoder.data.horizon", 10**30), ("encoder.data.scaling", "other"),
        ("encoder.data.window_scaling", ["last"]), ("encoder.context_length", 0), ("encoder.context_length", 10**30),
        ("encoder.context_length", "five"), ("encoder.series", 3), ("encoder.series", []),
        ("encoder.series", [["a"], 3]), ("encoder.shift", [1.0]), ("encoder.shift", ["a", "b"]),
        ("encoder.width", [1.0, 0.0]), ("encoder.width", [1.0, -1.0]), ("encoder.width", [1.0, float("nan")]),
        ("encoder.shift", [1.0, float("inf")]), ("encoder.calendar", 3), ("encoder.calendar", ["day of judgement"]),
        ("encoder.features", []), ("encoder.features.past", -1), ("encoder.features.past", 10**30),
        ("encoder.features.past", "1"), ("encoder.features.past", 2), ("encoder.features.masked", 3),
        ("encoder.features.past_kinds", 3), ("encoder.features.past_kinds", [10**30]),
        ("encoder.features.past_kinds", ["a"]), ("encoder.covariates", {}), ("encoder.covariates", {"past": 3}),
        ("encoder.covariates.past", [[0.0, 1.0], [1.0, 1.0]]), ("encoder.covariates.past", [[0.0], [0.0]]),
        ("network", 3), ("network.options.strategy", "other"), ("network.options.head", ["mae"]),
        ("network.options.segment", 1.0), ("network.options.hidden", 10**9),
        ("network.options.ensemble", 10**9), ("network.options.output_dropout", "a"), ("network.cell", []),
        ("frame", 3), ("frame.time", 3), ("frame.targets", 3), ("frame.targets", [3]), ("frame.season", "a"),
        ("frame.season", 10**400), ("frame.frequency", 7), ("frame.frequency", "fortnight"),
        ("options.reading", 3), ("options.reading.missing", "other"), ("options.reading.past", 3),
        ("kinds", 3), ("kinds", {"kind": 3}), ("kinds", {"kind": ["a", "b", "c"], "place": ["n"]}), ("kinds", {}),
        ("conformal", 3), ("conformal.shifts", []), ("conformal.shifts", [[float("nan")] * 19] * 2),
        ("conformal.windows", "a"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_a_forecaster_of_other_types_and_sizes(forecaster: Path, place: str, value: Any) -> None:
    edit(forecaster, place, value)
    with pytest.raises(ModelError):
        forecast(forecaster)


def forecast(folder: Path) -> None:
    """After the rows that it knows, and after others like those that it has learned from."""
    made = rondo.load(folder)
    made.predict_quantiles([0.1, 0.9])
    days = pl.date_range(pl.date(2024, 3, 1), pl.date(2024, 3, 9), eager=True)
    made.predict(pl.DataFrame({"shop": ["north"] * 9, "day": days, "sold": np.arange(9.0), "heat": np.arange(9.0) % 4,
                               "kind": ["a", "b", "a"] * 3, "place": ["n"] * 9}))  # fmt: skip


@pytest.mark.parametrize("name", ["values", "begin", "end", "covariate_begin", "past.numbers", "static.codes"])
@pytest.mark.parametrize(
    "change",
    [
        lambda array: array[:-1], lambda array: array[None], lambda array: array.to(torch.complex64),
        lambda array: array + 10**6 if not array.is_floating_point() else array.to(torch.int8),
        lambda array: -1 - array if not array.is_floating_point() else array * torch.inf,
    ],
    ids=["short", "deep", "complex", "far", "below"],
)  # fmt: skip
def test_rows_beside_a_forecaster_that_are_none(forecaster: Path, name: str, change: Any) -> None:
    path = forecaster / FILE
    arrays, head = storage.read_tensors(path), storage.read_metadata(path)
    arrays[name] = change(arrays[name])
    path.write_bytes(storage.tensor_bytes({one: array.contiguous() for one, array in arrays.items()}, head))
    config = json.loads((forecaster / "config.json").read_text())
    config["files_sha256"][FILE] = hashlib.sha256(path.read_bytes()).hexdigest()
    (forecaster / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError):
        rondo.load(forecaster).predict()
