"""The reference: an eager loop over time. It defines what every other backend must compute.

It runs any cell, dtype and device, and can be differentiated as often as one likes. A step beyond the
end of a sequence is not computed at all, rather than computed and thrown away: nothing that stands in
the padding, NaN included, can reach a value or a gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from rondo.backends.base import Request, Weights, sizes_of
from rondo.backends.segments import RecomputeSteps, segment_length, segments
from rondo.cells import Cell, State
from rondo.cells.cell import Step
from rondo.ir.graph import size_of
from rondo.ir.passes import visible


class ReferenceBackend:
    """One call of the cell's equations a time step."""

    name = "reference"
    summary = "a loop over time in eager torch: every cell, every option, derivatives of any order"

    def refuses(self, request: Request) -> str | None:
        """Nothing is refused: the reference is the definition."""
        return None

    def unroll(
        self,
        cell: Cell,
        weights: Weights,
        x: Tensor,
        state: State,
        *,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
        initial: State | None = None,
        masks: Mapping[str, Tensor] | None = None,
        zoneout: Mapping[str, Tensor | float] | None = None,
        reverse: bool = False,
        outputs: bool = True,
        recompute_steps: RecomputeSteps | None = None,
    ) -> tuple[Tensor, State]:
        """See `Backend.unroll`."""
        if recompute_steps is not None and _recomputes():
            length = segment_length(recompute_steps, *x.shape[:2])
            return _in_segments(
                length, cell, weights, x, state,
                lengths=lengths, reset=reset, initial=initial, masks=masks, zoneout=zoneout, reverse=reverse,
                outputs=outputs,
            )  # fmt: skip
        bind = partial(cell.bind, weights, sizes_of(cell, weights, x, state))
        return _over_time(
            bind, x, state, state.h.shape[1], lambda after: after.h,
            lengths=lengths, reset=reset, initial=initial, masks=masks, zoneout=zoneout, reverse=reverse,
            outputs=outputs,
        )  # fmt: skip

    def inspect(
        self,
        cell: Cell,
        weights: Weights,
        x: Tensor,
        state: State,
        values: Sequence[str],
        *,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
        initial: State | None = None,
        zoneout: Mapping[str, float] | None = None,
        reverse: bool = False,
    ) -> dict[str, Tensor]:
        """See `InspectBackend.inspect`."""
        sizes = sizes_of(cell, weights, x, state)
        known = visible(cell.graph)
        widths = [size_of(cell.graph.nodes[known[name]].width, sizes) for name in values]
        taps: dict[str, Tensor] = {}

        def look(after: State) -> Tensor:
            named = {**taps, **after.parts()}
            return torch.cat([named[name].expand(len(after.h), -1) for name in values], 1)

        found, _ = _over_time(
            partial(cell.bind, weights, sizes, taps=taps), x, state, sum(widths), look,
            lengths=lengths, reset=reset, initial=initial, zoneout=zoneout, reverse=reverse,
        )  # fmt: skip
        return dict(zip(values, found.split(widths, 2), strict=True))


def _over_time(
    bind: Callable[..., Step],
    x: Tensor,
    state: State,
    width: int,
    look: Callable[[State], Tensor],
    *,
    lengths: Tensor | None,
    reset: Tensor | None,
    initial: State | None,
    masks: Mapping[str, Tensor] | None = None,
    zoneout: Mapping[str, Tensor | float] | None,
    reverse: bool,
    outputs: bool = True,
) -> tuple[Tensor, State]:
    """What ``look`` sees after each step, (B, T, width), and the state at the end; ``bind(masks=)`` gives the step."""
    B, T, _ = x.shape
    masks, zoneout = dict(masks or {}), dict(zoneout or {})
    cuts = None if reset is None else _cuts(reset, lengths, reverse)
    running = [B] * T
    order = None
    if lengths is not None:
        # Longest first: the sequences still running at a step are then the first rows.
        order = torch.argsort(lengths, descending=True, stable=True)
        running = (lengths[None, :] > torch.arange(T)[:, None]).sum(1).tolist()
        order = order.to(x.device)
        x, state = x[order], state.select(order)
        cuts = None if cuts is None else cuts[order]
        initial = None if initial is None else initial.select(order)
        masks = {name: mask[order] for name, mask in masks.items()}
        zoneout = {part: z[order] if isinstance(z, Tensor) else z for part, z in zoneout.items()}
    cut_at = [False] * T if cuts is None else cuts.any(0).tolist()

    step, rows = bind(masks=masks), B
    inputs = x.unbind(1)
    found: list[Tensor] = [x] * T
    for t in reversed(range(T)) if reverse else range(T):
        n = running[t]
        if n == 0:
            found[t] = state.h.new_zeros(B, width)
            continue
        before = state if n == B else state.select(slice(n))
        if cuts is not None and cut_at[t]:
            before = _restart(before, cuts[:n, t], None if initial is None else initial.select(slice(n)))
        if masks and n != rows:
            step, rows = bind(masks={k: mask[:n] for k, mask in masks.items()}), n
        after = step(inputs[t][:n], before)
        if zoneout:
            after = _keep(before, after, {p: _at(z, n, t) for p, z in zoneout.items()})
        state = after if n == B else _join(after, state.select(slice(n, None)))
        seen = look(after)
        found[t] = seen if n == B else torch.cat([seen, seen.new_zeros(B - n, width)])

    # Stacked along time first: the memory then lies as torch's own layers lay it.
    some = outputs and T > 0
    sequence = torch.stack(found).transpose(0, 1) if some else state.h.new_zeros(B, 0, width)
    if order is not None:
        back = torch.argsort(order)
        sequence, state = sequence[back], state.select(back)
    return sequence, state


def _recomputes() -> bool:
    """Where transforms or a compiler see what happens, they decide themselves what is kept."""
    hidden = torch._C._are_functorch_transforms_active() or torch.compiler.is_compiling()
    return torch.is_grad_enabled() and not hidden


def _in_segments(
    length: int,
    cell: Cell,
    weights: Weights,
    x: Tensor,
    state: State,
    *,
    lengths: Tensor | None,
    reset: Tensor | None,
    initial: State | None,
    masks: Mapping[str, Tensor] | None,
    zoneout: Mapping[str, Tensor | float] | None,
    reverse: bool,
    outputs: bool,
) -> tuple[Tensor, State]:
    """Each segment of time by itself, under torch's own checkpointing."""
    x_pieces = x.split(length, 1)
    pieces = [state.h.new_zeros(*piece.shape[:2] if outputs else (len(x), 0), state.h.shape[1]) for piece in x_pieces]
    for segment in segments(x.shape[1], length, lengths, reset, reverse=reverse):
        number, here = segment.begin // length, slice(segment.begin, segment.end)
        if segment.anew is not None:
            state = _restart(state, segment.anew, initial)
        pieces[number], state = checkpoint(
            ReferenceBackend().unroll, cell, weights, x_pieces[number], state,
            lengths=segment.lengths, reset=segment.reset, initial=initial, masks=masks,
            zoneout={part: z[:, here] if isinstance(z, Tensor) else z for part, z in (zoneout or {}).items()},
            reverse=reverse, outputs=outputs, use_reentrant=False, preserve_rng_state=False,
        )  # fmt: skip
    return torch.cat(pieces, 1), state


def _cuts(reset: Tensor, lengths: Tensor | None, reverse: bool) -> Tensor:
    """Where the state is replaced before a step; backwards in time, that is where a sequence was left."""
    if not reverse:
        return reset
    cuts = torch.zeros_like(reset)
    cuts[:, :-1] = reset[:, 1:]
    if lengths is not None:
        inside = torch.arange(1, reset.shape[1] + 1)[None, :] < lengths[:, None]
        cuts = cuts & inside.to(cuts.device)
    return cuts


def _restart(state: State, mask: Tensor, initial: State | None) -> State:
    parts = {}
    for name, value in state.parts().items():
        fresh = torch.zeros_like(value) if initial is None else initial.parts()[name]
        parts[name] = torch.where(mask[:, None], fresh, value)
    return State(**parts)


def _at(z: Tensor | float, n: int, t: int) -> Tensor | float:
    return z[:n, t] if isinstance(z, Tensor) else z


def _keep(before: State, after: State, zoneout: Mapping[str, Tensor | float]) -> State:
    parts = after.parts()
    for name, z in zoneout.items():
        former = before.parts()[name]
        if isinstance(z, Tensor):
            parts[name] = torch.where(z, former, parts[name])
        else:
            parts[name] = z * former + (1 - z) * parts[name]
    return State(**parts)


def _join(first: State, second: State) -> State:
    rest = second.parts()
    return State(**{name: torch.cat([value, rest[name]]) for name, value in first.parts().items()})
