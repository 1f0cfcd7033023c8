"""The sections of the suite: each gives rows, one measured set of contenders each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rondo.cells import Cell
from rondo.testing.speed.counting import Shape
from rondo.testing.speed.layers import Case, Row, measure
from rondo.testing.speed.streaming import SIZES, measure_model, measure_step
from rondo.testing.speed.timing import Effort

Result = dict[str, Any]
MODEL_HIDDEN = 256


class Skipped(Exception):
    """Why a section, or what is left of it, cannot be measured here."""


@dataclass(frozen=True)
class Plan:
    """What was asked for."""

    cells: list[Cell]
    shapes: list[Shape]
    effort: Effort
    backend: str = "auto"
    quick: bool = False
    """Tiny sizes: does it run?"""
    others: bool = True
    """Time JAX, ONNX Runtime and Keras along, where they are installed."""


@dataclass(frozen=True)
class Section:
    """One of those that ``--only`` names."""

    about: str
    rows: Callable[[Plan], Iterator[Result]]


def train(plan: Plan) -> Iterator[Result]:
    return _layers(plan, train=True)


def forward(plan: Plan) -> Iterator[Result]:
    return _layers(plan, train=False)


def _layers(plan: Plan, *, train: bool) -> Iterator[Result]:
    from others import runs

    for cell in plan.cells:
        for shape in plan.shapes:
            for inner in (False, True):
                extra = runs if plan.others and not inner else None
                case = Case(cell, shape, train, inner)
                row: Row = measure(case, plan.effort, backend=plan.backend, extra=extra)
                yield row.to_dict()


def stream(plan: Plan) -> Iterator[Result]:
    for hidden in (8,) if plan.quick else SIZES:
        yield measure_step(hidden, plan.effort, backend=plan.backend).to_dict()
    yield measure_model(8 if plan.quick else MODEL_HIDDEN, plan.effort, backend=plan.backend).to_dict()


def _from(module: str) -> Callable[[Plan], Iterator[Result]]:
    """The rows of a module of this folder, which is imported when it is run."""

    def rows(plan: Plan) -> Iterator[Result]:
        from importlib import import_module

        found: Iterator[Result] = import_module(module).rows(plan)
        return found

    return rows


SECTIONS = {
    "train": Section("forward and backward over whole sequences", train),
    "forward": Section("forward over whole sequences", forward),
    "stream": Section("one step at a time, one sequence", stream),
    "bf16": Section("weights in bfloat16, forward", _from("reduced")),
    "scan": Section("cells without a product with the state, against the copy bandwidth", _from("scan")),
    "recompute": Section("residuals computed again, against all kept", _from("recompute")),
    "ragged": Section("sequences of different lengths, against the full batch", _from("ragged")),
    "stack": Section("both directions and stacks, against the sum of their parts", _from("stack")),
    "busy": Section("beside competing processes, against alone", _from("busy")),
    "text": Section("training of a language model, tokens a second", _from("text")),
}
