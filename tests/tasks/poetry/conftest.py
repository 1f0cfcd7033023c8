from __future__ import annotations

import time
from pathlib import Path

import pytest

from rondo.tasks.poetry.corpus import Corpus, read_corpus


@pytest.fixture(scope="session")
def tang(data_folder: Path) -> tuple[Corpus, float]:
    """The Tang poems, and the seconds that reading them took."""
    started = time.perf_counter()
    corpus = read_corpus([data_folder / "tang_poetry" / "tang_poems.jsonl.xz"])
    return corpus, time.perf_counter() - started
