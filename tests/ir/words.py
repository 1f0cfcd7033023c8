"""The cell language without torch: what `rondo.cells.language` does, for tests of the IR alone."""

from __future__ import annotations

from typing import Any

from rondo.ir import active_algebra


def call(op: str, *args: Any) -> Any:
    return active_algebra().function(op, *args)


def project(name: str, x: Any) -> Any:
    return active_algebra().linear("weight_ih", name, x, bias="bias_ih")


def recur(name: str, h: Any, heads: int = 1) -> Any:
    return active_algebra().linear("weight_hh", name, h, bias="bias_hh", heads=heads)


def vector(name: str, init: Any = 0.0) -> Any:
    return active_algebra().vector(name, init)


def affine(name: str, x: Any, h: Any) -> Any:
    return project(name, x) + recur(name, h)
