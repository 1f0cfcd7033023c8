"""What drove a classifier or tagger: gradients with respect to its input, step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rondo.models.classifier import Classifier, SequenceClassifier
from rondo.models.inputs import TokenInput

Floats = npt.NDArray[np.float64]


def influence(network: Classifier, sequence: npt.NDArray[Any], towards: int, against: int | None = None) -> Floats:
    """How much each step of a sequence spoke for class ``towards`` and against class ``against``, (T,)."""
    return contributions(network, sequence, towards, against).sum(1)


def contributions(network: Classifier, sequence: npt.NDArray[Any], towards: int, against: int | None = None) -> Floats:
    """The same of each value of each step, (T, features).

    Input times gradient of the difference between the two logits: what the values contribute as far as the
    network is linear around them (Denil et al. 2014, "Extraction of Salient Sentences from Labelled Documents").
    Of tokens the values are those of their vectors.
    """
    if not len(sequence):
        return np.zeros((0, 1))
    training = network.training
    network.eval()  # the gradient is that of the network as it is used
    like = next(network.parameters())
    x = torch.from_numpy(np.ascontiguousarray(sequence))[None].to(like.device)
    x = x.to(like.dtype) if x.is_floating_point() else x.long()
    shares = [_share(member, x, towards, against) for member in network.members]
    network.train(training)
    found: Floats = torch.stack(shares).mean(0).double().cpu().numpy()
    return found


def times_gradient(values: Tensor, asked: Callable[[Tensor], Tensor]) -> Tensor:
    """What each of the values (1, T, features) contributes to a number that depends on them, (T, features)."""
    with torch.enable_grad():
        given = values.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(asked(given), given)
    return (given.detach() * gradient)[0]


def _share(network: SequenceClassifier, x: Tensor, towards: int, against: int | None) -> Tensor:
    tokens = isinstance(network.input, TokenInput)

    def asked(values: Tensor) -> Tensor:
        logits = (network.read(values, None) if tokens else network(values))[0]
        return logits[towards] if against is None else logits[towards] - logits[against]

    with torch.no_grad():
        values = network.input(x)[0] if tokens else x
    return times_gradient(values, asked)
