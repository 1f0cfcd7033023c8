"""What all tests share: one thread each (several run at a time), and the folder of real data, if any."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the programs that tests start


@pytest.fixture
def two_threads() -> Iterator[None]:
    """More than the one that tests have."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder RONDO_DATA names; a test that needs it is skipped, with this reason, without it."""
    named = os.environ.get("RONDO_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("needs real data: set RONDO_DATA to the folder that holds it")
    return Path(named)
