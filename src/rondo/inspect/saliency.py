"""What drove a classifier: gradients with respect to its input, step by step."""

from __future__ import annotations

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
    with torch.enable_grad():
        shares = [_share(member, x, towards, against) for member in network.members]
    network.train(training)
    found: Floats = torch.stack(shares).mean(0).double().cpu().numpy()
    return found


def _share(network: SequenceClassifier, x: Tensor, towards: int, against: int | None) -> Tensor:
    if isinstance(network.input, TokenInput):
        values = network.input(x)[0].detach().requires_grad_()
        logits = network.read(values, None)[0]
    else:
        values = x.detach().requires_grad_()
        logits = network(values)[0]
    asked = logits[towards] if against is None else logits[towards] - logits[against]
    (gradient,) = torch.autograd.grad(asked, values)
    return (values.detach() * gradient)[0]
