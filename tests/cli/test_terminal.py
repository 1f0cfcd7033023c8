"""Text from a model's folder or a file gives no orders to the terminal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rondo.cli.terminal import harmless
from tests.cli.small import Run

EVIL = "\x1b[31mEVIL\x07\x9b2J\r"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plain\ttext\nof two lines, 春風é\u00a0", "plain\ttext\nof two lines, 春風é\u00a0"),
        (EVIL, "\ufffd[31mEVIL\ufffd\ufffd2J\ufffd"),
        ("\0\x0b\x7f\x85", "\ufffd" * 4),
    ],
)
def test_control_characters_are_replaced(text: str, said: str) -> None:
    assert harmless(text) == said


@pytest.fixture
def evil(text_model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "evil"
    shutil.copytree(text_model, folder)
    return folder


def test_the_card_is_printed_without_escapes(evil: Path, rondo: Run) -> None:
    (evil / "README.md").write_text(f"# {EVIL}\n", encoding="utf-8", newline="")
    said = rondo("info", evil).out
    assert "EVIL" in said
    assert harmless(said) == said


def test_an_error_quotes_a_model_without_escapes(evil: Path, rondo: Run) -> None:
    config = json.loads((evil / "config.json").read_text(encoding="utf-8"))
    (evil / "config.json").write_text(json.dumps(config | {"rondo": EVIL, "format": 77}), encoding="utf-8")
    ended = rondo("info", evil)
    assert ended.code == 1
    assert "EVIL" in ended.err
    assert harmless(ended.err) == ended.err


def test_what_is_written_has_no_escapes(text_model: Path, rondo: Run) -> None:
    for more in ((), ("--samples", "2")):
        said = rondo("generate", text_model, "--prompt", EVIL, "--length", "3", *more).out
        assert "EVIL" in said
        assert harmless(said) == said
    ended = rondo("generate", text_model, "--prompt", EVIL, "--length", "3", "--json")
    assert harmless(ended.out) == ended.out
    assert ended.json["samples"][0].startswith(EVIL)


@pytest.mark.parametrize(("file", "out"), [("a\0b", "out"), ("", "a\0b")])
def test_no_path_has_a_nul(file: str, out: str, rondo: Run, text: Path, tmp_path: Path) -> None:
    out = out if "\0" in out else str(tmp_path / out)
    ended = rondo("train", "text", file or text, "--out", out, "--steps", "1")
    assert ended.code == 2
    assert "a path holds a NUL character" in ended.err


def test_a_prompt_that_is_no_text_is_refused_before_anything_is_printed(text_model: Path, rondo: Run) -> None:
    for more in ((), ("--samples", "2"), ("--json",)):
        ended = rondo("generate", text_model, "--prompt", "a\udcff", *more)
        assert (ended.code, ended.out) == (2, "")
        assert "no character" in ended.err
