"""Linear-chain conditional random field: the tags of a sequence, judged together.

Lafferty, McCallum and Pereira 2001; on top of a recurrent network as in Huang et al. 2015 and Lample et al. 2016.
The score of a path y through emissions e is start[y_1] + sum of e[t, y_t] + sum of transition[y_t, y_t+1] + end[y_T];
its probability is the exponential of that over the sum for all paths. The best paths: `rondo.decoding.viterbi`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rondo.errors import DataError, UsageError
from rondo.layers.chain import (
    Rows,
    forward_backward,
    log_partition,
    log_partition_reference,
    marginals,
    pair_probability,
)
from rondo.layers.masks import as_tensor, checked_lengths
from rondo.layers.transitions import Transitions

Lengths = Tensor | Sequence[int] | None


class CRF(nn.Module):
    """Scores of transitions between ``tags`` tags, learned with what gives the emissions (B, T, tags).

    ``allowed`` says which tags may begin and end a sequence and which may follow which: a path that breaks it
    has no probability, and asking for its likelihood is an error. A sequence of length zero has one path, the
    empty one. What stands beyond a length never matters. All is computed in float64, whatever the emissions are:
    the sum over all paths is large, and its difference to the score of one path small.
    """

    start: nn.Parameter
    transition: nn.Parameter
    end: nn.Parameter
    start_allowed: Tensor
    transition_allowed: Tensor
    end_allowed: Tensor

    def __init__(
        self,
        tags: int,
        *,
        allowed: Transitions | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if tags < 1:
            raise UsageError(f"a CRF has at least one tag, not {tags}")
        self.tags = tags
        shapes = {"start": (tags,), "transition": (tags, tags), "end": (tags,)}
        for (name, shape), given in zip(shapes.items(), allowed or (None,) * 3, strict=True):
            parameter = torch.empty(shape, device=device, dtype=dtype).uniform_(-0.1, 0.1)
            self.register_parameter(name, nn.Parameter(parameter))
            mask = torch.ones(shape) if given is None else as_tensor("allowed", given)
            if mask.shape != shape:
                raise UsageError(f"allowed: {name} has shape {tuple(mask.shape)}; {tags} tags need {shape}")
            # It follows from what the tags mean, so it is not kept with the weights.
            self.register_buffer(f"{name}_allowed", mask.to(device, torch.bool), persistent=False)

    def extra_repr(self) -> str:
        return f"tags={self.tags}, forbidden={int((~self.transition_allowed).sum())}"

    def scores(self) -> Transitions:
        """What is added up along a path; -inf where it is forbidden."""
        return Transitions(
            self.start.masked_fill(~self.start_allowed, -torch.inf),
            self.transition.masked_fill(~self.transition_allowed, -torch.inf),
            self.end.masked_fill(~self.end_allowed, -torch.inf),
        )

    def at_temperature(self, temperature: float) -> CRF:
        """A copy that divides its scores by ``temperature``, which emissions then must be divided by as well."""
        made = copy.deepcopy(self).requires_grad_(False)
        for parameter in made.parameters():
            parameter.div_(temperature)
        return made

    def forward(self, emission: Tensor, tags: Tensor, *, lengths: Lengths = None) -> Tensor:
        """The log-likelihood of the paths ``tags`` (B, T), (B,)."""
        x, sizes = self._checked(emission, lengths)
        return self._as_given(self._score(x, tags, sizes) - self._log_partition(x, sizes), emission)

    def score(self, emission: Tensor, tags: Tensor, *, lengths: Lengths = None) -> Tensor:
        """The scores of the paths ``tags`` (B, T), (B,)."""
        x, sizes = self._checked(emission, lengths)
        return self._as_given(self._score(x, tags, sizes), emission)

    def log_partition(self, emission: Tensor, *, lengths: Lengths = None) -> Tensor:
        """The logarithm of the sum over all paths of the exponential of their scores, (B,)."""
        x, sizes = self._checked(emission, lengths)
        return self._as_given(self._log_partition(x, sizes), emission)

    @torch.no_grad()
    def marginals(self, emission: Tensor, *, lengths: Lengths = None) -> Tensor:
        """The probability of each tag at each step over all paths, (B, T, tags); zero beyond the lengths."""
        x, sizes = self._checked(emission, lengths)
        scores = self._scores_like(x)
        rows = Rows.of(sizes, x.shape[1], x.device)
        _, sums, trusted = forward_backward(x, scores, rows, backward=True)
        if sums is None or not trusted:
            with torch.enable_grad():
                x = x.detach().requires_grad_()
                total = log_partition_reference(x, scores, sizes).sum()
            found = torch.autograd.grad(total, x)[0]
        else:
            found = torch.zeros_like(x).index_put_((rows.sequence, rows.step), marginals(sums))
        return self._as_given(found, emission)

    @torch.no_grad()
    def pair_probability(self, emission: Tensor, before: Tensor, after: Tensor, *, lengths: Lengths = None) -> Tensor:
        """How likely the tag a step earlier is among ``before[g]`` and this one among ``after[g]``, (B, T, G).

        Both are (G, tags), with 1 for what is among them. 0 at the first step and beyond the lengths.
        """
        x, sizes = self._checked(emission, lengths)
        return self._as_given(pair_probability(x, self._scores_like(x), sizes, before, after), emission)

    @torch.no_grad()
    def probability(
        self,
        emission: Tensor,
        tags: Tensor,
        pieces: Tensor | Sequence[tuple[int, int, int]],
        *,
        lengths: Lengths = None,
    ) -> Tensor:
        """How likely it is that pieces of the paths ``tags`` (B, T) are right, each taken by itself, (pieces,).

        A piece is (sequence, first step, step after its last): the sum over all paths that go through exactly
        these tags there (the constrained forward algorithm of Culotta and McCallum 2004).
        """
        x, sizes = self._checked(emission, lengths)
        chosen = as_tensor("pieces", pieces).to("cpu", torch.int64).reshape(-1, 3)
        sequence, start, stop = chosen.unbind(1)
        inside = (sequence >= 0) & (sequence < len(sizes)) & (start >= 0) & (start <= stop)
        if not bool(inside.all()) or bool((stop > sizes[sequence]).any()):
            raise UsageError("a piece is (sequence, first step, step after its last), within the sequence's length")
        T, device = x.shape[1], x.device
        steps = torch.arange(T)
        fixed = ((steps >= start[:, None]) & (steps < stop[:, None])).to(device)
        sequence = sequence.to(device)
        wanted = self._known(tags, x, sizes)[sequence][:, :, None] == torch.arange(self.tags, device=device)
        held = x[sequence].masked_fill(fixed[:, :, None] & ~wanted, -torch.inf)
        part = self._log_partition(held, sizes[chosen[:, 0]])
        return self._as_given((part - self._log_partition(x, sizes)[sequence]).exp(), emission)

    def _checked(self, emission: Tensor, lengths: Lengths) -> tuple[Tensor, Tensor]:
        """Emissions in the type that is computed in, and lengths on the CPU."""
        if not isinstance(emission, Tensor) or emission.dim() != 3 or emission.shape[2] != self.tags:
            given = tuple(emission.shape) if isinstance(emission, Tensor) else type(emission).__name__
            raise UsageError(f"emissions have shape (B, T, {self.tags}), one score a tag; got {given}")
        if not emission.is_floating_point():
            raise UsageError(f"emissions are scores, not {emission.dtype}")
        B, T, _ = emission.shape
        sizes = checked_lengths(lengths, B, T)
        # Apple's devices have no float64.
        exact = emission.float() if emission.device.type == "mps" else emission.double()
        return exact, torch.full((B,), T) if sizes is None else sizes

    def _as_given(self, result: Tensor, emission: Tensor) -> Tensor:
        return result.to(torch.promote_types(emission.dtype, self.transition.dtype))

    def _scores_like(self, x: Tensor) -> Transitions:
        return Transitions(*(score.to(x.dtype) for score in self.scores()))

    def _log_partition(self, x: Tensor, lengths: Tensor) -> Tensor:
        return log_partition(x, self._scores_like(x), lengths)

    def _score(self, x: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        B, T, _ = x.shape
        path = self._known(tags, x, lengths)
        if not B or not T:
            return x.new_zeros(B)
        ends = lengths.to(x.device)
        valid = torch.arange(T, device=x.device) < ends[:, None]
        last = path.gather(1, (ends - 1).clamp(min=0)[:, None]).squeeze(1)
        before, after, both = path[:, :-1], path[:, 1:], valid[:, 1:]
        self._refuse_forbidden(path[:, 0], before, after, last, valid)
        emitted = x.gather(2, path[:, :, None]).squeeze(2).masked_fill(~valid, 0).sum(1)
        moved = self.transition.to(x.dtype)[before, after].masked_fill(~both, 0).sum(1)
        edges = self.start.to(x.dtype)[path[:, 0]] + self.end.to(x.dtype)[last]
        return emitted + moved + edges.masked_fill(ends == 0, 0)

    def _known(self, tags: Tensor, x: Tensor, lengths: Tensor) -> Tensor:
        """Tags as they are within the lengths, 0 beyond them."""
        given = as_tensor("tags", tags)
        if given.shape != x.shape[:2] or given.is_floating_point() or given.dtype == torch.bool:
            wanted = f"whole numbers of shape {tuple(x.shape[:2])}"
            raise UsageError(f"tags are {wanted}, one a step; got {given.dtype} of {tuple(given.shape)}")
        given = given.to(x.device, torch.int64)
        valid = torch.arange(x.shape[1], device=x.device) < lengths.to(x.device)[:, None]
        known = given.masked_fill(~valid, 0)
        if bool(((known < 0) | (known >= self.tags)).any()):
            raise DataError(f"tags are numbers from 0 to {self.tags - 1}; got {int(known.min())} to {int(known.max())}")
        return known

    def _refuse_forbidden(self, first: Tensor, before: Tensor, after: Tensor, last: Tensor, valid: Tensor) -> None:
        """An error that names the place, if a path goes where it may not."""
        some = valid[:, 0]
        begins = ~self.start_allowed[first] & some
        moves = ~self.transition_allowed[before, after] & valid[:, 1:]
        ends = ~self.end_allowed[last] & some
        if not bool(begins.any() | moves.any() | ends.any()):
            return
        if bool(moves.any()):
            row, step = (int(i) for i in moves.nonzero()[0])
            what = f"tag {int(after[row, step])} at step {step + 2} after tag {int(before[row, step])}"
        elif bool(begins.any()):
            row = int(begins.nonzero()[0])
            what = f"tag {int(first[row])} at the beginning"
        else:
            row = int(ends.nonzero()[0])
            what = f"tag {int(last[row])} at the end"
        raise DataError(f"sequence {row} of the batch has {what}, which the tags' scheme forbids")
