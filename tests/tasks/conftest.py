from __future__ import annotations

from pathlib import Path

import pytest

import rondo
from rondo.tasks.text.model import TextModel
from tests.tasks.helpers import SMALL, text


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "theme.txt"
    path.write_text(text(), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, text_file: Path) -> dict[str, Path]:
    """The folder of a trained model of text for each kind of token."""
    folder = tmp_path_factory.mktemp("models")
    learn = {**SMALL, "steps": 200, "hidden": 32, "layers": 1, "learning_rate": 2e-2, "output_dropout": 0.0}
    levels = {"characters": {}, "words": {"vocabulary_size": 14}, "pieces": {"vocabulary_size": 300}}
    for level, options in levels.items():
        rondo.train("text", text_file, out=folder / level, level=level, **learn, **options)
    return {level: folder / level for level in levels}


@pytest.fixture(scope="session")
def writer(models: dict[str, Path]) -> TextModel:
    """A model that writes characters."""
    return rondo.load(models["characters"])


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings without their page, which takes longer than they do."""
    for task in ("text", "poetry", "tag", "forecast"):
        monkeypatch.setattr(f"rondo.tasks.{task}.task.write_report", lambda *_, **__: None)
    for task in ("classify", "signals", "digits"):
        monkeypatch.setattr(f"rondo.tasks.{task}.report.write_page", lambda *_, **__: None)
