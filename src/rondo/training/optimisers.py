"""Optimisers by name, averages of weights, and clipping; torch's fused and grouped implementations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn, get_swa_multi_avg_fn

from rondo.training.options import TrainingOptions


def make_optimiser(model: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    """The optimiser that ``options`` name. Weight decay acts on matrices, not on biases and other vectors."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in parameters if parameter.ndim >= 2]
    vectors = [parameter for parameter in parameters if parameter.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": options.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)
    rate = options.learning_rate
    momentum = options.momentum or 0.0
    betas = options.betas or (0.9, 0.999)
    epsilon = options.epsilon or 1e-8
    if options.optimiser == "adam":
        return torch.optim.Adam(groups, lr=rate, betas=betas, eps=epsilon, fused=fused)
    if options.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=betas, eps=epsilon, fused=fused)
    if options.optimiser == "rmsprop":
        smoothing = 0.99 if options.smoothing is None else options.smoothing
        return torch.optim.RMSprop(groups, lr=rate, alpha=smoothing, eps=epsilon, momentum=momentum)
    return torch.optim.SGD(groups, lr=rate, momentum=momentum, fused=fused)


class WeightAverage:
    """A running average of a model's parameters, in which it is evaluated and kept."""

    def __init__(self, model: nn.Module, options: TrainingOptions) -> None:
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        kind = "tail" if options.optimiser == "asgd" and options.averaging == "none" else options.averaging
        self._update = {
            "none": None,
            "tail": get_swa_multi_avg_fn(),
            "ema": get_ema_multi_avg_fn(options.ema_decay),
        }[kind]
        self.count = 0
        """How many steps the average is made of."""
        self.tensors: list[Tensor] = []

    @property
    def wanted(self) -> bool:
        return self._update is not None

    @torch.no_grad()
    def add(self) -> None:
        """Take in the parameters as they are now."""
        if self._update is None:
            return
        if self.count == 0:
            self.tensors = [parameter.detach().clone() for parameter in self._parameters]
        else:
            self._update(self.tensors, self._parameters, self.count)
        self.count += 1

    def restore(self, tensors: Sequence[Tensor], count: int) -> None:
        self.tensors = (
            [tensor.to(parameter) for tensor, parameter in zip(tensors, self._parameters, strict=True)] if count else []
        )
        self.count = count

    @torch.no_grad()
    def apply(self) -> None:
        """Put the average in place of the parameters, if there is one."""
        for parameter, average in zip(self._parameters, self.tensors, strict=bool(self.count)):
            parameter.copy_(average)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The same for a while."""
        if not self.count:
            yield
            return
        kept = [parameter.detach().clone() for parameter in self._parameters]
        self.apply()
        try:
            yield
        finally:
            with torch.no_grad():
                for parameter, value in zip(self._parameters, kept, strict=True):
                    parameter.copy_(value)


def clip_gradients(parameters: Sequence[nn.Parameter], options: TrainingOptions) -> Tensor:
    """Clip by value, then by norm. Returns the norm that the gradients had; nothing waits for the device."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = left = nn.utils.get_total_norm(gradients).to(parameters[0].device)
    if options.clip_value:
        nn.utils.clip_grad_value_(parameters, options.clip_value)
        left = nn.utils.get_total_norm(gradients)
    if options.clip_norm:
        nn.utils.clip_grads_with_norm_(parameters, options.clip_norm, left)
    return norm
