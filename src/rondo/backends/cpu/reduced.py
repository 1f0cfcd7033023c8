"""Inference in bfloat16: weights and what they multiply are rounded to it, sums and all else are in float32.

Inputs, outputs and states come and go in bfloat16, as those of torch's own layers do.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rondo.backends.cpu.native import engine_module, forced
from rondo.backends.cpu.spec import Spec
from rondo.backends.cpu.unroll import Inputs, run_forward
from rondo.errors import UsageError

ONLY_FORWARD = "in bfloat16 it computes without gradients only: under torch.no_grad() it runs"


def why_not_bfloat16() -> str | None:
    """Why products in bfloat16 cannot run where others can, or None when they can."""
    module = engine_module()
    if module is None or not module.has_bfloat16():
        return "this processor, or this build, has no instructions for bfloat16 (AVX512_BF16)"
    if module.instruction_set(forced()) != "avx512":
        return f"RONDO_ISA asks for '{forced()}', which has no bfloat16"
    return None


def run_reduced(spec: Spec, inputs: Inputs, *, reverse: bool, training: bool, outputs: bool = True) -> list[Tensor]:
    """As `run_forward`, for tensors in bfloat16."""
    if training:
        raise UsageError(f"the engine was asked for gradients; {ONLY_FORWARD}")
    sequence, *final, rest = run_forward(spec, widened(inputs), reverse=reverse, training=False, outputs=outputs)
    B, T, H = sequence.shape
    narrow = inputs.x.new_empty(T, B, H).transpose(0, 1).copy_(sequence)
    return [narrow, *(part.to(torch.bfloat16) for part in final), rest]


def widened(inputs: Inputs) -> Inputs:
    """The same in float32."""
    x, weights, given, fresh, masks, lengths, reset = inputs
    return Inputs(x.float(), _wide(weights), _wide(given), _wide(fresh), masks, lengths, reset)


def _wide(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [one.float() for one in tensors]
