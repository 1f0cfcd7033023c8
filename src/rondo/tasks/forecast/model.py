"""`ForecastModel`: a trained network with what turns windows into its inputs and its outputs into forecasts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from rondo.cells import Cell
from rondo.data.series.windows import Windows
from rondo.errors import ModelError, RondoError, UsageError
from rondo.models.folder import read_model, save_model
from rondo.models.forecaster import Forecaster, ForecasterOptions, ForecastInputs
from rondo.models.weights import load_network
from rondo.tasks.forecast.encoder import ForecastEncoder

Floats = npt.NDArray[np.float64]

PATHS = 200
"""Samples that a forecast is made of, where the network says no distribution by itself."""
_PIECE = 512


@dataclass(frozen=True)
class Forecast:
    """What is said of windows, in the data's unit."""

    points: Floats
    """(N, horizon)"""
    quantiles: Floats | None
    """(N, horizon, levels)"""


class ForecastModel:
    """A trained forecaster of one horizon."""

    def __init__(
        self, network: Forecaster, encoder: ForecastEncoder, config: Mapping[str, Any], options: ForecasterOptions
    ) -> None:
        self.network = network.eval()
        self.encoder = encoder
        self.config = dict(config)
        self.options = options

    @property
    def by_samples(self) -> bool:
        """Whether quantiles and points are those of sampled paths."""
        summed = self.encoder.data.window_scaling == "difference"
        return self.network.head.draws and (summed or self.network.strategy == "recursive")

    @torch.inference_mode()
    def forecast(
        self, windows: Windows, levels: Sequence[float] = (), *, paths: int = PATHS, seed: int = 0
    ) -> Forecast:
        """Points, and quantiles at ``levels`` if there are any; of `recursive`, those of ``paths`` sampled futures."""
        if levels and not self.network.head.draws:
            raise UsageError("this model says points; for quantiles train it with a head that has them.")
        points, found = [], []
        if self.by_samples:
            for drawn in self._drawn(windows, paths, seed):
                points.append(np.median(drawn, axis=-1))
                if levels:
                    found.append(np.moveaxis(np.quantile(drawn, levels, axis=-1), 0, -1))
        elif self.network.strategy == "recursive":
            points = [drawn[..., 0] for drawn in self._drawn(windows, 1, seed)]
        else:
            for piece in windows.pieces(_PIECE):
                inputs, units = self.encoder.encode(piece)
                inputs = self._moved(inputs)
                parameters, unit = self.network(inputs), inputs.unit[:, None]
                points.append(units.invert(_array(self.network.head.point(parameters, unit))))
                if levels:
                    wide = unit.expand(parameters.shape[:2])
                    found.append(units.invert(_array(self.network.head.quantiles(parameters, levels, wide))))
        return Forecast(np.concatenate(points), np.concatenate(found) if levels else None)

    def sample(self, windows: Windows, paths: int = PATHS, *, seed: int = 0) -> Floats:
        """Sampled futures (N, horizon, paths)."""
        if not self.network.head.draws:
            raise UsageError("this model says points; for samples train it with a head that has them.")
        return np.concatenate(list(self._drawn(windows, paths, seed)))

    def save(self, folder: str | Path) -> None:
        """Write weights and configuration."""
        network = {"options": _named(self.options), "cell": self.network.recurrent.cell.to_json()}
        self.config |= {"network": network, "encoder": self.encoder.to_json()}
        save_model(folder, self.config, self.network.state_dict())

    @classmethod
    def load(cls, folder: str | Path, *, device: str | torch.device = "cpu") -> Self:
        """The model in ``folder``; its cell comes from the saved graph."""
        config, tensors = read_model(folder)
        if config.get("task") != "forecast":
            raise ModelError(f"{folder} holds a model of the task '{config.get('task')}', not a forecaster")
        encoder = ForecastEncoder.from_json(config.get("encoder") or {})
        try:
            saved, cell = config["network"]["options"], Cell.from_json(config["network"]["cell"])
            season = int(config["season"])
            options = ForecasterOptions.saved(saved, None)
        except (KeyError, TypeError, ValueError, AttributeError, RondoError) as error:
            raise ModelError(f"config.json does not describe a forecaster: {error}") from None

        def rebuild(at_most: int | None) -> Forecaster:
            kept = ForecasterOptions.saved(saved, at_most)
            return Forecaster(encoder.data.horizon, encoder.features, kept, season=season, cell=cell)

        network = load_network(rebuild, tensors, Path(folder))
        return cls(network.to(device), encoder, config, options)

    @torch.inference_mode()
    def _drawn(self, windows: Windows, paths: int, seed: int) -> Any:
        generator = torch.Generator(self._device).manual_seed(seed)
        for piece in windows.pieces(max(1, _PIECE * 8 // max(1, paths))):
            inputs, units = self.encoder.encode(piece)
            yield units.invert(_array(self.network.sample(self._moved(inputs), paths, generator)))

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    def _moved(self, inputs: ForecastInputs) -> ForecastInputs:
        return ForecastInputs(**{name: value.to(self._device) for name, value in vars(inputs).items()})


def _array(tensor: torch.Tensor) -> Floats:
    return tensor.double().cpu().numpy()


def _named(options: ForecasterOptions) -> dict[str, Any]:
    return {field.name: getattr(options, field.name) for field in dataclasses.fields(ForecasterOptions)}
