"""Watches that losses and gradients stay finite, without making a GPU wait at every step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rondo import storage
from rondo.errors import RondoError, TrainingError
from rondo.training.protocols import tensors_of

BATCH_FILE = "nonfinite-batch.safetensors"
_DEVICE_STEPS = 16


class FiniteGuard:
    """Raises for the first step whose loss or gradient was not finite.

    On the CPU that is in the same step. On other devices up to ``_DEVICE_STEPS`` steps later, but always
    before anything is evaluated or saved.
    """

    def __init__(self, folder: Path, batch_of_step: Callable[[int], Any], *, is_main: bool) -> None:
        self._folder = folder
        self._batch_of_step = batch_of_step
        self._is_main = is_main
        self._seen: list[tuple[int, Tensor, Tensor, float]] = []

    def watch(self, step: int, loss: Tensor, norm: Tensor, learning_rate: float) -> None:
        """Take note of update number ``step`` (from 0)."""
        self._seen.append((step, loss, norm, learning_rate))
        if loss.device.type == "cpu" or len(self._seen) >= _DEVICE_STEPS:
            self.check()

    def check(self) -> None:
        """Raise if any step since the last check went wrong."""
        seen, self._seen = self._seen, []
        if not seen:
            return
        if len(seen) == 1:
            values = [(seen[0][1].item(), seen[0][2].item())]
        else:
            losses = torch.stack([loss for _, loss, _, _ in seen])
            norms = torch.stack([norm for _, _, norm, _ in seen])
            values = list(zip(losses.tolist(), norms.tolist(), strict=True))
        for (step, _, _, learning_rate), (loss, norm) in zip(seen, values, strict=True):
            if abs(loss) + abs(norm) < float("inf"):
                continue
            raise self._error(step, loss, norm, learning_rate)

    def _error(self, step: int, loss: float, norm: float, learning_rate: float) -> TrainingError:
        what = f"the loss is {loss}" if not abs(loss) < float("inf") else f"the norm of the gradient is {norm}"
        saved = ""
        if self._is_main:
            with contextlib.suppress(RondoError):
                storage.write_tensors(
                    self._folder / BATCH_FILE, tensors_of(self._batch_of_step(step)), {"step": str(step)}
                )
                saved = f" The batch is in {self._folder / BATCH_FILE}."
        return TrainingError(
            f"at step {step + 1} {what}: training stopped, and what was saved before is unchanged.{saved} "
            f"Try a smaller --learning-rate (it was {learning_rate:.3g}), more --warmup-steps, "
            "--clip-norm 1 or less, or --precision 32."
        )
