"""`DigitModel`: reads handwritten digits row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rondo.errors import UsageError
from rondo.models.classifier import SequenceClassifier, describe, number_classifier, rebuild
from rondo.models.folder import read_model, save_model
from rondo.models.weights import count_parameters, load_network
from rondo.tasks.digits.data import CLASSES, ROW_LENGTH, read_digits
from rondo.tasks.digits.options import DigitData, DigitNetwork


class DigitModel:
    """A trained classifier of digit images. Made by training or by `rondo.load`."""

    task = "digits"

    def __init__(self, network: SequenceClassifier, config: Mapping[str, Any]) -> None:
        self.network = network.eval()
        self.config = dict(config)

    @property
    def parameters(self) -> int:
        """How many numbers were learned."""
        return count_parameters(self.network)

    @torch.no_grad()
    def predict_proba(self, rows: Any) -> Tensor:
        """Probabilities (N, 10) for images (N, 8, 8) with values from 0 (paper) to 1 (ink)."""
        weight = self.network.head.weight
        images = torch.as_tensor(rows, dtype=weight.dtype, device=weight.device)
        if images.dim() != 3 or images.shape[1:] != (ROW_LENGTH, ROW_LENGTH):
            raise UsageError(f"images have shape {tuple(images.shape)}; expected (N, {ROW_LENGTH}, {ROW_LENGTH})")
        return self.network(images).softmax(1).cpu()

    def predict(self, rows: Any) -> Tensor:
        """The most likely digit of each image, (N,)."""
        return self.predict_proba(rows).argmax(1)

    def evaluate(self, paths: Sequence[str | Path] = ()) -> dict[str, Any]:
        """Accuracy on the images that were held out when this model was trained, beside the baselines."""
        if paths:
            raise UsageError("this model is evaluated on the digits it held out; it takes no files")
        options, result = self.config["options"], self.config.get("result", {})
        test = read_digits(DigitData(**options["data"]), seed=options["training"]["seed"]).test
        accuracy = (self.predict(test.rows) == test.digit).double().mean().item()
        return {
            "task": self.task, "accuracy": accuracy, "images": len(test), "baselines": result.get("baselines", {}),
        }  # fmt: skip

    def save(self, folder: str | Path) -> None:
        """Write weights and configuration."""
        save_model(folder, self.config, self.network.state_dict())

    @classmethod
    def load(cls, folder: str | Path, *, device: str | torch.device = "cpu") -> DigitModel:
        """The model in ``folder``; its cell comes from the saved graph."""
        config, tensors = read_model(folder)
        network = load_network(lambda at_most: rebuild(config, ROW_LENGTH, CLASSES, at_most), tensors, Path(folder))
        return cls(network.to(device), config)


def build_network(options: DigitNetwork) -> tuple[SequenceClassifier, dict[str, Any]]:
    """A new network, and the configuration from which it can be built again."""
    network = number_classifier(ROW_LENGTH, CLASSES, options)
    return network, describe(network, options)
