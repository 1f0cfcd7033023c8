"""What the machine can do at best, which part of it the engine uses, and what else runs on it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from rondo.backends.cpu.native import engine_module, forced
from rondo.inspect.provenance import usable_cores
from rondo.testing.speed.timing import Gauge

BUSY = 0.15
"""Cores that others use, from which on a measurement is said to be disturbed."""


def peak_gauge(threads: int, *, seconds: float = 0.02) -> Gauge | None:
    """Multiply-adds in registers alone, as operations a second on all threads; None without the native module."""
    engine = engine_module()
    if engine is None or instruction_set() is None:
        return None
    return lambda: float(engine.peakFloat32(threads, seconds, forced()))


def copy_gauge(floats: int) -> Gauge:
    """Bytes a second read and written by torch's copy of an array of so many floats."""
    source, target = torch.ones(floats), torch.zeros(floats)

    def gauge() -> float:
        started = time.perf_counter()
        target.copy_(source)
        return 2 * source.element_size() * floats / (time.perf_counter() - started)

    gauge()
    return gauge


def instruction_set() -> str | None:
    """What the engine computes with here, or None where it does not run."""
    engine = engine_module()
    return None if engine is None else str(engine.instruction_set(forced())) or None


def threading_runtime() -> str | None:
    """Whose threads the engine uses."""
    engine = engine_module()
    return None if engine is None else str(engine.threading())


class Watch:
    """Measures how many cores the rest of the machine kept busy in the meantime; None where that is not told."""

    def __init__(self) -> None:
        self.others: float | None = None

    def __enter__(self) -> Self:
        self._begun = time.perf_counter(), _machine_seconds(), _own_seconds()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        started, machine, own = self._begun
        now = _machine_seconds()
        if machine is None or now is None:
            return
        elapsed = max(time.perf_counter() - started, 1e-3)
        self.others = max(0.0, (now - machine - (_own_seconds() - own)) / elapsed)


def load() -> float | None:
    """The load average of the last minute, or None where the system has none."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def disturbance(others: float | None) -> str | None:
    """A note if something else was running."""
    if others is None or others < BUSY:
        return None
    return f"other work kept {others:.1f} cores busy meanwhile: the figures are disturbed"


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _machine_seconds() -> float | None:
    """Time that all cores were busy or taken away; None where it says nothing about the cores at hand."""
    if usable_cores() != os.cpu_count():
        return None
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
        user, nice, system, _, _, irq, softirq, steal = map(int, fields[1:9])
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
