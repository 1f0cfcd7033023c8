"""Cells without a product with the state: the recurrence alone, and the whole layer beside its parts.

*Scan*: the pre-activations of all steps are given, and nothing but the recurrence is computed; its bytes are
held against the bandwidth of a copy in the same round. *Layer*: beside its products and its scan. Its products
are taken at 90 % of the machine's peak, or as fast as torch computes them where that is faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod

import numpy as np
import torch
from sections import Plan, Result
from torch import Tensor
from torch.nn import functional as F

from rondo.backends.cpu.native import why_not
from rondo.backends.cpu.scan import scan as run_scan
from rondo.cells import Cell, State, get_cell
from rondo.layers import Recurrent
from rondo.testing.speed.counting import Shape, operations, scan_bytes
from rondo.testing.speed.layers import OURS, PEAK, Case, Contender, inputs, job
from rondo.testing.speed.machine import Watch, copy_gauge, peak_gauge
from rondo.testing.speed.timing import Run, interval, timed
from rondo.testing.tolerances import assert_close

CELLS = ("min_gru", "min_lstm", "indrnn")
SHAPE = Shape(16, 2048, 512, 512)
BEST_SHARE = 0.9
"""Of the peak that a product can reach."""

Scan = Callable[[Tensor], Tensor]


def rows(plan: Plan) -> Iterator[Result]:
    """Each cell, forward and forward with backward."""
    shape = Shape(2, 8, 5, 16) if plan.quick else SHAPE
    for name in CELLS:
        for train in (False, True):
            yield _row(plan, Case(get_cell(name), shape, train))


def _row(plan: Plan, case: Case) -> Result:
    cell, shape = case.cell, case.shape
    layer = Recurrent(cell, shape.I, shape.H, backend=plan.backend)
    names = [f"{p.name}_l0" for p in cell.parameters]
    ours = Contender(lambda x: layer(x)[0], [getattr(layer, name) for name in names])
    x, outer = inputs(case)
    runs: dict[str, Run] = {OURS: job(case, ours, x, outer), "products": _products(case, layer, x)}
    if (scan := _scan(cell, layer)) is not None:
        given = F.linear(x, layer.weight_ih_l0, layer.bias_ih_l0).detach()
        assert_close(scan(given), ours.outputs(x), torch.float32, what=f"the scan of {cell.name}")
        runs["scan"] = _scan_job(case.train, scan, given, outer)
    gauge = peak_gauge(torch.get_num_threads())
    gauges = {"copy": copy_gauge(shape.B * shape.T * shape.H), **({} if gauge is None else {PEAK: gauge})}
    with Watch() as watch:
        samples = timed(runs, plan.effort, gauges)
    found: Result = {
        "key": f"scan/{'train' if case.train else 'forward'}/{cell.name}", "cell": cell.name,
        "shape": shape.to_list(), "train": case.train, "bytes": scan_bytes(cell, shape, train=case.train),
        "copy_gigabytes": float(np.median(samples.rates["copy"])) / 1e9, "seconds": samples.to_dict(),
        "rounds": samples.rounds, "other_work": watch.others,
    }  # fmt: skip
    if scan is None:
        return {**found, "missing": why_not()}
    work = operations(cell, shape, train=case.train, input_gradient=False)
    products = np.asarray(samples.seconds["products"])
    if gauge is not None:
        products = np.minimum(products, work / (BEST_SHARE * np.asarray(samples.rates[PEAK])))
    parts = products + np.asarray(samples.seconds["scan"])
    return {
        **found,
        "share": samples.share(found["bytes"], "scan", "copy").to_list(),
        "layer": interval(np.asarray(samples.seconds[OURS]) / parts).to_list(),
    }


def _scan(cell: Cell, layer: Recurrent) -> Scan | None:
    """The engine's own entry: pre-activations (B, T, blocks times H), biases included, to outputs."""
    if why_not() is not None:
        return None
    vectors = {p.name: getattr(layer, f"{p.name}_l0") for p in cell.parameters if p.kind == "vector"}

    def scan(given: Tensor) -> Tensor:
        return run_scan(cell, vectors, given, State(h=given.new_zeros(given.shape[0], layer.hidden_size)))[0]

    return scan


def _scan_job(train: bool, scan: Scan, given: Tensor, outer: Tensor) -> Run:
    leaf = given.requires_grad_(train)

    def run() -> None:
        leaf.grad = None
        with torch.set_grad_enabled(train):
            outputs = scan(leaf)
        if train:
            outputs.backward(outer)

    return run


def _products(case: Case, layer: Recurrent, x: Tensor) -> Run:
    """The products of the layer by torch: with x, and in training those of the weights' gradients."""
    weight, bias = layer.weight_ih_l0, layer.bias_ih_l0
    back = torch.randn(*x.shape[:2], prod(bias.shape))

    def run() -> None:
        weight.grad = bias.grad = None
        with torch.set_grad_enabled(case.train):
            given = F.linear(x, weight, bias)
        if case.train:
            given.backward(back)

    return run
