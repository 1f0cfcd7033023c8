"""The demonstration: both models, one page, honest words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import rondo
from rondo.errors import UsageError
from rondo.tasks import demo
from tests.tasks.helpers import shown, text


def test_the_library_is_read_in_an_order_that_is_always_the_same() -> None:
    files = demo.library_files(200_000)
    assert files == demo.library_files(200_000) == demo.library_files(400_000)[: len(files)]
    assert files != sorted(files)
    sizes = [path.stat().st_size for path in files]
    assert sum(sizes[:-1]) < 200_000 <= sum(sizes)
    assert all(size > 0 for size in sizes)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A demonstration that takes a moment."""
    (tmp_path / "library.py").write_text(text())
    monkeypatch.setattr(demo, "library_files", lambda: [tmp_path / "library.py"])
    resolve = demo.from_flat

    def shorter(kind: type, given: dict[str, Any]) -> Any:
        return resolve(kind, {**given, "minutes": None, "steps": 4, "hidden": 12})

    monkeypatch.setattr(demo, "from_flat", shorter)
    return tmp_path / "out"


def test_it_ends_with_two_models_and_one_page(small: Path) -> None:
    found = demo.run_demo(small, seed=3)

    page = shown(small / "report.html")
    for said in ("Rondo's demonstration", "Text: samples", "Images and what was read in them", "Kneser-Ney, order",
                 "logistic regression", "temperature 0.5", found["text_verdict"]):  # fmt: skip
        assert said in page
    for command, what in found["next"]:
        assert command in page
        assert what in page
    assert found["text"]["seed"] == found["digits"]["seed"] == 3
    assert rondo.load(small / "text").generate("x", length=3, seed=0)[0].startswith("x")
    assert rondo.load(small / "digits").evaluate()["score"] == found["digits"]["score"]
    with pytest.raises(UsageError, match="--overwrite"):
        demo.run_demo(small)
    assert demo.run_demo(small, overwrite=True)["report"] == str(small / "report.html")


def test_a_folder_with_something_else_is_left_alone(small: Path) -> None:
    small.mkdir()
    (small / "report.html").write_text("mine")
    (small / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="something other than a demonstration"):
        demo.run_demo(small, overwrite=True)
    (small / "thesis.txt").unlink()
    with pytest.raises(UsageError, match="something other than a demonstration"):
        demo.run_demo(small, overwrite=True)
    assert (small / "report.html").read_text() == "mine"


def test_the_longer_run_is_the_one_that_was_measured() -> None:
    results = Path(__file__).parents[2] / "benchmarks/quality/results/library-15.json"
    (run,) = json.loads(results.read_text(encoding="utf-8"))["runs"]
    assert round(run["valid_loss"], 3) == demo.LONGER_RUN.value
    assert f"{run['steps']:,} steps" in demo.LONGER_RUN.note
    assert f"Kneser-Ney {run['baseline_loss']:.3f}" in demo.LONGER_RUN.note


def test_the_verdict_says_who_is_ahead() -> None:
    result = {"valid_loss": 1.5, "baseline_loss": 1.4, "baseline": "Kneser-Ney, order 6", "epochs": 2.0}
    behind = demo.text_verdict(result)
    assert "still behind Kneser-Ney, order 6: 1.500 to 1.400" in behind
    assert "In fifteen minutes it reached 1.185 (5,500 steps" in behind
    ahead = demo.text_verdict({**result, "valid_loss": 1.3})
    assert "ahead of Kneser-Ney, order 6: 1.300 to 1.400" in ahead
    assert "behind" not in ahead
    hardly = demo.text_verdict({**result, "epochs": 0.01, "steps": 4})
    assert "Only 4 steps" in hardly
    assert "--minutes" in hardly
