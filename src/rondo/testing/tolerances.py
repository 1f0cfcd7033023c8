"""The one table of tolerances: how far results of two backends may differ, by dtype.

A difference is judged against the largest value of the tensor that is expected: a gradient is a sum, and
an element of it that happens to be near zero is no more exact than the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tolerance:
    """Largest difference allowed, as a part of the largest value expected (or of 1 if that is smaller)."""

    values: float
    """For outputs and states."""
    gradients: float
    """For first derivatives."""


TOLERANCES = {
    torch.float64: Tolerance(values=1e-12, gradients=1e-11),
    torch.float32: Tolerance(values=1e-5, gradients=1e-4),
    torch.bfloat16: Tolerance(values=4e-2, gradients=8e-2),
    torch.float16: Tolerance(values=5e-3, gradients=1e-2),
}
"""By the dtype in which the computation ran."""


def difference(actual: Tensor, expected: Tensor) -> float:
    """The largest difference in the measure of the table; infinite where only one is NaN or infinite."""
    if actual.shape != expected.shape:
        return float("inf")
    if actual.numel() == 0:
        return 0.0
    one, other = actual.detach().double().cpu(), expected.detach().double().cpu()
    if not torch.equal(one.isfinite(), other.isfinite()) or not torch.equal(one.isnan(), other.isnan()):
        return float("inf")
    one, other = one.nan_to_num(), other.nan_to_num()
    return float((one - other).abs().max() / max(1.0, float(other.abs().max())))


def assert_close(
    actual: Tensor, expected: Tensor, dtype: torch.dtype, *, what: str = "values", gradients: bool = False
) -> None:
    """Raise AssertionError, naming ``what``, if the two differ by more than the table allows."""
    if actual.shape != expected.shape:
        raise AssertionError(f"{what}: shape {tuple(actual.shape)}, expected {tuple(expected.shape)}")
    allowed = TOLERANCES[dtype].gradients if gradients else TOLERANCES[dtype].values
    found = difference(actual, expected)
    if not found <= allowed:
        raise AssertionError(f"{what}: differs by {found:.3g}, {allowed:.3g} is allowed for {dtype}")
