"""The models that tests of the command line use, and a way to run a command in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from rondo.cli.main import main
from tests.cli.small import SMALL, Ended, Run, write_poems, write_reviews, write_text


@pytest.fixture
def rondo(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``rondo`` with these arguments in this process."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str | Path) -> Ended:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        printed = capfd.readouterr()
        return Ended(code, printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("text") / "my_text.txt")


def trained(arguments: Sequence[str | Path]) -> None:
    assert main(["train", *map(str, arguments), "--quiet"]) == 0


@pytest.fixture(scope="session")
def text_model(tmp_path_factory: pytest.TempPathFactory, text: Path) -> Path:
    """A trained model of text; tests do not change it."""
    folder = tmp_path_factory.mktemp("models") / "text"
    trained(["text", text, "--out", folder, "--steps", "5", "--bptt-length", "20", *SMALL])
    return folder


@pytest.fixture(scope="session")
def digit_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "digits"
    trained(["digits", "--out", folder, "--steps", "5", "--hidden", "8", "--threads", "1", "--device", "cpu"])
    return folder


@pytest.fixture(scope="session")
def class_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classes")
    write_reviews(folder / "reviews.csv")
    options = ["--steps", "5", "--hidden", "8", "--embedding", "8", "--threads", "1", "--device", "cpu"]
    trained(["classify", folder / "reviews.csv", "--out", folder / "model", *options])
    return folder / "model"


@pytest.fixture(scope="session")
def poetry_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("poetry")
    write_poems(folder / "poems.jsonl")
    trained(["poetry", folder / "poems.jsonl", "--out", folder / "model", "--steps", "3", "--min-count", "1", *SMALL])
    return folder / "model"
