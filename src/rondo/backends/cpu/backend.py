"""The CPU engine as a backend: any cell from its plans, forward and backward, in native code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rondo.backends.base import Request, Steps, Weights
from rondo.backends.cpu import eager, operators  # noqa: F401  (the latter registers torch.ops.rondo)
from rondo.backends.cpu.inspection import inspect
from rondo.backends.cpu.native import why_not
from rondo.backends.cpu.recompute import recompute_number
from rondo.backends.cpu.reduced import ONLY_FORWARD, why_not_bfloat16
from rondo.backends.cpu.scan import scan
from rondo.backends.cpu.spec import ABSENT, MASKED, Spec, spec_for
from rondo.backends.cpu.steps import NativeSteps
from rondo.backends.cpu.unroll import Inputs
from rondo.backends.reference import ReferenceBackend
from rondo.backends.segments import RecomputeSteps
from rondo.cells import Cell, State

DTYPES = (torch.float32, torch.float64, torch.bfloat16)


class CpuBackend:
    """Plans run by the native module; see docs/dev/engine.md."""

    name = "cpu"
    summary = "the native engine: every cell and option (second and forward-mode derivatives are the reference's)"

    def refuses(self, request: Request) -> str | None:
        """Refuses other devices and types, and everything where the native module was not built."""
        if request.device.type != "cpu":
            return f"it runs on the CPU, the layer is on {request.device.type}"
        if request.dtype not in DTYPES:
            there = str(request.dtype).removeprefix("torch.")
            return f"it computes in float32 and float64, and without gradients in bfloat16; the layer is in {there}"
        if (missing := why_not()) is not None or request.dtype != torch.bfloat16:
            return missing
        return ONLY_FORWARD if request.gradients else why_not_bfloat16()

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
        return _unroll(
            cell, weights, x, state,
            lengths=lengths, reset=reset, initial=initial, masks=masks, zoneout=zoneout, reverse=reverse,
            outputs=outputs, recompute_steps=recompute_steps,
        )  # fmt: skip

    def unroll_both(
        self,
        cell: Cell,
        weights: Sequence[Weights],
        x: Tensor,
        states: Sequence[State],
        *,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
        initial: Sequence[State | None],
        masks: Sequence[Mapping[str, Tensor] | None],
        zoneout: Sequence[Mapping[str, Tensor | float] | None],
        outputs: bool = True,
        recompute_steps: RecomputeSteps | None = None,
    ) -> tuple[Tensor, list[State]]:
        """See `BothBackend.unroll_both`."""
        B, T, _ = x.shape
        H = states[0].h.shape[1]
        # Outputs are copied from the states where sequences begin or end inside, so they may lie anywhere.
        anywhere = lengths is not None or reset is not None
        room = None
        if outputs:
            stored = [one for of_direction in weights for one in of_direction.values()]
            room = eager.room_for_both(x, stored, (B, T, 2 * H) if anywhere else (T, B, 2 * H))
        places: list[Tensor | None] = [None, None] if room is None or not anywhere else [room[..., :H], room[..., H:]]
        found, ended = [], []
        for direction, place in enumerate(places):
            sequence, state = _unroll(
                cell, weights[direction], x, states[direction],
                lengths=lengths, reset=reset, initial=initial[direction], masks=masks[direction],
                zoneout=zoneout[direction], reverse=direction == 1, outputs=outputs, recompute_steps=recompute_steps,
                into=place,
            )  # fmt: skip
            found.append(sequence)
            ended.append(state)
        if anywhere:
            there = room is not None and all(one is place for one, place in zip(found, places, strict=True))
            return room if room is not None and there else torch.cat(found, 2), ended
        return torch.cat([one.transpose(0, 1) for one in found], 2, out=room).transpose(0, 1), ended

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
        inputs, rates = _inputs(
            cell, weights, x, state,
            lengths=lengths, reset=reset, initial=initial, masks=None, zoneout=zoneout,
        )  # fmt: skip
        if not eager.takes(inputs) or torch._C._are_functorch_transforms_active():
            return ReferenceBackend().inspect(
                cell, weights, x, state, values,
                lengths=lengths, reset=reset, initial=initial, zoneout=zoneout, reverse=reverse,
            )  # fmt: skip
        return inspect(_spec(cell, inputs, rates), inputs, values, reverse=reverse)

    def scan(self, cell: Cell, vectors: Mapping[str, Tensor], given: Tensor, state: State) -> tuple[Tensor, State]:
        """See `rondo.backends.cpu.scan.scan`: a cell's recurrence alone, its pre-activations given."""
        return scan(cell, vectors, given, state)

    def steps(
        self,
        cell: Cell,
        weights: Sequence[Weights],
        sizes: Sequence[Mapping[str, int]],
        batch_size: int,
        *,
        zoneout: Mapping[str, float] | None = None,
        readout: tuple[Tensor, Tensor | None] | None = None,
        tables: Sequence[Tensor] = (),
    ) -> Steps | None:
        """See `StepBackend.steps`."""
        if any(one.dtype == torch.bfloat16 for of_layer in weights for one in of_layer.values()):
            return None
        return NativeSteps(cell, weights, sizes, batch_size, zoneout=zoneout, readout=readout, tables=tables)


def _unroll(
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
    recompute_steps: RecomputeSteps | None,
    into: Tensor | None = None,
) -> tuple[Tensor, State]:
    """``into`` is an offer, see `run_forward`: who takes it gives it back as the outputs."""
    if eager.forward_mode():
        return ReferenceBackend().unroll(
            cell, weights, x, state,
            lengths=lengths, reset=reset, initial=initial, masks=masks, zoneout=zoneout, reverse=reverse,
            outputs=outputs,
        )  # fmt: skip
    inputs, rates = _inputs(
        cell, weights, x, state,
        lengths=lengths, reset=reset, initial=initial, masks=masks, zoneout=zoneout,
    )  # fmt: skip
    training = (torch.is_grad_enabled() or _traced(inputs)) and _needs_gradient(inputs)
    recompute = recompute_number(recompute_steps)
    if eager.takes(inputs):
        spec = _spec(cell, inputs, rates, dropout=bool(masks))
        sequence, *ended = eager.unroll(
            spec, inputs, reverse=reverse, training=training, outputs=outputs, recompute=recompute, into=into
        )
    else:
        sequence, *ended, _ = torch.ops.rondo.unroll(
            cell.key(), *inputs, rates, bool(masks), reverse, recompute, training, outputs
        )
    if not outputs:
        sequence = sequence[:, :0].detach()  # there may have been none, so no gradient may come to them
    by_name = dict(zip(cell.output_first, ended, strict=True))
    return sequence, State(**{part: by_name[part] for part in cell.state_parts})


def _inputs(
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
) -> tuple[Inputs, list[float]]:
    """What is given, in the order of a `Spec`, and its rates of zoneout."""
    stored = [weights[p.name] for p in cell.parameters if p.name in weights]
    dtype = stored[0].dtype if stored else x.dtype
    parts = cell.output_first
    given, fresh = _in_order(state, parts, dtype), _in_order(initial, parts, dtype)
    rates = [ABSENT] * len(parts)
    covers = [masks["recurrent"]] if masks else []
    for number, part in enumerate(parts if zoneout else ()):
        rate = zoneout[part] if zoneout and part in zoneout else ABSENT
        if isinstance(rate, Tensor):
            covers.append(rate)
        rates[number] = MASKED if isinstance(rate, Tensor) else float(rate)
    return Inputs(x if x.dtype == dtype else x.to(dtype), stored, given, fresh, covers, lengths, reset), rates


def _spec(cell: Cell, inputs: Inputs, rates: list[float], *, dropout: bool = False) -> Spec:
    bias, reduced = len(inputs.weights) == len(cell.parameters), inputs.x.dtype == torch.bfloat16
    return spec_for(cell.key(), bias, dropout, tuple(rates), reduced)


def _in_order(state: State | None, parts: Sequence[str], dtype: torch.dtype) -> list[Tensor]:
    """The parts in the type in which is computed: under autocast they may have come back in another."""
    if state is None:
        return []
    by_name = state.parts()
    return [by_name[part] if by_name[part].dtype == dtype else by_name[part].to(dtype) for part in parts]


def _traced(inputs: Inputs) -> bool:
    """Whether torch.jit traces; it checks a program without gradients, which must then be the same program."""
    return torch._C._get_tracing_state() is not None and inputs.x.dtype != torch.bfloat16


def _needs_gradient(inputs: Inputs) -> bool:
    return any(one.requires_grad for one in (*inputs.weights, inputs.x, *inputs.given, *inputs.fresh))
