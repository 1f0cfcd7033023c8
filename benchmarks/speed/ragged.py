"""Batches of sequences of different lengths, in any order, against the full batch, as long as the longest."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from sections import Plan, Result
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rondo.cells import get_cell
from rondo.layers import Recurrent
from rondo.testing.speed.counting import Shape
from rondo.testing.speed.layers import Case, Contender, inputs, job
from rondo.testing.speed.machine import Watch
from rondo.testing.speed.timing import interval, timed

B, I, H, STEPS = 64, 256, 256, 200
RAGGED, FULL, PACKED = "lengths", "full batch", "torch.nn, packed"


def rows(plan: Plan) -> Iterator[Result]:
    """GRU and LSTM, both distributions, both modes."""
    for name in ("gru", "lstm"):
        for train in (False, True):
            for kind in ("uniform", "log-normal"):
                yield _row(plan, name, kind, lengths(kind, quick=plan.quick), train)


def lengths(kind: str, *, quick: bool = False) -> Tensor:
    """The quantiles of the distribution, shuffled: uniform on 1 to 200, or log-normal with sigma 1, median 50."""
    steps = 6 if quick else STEPS
    if kind == "uniform":
        drawn = np.linspace(1, steps, B)
    else:
        normal = np.array([NormalDist().inv_cdf((part + 0.5) / B) for part in range(B)])
        drawn = np.maximum(1, steps / 4 * np.exp(normal))
    return torch.from_numpy(np.random.default_rng(0).permutation(np.rint(drawn).astype(np.int64)))


def _row(plan: Plan, name: str, kind: str, given: Tensor, train: bool) -> Result:
    width = 8 if plan.quick else H
    shape = Shape(B, int(given.max()), 8 if plan.quick else I, width)
    case = Case(get_cell(name), shape, train)
    ours: Any = Recurrent(name, shape.I, shape.H, backend=plan.backend)
    theirs = getattr(torch.nn, name.upper())(shape.I, shape.H, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    x, outer = inputs(case)

    def packed(x: Tensor) -> Tensor:
        whole = pack_padded_sequence(x, given, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(theirs(whole)[0], batch_first=True, total_length=shape.T)[0]

    contenders = {
        RAGGED: Contender(lambda x: ours(x, lengths=given)[0], list(ours.parameters())),
        FULL: Contender(lambda x: ours(x)[0], list(ours.parameters())),
        PACKED: Contender(packed, list(theirs.parameters())),
    }
    with Watch() as watch:
        samples = timed({n: job(case, one, x, outer) for n, one in contenders.items()}, plan.effort)
    valid = float(given.sum()) / (B * shape.T)
    cost = np.divide(samples.seconds[RAGGED], samples.seconds[FULL])
    return {
        "key": f"ragged/{kind}/{'train' if train else 'forward'}/{name}", "cell": name, "lengths": kind,
        "train": train, "shape": shape.to_list(), "valid": valid, "cost": interval(cost / valid).to_list(),
        "of_full": interval(cost).to_list(), "against_torch": samples.ratio(PACKED, RAGGED).to_list(),
        "seconds": samples.to_dict(), "rounds": samples.rounds, "other_work": watch.others,
    }  # fmt: skip
