"""Small data, and what several tests of the tasks need."""

from __future__ import annotations

import html
import random
import re
import signal
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from rondo.training import SilentProgress

WORDS = "theme,returns,again,and,then,rondo,keeps,coming,back,so,does,every,cell,once,a,step,of,time".split(",")  # noqa: SIM905
SMALL = {"hidden": 12, "layers": 2, "embedding": 12, "bptt_length": 10, "batch_size": 4, "warmup_steps": 0, "steps": 6}
"""Options of a text model that trains in a moment."""


def text(words: int = 500, seed: int = 0) -> str:
    """Lines of words in which some follow others more often."""
    rng = random.Random(seed)
    place, out = 0, []
    for number in range(words):
        place = (place + rng.choice((1, 1, 1, 2, 5))) % len(WORDS)
        out.append(WORDS[place] + ("\n" if number % 9 == 8 else " "))
    return "".join(out)


def shown(page: Path) -> str:
    """The text of an HTML page, without its programs."""
    inner = re.sub(r"<(script|style)\b.*?</\1>", " ", page.read_text(encoding="utf-8"), flags=re.S)
    return html.unescape(re.sub(r"<[^>]+>", "", inner))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a model folder."""
    return load_file(folder / "model.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of weights are the same, bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Crash(RuntimeError):
    """What `CrashAt` raises."""


class CrashAt(SilentProgress):
    """Ends a training with an error in its middle, at the evaluation of a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def evaluation(self, *, step: int, metrics: dict[str, float], best: bool) -> None:
        if step == self.step:
            raise Crash


class InterruptAt(CrashAt):
    """Asks a training to stop, as Ctrl-C does."""

    def evaluation(self, *, step: int, metrics: dict[str, float], best: bool) -> None:
        if step == self.step:
            signal.raise_signal(signal.SIGINT)


class Messages(SilentProgress):
    """Keeps what a training says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)


def changed(options: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Options with others in place of some."""
    return {**options, **more}
