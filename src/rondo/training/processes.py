"""The device and the processes that train together, through Lightning Fabric.

Fabric chooses the device, starts the processes (or finds those that torchrun started), joins them and
runs mixed precision. Gradients are added up here rather than by DistributedDataParallel: a batch's loss is
divided by the count of all processes together, parameters may be unused in some batches (a learned
initial state), and a process may have no rows of a ragged batch at all.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from torch import Tensor, nn

from rondo.errors import UsageError
from rondo.training.options import TrainingOptions


class Processes:
    """This process and those that train with it."""

    def __init__(self, options: TrainingOptions) -> None:
        accelerator, devices = chosen_device(options)
        local = int(os.environ.get("LOCAL_WORLD_SIZE", options.devices))
        hosts = int(os.environ.get("GROUP_WORLD_SIZE", 1))
        together = local * hosts > 1
        if together and isinstance(devices, list):
            raise UsageError("--devices above 1 needs --device without an index, such as cuda")
        logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._fabric = Fabric(
                accelerator=accelerator,
                devices=local if together else devices,
                num_nodes=hosts,
                strategy=DDPStrategy() if together else "auto",
                precision=_fabric_precision(options, accelerator),
            )
            self._fabric.launch()
        self.rank = self._fabric.global_rank
        self.world = self._fabric.world_size
        self.device = self._fabric.device

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[Any]:
        """Mixed precision for a forward pass; does nothing with a single precision."""
        return self._fabric.autocast()

    def place(self, model: nn.Module, options: TrainingOptions) -> None:
        """Bring the model to the device and precision, and give all processes the main one's weights."""
        model.to(self.device, torch.float64 if options.precision == "64" else None)
        if self.world > 1:
            for tensor in [*model.parameters(), *model.buffers()]:
                torch.distributed.broadcast(tensor.detach(), 0)

    def totals(self, values: Sequence[float]) -> list[float]:
        """Each number added up over all processes."""
        if self.world == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(tensor)
        return tensor.tolist()

    def add_up(self, parameters: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
        """Add up gradients and losses over all processes, in one message. Returns the sum of the losses.

        A parameter that no process used keeps no gradient, as it would with one process.
        """
        if self.world == 1:
            return loss
        used = torch.tensor([float(p.grad is not None) for p in parameters], device=self.device)
        parts = [loss.detach().reshape(1), used]
        parts += [(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in parameters]
        dtype = max((part.dtype for part in parts), key=lambda kind: kind.itemsize)
        flat = torch.cat([part.to(dtype) for part in parts])
        torch.distributed.all_reduce(flat)
        loss, used, *gradients = flat.split([part.numel() for part in parts])
        for parameter, gradient, users in zip(parameters, gradients, used.tolist(), strict=True):
            parameter.grad = gradient.view_as(parameter).to(parameter.dtype) if users else None
        return loss[0]

    def gather(self, value: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        """What each process has; complete in the main process only."""
        if self.world == 1:
            return [value]
        gathered: list[Any] = [None] * self.world
        torch.distributed.gather_object(value, gathered if self.is_main else None, dst=0)
        return gathered

    def from_main(self, make: Callable[[], Any]) -> Any:
        """What ``make`` gives in the main process; an error there is an error in all."""
        if self.world == 1:
            return make()
        value: Any = None
        if self.is_main:
            try:
                value = make()
            except Exception as error:
                self._fabric.broadcast(("error", str(error)))
                torch.distributed.destroy_process_group()
                raise
        state, value = self._fabric.broadcast(("fine", value))
        if state == "error":
            torch.distributed.destroy_process_group()
            raise SystemExit(1)  # the main process says why
        return value


def chosen_device(options: TrainingOptions) -> tuple[str, int | list[int]]:
    """Fabric's accelerator and devices for the device that was asked for; an error if it is not there."""
    kind, _, index = options.device.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (index and not (kind == "cuda" and index.isdigit())):
        raise UsageError(f"--device cannot be '{options.device}'; known: auto, cpu, cuda, cuda:N, mps")
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: this machine has no GPU that torch can use; see rondo doctor")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UsageError("--device mps: this machine has no Apple GPU that torch can use; see rondo doctor")
    if index and int(index) >= torch.cuda.device_count():
        raise UsageError(f"--device {options.device}: this machine has {torch.cuda.device_count()} GPUs")
    return kind, [int(index)] if index else 1


def _cpu_has_bfloat16() -> bool:
    """Whether torch's recurrent layers run in bfloat16 here: on x86 they need AVX-512 (or a later form of it)."""
    ask = getattr(torch.cpu, "get_capabilities", None)  # not in every version: then it is tried
    has = ask() if ask is not None else {}
    return not has.get("avx2", False) or any(has.get(name, False) for name in ("avx512_bw", "avx_ne_convert"))


def _fabric_precision(options: TrainingOptions, accelerator: str) -> Any:
    if options.precision == "bf16-mixed":
        if accelerator == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
            raise UsageError("--precision bf16-mixed: this GPU has no bfloat16; leave it at 32")
        if accelerator == "mps":
            raise UsageError("--precision bf16-mixed: not on this device; leave it at 32")
        if accelerator == "cpu" and not _cpu_has_bfloat16():
            raise UsageError("--precision bf16-mixed: this processor has no bfloat16; leave it at 32")
        return "bf16-mixed"
    return "64-true" if options.precision == "64" else "32-true"
