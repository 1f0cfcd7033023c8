"""What the tests of the command line train on, and what a command leaves."""

from __future__ import annotations

import hashlib
import inspect
import json
import random
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SMALL = ("--hidden", "12", "--threads", "1", "--device", "cpu", "--baseline-order", "3")


@dataclass(frozen=True)
class Ended:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The object that is all of standard output."""
        lines = self.out.splitlines()
        assert len(lines) == 1, self.out
        return json.loads(lines[0])


Run = Callable[..., Ended]


def write_text(path: Path) -> Path:
    """About 17,000 characters."""
    path.write_text(inspect.getsource(textwrap), encoding="utf-8")
    return path


def write_reviews(path: Path, count: int = 60) -> None:
    """A table of texts that are good or bad."""
    choose = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        file.write("label,review\n")
        for _ in range(count):
            label = choose.choice(("good", "bad"))
            words = [*choose.choices("the film was of a kind and its music too".split(), k=6), label]  # noqa: SIM905
            choose.shuffle(words)
            file.write(f'{label},"{" ".join(words)}"\n')


def write_poems(path: Path) -> None:
    """Quatrains of characters drawn from real lines."""
    characters = (
        "牀前看月光疑是地上霜舉頭望山低思故鄉白日依盡黃河入海流欲窮千里目更一層樓春眠不覺曉處聞啼鳥夜來風雨聲花落知多少"
    )
    choose = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for number in range(150):
            width = 5 + 2 * (number % 2)
            lines = ["".join(choose.choices(characters, k=width)) for _ in range(4)]
            couplets = [f"{lines[0]}，{lines[1]}。", f"{lines[2]}，{lines[3]}。"]
            poem = {"title": f"{number}", "author": "無名", "paragraphs": couplets}
            file.write(json.dumps(poem, ensure_ascii=False) + "\n")


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, with its hash."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
