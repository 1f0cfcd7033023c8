"""`ForecastModel`: a trained network with what turns windows into its inputs and its outputs into forecasts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch

from rondo.cells import Cell
from rondo.data.series import SeriesSet
from rondo.data.series.windows import Windows
from rondo.errors import ModelError, RondoError, UsageError, is_whole
from rondo.layers import RecurrentOutput
from rondo.models.folder import check_parts, read_model, save_model
from rondo.models.forecast_inputs import ForecastInputs
from rondo.models.forecaster import Forecaster, ForecasterOptions
from rondo.models.forecaster_ensemble import ForecasterEnsemble, make_forecaster, points_of, quantiles_of
from rondo.models.weights import load_network
from rondo.tasks.forecast.carried import States, advanced, checked_states, followed
from rondo.tasks.forecast.conformal import GRID, Conformal
from rondo.tasks.forecast.encoder import ForecastEncoder, Units
from rondo.tasks.forecast.framing import MOST_SEASON, check_framing
from rondo.tasks.forecast.history import recent
from rondo.tasks.forecast.stored import FILE, read_stored, stored
from rondo.tasks.forecast.values import check_values
from rondo.training.protocols import TrainingSummary

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

    task = "forecast"

    def __init__(
        self,
        network: Forecaster | ForecasterEnsemble,
        encoder: ForecastEncoder,
        config: Mapping[str, Any],
        options: ForecasterOptions,
        history: SeriesSet | None = None,
    ) -> None:
        self.network = network.eval()
        self.encoder = encoder
        self.config = dict(config)
        self.options = options
        self.history = history
        """The rows that forecasts go on from; as many as are read of each series are saved."""
        self.begin: States | None = None
        """Where the state is carried: that before the first row of each series of the history."""
        self.conformal: Conformal | None = None
        self.summary: TrainingSummary | None = None
        """How it was trained; None of a model that was loaded."""

    @property
    def parameters(self) -> int:
        """How many numbers were learned."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    @property
    def rows_kept(self) -> int:
        """How many rows of each series are kept: what a forecast reads, and a season where holes are filled by it."""
        reading = self.config.get("options", {}).get("reading", {})
        seasonal = reading.get("missing") == "impute" and reading.get("impute") == "seasonal"
        # A row that is followed by none yet is read with what is known of the next one, so it is kept.
        least = self.encoder.context_length if self._reads_context else 1
        return max(least, int(self.config["frame"]["season"]) if seasonal else 1)

    @torch.inference_mode()
    def kept(self, history: SeriesSet, begin: States | None) -> tuple[SeriesSet, States | None]:
        """The last rows of series, from which forecasts go on as from all of them; with the states before those rows.

        ``begin`` are the states before the first rows of ``history``, where there were others before them.
        """
        if self.encoder.data.carry:
            passed = np.maximum(history.lengths - self.rows_kept, 0)
            begin = advanced(self.network.members, self.encoder, history, passed, begin)
        return recent(history, self.rows_kept), begin

    @property
    def has_quantiles(self) -> bool:
        """Whether it says intervals: by its head, or because it was calibrated."""
        return self.network.head.draws or self.conformal is not None

    @property
    def by_samples(self) -> bool:
        """Whether quantiles and points are those of sampled paths."""
        summed = self.encoder.data.window_scaling == "difference"
        return self.network.head.draws and (summed or self.network.strategy == "recursive")

    @torch.inference_mode()
    def forecast(
        self,
        windows: Windows,
        levels: Sequence[float] = (),
        *,
        paths: int = PATHS,
        seed: int = 0,
        begin: States | None = None,
    ) -> Forecast:
        """Points, and quantiles at ``levels`` if there are any; of `recursive`, those of ``paths`` sampled futures.

        ``begin`` are the states before the first rows of the windows' series, where there were others before them.
        """
        if levels and not self.has_quantiles:
            raise UsageError("this model says points; for quantiles train it with a head that has them.")
        _check_levels(levels)
        said = self._uncalibrated(windows, levels, paths, seed, begin)
        if said.quantiles is None or self.conformal is None:
            return said
        units = self.encoder.units(windows, windows.context(self.encoder.context_length))
        return Forecast(said.points, self._whole(self.conformal.apply(said.quantiles, levels, units)))

    def check(self, source: SeriesSet) -> None:
        """Raise `DataError` where one of the rows that are read is none that this model can go on from."""
        check_values(source, self.encoder.data.scaling, counts=self.network.head.counts)

    def calibrate(self, windows: Windows) -> None:
        """Move quantiles by how far they are off on these windows, which nothing was learned from."""
        self.conformal = None

        def said(part: Windows) -> tuple[Floats, Units]:
            found = self._uncalibrated(part, GRID, PATHS, 0).quantiles
            if found is None:
                raise UsageError("there are no quantiles to be calibrated.")
            return found, self.encoder.units(part, part.context(self.encoder.context_length))

        self.conformal = Conformal.fit(windows, said)

    @torch.inference_mode()
    def _uncalibrated(
        self, windows: Windows, levels: Sequence[float], paths: int, seed: int, begin: States | None = None
    ) -> Forecast:
        points, found = [], []
        if self.by_samples:
            method: Literal["inverted_cdf", "linear"] = "inverted_cdf" if self.network.head.counts else "linear"
            for drawn in self._drawn(windows, paths, seed, begin):
                both = np.moveaxis(np.quantile(drawn, (0.5, *levels), axis=-1, method=method), 0, -1)
                points.append(both[..., 0])
                found.append(both[..., 1:])
        elif self.network.strategy == "recursive":
            points = [drawn[..., 0] for drawn in self._drawn(windows, 1, seed, begin)]
        else:
            for inputs, units, reads in self._read(windows, _PIECE, begin):
                head, said = self.network.head, self.network(inputs, reads=reads)
                members = said if said.dim() == 4 else said[None]
                unit = inputs.unit[:, None].expand(members.shape[1:3])
                points.append(units.invert(_array(points_of(head, members, unit))))
                if levels and head.draws:
                    found.append(self._whole(units.invert(_array(quantiles_of(head, members, levels, unit)))))
        whole = np.concatenate(points)
        if levels and not self.network.head.draws:
            return Forecast(whole, np.repeat(whole[..., None], len(levels), axis=-1))
        return Forecast(whole, np.concatenate(found) if levels else None)

    def sample(self, windows: Windows, paths: int = PATHS, *, seed: int = 0, begin: States | None = None) -> Floats:
        """Sampled futures (N, horizon, paths); ``begin`` as for `forecast`. Those of a calibrated model are, too."""
        if not self.network.head.draws:
            raise UsageError("this model says points; for samples train it with a head that has them.")
        if not is_whole(paths) or paths < 1:
            raise UsageError(f"the number of paths is a whole number of at least 1, not {paths!r}")
        if self.conformal is None:
            return np.concatenate(list(self._drawn(windows, paths, seed, begin)))
        # Which quantile a value is shows among many paths alone.
        drawn = np.concatenate(list(self._drawn(windows, max(paths, PATHS), seed, begin)))
        units = self.encoder.units(windows, windows.context(self.encoder.context_length))
        return self._whole(self.conformal.move(drawn, units))[..., :paths]

    def save(self, folder: str | Path) -> None:
        """Write weights, configuration and the last rows of each series."""
        network = {"options": _named(self.options), "cell": self.network.recurrent.cell.to_json()}
        self.config["conformal"] = None if self.conformal is None else self.conformal.to_json()
        self.config |= {"network": network, "encoder": self.encoder.to_json()}
        parts = {}
        if self.history is not None:
            parts[Path(folder) / FILE] = stored(*self.kept(self.history, self.begin))
        save_model(folder, self.config, self.network.state_dict(), parts)
        if self.history is None:
            (Path(folder) / FILE).unlink(missing_ok=True)  # of an earlier model

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
            if not 1 <= season <= MOST_SEASON:
                raise ValueError(f"a season of {str(season)[:20]} rows")
            options = ForecasterOptions.saved(saved, None)
        except (KeyError, TypeError, ValueError, AttributeError, RondoError) as error:
            raise ModelError(f"config.json does not describe a forecaster: {error}") from None

        if "frame" in config:
            check_framing(config, encoder.features, series_embedding=encoder.data.series_embedding)

        def rebuild(at_most: int | None) -> Forecaster | ForecasterEnsemble:
            kept = ForecasterOptions.saved(saved, at_most)
            return make_forecaster(
                encoder.data.horizon, encoder.features, kept, season=season, context_length=encoder.context_length,
                cell=cell,
            )  # fmt: skip

        network = load_network(rebuild, tensors, Path(folder))
        check_parts(folder, config)
        path = Path(folder) / FILE
        history, begin = read_stored(path) if path.exists() else (None, [])
        made = cls(network.to(device), encoder, config, options, history)
        if history is not None and encoder.data.carry:
            made.begin = checked_states(made.network.members, begin, len(history), path)
        if (saved := config.get("conformal")) is not None:
            made.conformal = Conformal.from_json(saved, encoder.data.horizon)
        return made

    @torch.inference_mode()
    def _drawn(self, windows: Windows, paths: int, seed: int, begin: States | None) -> Iterator[Floats]:
        generator = torch.Generator(self._device).manual_seed(seed)
        for inputs, units, reads in self._read(windows, max(1, _PIECE * 8 // max(1, paths)), begin):
            yield self._whole(units.invert(_array(self.network.sample(inputs, paths, generator, reads=reads))))

    def _whole(self, values: Floats) -> Floats:
        """Values or quantiles in the data's unit; counts as such, which scales and the network's precision blur."""
        return np.rint(values) if self.network.head.counts else values

    def _read(
        self, windows: Windows, size: int, begin: States | None
    ) -> Iterator[tuple[ForecastInputs, Units, Sequence[RecurrentOutput]]]:
        """Windows piece by piece as the network reads them; where the state is carried, what it made of all rows."""
        if not self.encoder.data.carry:
            for piece in windows.pieces(size):
                inputs, units = self.encoder.encode(piece)
                yield inputs.to(self._device), units, ()
            return
        reads = followed(self.network.members, self.encoder, windows, begin)
        for start in range(0, len(windows), size):
            part = slice(start, start + size)
            inputs, units = self.encoder.encode(windows.choose(part), None if self._reads_context else 1)
            own = [RecurrentOutput(None, read.last[part], read.state.select(part)) for read in reads]
            yield inputs.to(self._device), units, own

    @property
    def _reads_context(self) -> bool:
        """Whether forecasts are made from a context, be it beside a state that is carried."""
        return not self.encoder.data.carry or self.options.linear_path

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device


def _array(tensor: torch.Tensor) -> Floats:
    return tensor.double().cpu().numpy()


def _check_levels(levels: Sequence[float]) -> None:
    if not all(isinstance(level, (int, float, np.number)) for level in levels):
        raise UsageError(f"levels of quantiles are numbers between 0 and 1, not {levels!r}")
    names = [f"{level:g}" for level in levels]
    for place, (level, name) in enumerate(zip(levels, names, strict=True)):
        if not 0 < level < 1:
            share = f", for instance {level / 100:g}" if 1 < level < 100 else ""
            raise UsageError(f"levels of quantiles lie between 0 and 1{share}, not {name}")
        if name in names[:place]:
            raise UsageError(f"the level {name} is given twice; each is a column of its own")


def _named(options: ForecasterOptions) -> dict[str, Any]:
    return {field.name: getattr(options, field.name) for field in dataclasses.fields(ForecasterOptions)}
