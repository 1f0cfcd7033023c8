"""The command as a whole: verbs, exit codes, and what is said when something goes wrong."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import rondo as package
from rondo.cli.main import BROKEN_PIPE, INTERRUPTED, VERBS, Verb, in_flags, main
from rondo.errors import DataError, UsageError, nearest
from tests.cli.small import Run


def failing(error: BaseException) -> Any:
    def run(arguments: list[str]) -> int:
        raise error

    return SimpleNamespace(run=run)


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> Any:
    def with_error(error: BaseException) -> None:
        monkeypatch.setattr(Verb, "module", lambda verb: failing(error))

    return with_error


def test_without_a_verb_the_overview_is_shown(rondo: Run) -> None:
    for arguments, code in (((), 2), (("--help",), 0), (("-h",), 0)):
        ended = rondo(*arguments)
        assert ended.code == code
        assert all(f"  {verb.name}" in ended.out for verb in VERBS.values())
        assert "\nexamples\n" in ended.out


def test_the_version(rondo: Run) -> None:
    assert rondo("--version").out == f"rondo {package.__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help_with_an_example(verb: str, rondo: Run) -> None:
    ended = rondo(verb, "--help")
    assert ended.code == 0
    assert f"usage: rondo {verb}" in ended.out
    assert f"\n  rondo {verb}" in ended.out.partition("\nexamples")[2]
    assert "None" not in ended.out


def test_wrong_verbs_name_the_nearest(rondo: Run) -> None:
    ended = rondo("trian", "text")
    assert (ended.code, ended.err) == (2, "rondo: unknown verb 'trian'; did you mean 'train'?\n")
    assert "after the verb" in rondo("--json", "doctor").err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError("no such thing"), 2, "rondo: no such thing\n"),
        (DataError("a.txt is empty."), 1, "rondo: a.txt is empty.\n"),
        (OSError(errno.ENOSPC, "No space left on device", "model/log.jsonl"), 1,
         "rondo: model/log.jsonl: the disk is full; make room and try again\n"),
        (PermissionError(errno.EACCES, "Permission denied", "secret"), 1, "rondo: secret: Permission denied\n"),
        (MemoryError(), 1, "rondo: there is not enough memory for this; a smaller --batch-size"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 1, "not enough memory"),
        (KeyboardInterrupt(), INTERRUPTED, "rondo: interrupted\n"),
        (ZeroDivisionError("division by zero"), 1,
         "rondo: this is a bug in Rondo, not your fault: ZeroDivisionError: division by zero\nRONDO_TRACEBACK=1"),
    ],
)  # fmt: skip
def test_errors_are_one_message(error: BaseException, code: int, said: str, rondo: Run, fails: Any) -> None:
    fails(error)
    ended = rondo("doctor")
    assert ended.code == code
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""


def test_the_traceback_can_be_had(rondo: Run, fails: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(ZeroDivisionError("division by zero"))
    monkeypatch.setenv("RONDO_TRACEBACK", "1")
    assert "Traceback" in rondo("doctor").err


def test_an_interrupted_training_says_how_to_go_on(rondo: Run, fails: Any) -> None:
    fails(KeyboardInterrupt())
    ended = rondo("train", "text", "a.txt", "--out", "m")
    assert ended.code == INTERRUPTED
    assert "the same command with --resume goes on from the last checkpoint" in ended.err


def test_a_closed_pipe_is_no_error(fails: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(BrokenPipeError())
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert main(["doctor"]) == BROKEN_PIPE
    assert said.getvalue() == ""


def test_a_pipe_that_is_closed_while_it_writes(text_model: Path) -> None:
    command = f"{sys.executable} -m rondo generate {text_model} --length 20000 | head -c 20"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert len(done.stdout) == 20
    assert done.stderr == ""


def test_the_overview_does_not_wait_for_torch() -> None:
    code = "import sys; from rondo.cli.main import main; main(['--help']); print('torch' in sys.modules)"
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")
    assert time.perf_counter() - started < 5


def test_what_writes_does_not_wait_for_what_trains(text_model: Path) -> None:
    code = (
        "import sys; from rondo.cli.main import main; "
        f"main(['generate', {str(text_model)!r}, '--length', '1']); "
        "print([name for name in ('lightning_fabric', 'sklearn', 'torch._dynamo') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")


def test_python_m_rondo_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "rondo", "explian"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "rondo: unknown verb 'explian'; did you mean 'explain'?\n")


@pytest.mark.parametrize(
    ("message", "words", "said"),
    [
        ("top_p is above 0", ["generate", "m", "--top-p", "2"], "--top-p is above 0"),
        ("top_p is above 0", ["generate", "m", "--top-p=2"], "--top-p is above 0"),
        ("zoneout: cell 'x' has none", ["train", "--zoneout", "1"], "--zoneout: cell 'x' has none"),
        ("top_p is above 0", ["generate", "m"], "top_p is above 0"),
        ("temperature 3 and more", ["--temperature"], "temperature 3 and more"),
        ("cell 'x' needs projection_size", ["--cell", "x"], "cell 'x' needs --projection"),
    ],
)
def test_options_are_called_by_the_flag_that_was_typed(message: str, words: list[str], said: str) -> None:
    assert in_flags(message, words) == said


def test_help_leaves_names_as_they_are_typed(rondo: Run) -> None:
    assert "Cpu" not in rondo("generate", "--help").out + rondo("train", "text", "--help").out
    assert "Rnn" not in rondo("explain", "--help").out


def test_letters_that_were_exchanged_are_recognised() -> None:
    assert nearest("gur", ["mgu", "gru", "lstm"]) == "; did you mean 'gru'?"
    assert nearest("lstmm", ["mgu", "lstm", "slstm"]) == "; did you mean 'lstm'?"
    assert nearest("xyz", ["mgu", "gru"]) == "; known: mgu, gru"
