"""What is seen while training: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from rondo.cli import progress as module
from rondo.cli.output import duration, table
from rondo.cli.progress import BarProgress, LineProgress, NoProgress, progress_for, waiting
from rondo.training.protocols import Now, TrainingSummary


def now(**changes: Any) -> Now:
    values = {"step": 40, "epoch": 1.5, "loss": 2.3456, "learning_rate": 0.01, "rate": 12345.0, "fraction": 0.25,
              "seconds": 30.0, "seconds_left": 90.0, "unit": "tokens"}  # fmt: skip
    return Now(**{**values, **changes})  # type: ignore[arg-type]


SUMMARY = TrainingSummary(
    steps=40, schedule_steps=40, epochs=1.5, seconds=83.0, parameters=1234, stopped_why="steps", best={}, final={}
)


def watched(progress: BarProgress | LineProgress) -> None:
    with progress:
        progress.start(step=0, parameters=1234, device="cpu")
        progress.evaluation(step=0, metrics={"valid_loss": 4.1}, best=False)
        progress.update(now())
        progress.evaluation(step=20, metrics={"valid_loss": 3.2109}, best=True)
        progress.update(now(fraction=0.5))
        progress.message("a word")
        progress.finish(SUMMARY)


def test_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINE_SECONDS", 0.0)
    watched(LineProgress())
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "training 1,234 parameters on cpu",
        " 25%  step 40  loss 2.346  valid 4.100  12.3k tokens/s  epoch 1.5  1 min 30 s left",
        "step 20: valid loss 3.2109  (best so far)",
        " 50%  step 40  loss 2.346  valid 3.211  12.3k tokens/s  epoch 1.5  1 min 30 s left",
        "a word",
        "trained 40 steps, 1.5 epochs in 1 min 23 s; stopped: steps",
    ]


def test_lines_are_not_too_many(capsys: pytest.CaptureFixture[str]) -> None:
    progress = LineProgress()
    progress.start(step=0, parameters=1, device="cpu")
    for _ in range(50):
        progress.update(now())
        progress.evaluation(step=7, metrics={"valid_loss": 3.2}, best=True)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_lines_follow_the_clock_and_the_budget(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    progress = LineProgress()
    progress.start(step=0, parameters=1, device="cpu")
    for second in range(1, 7201):
        clock[0] = float(second)
        progress.update(now(fraction=second / 7200))
    assert 20 <= len(capsys.readouterr().err.splitlines()) <= 30


def test_an_evaluation_has_a_line_where_it_is_the_best(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINE_SECONDS", 0.0)
    progress = LineProgress()
    progress.evaluation(step=7, metrics={"valid_loss": 3.2}, best=False)
    assert capsys.readouterr().err == ""
    progress.evaluation(step=8, metrics={"valid_loss": 3.1}, best=True)
    assert capsys.readouterr().err == "step 8: valid loss 3.1000  (best so far)\n"


def test_the_end_tells_the_best() -> None:
    told = module._ending(replace(SUMMARY, best={"valid_loss": 3.1, "step": 1200}))
    assert told.endswith("stopped: steps; best valid loss 3.1000 at step 1,200")


def test_a_bar() -> None:
    screen = io.StringIO()
    watched(BarProgress(Console(file=screen, force_terminal=True, width=100, color_system=None)))
    text = screen.getvalue()
    for said in ("a word", "training 1,234 parameters on cpu", "trained 40 steps"):
        assert said in text


def test_the_bar_shows_loss_validation_rate_and_time_left() -> None:
    screen = io.StringIO()
    Console(file=screen, width=120).print(module._bar(now(), {"valid_loss": 3.2}))
    shown = " ".join(screen.getvalue().partition("25%")[2].split())
    assert shown == "loss 2.346 valid 3.200 12.3k tokens/s epoch 1.5 1 min 30 s left"


def test_who_waits_is_told_what_is_done_now(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal, quiet, seen in ((True, False, True), (True, True, False), (False, False, False)):
        screen = io.StringIO()
        console = Console(file=screen, force_terminal=terminal, width=100, color_system=None)
        monkeypatch.setattr(module, "Console", lambda console=console, **_: console)
        with waiting("scoring", quiet=quiet) as say:
            say("poems: 2 of [8]")
        assert ("poems: 2 of [8]" in screen.getvalue()) is seen


def test_time_that_is_not_known_is_not_shown() -> None:
    assert "left" not in " ".join(module._figures(now(seconds_left=math.inf), {}))


def test_what_fits_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(progress_for(quiet=True), NoProgress)
    assert isinstance(progress_for(quiet=False), LineProgress)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(progress_for(quiet=False), BarProgress)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (9.4, "9.4 s"),
        (42.2, "42 s"),
        (59.9, "1 min 00 s"),
        (3599.9, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_columns_of_chinese_stand_below_each_other() -> None:
    assert table([["", "a"], ["明月", "1"], ["x", "22"]], right=[1]) == "       a\n明月   1\nx     22"
