"""Memory while one series of 5 million rows is fitted and forecast: ``python benchmarks/quality/memory.py``.

In a process of its own, above what it held with the frame loaded, after a small series had been fitted.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

import rondo
from rondo.inspect import collect

RESULT = Path(__file__).parent / "results" / "memory.json"
OPTIONS: dict[str, Any] = {"horizon": 24, "context_length": 168, "hidden": 64, "evaluations": 2}


def resident(kind: str) -> int:
    """Kilobytes that the system says this process holds (VmRSS), or has held at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind))


def frame(rows: int) -> pl.DataFrame:
    """Minutes of noise."""
    times = np.datetime64("2000-01-01", "us") + np.arange(rows) * np.timedelta64(1, "m")
    return pl.DataFrame({"ds": times, "y": np.random.default_rng(0).normal(size=rows)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    options = {**OPTIONS, "steps": arguments.steps, "threads": arguments.threads}
    rondo.Forecaster(**{**options, "steps": 2}).fit(frame(3000)).predict()  # what is loaded once is no part of it
    made = frame(arguments.rows)
    before = resident("VmRSS")
    rondo.Forecaster(**options).fit(made).predict()
    above = (resident("VmHWM") - before) / 1024
    print(f"{arguments.rows:,} rows: {above:.0f} MB above the frame")
    provenance = collect().to_dict()
    result = {
        "command": "python benchmarks/quality/memory.py",
        "machine": f"{provenance['processor']}, {provenance['cores']} cores",
        "versions": provenance["versions"],
        "threads": arguments.threads,
        "rows": arguments.rows,
        "steps": arguments.steps,
        "options": OPTIONS,
        "megabytes": above,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
