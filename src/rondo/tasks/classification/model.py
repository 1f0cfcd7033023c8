"""`ClassifierModel`: a trained network with what turns items into its inputs and its outputs into classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch

from rondo.data.labelled import Row
from rondo.data.pools import batches, padded, pooled
from rondo.evaluation.calibration import scaled
from rondo.models.classifier import Classifier, rebuild
from rondo.models.folder import check_parts, read_model
from rondo.models.token_pairs import Pairs
from rondo.models.weights import load_network
from rondo.tasks.classification.classes import Classes
from rondo.tasks.estimator import folder_bytes, folder_of
from rondo.tasks.trained import SavedEncoder, TrainedModel, checked_temperature, saved_baselines

Floats = npt.NDArray[np.float64]


class Encoder(SavedEncoder, Protocol):
    """What turns items into sequences for a network; each task has its own."""

    pairs: Pairs | None
    """(P, 2): the pairs of neighbouring tokens that a network has vectors for, if it has."""

    @property
    def input_size(self) -> int:
        """The size of the vocabulary, or the number of features."""

    def check(self, item: Any, where: str) -> None:
        """`DataError`, which begins with ``where``, for an item that is not like those of the training."""

    def encode(self, item: Any) -> npt.NDArray[Any]:
        """Token ids (T,), or numbers (T, features)."""

    def tidy(self, folder: str | Path) -> None:
        """Remove files that an earlier model's encoder left in the folder."""

    @classmethod
    def load(cls, folder: str | Path, saved: Any) -> Self:
        """From the model's folder and what `to_json` gave; `ModelError` for what cannot be."""


class ClassifierModel(TrainedModel):
    """A trained classifier. Made by training or by `rondo.load`."""

    def __init__(
        self,
        network: Classifier,
        encoder: Encoder,
        classes: Classes,
        config: Mapping[str, Any],
        *,
        baselines: bytes | None = None,
    ) -> None:
        super().__init__(config, baselines)
        self.network: Classifier = network.eval()
        self.encoder: Encoder = encoder
        self.classes = classes

    @property
    def temperature(self) -> float:
        """What logits are divided by, so that probabilities say how often the model is right; 1 if not calibrated."""
        return float(self.config.get("temperature", 1.0))

    def logits(self, items: Iterable[Any]) -> Floats:
        """(N, classes): the network's values for each item."""
        return run(self.network, [self.encoder.encode(item) for item in items])

    def probabilities(self, items: Iterable[Any]) -> Floats:
        """(N, classes): how probable each class is. They add up to one, unless an item can have several."""
        return self.probable(self.logits(items))

    def probable(self, logits: Floats) -> Floats:
        """Logits as probabilities, at this model's temperature."""
        return scaled(logits, self.temperature, several=self.classes.several)

    def stream(self, rows: Iterable[Row], *, at_once: int | None = None) -> Iterator[tuple[Row, Floats]]:
        """Each row with the probabilities of its item, in order; of a stream of any length only a part is in memory.

        ``at_once`` rows are read before the first is answered, some thousand if nothing is said.
        """
        encoded = ((row, self.encoder.encode(row.item)) for row in rows)
        for pool in pooled(encoded, lambda pair: len(pair[1]), at_once=at_once):
            probabilities = self.probable(run(self.network, [sequence for _, sequence in pool]))
            yield from zip((row for row, _ in pool), probabilities, strict=True)

    def save(self, folder: str | Path) -> None:
        """Write weights, configuration and what belongs to the encoder."""
        self._save(folder, classes=self.classes.to_json())
        self.encoder.tidy(folder)

    @classmethod
    def load(cls, folder: str | Path, encoder: type[Encoder], *, device: str | torch.device = "cpu") -> Self:
        """The model in ``folder``; its cell comes from the saved graph."""
        config, tensors = read_model(folder)
        classes = Classes.from_json(config.get("classes"))
        checked_temperature(config)
        made = encoder.load(folder, config.get("encoder"))
        network = load_network(
            lambda at_most: rebuild(config, made.input_size, len(classes), at_most, pairs=made.pairs),
            tensors,
            Path(folder),
        )
        check_parts(folder, config)
        return cls(network.to(device), made, classes, config, baselines=saved_baselines(folder))

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickles hold the files of a folder, which say what a network is without its code.
        return _unpickled, (type(self), type(self.encoder), folder_bytes(self))


def _unpickled(kind: type[ClassifierModel], encoder: type[Encoder], files: Mapping[str, bytes]) -> ClassifierModel:
    with folder_of(files) as folder:
        return kind.load(folder, encoder)


@torch.inference_mode()
def run(network: Classifier, sequences: Sequence[npt.NDArray[Any]]) -> Floats:
    """The network's values for sequences of any lengths, (N, classes): those of like length together."""
    lengths = np.fromiter((len(sequence) for sequence in sequences), np.int64, len(sequences))
    found = np.zeros((len(sequences), network.classes))
    like = next(network.parameters())
    training = network.training
    network.eval()
    for chosen in batches(lengths):
        inputs = torch.from_numpy(padded([sequences[i] for i in chosen])).to(like.device)
        x = inputs.to(like.dtype) if inputs.is_floating_point() else inputs
        found[chosen] = network(x, lengths=torch.from_numpy(lengths[chosen])).double().cpu().numpy()
    network.train(training)
    return found
