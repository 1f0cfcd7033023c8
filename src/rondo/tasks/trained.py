"""What trained models have in common whose answers are held against baselines: network, encoder, configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from rondo.errors import ModelError
from rondo.models.folder import save_model
from rondo.models.weights import count_parameters
from rondo.storage import gathering, read_bytes, write_bytes

BASELINES = "baselines.npz"
NO_BASELINES = (
    "no baselines are kept with this model, so its score stands alone: train it without --no-baselines, or with "
    "fit(..., baselines=True)"
)


class SavedEncoder(Protocol):
    """What turns items into a network's inputs, as far as a folder knows of it."""

    def to_json(self) -> dict[str, Any]:
        """What of it stands in the configuration, as ``encoder``."""

    def save(self, folder: str | Path) -> None:
        """Write what of it is in files of its own."""


class TrainedModel:
    """A network and its configuration. A class of its own adds the names of its answers, and gives them."""

    network: nn.Module
    encoder: SavedEncoder

    def __init__(self, config: Mapping[str, Any], baselines: bytes | None) -> None:
        self.config = dict(config)
        self.baselines = baselines
        """The file of the fitted baselines; few who use a model look into it."""

    @property
    def task(self) -> str:
        """The name of its task."""
        name: str = self.config["task"]
        return name

    @property
    def parameters(self) -> int:
        """How many numbers were learned."""
        return count_parameters(self.network)

    def _save(self, folder: str | Path, **names: Any) -> None:
        """Write weights, configuration with ``names``, and what belongs to the encoder."""
        with gathering() as parts:
            self.encoder.save(folder)
            if self.baselines is not None:
                write_bytes(Path(folder) / BASELINES, self.baselines)
        self.config |= {**names, "encoder": self.encoder.to_json()}
        save_model(folder, self.config, self.network.state_dict(), parts)
        if self.baselines is None:
            (Path(folder) / BASELINES).unlink(missing_ok=True)  # of an earlier model


def checked_temperature(config: Mapping[str, Any]) -> None:
    """`ModelError` for a configuration whose temperature cannot be."""
    temperature = config.get("temperature", 1.0)
    if type(temperature) not in (int, float) or not (math.isfinite(temperature) and temperature > 0):
        raise ModelError(f"config.json is damaged: its temperature is {str(temperature)[:80]}")


def saved_baselines(folder: str | Path) -> bytes | None:
    """The file of the fitted baselines in a model's folder, if there is one."""
    path = Path(folder) / BASELINES
    return read_bytes(path) if path.exists() else None
