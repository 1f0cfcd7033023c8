"""The command `rondo`: finds the verb, and turns whatever goes wrong into a message and an exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

import rondo
from rondo.cli.terminal import harmless
from rondo.errors import RondoError, UsageError, nearest

INTERRUPTED = 130
BROKEN_PIPE = 141


@dataclass(frozen=True)
class Verb:
    """One command; its module is imported when it is used, so that the others start quickly."""

    name: str
    takes: str
    summary: str

    def module(self) -> ModuleType:
        """The module with ``run(arguments) -> exit code``."""
        return import_module(f"rondo.cli.{self.name}")


VERBS = {
    verb.name: verb
    for verb in (
        Verb("train", "TASK FILE ...", "learn from files; what comes out is a folder, the model"),
        Verb("generate", "MODEL", "let a model write"),
        Verb("predict", "MODEL [FILE]", "what a model says about each line of a file"),
        Verb("backtest", "MODEL FILE", "how good a forecaster would have been, beside baselines"),
        Verb("update", "MODEL FILE", "give a forecaster the rows that came since"),
        Verb("evaluate", "MODEL [FILE ...]", "score a model beside its baseline"),
        Verb("info", "MODEL", "a model's card: data, figures, how to use it"),
        Verb("explain", "CELL", "a cell: equations, parameters, where its state goes, what runs it"),
        Verb("demo", "", "learn from text and from digits in five minutes, and look at the page"),
        Verb("bench", "[CELL ...]", "how fast layers run on this machine, beside plain torch"),
        Verb("doctor", "", "versions, devices, backends, and a check of the numbers on this machine"),
    )
}

EXAMPLES = (
    ("rondo train text my_text.txt --out my-model --minutes 5", "learn to write like a text"),
    ("rondo generate my-model --temperature 0.7", "let it write"),
    ("rondo explain gru", "look at a cell"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")  # libraries talk to programmers here
            code = _dispatch(words)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _silence_output()
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return _complain(f"interrupted{_how_to_resume(words)}", INTERRUPTED)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except Exception as error:
        message, code = explained(error)
        if isinstance(error, UsageError):
            message = in_flags(message, words)
        return _complain(message, code, error)


def explained(error: Exception) -> tuple[str, int]:
    """A message for the person at the keyboard, and the exit code."""
    if isinstance(error, RondoError):
        return str(error), error.exit_code
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        if error.errno == errno.ENOSPC:
            return f"{place}the disk is full; make room and try again", 1
        return f"{place}{error.strerror or error}", 1
    if isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate memory" in str(error):
        return "there is not enough memory for this; a smaller --batch-size or --hidden needs less", 1
    if isinstance(error, ValueError) and str(error).startswith("embedded null "):
        return "a path holds a NUL character, which no file or folder can have in its name", UsageError.exit_code
    said = " ".join(str(error).split())
    return (
        f"this is a bug in Rondo, not your fault: {type(error).__name__}: {said}\n"
        "RONDO_TRACEBACK=1 before the command shows where; please report it with that.",
        1,
    )


_IN_PYTHON = {
    "projection_size": "--projection",
    "hidden_size": "--hidden",
    "backend='auto'": "--backend auto",
}


def in_flags(message: str, words: Sequence[str]) -> str:
    """The message with the flag that was typed where it begins with the option's name in Python."""
    typed = {word.partition("=")[0] for word in words if word.startswith("--")}
    begun = re.match(r"(\w+)(?=:| is | are | has | must | needs | cannot )", message)
    flag = "--" + begun[1].replace("_", "-") if begun else ""
    if begun and flag in typed:
        message = flag + message[begun.end() :]
    for name, flag in _IN_PYTHON.items():
        message = message.replace(name, flag)
    return message


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("--help", "-h", "help"):
        sys.stdout.write(overview())
        return 0 if words else UsageError.exit_code
    if words[0] in ("--version", "-V"):
        sys.stdout.write(f"rondo {rondo.__version__}\n")
        return 0
    if words[0].startswith("-"):
        raise UsageError(f"options come after the verb: rondo VERB {words[0]}; see rondo --help")
    if words[0] not in VERBS:
        raise UsageError(f"unknown verb '{words[0]}'{nearest(words[0], VERBS)}")
    code: int = VERBS[words[0]].module().run(words[1:])
    return code


def overview() -> str:
    """What `rondo --help` says."""
    wide = max(len(f"{verb.name} {verb.takes}") for verb in VERBS.values())
    lines = ["Rondo learns from sequences with recurrent neural networks.", "", "usage: rondo VERB ...", ""]
    lines += [f"  {f'{verb.name} {verb.takes}':{wide}}  {verb.summary}" for verb in VERBS.values()]
    lines += ["", "rondo VERB --help lists the options of a verb, rondo --version says the version.", "", "examples"]
    wide = max(len(command) for command, _ in EXAMPLES)
    lines += [f"  {command:{wide}}  # {what}" for command, what in EXAMPLES]
    return "\n".join(lines) + "\n"


def _how_to_resume(words: Sequence[str]) -> str:
    """A training leaves a checkpoint behind; what else is interrupted leaves nothing."""
    if words[:1] != ["train"]:
        return ""
    return "; the same command with --resume goes on from the last checkpoint"


def _complain(message: str, code: int, error: Exception | None = None) -> int:
    if error is not None and os.environ.get("RONDO_TRACEBACK"):
        traceback.print_exception(error, file=sys.stderr)
    with contextlib.suppress(OSError):  # nobody may be listening; the exit code still says it
        sys.stderr.write(f"rondo: {harmless(message)}\n")
    return code


def _silence_output() -> None:
    """Keep the interpreter from writing the rest to the closed pipe when it ends."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
