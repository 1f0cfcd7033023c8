"""The device and the threads that a verb works with."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch

from rondo.errors import UsageError


def use_threads(threads: int | None) -> None:
    """Compute with so many threads; None leaves it to torch."""
    if threads is None:
        return
    if threads < 1:
        raise UsageError(f"--threads must be at least 1, not {threads}")
    torch.set_num_threads(threads)


def activation() -> str | None:
    """What makes `rondo` known to this shell, where it runs from the folder's own environment unknown to it."""
    here = Path(".venv")
    if shutil.which("rondo") is not None or not here.is_dir() or not here.samefile(sys.prefix):
        return None
    return r".venv\Scripts\activate" if sys.platform == "win32" else "source .venv/bin/activate"


def usable_device(name: str) -> str:
    """The device by its name, or an error that says what there is."""
    there = devices()
    if name == "auto":
        return there[-1] if there[-1] != "mps" else "cpu"
    if name in there or (name == "cuda" and "cuda:0" in there):
        return name
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdigit()):
        raise UsageError(f"--device cannot be '{name}'; known: auto, cpu, cuda, cuda:N, mps")
    raise UsageError(f"--device {name}: not on this machine, which has {', '.join(there)}")


def devices() -> list[str]:
    """What torch can compute on here: cpu first, then GPUs, the first of them last."""
    found = ["cpu"]
    if torch.backends.mps.is_available():
        found.append("mps")
    if torch.cuda.is_available():
        found += [f"cuda:{index}" for index in reversed(range(torch.cuda.device_count()))]
    return found
