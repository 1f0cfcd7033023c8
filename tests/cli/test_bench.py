"""``rondo bench``, with layers so small that nothing of it is a figure."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rondo.backends.cpu.native import why_not
from rondo.cli import bench
from rondo.testing.speed import layers
from rondo.testing.speed.counting import SHAPES
from rondo.testing.speed.layers import Row
from rondo.testing.speed.streaming import SIZES, StepRow
from rondo.testing.speed.timing import Effort, Samples
from tests.cli.small import Run

TINY = ("--shapes", "2x3x4x5", "--quick", "--threads", "1")


def test_a_table_of_layers_and_steps(rondo: Run) -> None:
    ended = rondo("bench", *TINY)
    assert ended.code == 0, ended.err
    for cell in bench.TRIED:
        for mode in ("train", "forward"):
            assert re.search(rf"^{cell} +2×3×4×5 +{mode} .*\d\.\d\d \[\d", ended.out, re.MULTILINE), (cell, mode)
    assert "torch.nn" in ended.out
    assert "eager loop" in ended.out
    assert re.search(r"^gru, step\S* +8 ", ended.out, re.MULTILINE)


def test_quick_is_few_tiny_cases_and_one_round(rondo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str, bool, int]] = []
    steps: list[int] = []

    def measured(case: Any, effort: Effort, **more: Any) -> Row:
        seen.append((case.cell.name, str(case.shape), case.train, effort.rounds))
        return Row(case, "reference", "torch.nn", wrong="outputs differ by 1")

    def measured_step(hidden: int, effort: Effort, **more: Any) -> StepRow:
        steps.append(hidden)
        return StepRow("gru", hidden, "stepper()", "torch.nn.GRU", Samples({"rondo": [1.0], "torch.nn.GRU": [1.0]}))

    monkeypatch.setattr(bench, "measure", measured)
    monkeypatch.setattr(bench, "measure_step", measured_step)
    rondo("bench", "--quick")
    assert seen == [
        (cell, shape, train, 1)
        for cell in ("gru", "lstm_peephole")
        for shape in ("1×5×4×8", "3×4×5×16")
        for train in (True, False)
    ]
    assert steps == [8]
    seen.clear()
    rondo("bench")
    assert len(seen) == len(bench.CELLS) * len(SHAPES) * 2
    assert steps == [8, *SIZES]


def test_the_same_as_json(rondo: Run) -> None:
    told = rondo("bench", "gru", "mgu", *TINY, "--mode", "train", "--rounds", "2", "--json").json
    assert [row["key"] for row in told["rows"]] == ["train/gru/2×3×4×5/leaf", "train/mgu/2×3×4×5/leaf"]
    assert all(row["rounds"] == 2 for row in told["rows"])
    assert all(row["ratio"][1] <= row["ratio"][0] <= row["ratio"][2] for row in told["rows"])
    assert (told["threads"], told["steps"]) == (1, [])
    forward = rondo("bench", "gru", *TINY, "--mode", "forward", "--backend", "reference", "--json").json["rows"]
    assert [(row["train"], row["backend"]) for row in forward] == [(False, "reference")]


def test_a_cell_of_ones_own(rondo: Run, tmp_path: Path) -> None:
    (tmp_path / "cells.py").write_text(
        "from rondo.cells import State, affine, cell, tanh\n\n@cell\ndef mine(x, h):\n"
        '    """A cell of my own."""\n    return State(h=0.5 * tanh(affine("a", x, h)) + h)\n'
    )
    ended = rondo("bench", f"{tmp_path / 'cells.py'}:mine", *TINY)
    assert ended.code == 0, ended.err
    assert re.search(r"^mine .* eager loop", ended.out, re.MULTILINE)
    assert "one step" not in ended.out


def test_rounds_and_quick_change_the_effort(rondo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Effort] = []

    def measured(case: Any, effort: Effort, **more: Any) -> Row:
        seen.append(effort)
        return Row(case, "reference", "torch.nn", wrong="outputs differ by 1")

    monkeypatch.setattr(bench, "measure", measured)
    words = ("bench", "gru", "--shapes", "2x3x4x5", "--mode", "train")
    ended = rondo(*words)
    assert ended.code == 1
    assert "WRONG: outputs differ by 1" in ended.out
    rondo(*words, "--quick")
    rondo(*words, "--rounds", "5")
    rondo(*words, "--rounds", "1", "--json")
    assert seen[0] == bench.SHORT
    assert seen[1] == bench.QUICK
    assert (seen[2].rounds, seen[3].rounds, seen[3].least_rounds) == (5, 1, 1)


def test_other_work_is_said(rondo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = type("Busy", (layers.Watch,), {"__exit__": lambda self, *_: setattr(self, "others", 1.5)})
    monkeypatch.setattr(layers, "Watch", watch)
    words = ("bench", "rnn", *TINY, "--mode", "forward")
    assert "other work kept 1.5 cores busy" in " ".join(rondo(*words).err.split())
    assert "other work" not in rondo(*words, "--quiet").err
    assert any("other work" in note for note in rondo(*words, "--json").json["notes"])


def test_it_says_why_the_engine_does_not_run(rondo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RONDO_ISA", "wrong")
    told = rondo("bench", "gru", *TINY, "--mode", "forward", "--json").json
    assert any(str(why_not()) in note for note in told["notes"])
    assert told["rows"][0]["backend"] == "vendor"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("gruu",), "unknown cell 'gruu'; did you mean 'gru'?"),
        (("--shapes", "64x100"), "BATCHxSTEPSxINPUTxHIDDEN"),
        (("--mode", "trian"), "train"),
        (("--rounds", "0"), "--rounds must be at least 1"),
        (("--backend", "refrence"), "did you mean 'reference'?"),
        (("--treads", "1"), "did you mean '--threads'?"),
    ],
    ids=lambda value: value[0].lstrip("-") if isinstance(value, tuple) else None,
)
def test_wrong_words(words: tuple[str, ...], said: str, rondo: Run) -> None:
    ended = rondo("bench", *words)
    assert ended.code == 2
    assert said in ended.err
