"""What each verb does and prints when all is well; that options change the result; that --json is alone."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import rondo as package
from rondo.backends import BACKENDS
from rondo.backends.cpu.native import why_not
from rondo.cells import registry
from rondo.cli import doctor, machine
from rondo.cli.arguments import DEVICE
from rondo.cli.evaluate import learned_from
from rondo.cli.train import EXAMPLES, TRAINING, groups
from rondo.tasks import demo
from rondo.tasks.registry import TASKS
from rondo.testing import selfcheck
from rondo.testing.speed.check import Speed
from rondo.testing.speed.timing import Interval
from rondo.training.options import TrainingOptions
from tests.cli.small import SMALL, Run

TRAINED = ("--steps", "4", "--bptt-length", "20", *SMALL)


def config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


# train


def test_training_says_what_came_out(rondo: Run, text: Path, tmp_path: Path) -> None:
    ended = rondo("train", "text", text, "--out", tmp_path / "m", *TRAINED)
    assert ended.code == 0
    assert re.match(r"(A baseline wins|This model is)", ended.out)
    assert "this model" in ended.out
    assert re.search(r"Kneser-Ney, order \d +\d\.\d{4}", ended.out)
    assert f"rondo generate {tmp_path / 'm'}" in ended.out
    assert "training" in ended.err
    assert "steps" in ended.err


def test_the_json_of_training(rondo: Run, text: Path, tmp_path: Path) -> None:
    result = rondo("train", "text", text, "--out", tmp_path / "m", "--json", "--seed", "5", *TRAINED).json
    needed = {"task", "model", "seconds", "epochs", "parameters", "valid_loss", "baseline_loss"}
    assert needed <= set(result)
    assert result["task"] == "text"
    assert Path(result["model"]) == tmp_path / "m"
    assert result["seed"] == 5
    assert 0 < result["valid_loss"] < 10
    assert package.load(tmp_path / "m").parameters == result["parameters"]


def test_quiet_is_silent_but_for_the_result(rondo: Run, text: Path, tmp_path: Path) -> None:
    ended = rondo("train", "text", text, "--out", tmp_path / "m", "--quiet", *TRAINED)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out


def test_flags_override_a_file_which_overrides_defaults(rondo: Run, text: Path, tmp_path: Path) -> None:
    (tmp_path / "o.toml").write_text(
        'optimiser = "adam"\nbetas = [0.8, 0.9]\n[model]\nhidden = 10\nlayers = 1\n[training]\nsteps = 2\n'
        "learning-rate = 0.01\nbptt_length = 20\nthreads = 1\n"
    )
    ended = rondo("train", "text", text, "--out", tmp_path / "m", "--config", tmp_path / "o.toml", "--hidden", "14",
                  "--baseline-order", "0", "--quiet")  # fmt: skip
    assert ended.code == 0, ended.err
    options = config(tmp_path / "m")["options"]
    assert (options["model"]["hidden"], options["model"]["layers"]) == (14, 1)
    assert options["training"]["learning_rate"] == 0.01
    assert options["training"]["betas"] == [0.8, 0.9]
    assert options["training"]["optimiser"] == "adam"
    assert options["training"]["clip_norm"] == 1.0


def test_a_flag_mends_what_does_not_go_together_in_the_file(rondo: Run, text: Path, tmp_path: Path) -> None:
    (tmp_path / "o.toml").write_text("momentum = 0.9\n")
    command = ["train", "text", text, "--out", tmp_path / "m", "--config", tmp_path / "o.toml", "--quiet", *TRAINED]
    assert "--momentum has no meaning" in rondo(*command).err
    assert rondo(*command, "--optimiser", "sgd").code == 0


def test_an_interrupted_training_is_resumed(text: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rondo", "train", "text", str(text), "--out", "m", "--bptt-length", "20",
               "--batch-size", "2", *SMALL]  # fmt: skip
    process = subprocess.Popen([*command, "--minutes", "5"], cwd=tmp_path, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    assert process.stderr is not None
    while "training" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert said.endswith("rondo: interrupted; the same command with --resume goes on from here\n")
    assert "Traceback" not in said
    steps = config(tmp_path / "m")["result"]["steps"]
    assert steps > 0
    again = subprocess.run([*command, "--steps", str(steps + 5), "--resume", "--json"], cwd=tmp_path,
                           capture_output=True, text=True, check=True)  # fmt: skip
    assert json.loads(again.stdout)["steps"] == steps + 5
    assert f"from step {steps:,} on" in again.stderr


@pytest.mark.parametrize("task", TASKS)
def test_every_option_of_a_task_is_in_its_help_once(task: str, rondo: Run) -> None:
    shown = [option.name for group in groups(TASKS[task]) for option in group.options]
    assert len(shown) == len(set(shown))
    assert set(TrainingOptions.__dataclass_fields__) <= set(shown)
    text = rondo("train", task, "--help").out
    for name in shown:
        assert f"--{name.replace('_', '-')}" in text
    missing = [option.name for group in groups(TASKS[task]) for option in group.options if not option.help]
    assert not missing


def test_the_groups_of_the_help_name_options_that_exist() -> None:
    names = [name for _, names in TRAINING.values() for name in names]
    assert len(names) == len(set(names))
    assert set(names) <= set(TrainingOptions.__dataclass_fields__)
    assert set(EXAMPLES) == set(TASKS)


def test_tasks_are_listed(rondo: Run) -> None:
    assert rondo("train", "--help").code == 0
    ended = rondo("train")
    assert ended.code == 2
    assert all(task in ended.out for task in TASKS)


# generate


def test_the_same_seed_writes_the_same(rondo: Run, text_model: Path) -> None:
    def written(*more: str) -> str:
        return rondo("generate", text_model, "--prompt", "def ", "--length", "60", *more).out

    first = written("--seed", "1")
    assert first == written("--seed", "1")
    assert first.startswith("def ")
    assert first.endswith("\n")
    for more in (("--seed", "2"), ("--seed", "1", "--temperature", "0.1"), ("--seed", "1", "--top-k", "1"),
                 ("--seed", "1", "--top-p", "0.01"), ("--seed", "1", "--repetition-penalty", "3"),
                 ("--seed", "1", "--prompt", "class "), ("--seed", "1", "--length", "20")):  # fmt: skip
        assert written(*more) != first, more
    assert written() != written()


def test_streamed_and_whole_are_the_same_text(rondo: Run, text_model: Path) -> None:
    command = ["generate", text_model, "--prompt", "import", "--length", "70", "--seed", "3"]
    streamed, whole = rondo(*command), rondo(*command, "--json").json
    assert streamed.out.rstrip("\n") == whole["samples"][0].rstrip("\n")
    in_python = package.load(text_model).generate("import", length=70, seed=3)
    assert whole["samples"] == in_python
    assert whole["seed"] == 3


def test_several_samples(rondo: Run, text_model: Path) -> None:
    command = ["generate", text_model, "--length", "30", "--samples", "3", "--seed", "1"]
    samples = rondo(*command, "--json").json["samples"]
    assert len(set(samples)) == 3
    assert [f"--- {number}\n" in rondo(*command).out for number in (1, 2, 3)] == [True] * 3


def test_a_seed_that_was_drawn_is_told(rondo: Run, text_model: Path) -> None:
    drawn = rondo("generate", text_model, "--length", "40", "--json").json
    again = rondo("generate", text_model, "--length", "40", "--json", "--seed", str(drawn["seed"])).json
    assert again == drawn


def test_text_comes_while_it_is_made(text_model: Path) -> None:
    command = [sys.executable, "-m", "rondo", "generate", str(text_model), "--length", "1000000", "--prompt", "abc"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert len(process.stdout.read(50)) == 50  # long before the millionth
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == b"rondo: interrupted\n"


def test_notes_are_said_unless_quiet(rondo: Run, text_model: Path) -> None:
    command = ["generate", text_model, "--prompt", "龍", "--length", "5"]
    assert rondo(*command).err.startswith("note: ")
    assert rondo(*command, "--quiet").err == ""


def test_forms_are_named_once(rondo: Run, poetry_model: Path) -> None:
    said = rondo("generate", poetry_model, "--form", "sonnet").err
    assert said.count("五言绝句") == 1
    assert "五言絕句" not in said
    assert rondo("generate", poetry_model, "--form", "五言絕句", "--quiet").code == 0


def test_the_device_is_the_same_option_everywhere() -> None:
    field = TrainingOptions.__dataclass_fields__["device"]
    assert DEVICE.default == field.default
    options = {option.name: option for group in groups(TASKS["text"]) for option in group.options}
    assert DEVICE.help == options["device"].help


def test_the_environment_is_activated_where_the_shell_does_not_know_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine.shutil, "which", lambda _: None)
    assert machine.activation() is None
    (tmp_path / ".venv").mkdir()
    assert machine.activation() is None
    monkeypatch.setattr(machine.sys, "prefix", str(tmp_path / ".venv"))
    assert "activate" in str(machine.activation())
    monkeypatch.setattr(machine.shutil, "which", lambda _: "/usr/bin/rondo")
    assert machine.activation() is None


def test_poems_keep_to_what_was_asked(rondo: Run, poetry_model: Path) -> None:
    command = ["generate", poetry_model, "--form", "五言绝句", "--seed", "1"]
    poem = rondo(*command, "--prompt", "白日").out
    assert [len(line) for line in poem.splitlines()] == [12, 12]
    assert poem.startswith("白日")
    heads = rondo(*command, "--acrostic", "春花月夜", "--json").json["samples"][0]
    assert [part[0] for part in re.split("[，。]", heads) if part] == list("春花月夜")
    assert rondo(*command, "--script", "traditional").out != rondo(*command, "--script", "simplified").out
    seven = rondo("generate", poetry_model, "--form", "七言律诗", "--samples", "2", "--json").json["samples"]
    assert [[len(part) for part in re.split("[，。]", poem)] for poem in seven] == [[7] * 8 + [0]] * 2
    assert len(rondo(*command, "--samples", "2").out.split("\n\n")) == 2


# evaluate, info


def test_scores_of_a_text(rondo: Run, text_model: Path, text: Path, tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("zzzz qqqq xxxx " * 30)
    known, strange = (rondo("evaluate", text_model, path, "--json").json for path in (text, tmp_path / "b.txt"))
    assert known["nats"] < strange["nats"]
    assert {"nats", "bits_per_character", "perplexity", "baseline_nats", "model", "task"} <= set(known)
    shown = rondo("evaluate", text_model, text).out
    assert f"{known['nats']:.4f}" in shown
    assert f"{known['baseline_nats']:.4f}" in shown
    assert "Kneser-Ney" in shown


def test_a_text_that_was_learned_from_is_told(rondo: Run, text_model: Path, text: Path, tmp_path: Path) -> None:
    ended = rondo("evaluate", text_model, text, "--device", "cpu")
    assert "was learned from: the figures flatter both" in " ".join(ended.err.split())
    assert rondo("evaluate", text_model, text, "--quiet").err == ""
    assert len(rondo("evaluate", text_model, text, "--json").json["notes"]) == 1
    (tmp_path / text.name).write_text("some other text of another size\n" * 9)
    told = rondo("evaluate", text_model, tmp_path / text.name)
    assert (told.code, told.err) == (0, "")


def test_a_file_held_out_for_the_end_was_not_learned_from(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("abc")
    files = [{"path": f"data/{name}", "bytes": 3} for name in ("a.txt", "b.txt")]
    own = {"provenance": {"data": files}, "options": {"data": {"test": "data/b.txt"}}}
    given = [str(tmp_path / name) for name in ("a.txt", "b.txt")]
    assert learned_from(own, given) == given[:1]
    assert learned_from({}, given) == []


def test_the_encoding_is_used(rondo: Run, text_model: Path, tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes("import überall\n".encode("utf-16-le") * 30)
    right = rondo("evaluate", text_model, tmp_path / "b.txt", "--encoding", "utf-16-le", "--json").json
    assert right["characters"] == 15 * 30 - 1
    wrong = rondo("evaluate", text_model, tmp_path / "b.txt", "--encoding", "latin-1", "--json")
    assert wrong.code == 1 or wrong.json["characters"] != right["characters"]


def test_scores_of_digits_and_poems(rondo: Run, digit_model: Path, poetry_model: Path) -> None:
    assert 0 <= rondo("evaluate", digit_model, "--json").json["score"] <= 1
    assert "accuracy" in rondo("evaluate", digit_model).out
    poems = poetry_model.parent / "poems.jsonl"
    command = ["evaluate", poetry_model, poems, "--samples", "8"]
    shown = rondo(*command)
    assert "held to form, rhyme and tone" in shown.out
    assert "bits per character" not in shown.out
    assert max(map(len, shown.out.partition("format right")[0].splitlines())) <= 110
    assert "writing 8 poems" in shown.err
    assert rondo(*command, "--quiet").err == ""
    first = rondo(*command, "--json").json
    assert first["samples"] == 8
    for more in (("--seed", "3"), ("--temperature", "0.3"), ("--form", "五言绝句"), ("--samples", "4")):
        assert rondo(*command, *more, "--json").json["verse"] != first["verse"], more


def test_the_card(rondo: Run, text_model: Path, tmp_path: Path) -> None:
    card = (text_model / "README.md").read_text(encoding="utf-8")
    assert rondo("info", text_model).out == card.rstrip("\n") + "\n"
    told = rondo("info", text_model, "--json").json
    assert (told["task"], told["cell"]["name"]) == ("text", "lstm")
    assert told["options"]["training"]["steps"] == 5
    assert told["files"]["model.safetensors"] == (text_model / "model.safetensors").stat().st_size
    shutil.copytree(text_model, tmp_path / "m")
    (tmp_path / "m" / "README.md").unlink()
    assert re.search(r"parameters +[\d,]+\n", rondo("info", tmp_path / "m").out)


# explain


@pytest.mark.parametrize("name", registry)
def test_every_cell_is_explained(name: str, rondo: Run) -> None:
    shown = rondo("explain", name)
    assert shown.code == 0
    assert "Equations" in shown.out
    assert "h_t" in shown.out
    found = rondo("explain", name, "--json").json
    assert found["name"] == name
    assert set(found["backends"]) == set(BACKENDS)
    assert None in found["backends"].values()  # the one that runs has no reason not to
    assert found["kept_by_engine"] >= 128


def test_the_forms_of_an_explanation(rondo: Run, tmp_path: Path) -> None:
    assert rondo("explain", "gru", "--latex").out.startswith("\\begin{aligned}")
    assert rondo("explain", "gru", "--mermaid").out.startswith("flowchart")
    sized = rondo("explain", "lstm", "--input", "3", "--hidden", "8").out
    assert "32 × 3" in sized
    assert "32 × 3" not in rondo("explain", "lstm", "--input", "4", "--hidden", "8").out
    assert "4 × 8" in rondo("explain", "lstm_projected", "--hidden", "8", "--projection", "4").out
    ended = rondo("explain", "gru", "--svg", tmp_path / "gru.svg")
    assert str(tmp_path / "gru.svg") in ended.out
    assert (tmp_path / "gru.svg").read_text(encoding="utf-8").startswith("<svg")
    backend = rondo("explain", "mgu", "--backend").out
    assert "vendor" in backend
    assert "not those of a layer of torch's" in backend
    assert "vendor" not in rondo("explain", "mgu").out
    assert "cpu keeps 96 floats a step and sequence in training, for 32 units" in (
        rondo("explain", "mgu", "--backend", "--hidden", "32").out
    )


def test_a_cell_of_ones_own_and_one_of_a_model(rondo: Run, text_model: Path, tmp_path: Path) -> None:
    (tmp_path / "cells.py").write_text(
        "from rondo.cells import State, affine, cell, tanh\n\n@cell\ndef mine(x, h):\n"
        '    """A cell of my own."""\n    return State(h=tanh(affine("a", x, h)) + h)\n'
    )
    own = rondo("explain", f"{tmp_path / 'cells.py'}:mine").out
    assert "A cell of my own." in own
    assert "+ h_{t-1}" in own
    assert rondo("explain", text_model, "--latex").out == rondo("explain", "lstm", "--latex").out


def test_the_backend_that_is_not_taken_could_run_too(rondo: Run) -> None:
    shown = rondo("explain", "gru", "--backend").out
    assert re.search(r"reference +could run too; '(cpu|vendor)' is faster", shown)


# doctor, demo


def test_a_healthy_machine(rondo: Run) -> None:
    ended = rondo("doctor", "--quick")
    assert ended.code == 0, ended.out
    assert all(name in ended.out for name in (*registry, "torch", "threads", "engine", "devices"))
    told = rondo("doctor", "--quick", "--json", "--threads", "1").json
    assert told["healthy"]
    assert told["threads"] == 1
    assert {check["cell"] for check in told["checks"]} == set(registry)
    assert {check["backend"] for check in told["checks"]} == set(BACKENDS)


def test_an_instruction_set_that_is_not_there_is_named_and_is_no_health(
    rondo: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "check_cell", lambda cell: [])
    monkeypatch.setattr(doctor, "_cells", lambda checks: "")
    monkeypatch.setenv("RONDO_ISA", "wrong")
    reason = why_not()
    assert reason
    ended = rondo("doctor", "--quick")
    assert ended.code == 1
    assert f"none, torch runs the cells: {reason}" in ended.out
    assert "The engine that was asked for does not run" in ended.out
    ended = rondo("doctor", "--quick", "--json")
    assert (ended.code, ended.json["healthy"], ended.json["missing"]) == (1, False, reason)
    monkeypatch.setenv("RONDO_ISA", "")
    assert rondo("doctor", "--quick").code == 0


@pytest.mark.parametrize("broken", BACKENDS)
def test_a_wrong_number_is_noticed(broken: str, rondo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    right = BACKENDS[broken].unroll

    def slightly_wrong(cell: Any, weights: Any, x: Any, state: Any, **more: Any) -> Any:
        sequence, after = right(cell, weights, x, state, **more)
        return (sequence * 1.001 if cell.name == "gru" else sequence), after

    monkeypatch.setattr(BACKENDS[broken], "unroll", slightly_wrong, raising=False)
    ended = rondo("doctor", "--quick")
    assert ended.code == 1
    assert "BAD" in ended.out
    assert f"gru ({broken})" in ended.out.partition("FAILED")[2]


@pytest.mark.parametrize(("share", "little"), [(0.8, False), (0.3, True)])
def test_the_speed_is_held_against_the_machine_s_peak(
    share: float, little: bool, rondo: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Speed("gru", train, 123.4, Interval(share, share - 0.1, share + 0.1)) for train in (False, True)]
    monkeypatch.setattr(doctor, "speed_check", lambda: found)
    monkeypatch.setattr(doctor, "check_cell", lambda cell: [])
    monkeypatch.setattr(doctor, "_cells", lambda checks: "")
    shown = rondo("doctor")
    assert re.search(rf"gru +forward +123 +{share:.0%}\n", shown.out)
    assert ("That is little" in shown.out) is little
    assert rondo("doctor", "--json").json["speed"][1] == {
        "cell": "gru", "mode": "train", "gigaflops": 123.4, "share": [share, share - 0.1, share + 0.1],
    }  # fmt: skip
    assert "GFLOP/s" not in rondo("doctor", "--quick").out
    assert rondo("doctor", "--quick", "--json").json["speed"] is None
    monkeypatch.setattr(doctor, "speed_check", lambda: None)
    assert "The speed was not checked" in rondo("doctor").out


def test_a_wrong_gradient_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = selfcheck.backpropagate

    def wrong(*arguments: Any) -> Any:
        x, state, weights = right(*arguments)
        return x, state, {**weights, "bias_hh": weights["bias_hh"] * 1.01}

    monkeypatch.setattr(selfcheck, "backpropagate", wrong)
    assert not all(check.good for check in selfcheck.check_cell(registry["gru"]))


def test_the_demonstration(rondo: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = demo.library_files(60_000)
    monkeypatch.setattr(demo, "library_files", lambda *_: files)
    monkeypatch.chdir(tmp_path)
    words = ["demo", "--minutes", "0.03", "--threads", "1", "--device", "cpu", "--quiet"]
    ended = rondo(*words)
    assert ended.code == 0, ended.err
    assert "logistic regression" in ended.out
    assert "Kneser-Ney" in ended.out
    assert (tmp_path / "rondo-demo" / "report.html").is_file()
    assert "rondo generate rondo-demo/text" in ended.out
    assert rondo(*words, "--keep").code == 2
    assert "--device" in rondo("demo", "--device", "tpu").err
