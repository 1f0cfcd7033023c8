"""A stack of layers that advances step by step in native code, with everything prepared before the first step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from rondo.backends.base import Weights
from rondo.backends.cpu.lower import plans_for
from rondo.backends.cpu.native import engine_for, engine_module
from rondo.backends.cpu.plan import ZERO, Block, Group, Operand, Place, Plan, RowBuffer
from rondo.cells import Cell, State
from rondo.ir.graph import WIDTHS, Parameter, size_of


class NativeSteps:
    """See `Steps`: packed weights, state and all working memory in one native object."""

    def __init__(
        self,
        cell: Cell,
        weights: Sequence[Weights],
        sizes: Sequence[Mapping[str, int]],
        batch_size: int,
        *,
        zoneout: Mapping[str, float] | None = None,
        readout: tuple[Tensor, Tensor | None] | None = None,
        tables: Sequence[Tensor] = (),
    ) -> None:
        like = next(iter(weights[0].values()))
        self._dtype = like.dtype
        module = engine_module()
        if module is None:
            raise RuntimeError("the native module is not there")
        single = like.dtype == torch.float32
        kind = module.StepperFloat32 if single else module.StepperFloat64
        self._tensor_step = module.TensorStepFloat32 if single else module.TensorStepFloat64
        self._native = kind(batch_size, torch.get_num_threads())
        for stored, of_layer in zip(weights, sizes, strict=True):
            plan = plans_for(
                cell,
                bias=any(p.name in stored for p in cell.parameters if p.kind == "bias"),
                zoneout=tuple((zoneout or {}).items()),
                training=False,
            ).forward
            self._add(plan, of_layer, stored)
        parts = tuple(plan.parts)
        self.parts: Sequence[Sequence[str]] = [parts] * len(weights)
        self.shape = batch_size, sizes[0]["input"]
        self._shapes = [(batch_size, size_of(cell.state_widths[part], sizes[0])) for part in parts]
        width = self._shapes[0][1]
        if readout is not None:
            weight, bias = readout
            dense = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
            self._add(_dense(bias is not None), {"input": width, "hidden": len(weight)}, dense)
            width = len(weight)
        for table in tables:
            self._native.add_table(table.data_ptr(), len(table), table)
        with torch.inference_mode(False):
            self.output = torch.zeros(batch_size, width, dtype=like.dtype)
        self._native.finish(self.output.data_ptr(), self.output)
        self.step = self._native.step
        self.step_rows = self._native.step_rows

    def _add(self, plan: Plan, sizes: Mapping[str, int], stored: Weights) -> None:
        encoded, engine = engine_for(plan, tuple({"one": 1, **sizes}.get(width, 0) for width in WIDTHS), self._dtype)
        whole = [stored[name].detach().contiguous() if name in stored else None for name in encoded.parameters]
        self._native.add(engine, [0 if one is None else one.data_ptr() for one in whole])

    def tensor_step(
        self, parameters: Sequence[Tensor], *, rows: tuple[int, ...] | None = None
    ) -> Callable[[Tensor], Tensor | None]:
        """See `Steps.tensor_step`."""
        shape = self.shape if rows is None else rows
        step: Callable[[Tensor], Tensor | None] = self._tensor_step(
            self._native, rows is not None, Tensor, shape, self.output, parameters
        )
        return step

    def read(self) -> list[State]:
        """See `Steps.read`."""
        states = []
        for layer, parts in enumerate(self.parts):
            values = [torch.empty(shape, dtype=self._dtype) for shape in self._shapes]
            for number, value in enumerate(values):
                self._native.read(layer, number, value.data_ptr())
            states.append(State(**dict(zip(parts, values, strict=True))))
        return states

    def write(self, states: Sequence[State]) -> None:
        """See `Steps.write`."""
        for layer, state in enumerate(states):
            for number, part in enumerate(self.parts[layer]):
                value = state.parts()[part].detach().to(self._dtype).contiguous()
                self._native.write(layer, number, value.data_ptr())


@lru_cache
def _dense(bias: bool) -> Plan:
    """A dense layer: a product of x with a row buffer, and no state."""
    parameters = (Parameter("weight", "matrix", ("y",), "hidden", "input"), Parameter("bias", "bias", ("y",), "hidden"))
    x, y, start = Operand(Place.ROW, "input", 0), Operand(Place.ROW, "hidden", 1), Operand(Place.VECTOR, "hidden", 0)
    return Plan(
        operands=(x, y, start) if bias else (x, y),
        stages=(),
        kept={},
        work={},
        temporaries=0,
        rows=(RowBuffer("x", "x", "input", timed=True), RowBuffer("own", "y", "hidden", timed=False)),
        vectors=((("bias", 0),),) if bias else (),
        constants=(),
        parameters=parameters if bias else parameters[:1],
        parts={},
        hoisted=(Group((1,), (2 if bias else ZERO,), (0,), ((Block("weight", 0, transposed=False),),)),),
    )
