"""The CPU engine as a backend: any cell from its plans, forward and backward, in native code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rondo.backends.base import Request, Steps, Weights, sizes_of
from rondo.backends.cpu.lower import Plans, plans_for
from rondo.backends.cpu.native import Encoded, engine_for, engine_module, why_not
from rondo.backends.cpu.plan import Plan
from rondo.backends.cpu.steps import NativeSteps
from rondo.backends.cpu.zoneout import MASK
from rondo.backends.reference import ReferenceBackend
from rondo.cells import Cell, State
from rondo.ir.graph import WIDTHS

DTYPES = (torch.float32, torch.float64)
NOWHERE = (0, 0, 0)


class CpuBackend:
    """Plans run by the native module; see docs/dev/engine.md."""

    name = "cpu"
    summary = "the native engine: every cell, with lengths, resets and masks inside"

    def refuses(self, request: Request) -> str | None:
        """Refuses other devices and types, and everything where the native module was not built."""
        if request.device.type != "cpu":
            return f"it runs on the CPU, the layer is on {request.device.type}"
        if request.dtype not in DTYPES:
            return f"it computes in float32 and float64, the layer is in {str(request.dtype).removeprefix('torch.')}"
        return why_not()

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
    ) -> tuple[Tensor, State]:
        """See `Backend.unroll`."""
        zoneout = zoneout or {}
        given_masks = {**(masks or {}), **{MASK + part: z for part, z in zoneout.items() if isinstance(z, Tensor)}}
        run = _Run(
            cell=cell,
            names=tuple(weights),
            masks=tuple(given_masks),
            zoneout=tuple((part, None if isinstance(z, Tensor) else float(z)) for part, z in zoneout.items()),
            sizes=tuple({"one": 1, **sizes_of(cell, weights, x, state)}.get(width, 0) for width in WIDTHS),
            dtype=weights[next(iter(weights))].dtype,
            lengths=lengths,
            reset=reset,
            has_initial=initial is not None,
            reverse=reverse,
        )
        states = [state] if initial is None else [state, initial]
        outputs = _Unroll.apply(
            run,
            x,
            *weights.values(),
            *(one.parts()[part] for one in states for part in cell.state_parts),
            *given_masks.values(),
        )
        return outputs[0], State(**dict(zip(cell.state_parts, outputs[1:], strict=True)))

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
    ) -> Steps:
        """See `StepBackend.steps`."""
        return NativeSteps(cell, weights, sizes, batch_size, zoneout=zoneout, readout=readout, tables=tables)


@dataclass(frozen=True)
class _Run:
    """Everything about a call but its tensors, and how the tensors stand in one list."""

    cell: Cell
    names: tuple[str, ...]
    masks: tuple[str, ...]
    zoneout: tuple[tuple[str, float | None], ...]
    sizes: tuple[int, ...]
    dtype: torch.dtype
    lengths: Tensor | None
    reset: Tensor | None
    has_initial: bool
    reverse: bool

    @property
    def parts(self) -> tuple[str, ...]:
        return self.cell.state_parts

    def split(self, tensors: Sequence[Any]) -> tuple[Any, list[Any], list[Any], list[Any], list[Any]]:
        """x, weights, the given state, the state after a reset, masks."""
        rest = list(tensors)
        sizes = (1, len(self.names), len(self.parts), len(self.parts) if self.has_initial else 0, len(self.masks))
        pieces = []
        for size in sizes:
            pieces.append(rest[:size])
            rest = rest[size:]
        return pieces[0][0], *pieces[1:]

    def plans(self, *, training: bool, dy: bool = True, dx: bool = True) -> Plans:
        return plans_for(
            self.cell,
            bias=any(p.name in self.names for p in self.cell.parameters if p.kind == "bias"),
            recurrent_dropout="recurrent" in self.masks,
            zoneout=self.zoneout,
            training=training,
            dy=dy,
            dx=dx,
            restarts=self.lengths is not None or self.reset is not None,
        )

    def engine(self, plan: Plan) -> tuple[Encoded, Any]:
        return engine_for(plan, self.sizes, self.dtype)

    def layout(self, x: Tensor) -> Any:
        module = engine_module()
        B, T, _ = x.shape
        lanes = None
        if self.lengths is not None or self.reset is not None:
            lengths = None if self.lengths is None else self.lengths.contiguous()
            cuts = None if self.reset is None else self.reset.contiguous()
            lanes = module.make_lanes(B, T, _address(lengths), _address(cuts), self.reverse)
        return module.Layout(B, T, self.reverse, lanes)

    def reference(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The same run by the definition: what second derivatives are taken of."""
        x, weights, given, fresh, masks = self.split(tensors)
        named = dict(zip(self.masks, masks, strict=True))
        rates: dict[str, Tensor | float] = {}
        for part, rate in self.zoneout:
            rates[part] = named.pop(MASK + part) > 0 if rate is None else rate
        sequence, state = ReferenceBackend().unroll(
            self.cell,
            dict(zip(self.names, weights, strict=True)),
            x,
            State(**dict(zip(self.parts, given, strict=True))),
            lengths=self.lengths,
            reset=self.reset,
            initial=State(**dict(zip(self.parts, fresh, strict=True))) if self.has_initial else None,
            masks=named,
            zoneout=rates,
            reverse=self.reverse,
        )
        return sequence, *(state.parts()[part] for part in self.parts)


class _Unroll(torch.autograd.Function):
    """Outputs (B, T, H) and the state's parts, of x, weights, states and masks."""

    @staticmethod
    def forward(ctx: Any, run: _Run, *tensors: Tensor) -> tuple[Tensor, ...]:
        training = any(ctx.needs_input_grad)
        tight = [_dense(tensor, run.dtype) for tensor in tensors]
        x, weights, given, fresh, masks = run.split(tight)
        B, T, _ = x.shape
        encoded, engine = run.engine(run.plans(training=training).forward)
        parameters = _in_order(encoded.parameters, run.names, weights)
        layout = run.layout(x)
        units = dict(zip(WIDTHS, run.sizes, strict=True))
        widths = [units[width] for width in encoded.plan.parts.values()]
        final = [x.new_empty(B, n) for n in widths]
        in_rows = layout.lanes
        sequence = x.new_zeros(B, T, widths[0]) if in_rows else None
        all_steps = [part == "h" or part in _read_back(run) if training else part == "h" for part in run.parts]
        residuals = engine.forward(
            engine.pack(parameters),
            layout,
            _array(x),
            [_array(mask) for mask in _ordered(encoded.masks, run.masks, masks)],
            [_address(part.contiguous()) for part in given],
            [_address(part) for part in fresh] if run.has_initial else [0] * len(run.parts),
            all_steps,
            [_address(part) for part in final],
            NOWHERE if sequence is None else _array(sequence),
        )
        if sequence is None:
            sequence = residuals.states(0, 0 if run.reverse else 1, T, B, widths[0]).transpose(0, 1)
        if training:
            ctx.run, ctx.residuals, ctx.layout = run, residuals, layout
            ctx.save_for_backward(*tensors)
            ctx.set_materialize_grads(False)
        return sequence, *final

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        run: _Run = ctx.run
        tensors = ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, *_through_reference(run, tensors, grads, ctx.needs_input_grad[1:])
        tight = [_dense(tensor, run.dtype) for tensor in tensors]
        x, weights, given, fresh, masks = run.split(tight)
        needs_x = ctx.needs_input_grad[1]
        dy = None if grads[0] is None else _dense(grads[0], run.dtype)
        plan = run.plans(training=True, dy=dy is not None, dx=needs_x).backward
        encoded, engine = run.engine(plan)
        B, T, I = x.shape
        dx = x.new_empty(T, B, I).transpose(0, 1) if needs_x else None
        if dx is not None and ctx.layout.lanes:
            dx.zero_()
        dweights = [torch.empty_like(weight) for weight in weights]
        dfinal = [None if grad is None else grad.to(run.dtype).contiguous() for grad in grads[1:]]
        dgiven = [torch.empty_like(part) for part in given]
        dfresh = [torch.empty_like(part) for part in fresh]
        engine.backward(
            engine.pack(_in_order(encoded.parameters, run.names, weights)),
            ctx.layout,
            _array(x),
            [_array(mask) for mask in _ordered(encoded.masks, run.masks, masks)],
            ctx.residuals,
            NOWHERE if dy is None else _array(dy),
            [_address(grad) for grad in dfinal],
            NOWHERE if dx is None else _array(dx),
            [_address(part) for part in dgiven],
            [_address(part) for part in dfresh] or [0] * len(run.parts),
            _in_order(encoded.parameters, run.names, dweights),
        )
        return None, dx, *dweights, *dgiven, *dfresh, *(None for _ in masks)


def _through_reference(
    run: _Run, tensors: Sequence[Tensor], grads: Sequence[Tensor | None], needed: Sequence[bool]
) -> list[Tensor | None]:
    """Gradients that can be differentiated again."""
    with torch.enable_grad():
        outputs = run.reference(tensors)
        wanted = [tensor for tensor, need in zip(tensors, needed, strict=True) if need]
        pairs = [
            (out, grad) for out, grad in zip(outputs, grads, strict=True) if grad is not None and out.requires_grad
        ]
        found = iter(
            torch.autograd.grad(
                [out for out, _ in pairs], wanted, [grad for _, grad in pairs], create_graph=True, allow_unused=True
            )
        )
    return [next(found) if need else None for need in needed]


def _read_back(run: _Run) -> set[str]:
    """Parts of the state whose steps the backward plan reads."""
    plan = run.plans(training=True).backward
    return {row.name for row in plan.rows if row.role == "state"} if plan else set()


def _dense(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """In the layer's type, with the units of a step side by side."""
    tensor = tensor.detach().to(dtype)
    return tensor if tensor.dim() > 2 and tensor.stride(-1) == 1 else tensor.contiguous()


def _array(tensor: Tensor) -> tuple[int, int, int]:
    """Address, and the distances from sequence to sequence and from step to step (0: the same at each)."""
    return tensor.data_ptr(), tensor.stride(0), tensor.stride(1) if tensor.dim() == 3 else 0


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _in_order(order: Sequence[str], names: Sequence[str], tensors: Sequence[Tensor]) -> list[int]:
    named = dict(zip(names, tensors, strict=True))
    return [_address(named.get(name)) for name in order]


def _ordered(order: Sequence[str], names: Sequence[str], tensors: Sequence[Tensor]) -> list[Tensor]:
    named = dict(zip(names, tensors, strict=True))
    return [named[name] for name in order]
