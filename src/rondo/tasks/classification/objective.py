"""What a classifier is trained for, and how it is watched meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rondo.data.bucket import LengthBuckets, PaddedBatch
from rondo.tasks.classification.classes import THRESHOLD, Classes
from rondo.tasks.classification.model import run
from rondo.training.protocols import Result

Sequences = Sequence[npt.NDArray[Any]]
Codes = npt.NDArray[Any]
"""Each item's class (N,), or yes and no for each class (N, K)."""


def training_batches(sequences: Sequences, codes: Codes, *, batch_size: int, seed: int) -> LengthBuckets:
    """The training part in batches of sequences of like length."""
    targets = codes.astype(np.float32) if codes.ndim == 2 else codes
    return LengthBuckets(sequences, targets, batch_size=batch_size, seed=seed, stepwise=False)  # type: ignore[arg-type]


class ClassLoss:
    """Cross-entropy of the class; where an item can have several, the mean over the classes of that of yes and no.

    ``weights`` (K,) say how much an item of each class counts; of several classes an item, how much yes counts.
    """

    def __init__(
        self,
        classes: Classes,
        *,
        weights: npt.NDArray[np.float64] | None = None,
        label_smoothing: float = 0.0,
        unit: str = "items",
    ) -> None:
        self.several = classes.several
        self.weights = None if weights is None else torch.from_numpy(weights)
        self.label_smoothing = label_smoothing
        self.unit = unit

    def __call__(self, model: nn.Module, batch: PaddedBatch, carried: None) -> Result:
        like = next(model.parameters())
        inputs = batch.inputs.to(like.dtype) if batch.inputs.is_floating_point() else batch.inputs
        logits = model(inputs, lengths=batch.lengths)
        members = logits if logits.dim() == 3 else logits[None]
        losses = [self.loss(of_member, batch.targets) for of_member in members]
        return Result(loss_sum=torch.stack(losses).mean(), count=len(batch.targets))

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The sum over the items."""
        weights = None if self.weights is None else self.weights.to(logits.device, logits.dtype)
        if not self.several:
            return F.cross_entropy(
                logits, targets, weight=weights, reduction="sum", label_smoothing=self.label_smoothing
            )
        smooth = targets.to(logits.dtype) * (1 - self.label_smoothing) + self.label_smoothing / 2
        every = F.binary_cross_entropy_with_logits(logits, smooth, pos_weight=weights, reduction="none")
        return every.mean(1).sum()

    def restore(self, tensors: dict[str, Tensor]) -> None:
        return None


class WatchClasses:
    """``valid_loss`` and ``valid_accuracy`` of the validation part; neither knows of weights or smoothing.

    Of several classes an item, the accuracy is that of yes and no over all classes, and ``valid_f1`` stands beside it:
    micro F1, over all classes together.
    """

    def __init__(self, sequences: Sequences, codes: Codes, classes: Classes) -> None:
        self.sequences, self.codes = sequences, codes
        self._loss = ClassLoss(classes)

    def __call__(self, model: Any) -> dict[str, float]:
        return self.figures(run(model, self.sequences))

    def figures(self, logits: npt.NDArray[np.float64]) -> dict[str, float]:
        """The figures of values that a network has given."""
        targets = torch.from_numpy(self.codes)
        loss = self._loss.loss(torch.from_numpy(logits), targets).item() / len(self.codes)
        if self.codes.ndim == 2:
            said = logits >= _logit(THRESHOLD)
            accuracy = float((said == self.codes).mean())
            hits, either = int((said & self.codes).sum()), int(said.sum() + self.codes.sum())
            return {"valid_loss": loss, "valid_accuracy": accuracy, "valid_f1": 2 * hits / max(1, either)}
        return {"valid_loss": loss, "valid_accuracy": float((logits.argmax(1) == self.codes).mean())}


def _logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))
