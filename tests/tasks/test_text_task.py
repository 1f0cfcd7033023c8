"""From text files to a model folder: what is trained is what is loaded, and every option counts."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rondo
from rondo.errors import DataError, UsageError
from rondo.layers import StackState
from rondo.tasks.language import fit_baseline
from rondo.tasks.options import from_flat
from rondo.tasks.text.model import TextModel
from rondo.tasks.text.objective import WatchLoss
from rondo.tasks.text.options import TextOptions
from rondo.tasks.text.task import run_text
from tests.tasks.helpers import SMALL, Crash, CrashAt, InterruptAt, Messages, changed, same, shown, text, weights

OWN_CELL = """
from rondo import State, cell
from rondo.cells.language import affine, sigmoid, tanh

@cell
def leaky(x, h):
    u = sigmoid(affine("u", x, h))
    return State(h=u * h + (1 - u) * tanh(affine("n", x, h)))
"""


def train(path: Path, out: Path, **options: Any) -> dict[str, Any]:
    return rondo.train("text", path, out=out, **changed(SMALL, **options))


def naive_loss(model: TextModel, tokens: list[int]) -> float:
    """Nats a token, one step after the other, from beginning to end."""
    state: StackState | None = None
    total = 0.0
    with torch.no_grad():
        for token, following in itertools.pairwise(tokens):
            logits, state = model.network.step(torch.tensor([token]), state)
            total -= torch.log_softmax(logits[0].double(), 0)[following].item()
    return total / (len(tokens) - 1)


@pytest.mark.parametrize("level", ["characters", "words", "pieces"])
def test_the_folder_is_the_model_that_was_trained(models: dict[str, Path], text_file: Path, level: str) -> None:
    folder = models[level]
    model = rondo.load(folder)
    result = json.loads((folder / "config.json").read_text())["result"]
    whole = text_file.read_text()
    held_out = model.tokenizer.encode(whole[int(len(whole) * 0.9) :])

    assert result["valid_loss"] == pytest.approx(naive_loss(model, held_out.tolist()), rel=1e-5)
    scores = model.score(held_out)
    assert scores.nats == result["valid_loss"]  # the same bits as when it was trained
    assert scores.baseline_nats == result["baseline_loss"]
    assert scores.to_dict() == result["valid"]
    assert result["valid_loss"] < math.log(model.tokenizer.size)
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "model.safetensors", "baseline.npz", "README.md", "report.html", "log.jsonl",
        "checkpoint.safetensors", "training.json", "tokenizer.json" if level == "pieces" else "vocabulary.json",
    }  # fmt: skip


def test_the_result_says_what_a_program_needs(tmp_path: Path, text_file: Path) -> None:
    result = train(text_file, tmp_path / "m", test=text_file)

    assert json.loads(json.dumps(result)) == result
    assert (result["task"], result["model"], result["seed"], result["unit"]) == (
        "text", str(tmp_path / "m"), 0, "character",
    )  # fmt: skip
    assert (result["steps"], result["stopped"]) == (6, "steps")
    assert 0 < result["training_seconds"] < result["seconds"]
    assert 0 < result["epochs"] < 1
    assert result["parameters"] == sum(t.numel() for t in rondo.load(tmp_path / "m").network.parameters())
    assert result["perplexity"] == pytest.approx(math.exp(result["valid_loss"]))
    assert result["bits_per_character"] == pytest.approx(result["valid_loss"] / math.log(2))
    assert result["baseline"].startswith("Kneser-Ney, order ")
    assert 0 < result["baseline_loss"] < result["valid_loss"]  # six steps do not beat it
    evaluated = rondo.load(tmp_path / "m").evaluate(text_file)
    assert evaluated["nats"] == result["test_loss"]
    assert evaluated["baseline_nats"] == result["test_baseline_loss"]
    assert result["test"]["characters"] == len(text_file.read_text()) - 1


def test_report_and_card_show_samples_curves_and_the_baseline(models: dict[str, Path]) -> None:
    page, card = (models["characters"] / name for name in ("report.html", "README.md"))
    for said in ("Text: loss beside the baseline", "Text: samples", "Text: learning curves", "temperature 0.5",
                 "Kneser-Ney, order", "rondo generate", "training", "validation"):  # fmt: skip
        assert said in shown(page)
    assert "Kneser\\-Ney, order" in card.read_text() or "Kneser-Ney, order" in card.read_text()
    for said in ("rondo.load(", "rondo generate", "lstm", "theme.txt", "validation loss"):
        assert said in card.read_text()


def test_commands_on_the_page_can_be_typed_whatever_the_folder_is_called(tmp_path: Path, text_file: Path) -> None:
    train(text_file, tmp_path / "my model", baseline_order=0)
    assert f"rondo generate '{tmp_path}/my model'" in (tmp_path / "my model" / "README.md").read_text()
    page = shown(tmp_path / "my model" / "report.html")
    assert f"rondo generate '{tmp_path}/my model'" in page
    assert "Kneser-Ney" not in page


def test_the_same_seed_gives_the_same_model(tmp_path: Path, text_file: Path, no_report: None) -> None:
    torch.manual_seed(99)
    first = train(text_file, tmp_path / "a")
    torch.rand(5)
    second = train(text_file, tmp_path / "b")
    train(text_file, tmp_path / "c", seed=1)

    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert first["valid_loss"] == second["valid_loss"]
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


NO_DROPOUT = {"layer_dropout": 0.0, "output_dropout": 0.0}


@pytest.mark.parametrize(
    ("options", "others"),
    [
        ({}, {"cell": "gru"}), ({}, {"layers": 1}), ({}, {"hidden": 13}), ({}, {"embedding": 13}),
        ({}, {"tied": False}), (NO_DROPOUT, {"input_dropout": 0.5}), (NO_DROPOUT, {"layer_dropout": 0.5}),
        (NO_DROPOUT, {"output_dropout": 0.5}), ({}, {"output_dropout": 0.0}), ({}, {"layer_dropout": 0.0}),
        (NO_DROPOUT, {"recurrent_dropout": 0.5}), (NO_DROPOUT, {"zoneout": 0.5}), (NO_DROPOUT, {"weight_drop": 0.5}),
        ({}, {"locked_dropout": True}), ({}, {"learned_state": True}), ({}, {"init": "uniform"}),
        ({}, {"forget_bias": 3.0}), ({}, {"chrono": 40}),
        ({"cell": "lstm_projected", "projection": 6}, {"projection": 7}),
        ({}, {"level": "words"}), ({}, {"vocabulary_size": 9}), ({}, {"valid_fraction": 0.3}),
        ({}, {"bptt_length": 11}), ({}, {"batch_size": 3}), ({}, {"batch_size": None}), ({}, {"learning_rate": 1e-2}),
        ({}, {"warmup_steps": 3}), ({}, {"weight_decay": 0.5}),
    ],
    ids=str,
)  # fmt: skip
def test_an_option_changes_what_is_learned(
    tmp_path: Path, text_file: Path, no_report: None, options: dict[str, Any], others: dict[str, Any]
) -> None:
    cheap = {"baseline_order": 0, "steps": 3, **options}
    train(text_file, tmp_path / "a", **cheap)
    train(text_file, tmp_path / "b", **changed(cheap, **others))

    assert not same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_options_of_the_data_change_the_figures(tmp_path: Path, text_file: Path, no_report: None) -> None:
    (other := tmp_path / "other.txt").write_text(text(200, seed=5), encoding="utf-16")
    runs = {"plain": {}, "valid": {"valid": other}, "order": {"baseline_order": 1}, "none": {"baseline_order": 0}}

    results = {name: train(text_file, tmp_path / name, **options) for name, options in runs.items()}

    assert len({results[name]["valid_loss"] for name in ("plain", "valid")}) == 2
    assert results["order"]["baseline"] == "Kneser-Ney, order 1"
    assert results["order"]["baseline_loss"] > results["plain"]["baseline_loss"]
    assert (results["none"]["baseline"], results["none"]["baseline_loss"]) == (None, None)
    assert not (tmp_path / "none" / "baseline.npz").exists()
    with pytest.raises(DataError, match=r"other.txt"):
        train(other, tmp_path / "wrong", encoding="utf-8")
    assert not (tmp_path / "wrong").exists()


def test_the_backend_is_the_one_asked_for(tmp_path: Path, text_file: Path, no_report: None) -> None:
    train(text_file, tmp_path / "m", backend="reference")
    assert "reference" in rondo.load(tmp_path / "m").network.recurrent.explain().splitlines()[1]
    with pytest.raises(UsageError, match="vendr"):
        train(text_file, tmp_path / "n", backend="vendr")


def test_without_a_budget_training_takes_minutes_and_says_so(
    tmp_path: Path, text_file: Path, no_report: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rondo.tasks.text.task.DEFAULT_MINUTES", 0.01)
    result = train(text_file, tmp_path / "m", steps=None)
    options = json.loads((tmp_path / "m" / "config.json").read_text())["options"]

    assert result["stopped"] == "minutes"
    assert options["training"]["minutes"] == 0.01
    assert options["training"]["batch_size"] == 4
    assert options["data"]["level"] == "characters"


def test_a_cell_of_ones_own_is_in_the_model(tmp_path: Path, text_file: Path, no_report: None) -> None:
    own = tmp_path / "my_cells.py"
    own.write_text(OWN_CELL)
    result = train(text_file, tmp_path / "m", cell=f"{own}:leaky")
    written = rondo.load(tmp_path / "m").generate(length=20, seed=1)
    own.unlink()

    model = rondo.load(tmp_path / "m")

    assert model.network.recurrent.cell.name == "leaky"
    assert model.generate(length=20, seed=1) == written
    assert model.evaluate(text_file)["tokens"] == len(text_file.read_text()) - 1
    model.save(tmp_path / "copy")
    assert same(weights(tmp_path / "copy"), weights(tmp_path / "m"))
    assert rondo.load(tmp_path / "copy").config["result"] == result


LONG = {"steps": 17, "eval_every": 5, "checkpoint_steps": 7, "baseline_order": 0}


def test_a_training_that_broke_off_ends_with_the_same_weights(tmp_path: Path, text_file: Path, no_report: None) -> None:
    whole = train(text_file, tmp_path / "whole", **LONG)
    with pytest.raises(Crash):
        rondo.train("text", text_file, out=tmp_path / "m", progress=CrashAt(15), **changed(SMALL, **LONG))
    with pytest.raises(UsageError, match="--resume continues it"):
        train(text_file, tmp_path / "m", **LONG)

    resumed = train(text_file, tmp_path / "m", resume=True, **LONG)

    assert same(weights(tmp_path / "m"), weights(tmp_path / "whole"))
    assert resumed["valid_loss"] == whole["valid_loss"]
    events = [json.loads(line) for line in (tmp_path / "m" / "log.jsonl").read_text().splitlines()]
    assert [e["step"] for e in events if e["event"] == "resume"] == [14]


def test_a_training_that_was_interrupted_is_a_model_and_goes_on(
    tmp_path: Path, text_file: Path, no_report: None
) -> None:
    train(text_file, tmp_path / "whole", **LONG)
    stopped = rondo.train("text", text_file, out=tmp_path / "m", progress=InterruptAt(10), **changed(SMALL, **LONG))
    assert (stopped["stopped"], stopped["steps"]) == ("interrupted", 11)
    assert len(rondo.load(tmp_path / "m").generate("so", length=5)[0]) == 7
    assert not same(weights(tmp_path / "m"), weights(tmp_path / "whole"))

    train(text_file, tmp_path / "m", resume=True, **LONG)

    assert same(weights(tmp_path / "m"), weights(tmp_path / "whole"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hidden": 14, "tied": False}, "--hidden was 12, is now 14; --tied was not given, is now off"),
        ({"cell": "gru"}, "--cell was lstm, is now gru"),
        ({"learned_state": True}, "--learned-state was off, is now on"),
        ({"level": "words"}, "--level was characters, is now words"),
    ],
)
def test_what_makes_another_network_is_refused_by_name_before_anything_is_fitted(
    options: dict[str, Any], said: str, tmp_path: Path, text_file: Path, no_report: None
) -> None:
    train(text_file, tmp_path / "m")
    before = {path: path.read_bytes() for path in (tmp_path / "m").iterdir()}
    heard = Messages()
    with pytest.raises(UsageError, match="cannot be resumed with other options: ") as refused:
        rondo.train(
            "text", text_file, out=tmp_path / "m", resume=True, progress=heard, **changed(SMALL, steps=9, **options)
        )
    assert said in str(refused.value)
    assert not heard.said
    assert {path: path.read_bytes() for path in (tmp_path / "m").iterdir()} == before


def test_page_and_card_call_the_text_what_the_caller_calls_it(tmp_path: Path, text_file: Path) -> None:
    options = from_flat(TextOptions, SMALL)
    for name, said in (("the songs", "trained on the songs"), (None, f"trained on {text_file.name}")):
        run = run_text([text_file], tmp_path / "m", options, overwrite=True, data_name=name)
        assert run is not None
        assert said in shown(tmp_path / "m" / "report.html")
        assert said in (tmp_path / "m" / "README.md").read_text()
        assert str(text_file.parent) not in (tmp_path / "m" / "README.md").read_text()


def test_a_cell_whose_equations_have_changed_is_another_cell(tmp_path: Path, text_file: Path, no_report: None) -> None:
    own = tmp_path / "cells.py"
    own.write_text(OWN_CELL)
    train(text_file, tmp_path / "m", cell=f"{own}:leaky")
    own.write_text(OWN_CELL.replace("u * h + (1 - u)", "(1 - u) * h + u"))
    with pytest.raises(UsageError, match="the equations of the cell 'leaky' are others now"):
        train(text_file, tmp_path / "m", cell=f"{own}:leaky", resume=True, steps=9)
    own.write_text(OWN_CELL)
    assert train(text_file, tmp_path / "m", cell=f"{own}:leaky", resume=True, steps=9, layer_dropout=0.3)["steps"] == 9


def test_resuming_where_nothing_was_begun_says_so(tmp_path: Path, text_file: Path, no_report: None) -> None:
    heard = Messages()
    rondo.train("text", text_file, out=tmp_path / "new", resume=True, progress=heard, **SMALL)
    assert heard.said[0] == f"there is nothing to resume in {tmp_path / 'new'}: training begins"
    heard = Messages()
    rondo.train("text", text_file, out=tmp_path / "new", resume=True, progress=heard, **SMALL)
    assert not any("nothing to resume" in message for message in heard.said)


def test_the_carried_state_is_part_of_what_is_resumed(tmp_path: Path, text_file: Path, no_report: None) -> None:
    """That the comparison above can fail: with another state at step 14 the end is another."""
    train(text_file, tmp_path / "whole", **LONG)
    with pytest.raises(Crash):
        rondo.train("text", text_file, out=tmp_path / "m", progress=CrashAt(15), **changed(SMALL, **LONG))
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    path = tmp_path / "m" / "checkpoint.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    carried = [name for name in tensors if "/carried/" in name]
    assert len(carried) == 4  # h and c of two layers
    save_file({n: torch.zeros_like(t) if n in carried else t for n, t in tensors.items()}, path, metadata)

    train(text_file, tmp_path / "m", resume=True, **LONG)

    assert not same(weights(tmp_path / "m"), weights(tmp_path / "whole"))


def test_a_folder_that_is_overwritten_keeps_nothing_of_before(tmp_path: Path, text_file: Path, no_report: None) -> None:
    train(text_file, tmp_path / "m", level="words")
    train(text_file, tmp_path / "m", level="pieces", vocabulary_size=300, baseline_order=0, overwrite=True)
    model = rondo.load(tmp_path / "m")
    assert (model.tokenizer.kind, model.baseline) == ("pieces", None)
    train(text_file, tmp_path / "m", overwrite=True)
    assert rondo.load(tmp_path / "m").tokenizer.kind == "characters"


def test_double_precision_is_kept_in_the_folder(tmp_path: Path, text_file: Path, no_report: None) -> None:
    result = train(text_file, tmp_path / "m", precision="64")
    model = rondo.load(tmp_path / "m")
    assert weights(tmp_path / "m")["readout.weight"].dtype == torch.float64
    whole = text_file.read_text()
    assert model.score(model.tokenizer.encode(whole[int(len(whole) * 0.9) :])).nats == result["valid_loss"]


def test_a_text_that_is_too_short_leaves_nothing_behind(tmp_path: Path) -> None:
    (short := tmp_path / "short.txt").write_text("too short\n" * 3)
    with pytest.raises(DataError, match="shorter than one window of --bptt-length 50"):
        train(short, tmp_path / "m", bptt_length=50)
    assert not (tmp_path / "m").exists()


def test_watching_reads_each_token_once_in_streams(models: dict[str, Path], text_file: Path) -> None:
    model = rondo.load(models["characters"])
    tokens = model.tokenizer.encode(text_file.read_text())[:2200]
    one = WatchLoss(tokens[:900])(model.network)["valid_loss"]
    assert one == pytest.approx(naive_loss(model, tokens[:900].tolist()), rel=1e-5)

    watch = WatchLoss(tokens, window=50)
    rows = watch.inputs.shape[0]
    assert rows == 10
    parts = [[*watch.inputs[row].tolist(), int(watch.targets[row, -1])] for row in range(rows)]
    wanted = sum(naive_loss(model, part) for part in parts) / rows
    with torch.no_grad():
        assert watch(model.network)["valid_loss"] == pytest.approx(wanted, rel=1e-5)
    assert watch.inputs.flatten().tolist() == tokens[: watch.inputs.numel()].tolist()


def test_of_a_long_text_the_beginning_of_each_stream_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rondo.tasks.text.objective.WATCH_TOKENS", 300)
    tokens = np.arange(1001, dtype=np.uint16)
    watch = WatchLoss(tokens, window=50)
    assert watch.inputs.tolist() == [list(range(start, start + 60)) for start in range(0, 1000, 200)]
    assert torch.equal(watch.targets, watch.inputs + 1)


def test_the_baseline_of_a_long_text_learns_from_its_end_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text_file: Path, no_report: None
) -> None:
    plain = train(text_file, tmp_path / "a")
    monkeypatch.setattr("rondo.tasks.language.BASELINE_TOKENS", 500)
    cut = train(text_file, tmp_path / "b")
    assert cut["baseline_loss"] > plain["baseline_loss"]
    assert "of the last 500 of" in cut["baseline"]


def test_the_baseline_is_made_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = torch.randint(5, (400,), generator=torch.Generator().manual_seed(0)).numpy()
    told = Messages()
    given: dict[str, Any] = {"vocabulary_size": 5, "progress": told}
    assert fit_baseline(tokens, tokens[:50], max_order=0, **given) is None
    model = fit_baseline(tokens, tokens[:50], max_order=3, **given)
    assert model is not None
    assert told.said == [f"Kneser-Ney baseline: of the orders up to 3, {model.order} is best on the validation part"]
    monkeypatch.setenv("RANK", "1")
    assert fit_baseline(tokens, tokens[:50], max_order=3, **given) is None
