"""A series of 5 million rows is fitted and forecast within 300 MB above the frame itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MEASURED = """
import numpy as np, polars as pl, torch
import rondo
torch.set_num_threads(1)
start = np.datetime64("2000-01-01", "us")
def memory(kind):  # in kB; what getrusage has as the most is at first that of the process that began this one
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(kind))
def made(rows):
    times = start + np.arange(rows) * np.timedelta64(1, "m")
    return pl.DataFrame({"ds": times, "y": np.random.default_rng(0).normal(size=rows)})
options = dict(horizon=12, context_length=48, hidden=16, steps=10, evaluations=1)
rondo.Forecaster(**options).fit(made(3000)).predict()
frame = made(5_000_000)
before = memory("VmRSS")
found = rondo.Forecaster(**options).fit(frame).predict()
print(len(found), (memory("VmHWM") - before) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_five_million_rows() -> None:
    done = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True)
    rows, above = map(int, done.stdout.split())
    assert rows == 12
    assert above < 300
