"""Sums over all paths through a linear chain: the partition function and its derivative, the marginals.

`log_partition_reference` is the definition, in logarithms, differentiable as often as one likes. `forward_backward`
multiplies probabilities scaled to sum to one (Rabiner 1989), which turns each step into one matrix product; both
directions, the forward and the backward sums, go through one loop side by side. The derivative of the partition
function is the marginals (Sutton and McCallum 2012, section 3), so nothing is differentiated step by step.

A product that is too small for the numbers would be lost without a trace, so `forward_backward` looks for such
products and says when they came near; the reference then takes over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rondo.layers.transitions import Transitions

SCALE_EVERY = 4
"""Steps between two scalings. A step makes numbers at most as many times larger as there are tags."""


@dataclass(frozen=True)
class Rows:
    """The N valid steps of a batch as rows: all first steps, then all second ones; the longest sequence first."""

    counts: list[int]
    """(T,): how many sequences have a step t."""
    sequence: Tensor
    """(N,): the sequence a row is of."""
    step: Tensor
    """(N,): the step a row is of."""
    mirrored: Tensor
    """(N,): the row as far from the end of its sequence as this one is from the beginning."""
    previous: Tensor
    """(N - first steps,): for all rows but the first steps, the row one step before."""

    @property
    def first(self) -> int:
        """How many rows are first steps; they are the first rows."""
        return self.counts[0] if self.counts else 0

    @classmethod
    def of(cls, lengths: Tensor, T: int, device: torch.device) -> Rows:
        """Rows for ``lengths`` (B,) on the CPU, each at most T; the rows are on ``device``."""
        ordered, order = lengths.sort(descending=True, stable=True)
        valid = ordered > torch.arange(T)[:, None]
        counts = valid.sum(1)
        starts = counts.cumsum(0) - counts
        step, rank = valid.nonzero(as_tuple=True)
        later = step > 0
        return cls(
            counts=[n for n in counts.tolist() if n],
            sequence=order[rank].to(device),
            step=step.to(device),
            mirrored=(starts[ordered[rank] - 1 - step] + rank).to(device),
            previous=(starts[step[later] - 1] + rank[later]).to(device),
        )


@dataclass(frozen=True)
class Sums:
    """What `forward_backward` found, by rows; each row times a factor of its own."""

    before: Tensor
    """(N, K): paths up to each tag, without its own emission."""
    through: Tensor
    """(N, K): the same with its own emission."""
    after: Tensor
    """(N, K): paths from each tag to the end, without its own emission."""
    onward: Tensor
    """(N, K): the same with its own emission."""
    weight: Tensor
    """(K, K): the exponentials of the transitions, times a factor."""


def log_sum_exp(x: Tensor, dim: int) -> Tensor:
    """As torch.logsumexp, and its derivative is zero, not NaN, where everything that is summed is -inf."""
    top = x.detach().amax(dim, keepdim=True)
    top = top.where(top > -torch.inf, 0)
    total = (x - top).exp().sum(dim)
    none = total == 0
    return total.masked_fill(none, 1).log().masked_fill(none, -torch.inf) + top.squeeze(dim)


def log_partition_reference(emission: Tensor, transitions: Transitions, lengths: Tensor) -> Tensor:
    """The logarithm of the sum over all paths of the exponential of their scores, (B,); 0 for an empty sequence."""
    B, T, _ = emission.shape
    if not T:
        return emission.new_zeros(B)
    lengths = lengths.to(emission.device)
    valid = torch.arange(T, device=emission.device) < lengths[:, None]
    emission = emission.masked_fill(~valid[:, :, None], 0)
    alpha = transitions.start + emission[:, 0]
    for t in range(1, T):
        onward = log_sum_exp(alpha[:, :, None] + transitions.between, 1) + emission[:, t]
        alpha = torch.where(valid[:, t, None], onward, alpha)
    return log_sum_exp(alpha + transitions.end, 1).masked_fill(lengths == 0, 0)


def forward_backward(
    emission: Tensor, transitions: Transitions, rows: Rows, *, backward: bool
) -> tuple[Tensor, Sums | None, bool]:
    """The log partition function (B,), with ``backward`` also the sums, and whether they are to be trusted."""
    own = emission[rows.sequence, rows.step]
    shift = _finite(own.amax(1, keepdim=True))
    factor = own.new_empty(2 if backward else 1, *own.shape)
    torch.sub(own, shift, out=factor[0])
    tops = [_finite(scores.amax()) for scores in transitions]
    below = [scores - top for scores, top in zip(transitions, tops, strict=True)]
    narrow = _narrow(factor[0], *below)
    factor[0].exp_()
    start, between, end = (scores.exp() for scores in below)
    if backward:
        torch.index_select(factor[0], 0, rows.mirrored, out=factor[1])
    weight = torch.stack([between, between.t()] if backward else [between])
    ends = torch.stack([start, end] if backward else [start])[:, None]
    before, through = torch.empty_like(factor), torch.empty_like(factor)
    scale = torch.ones_like(factor[..., :1])
    before[:, : rows.first] = ends
    _step_through(rows.counts, before, through, factor, weight, scale)
    whole = (through[0].index_select(0, rows.mirrored[: rows.first]) * end).sum(1)
    logs = (scale[0].log() + shift).squeeze(1)
    logs[: rows.first] += whole.log() + tops[0] + tops[2]
    logs[rows.first :] += tops[1]
    total = emission.new_zeros(len(emission)).index_add_(0, rows.sequence, logs)
    tiny = torch.finfo(through.dtype).tiny
    trusted = narrow & ~((through < tiny**0.5) & (through != 0)).any() & ~total.isnan().any()
    if not backward:
        return total, None, bool(trusted)
    after, onward = before[1].index_select(0, rows.mirrored), through[1].index_select(0, rows.mirrored)
    return total, Sums(before[0], through[0], after, onward, between), bool(trusted)


def library(device: torch.device) -> Any:
    """What multiplies, adds and writes into slices on a device, by names that NumPy and torch have in common."""
    return np if device.type == "cpu" else torch


def _step_through(counts: list[int], *tensors: Tensor) -> None:
    """Fill ``before`` and ``through`` and note in ``scale`` what they were divided by; one step after the other.

    On the CPU by NumPy, whose calls cost a third of torch's: with a few dozen sequences and tags, the calls are
    what costs.
    """
    lib = library(tensors[0].device)
    before, through, factor, weight, scale = [x.numpy() for x in tensors] if lib is np else tensors
    at = 0
    last = through[:, :0]
    with np.errstate(invalid="ignore"):  # 0 / 0 where there is no path: the caller looks for what comes of it
        for t, n in enumerate(counts):
            now = slice(at, at + n)
            if t:
                lib.matmul(last[:, :n], weight, out=before[:, now])
            last = lib.multiply(before[:, now], factor[:, now], out=through[:, now])
            if t % SCALE_EVERY == 0:
                last /= lib.sum(last, 2, keepdims=True, out=scale[:, now])
            at += n


def marginals(sums: Sums) -> Tensor:
    """(N, K): the probability of each tag at each step."""
    joint = sums.through * sums.after
    return joint / joint.sum(1, keepdim=True)


def pair_probability(
    emission: Tensor, transitions: Transitions, lengths: Tensor, before: Tensor, after: Tensor
) -> Tensor:
    """(B, T, G): how likely the tag a step earlier is among ``before[g]`` and this one among ``after[g]``.

    Both are (G, K), with 1 for what is among them. 0 at the first step and beyond the lengths.
    """
    B, T, _ = emission.shape
    found = emission.new_zeros(B, T, len(before))
    if not T:
        return found
    ends = lengths.to(emission.device)
    valid = torch.arange(T, device=emission.device) < ends[:, None]
    emission = emission.masked_fill(~valid[:, :, None], 0)
    alphas = [transitions.start + emission[:, 0]]
    for t in range(1, T):
        onward = log_sum_exp(alphas[-1][:, :, None] + transitions.between, 1) + emission[:, t]
        alphas.append(torch.where(valid[:, t, None], onward, alphas[-1]))
    total = log_sum_exp(alphas[-1] + transitions.end, 1)
    beta = transitions.end.expand(B, -1)
    for t in range(T - 1, 0, -1):
        here = emission[:, t] + beta
        joint = (alphas[t - 1][:, :, None] + transitions.between + (here - total[:, None])[:, None, :]).exp()
        shares = torch.einsum("bij,gi,gj->bg", joint, before.to(joint), after.to(joint))
        found[:, t] = shares.masked_fill(~valid[:, t, None], 0)
        beta = torch.where(valid[:, t, None], log_sum_exp(transitions.between + here[:, None, :], 2), beta)
    return found


def expected_transitions(sums: Sums, rows: Rows, weight: Tensor) -> Tensor:
    """(K, K): how often each transition is expected; the steps (N - first,) count by ``weight``."""
    before, onward = sums.before[rows.first :], sums.onward[rows.first :]
    share = weight / (before * onward).sum(1)
    return sums.weight * (sums.through.index_select(0, rows.previous).t() @ (onward * share[:, None]))


@torch.compiler.disable
def log_partition(emission: Tensor, transitions: Transitions, lengths: Tensor) -> Tensor:
    """As `log_partition_reference`, quickly; lengths are on the CPU, all else of one floating type and device."""
    return _LogPartition.apply(emission, *transitions, lengths)


class _LogPartition(torch.autograd.Function):
    """`log_partition_reference`, computed by `forward_backward` wherever that can be trusted."""

    @staticmethod
    def forward(ctx: Any, emission: Tensor, start: Tensor, between: Tensor, end: Tensor, lengths: Tensor) -> Tensor:
        inputs = emission, start, between, end
        rows = Rows.of(lengths, emission.shape[1], emission.device)
        backward = any(ctx.needs_input_grad)
        total, sums, trusted = forward_backward(emission, Transitions(*inputs[1:]), rows, backward=backward)
        if not trusted:
            total = log_partition_reference(emission, Transitions(*inputs[1:]), lengths)
        ctx.save_for_backward(*inputs)
        ctx.lengths, ctx.rows, ctx.sums = lengths, rows, sums if trusted else None
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        if ctx.sums is None or torch.is_grad_enabled():
            return (*_differentiated(ctx.saved_tensors, ctx.lengths, gradient), None)
        emission = ctx.saved_tensors[0]
        rows: Rows = ctx.rows
        share = gradient[rows.sequence]
        of_rows = marginals(ctx.sums) * share[:, None]
        of_emission = torch.zeros_like(emission)
        of_emission[rows.sequence, rows.step] = of_rows
        of_between = expected_transitions(ctx.sums, rows, share[rows.first :])
        return of_emission, of_rows[: rows.first].sum(0), of_between, of_rows[rows.mirrored[: rows.first]].sum(0), None


def _differentiated(inputs: tuple[Tensor, ...], lengths: Tensor, gradient: Tensor) -> tuple[Tensor, ...]:
    """The derivative through the reference; differentiable itself if that is asked for."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        inner = inputs if again else tuple(x.detach().requires_grad_() for x in inputs)
        wanted = [x for x in inner if x.requires_grad]
        total = log_partition_reference(inner[0], Transitions(*inner[1:]), lengths)
        found = iter(torch.autograd.grad(total, wanted, gradient, create_graph=again, allow_unused=True))
    return tuple(next(found) if x.requires_grad else None for x in inner)  # type: ignore[misc]


def _finite(top: Tensor) -> Tensor:
    """A largest score to be subtracted; where all are -inf there is nothing to subtract."""
    return top.masked_fill(top == -torch.inf, 0)


def _narrow(*below: Tensor) -> Tensor:
    """Whether scores are so little below the largest of their kind that no product of their exponentials is lost.

    Each step multiplies a sum, found to be at least ``tiny ** 0.5``, by the exponentials of a transition and of an
    emission. At least ``tiny ** 0.25`` each, they leave at least ``tiny``, the smallest number of full precision.
    """
    least = 0.25 * math.log(torch.finfo(below[0].dtype).tiny)
    wide = [((scores < least) & (scores > -torch.inf)).any() for scores in below]
    return ~torch.stack(wide).any()
