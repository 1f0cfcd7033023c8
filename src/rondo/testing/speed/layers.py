"""A layer over whole sequences: Rondo's class beside torch's own, or beside the fair eager loop."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from rondo import nn as stand_ins
from rondo.backends import Request, choose
from rondo.backends.vendor import torch_layer
from rondo.cells import Cell, registry
from rondo.layers import Recurrent
from rondo.testing.speed.counting import Shape, operations
from rondo.testing.speed.eager import eager_loop
from rondo.testing.speed.machine import Watch, peak_gauge
from rondo.testing.speed.timing import Effort, Interval, Run, Samples, timed, warmed
from rondo.testing.tolerances import TOLERANCES, difference

OURS = "rondo"
PEAK = "peak"
CHECKED_STEPS = 12
"""Steps over which contenders must agree before they are timed: some cells are chaotic over hundreds."""
SLACK = 10.0
"""How many times the tolerance of one layer the contenders may differ: matrices here are larger."""


@dataclass(frozen=True)
class Case:
    """What is run: a cell on a shape, forward alone or a whole training step."""

    cell: Cell
    shape: Shape
    train: bool
    """Forward, backward and nothing else. Without: forward alone, and no gradients are recorded."""
    input_gradient: bool = False
    """x is inside a network and needs a gradient. Forward: a graph is then recorded, though not run back."""

    @property
    def key(self) -> str:
        """Names the case in a file of results."""
        mode = "train" if self.train else "forward"
        return f"{mode}/{self.cell.name}/{self.shape}/{'inner' if self.input_gradient else 'leaf'}"


@dataclass(frozen=True)
class Contender:
    """A layer and how its outputs are computed."""

    outputs: Callable[[Tensor], Tensor]
    parameters: Sequence[Tensor]
    """In the same order for all contenders."""


Extra = Callable[[Case, Contender, Tensor, Tensor], Mapping[str, Run]]
"""From a case, Rondo's contender, x and the gradient of the outputs: other systems' calls by name."""


@dataclass(frozen=True)
class Row:
    """A case, measured."""

    case: Case
    backend: str
    """The backend of Rondo's that ran."""
    baseline: str
    """The contender that the ratio is against."""
    samples: Samples | None = None
    """None where the contenders disagree."""
    wrong: str | None = None
    """How far they disagree."""
    others: float | None = None
    """Cores that other work kept busy meanwhile."""
    beside: Samples | None = None
    """Rondo once more, with contenders of other systems."""

    @property
    def ratio(self) -> Interval | None:
        """How many times as fast as the baseline."""
        return None if self.samples is None else self.samples.ratio(self.baseline, OURS)

    @property
    def work(self) -> int:
        """Operations of one call, as `operations` counts them."""
        case = self.case
        return operations(case.cell, case.shape, train=case.train, input_gradient=case.input_gradient)

    @property
    def share(self) -> Interval | None:
        """The part of the machine's peak that is reached; None where the peak is not known."""
        if self.samples is None or PEAK not in self.samples.rates:
            return None
        return self.samples.share(self.work, OURS, PEAK)

    def _others(self) -> dict[str, list[float]]:
        """How many times as fast as each of the other systems."""
        found = self.beside
        return {} if found is None else {n: found.ratio(n, OURS).to_list() for n in found.seconds if n != OURS}

    def to_dict(self) -> dict[str, Any]:
        """For a file of results."""
        case, samples = self.case, self.samples
        found: dict[str, Any] = {
            "key": case.key, "cell": case.cell.name, "shape": case.shape.to_list(), "train": case.train,
            "input_gradient": case.input_gradient, "backend": self.backend, "baseline": self.baseline,
        }  # fmt: skip
        if samples is None or self.ratio is None:
            return {**found, "wrong": self.wrong}
        ours = samples.median(OURS)
        return {
            **found,
            "ratio": self.ratio.to_list(),
            "share": None if self.share is None else self.share.to_list(),
            "operations": self.work,
            "gigaflops": self.work / ours / 1e9,
            "peak_gigaflops": float(sorted(samples.rates[PEAK])[samples.rounds // 2]) / 1e9 if self.share else None,
            "seconds": {**(self.beside.to_dict() if self.beside else {}), **samples.to_dict()},
            "others": self._others(),
            "rounds": samples.rounds,
            "other_work": self.others,
        }


def measure(
    case: Case,
    effort: Effort,
    *,
    backend: str = "auto",
    extra: Extra | None = None,
) -> Row:
    """Build the contenders with the same weights, see that they agree, and time them.

    ``extra`` makes contenders of other systems, which are then timed beside Rondo.
    """
    ours, baselines = contenders(case, backend)
    ran = backend_of(case.cell, case.shape, backend)
    first = next(iter(baselines))
    if wrong := disagreement(case, ours, baselines.values()):
        return Row(case, ran, first, wrong=wrong)
    x, outer = inputs(case)
    runs = {name: job(case, one, x, outer) for name, one in baselines.items()}
    baseline = min(runs, key=lambda name: warmed(runs[name], effort)) if len(runs) > 1 else first
    mine = {OURS: job(case, ours, x, outer)}
    gauge = peak_gauge(torch.get_num_threads())
    with Watch() as watch:
        samples = timed({**mine, baseline: runs[baseline]}, effort, {} if gauge is None else {PEAK: gauge})
    others = extra(case, ours, x, outer) if extra else {}
    # By themselves: the threads of another system may go on spinning into what is timed next.
    beside = timed({**mine, **others}, effort) if others else None
    return Row(case, ran, baseline, samples, others=watch.others, beside=beside)


def contenders(case: Case, backend: str = "auto") -> tuple[Contender, dict[str, Contender]]:
    """Rondo's layer, and what it is held against, with the same weights.

    A cell that torch has is held against ``torch.nn``, and its stand-in in ``rondo.nn`` is taken where the
    cell is the registry's. For the others there are two eager loops.
    """
    cell, shape = case.cell, case.shape
    sizes = shape.sizes(cell)
    theirs = torch_class(cell, sizes)
    ours: Any
    if theirs is not None and registry.get(cell.name) is cell:
        ours = getattr(stand_ins, type(theirs).__name__)(**_torch_options(cell, sizes))
        ours.backend = backend
    else:
        ours = Recurrent(cell, shape.I, shape.H, projection_size=sizes.get("projection"), backend=backend)
    names = [f"{p.name}_l0" for p in cell.parameters]
    parameters = [getattr(ours, name) for name in names]
    mine = Contender(lambda x: ours(x)[0], parameters)
    if theirs is not None:
        theirs.load_state_dict({name: value for name, value in ours.state_dict().items() if name in names})
        return mine, {"torch.nn": Contender(lambda x: theirs(x)[0], [getattr(theirs, name) for name in names])}
    weights = {p.name: value for p, value in zip(cell.parameters, parameters, strict=True)}
    widths = {part: sizes[width] for part, width in cell.state_widths.items()}
    loops = {"eager loop": False, "eager loop, input at once": True}
    return mine, {
        name: Contender(partial(_looped, eager_loop(cell, sizes, hoisted=hoisted), weights, widths), parameters)
        for name, hoisted in loops.items()
    }


def torch_class(cell: Cell, sizes: Mapping[str, int]) -> torch.nn.RNNBase | None:
    """The layer of torch's that computes this cell, or None."""
    found = torch_layer(cell)
    if found is None or sizes.get("projection", 0) >= sizes["hidden"]:
        return None
    kind = "RNN" if found.mode.startswith("RNN") else found.mode
    layer: torch.nn.RNNBase = getattr(torch.nn, kind)(**_torch_options(cell, sizes))
    return layer


def _torch_options(cell: Cell, sizes: Mapping[str, int]) -> dict[str, Any]:
    options: dict[str, Any] = {"input_size": sizes["input"], "hidden_size": sizes["hidden"], "batch_first": True}
    if "projection" in sizes:
        options["proj_size"] = sizes["projection"]
    found = torch_layer(cell)
    return {**options, "nonlinearity": "relu"} if found is not None and found.mode == "RNN_RELU" else options


def _looped(loop: Any, weights: Mapping[str, Tensor], widths: Mapping[str, int], x: Tensor) -> Tensor:
    outputs: Tensor = loop(x, weights, {part: x.new_zeros(x.shape[0], width) for part, width in widths.items()})
    return outputs


def backend_of(cell: Cell, shape: Shape, backend: str = "auto", *, dtype: torch.dtype = torch.float32) -> str:
    """The backend of Rondo's that runs a layer of this cell."""
    request = Request(cell, shape.sizes(cell), bias=True, dtype=dtype, device=torch.device("cpu"))
    return choose(request, backend).backend.name


def inputs(case: Case, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """x, and the gradient that comes back to the outputs."""
    random, shape = torch.Generator().manual_seed(seed), case.shape
    sizes = shape.sizes(case.cell)
    x = torch.randn(shape.B, shape.T, shape.I, generator=random).requires_grad_(case.input_gradient)
    return x, torch.randn(shape.B, shape.T, sizes[case.cell.state_widths["h"]], generator=random)


def job(case: Case, contender: Contender, x: Tensor, outer: Tensor) -> Run:
    """One call: forward, or forward and backward with gradients that start from nothing."""
    outputs, leaves = contender.outputs, [*contender.parameters, x]

    def train() -> None:
        for leaf in leaves:
            leaf.grad = None
        outputs(x).backward(outer)

    def forward() -> Tensor:
        with torch.set_grad_enabled(case.input_gradient):
            return outputs(x)

    return train if case.train else forward


def disagreement(case: Case, ours: Contender, baselines: Iterable[Contender]) -> str | None:
    """How far the contenders are apart where they should not be, over a few steps; None if they agree."""
    short = Case(case.cell, Shape(case.shape.B, min(case.shape.T, CHECKED_STEPS), case.shape.I, case.shape.H),
                 case.train, case.input_gradient)  # fmt: skip
    x, outer = inputs(short)
    allowed = TOLERANCES[torch.float32]
    mine = _results(short, ours, x, outer)
    for baseline in baselines:
        others = _results(short, baseline, x, outer)
        for number, (one, other) in enumerate(zip(mine, others, strict=True)):
            found = difference(one, other)
            if not found <= SLACK * (allowed.gradients if number else allowed.values):
                what = "gradients" if number else "outputs"
                return f"{what} differ by {found:.1g}"
    return None


def _results(case: Case, contender: Contender, x: Tensor, outer: Tensor) -> list[Tensor]:
    """The outputs, and in training the gradients."""
    if not case.train:
        with torch.no_grad():
            return [contender.outputs(x)]
    wanted = [*contender.parameters, *([x] if case.input_gradient else [])]
    outputs = contender.outputs(x)
    return [outputs.detach(), *torch.autograd.grad(outputs, wanted, outer)]


def quiet_torch() -> None:
    """torch says of some layers which of its own ways it takes; here that is known."""
    warnings.filterwarnings("ignore", message="LSTM with projections is not supported with oneDNN")
