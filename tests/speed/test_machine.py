"""What is known of the machine, with and without the native module."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from rondo.testing.speed import check, machine
from rondo.testing.speed.counting import Shape
from rondo.testing.speed.timing import QUICK


def engine(**other: Any) -> Any:
    known = {
        "peakFloat32": lambda threads, seconds, isa: threads * 1e12,
        "instruction_set": lambda isa: isa or "avx512",
        "threading": lambda: "own threads",
    }
    return SimpleNamespace(**{**known, **other})


def test_without_the_native_module_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "engine_module", lambda: None)
    assert machine.peak_gauge(2) is None
    assert machine.instruction_set() is None
    assert machine.threading_runtime() is None
    assert check.speed_check(shape=Shape(1, 2, 3, 4), effort=QUICK) is None


def test_the_native_module_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "engine_module", engine)
    monkeypatch.setattr(machine, "forced", lambda: "avx2")
    gauge = machine.peak_gauge(3)
    assert gauge is not None
    assert gauge() == 3e12
    assert (machine.instruction_set(), machine.threading_runtime()) == ("avx2", "own threads")
    monkeypatch.setattr(machine, "engine_module", lambda: engine(instruction_set=lambda isa: ""))
    assert machine.instruction_set() is None  # one was asked for that this machine does not have
    assert machine.peak_gauge(3) is None


def test_the_speed_check_is_against_the_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "engine_module", engine)
    effort = replace(QUICK, rounds=3, least_rounds=3)  # an odd number has a round in its middle
    found = check.speed_check(shape=Shape(2, 3, 4, 8), effort=effort)
    assert found is not None
    assert [(speed.cell, speed.train) for speed in found] == [
        ("gru", False), ("gru", True), ("lstm", False), ("lstm", True),
    ]  # fmt: skip
    for speed in found:
        assert 0 < speed.to_dict()["share"][0] < 1
        assert speed.share.value == pytest.approx(speed.gigaflops / 1e3)


def test_a_copy_is_counted_as_read_and_written(monkeypatch: pytest.MonkeyPatch) -> None:
    gauge, times = machine.copy_gauge(1000), iter([10.0, 12.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(times))
    assert gauge() == 4000.0  # 8,000 bytes in two seconds


@pytest.mark.parametrize(("others", "said"), [(1.3, True), (0.0, False)])
def test_other_work_is_noticed(others: float, said: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"wall": 100.0, "machine": 1000.0, "own": 50.0}
    monkeypatch.setattr(time, "perf_counter", lambda: clock["wall"])
    monkeypatch.setattr(machine, "_machine_seconds", lambda: clock["machine"])
    monkeypatch.setattr(machine, "_own_seconds", lambda: clock["own"])
    with machine.Watch() as watch:
        clock["wall"] += 10.0
        clock["own"] += 20.0
        clock["machine"] += 20.0 + 10.0 * others
    assert watch.others == pytest.approx(others)
    assert (machine.disturbance(watch.others) is not None) is said


def test_a_machine_that_tells_nothing_is_not_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_machine_seconds", lambda: None)
    with machine.Watch() as watch:
        pass
    assert watch.others is None
    assert machine.disturbance(None) is None
