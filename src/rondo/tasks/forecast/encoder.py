"""From windows of series to what the network reads, and back from what it says to the data's unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from rondo.data.series import SeriesSet, calendar, features_for
from rondo.data.series.clock import FEATURES, width
from rondo.data.series.collection import Columns
from rondo.data.series.scaling import Scaler, WindowScale, check_logarithm, without_logarithm
from rondo.data.series.windows import Windows
from rondo.errors import DataError, ModelError
from rondo.models.forecast_inputs import Features, ForecastInputs
from rondo.tasks.forecast.options import ForecastData

Floats = npt.NDArray[np.float64]

MOST_CONTEXT = 10_000_000
"""Rows that a saved forecaster reads at most: more are a mistake in its configuration."""


@dataclass(frozen=True)
class Units:
    """How windows are scaled: by their series, then by their context."""

    scaler: Scaler
    """A row for each window."""
    window: WindowScale

    def apply(self, values: Floats) -> Floats:
        """Values (N, horizon) that come after the context, as the network is to say them."""
        return self.window.target(self.scaler.apply(values, np.arange(len(values))))

    def invert(self, said: Floats) -> Floats:
        """What the network said, (N, horizon, ...), in the data's unit."""
        return self.scaler.invert(self.window.invert(said), np.arange(len(said)))

    @property
    def unit(self) -> Floats:
        """(N,) What one scaled unit is in the data."""
        return self.scaler.width * self.window.width


@dataclass(frozen=True)
class ForecastEncoder:
    """Scales and sizes, from the training part alone."""

    data: ForecastData
    context_length: int
    series: tuple[str, ...]
    """The series that were learned from."""
    shift: tuple[float, ...]
    width: tuple[float, ...]
    calendar: tuple[str, ...]
    features: Features
    covariates: dict[str, tuple[tuple[float, ...], tuple[float, ...]]]
    """Shift and width of the numbers among past, future and static covariates."""

    @classmethod
    def fit(cls, training: SeriesSet, data: ForecastData) -> Self:
        """From series that are cut where training ends."""
        context = data.context_length or _context(training, data.horizon)
        if int(training.lengths.max(initial=0)) <= data.horizon:
            raise DataError(
                f"the longest series has {int(training.lengths.max(initial=0))} rows to learn from; a horizon of "
                f"{data.horizon} needs at least {data.horizon + 1}."
            )
        scaler = Scaler.fit(training, data.scaling)
        names = features_for(training.frequency, training.clock) if data.calendar == "auto" else ()
        known = _known_rows(training)
        covariates = {
            "past": _scale(training.past.numbers[known]),
            "future": _scale(training.future.numbers[known]),
            "static": _scale(training.static.numbers),
        }

        def kinds(columns: Columns) -> tuple[int, ...]:
            return tuple(len(training.kinds[name]) for name in columns.code_names)

        own = (len(training),) if data.series_embedding else ()
        features = Features(
            past=len(training.past.number_names),
            future=len(training.future.number_names) + width(names),
            static=len(training.static.number_names),
            past_kinds=kinds(training.past),
            future_kinds=kinds(training.future),
            static_kinds=kinds(training.static) + own,
            masked=bool(np.isnan(training.values).any()) or bool((training.lengths < context + data.horizon).any()),
        )
        return cls(
            data, context, training.names, tuple(scaler.shift.tolist()), tuple(scaler.width.tolist()), names, features,
            covariates,
        )  # fmt: skip

    def units(self, windows: Windows, context: Floats) -> Units:
        """The scales of windows; a series that was not learned from is scaled by the context of each window."""
        self._check_logarithms(windows, context, windows.origin - context.shape[1])
        place = self._places(windows.source)[windows.which]
        known = place >= 0
        shift, width_ = np.zeros(len(windows)), np.ones(len(windows))
        shift[known], width_[known] = np.array(self.shift)[place[known]], np.array(self.width)[place[known]]
        for row in np.flatnonzero(~known):
            alone = Scaler.fit(SeriesSet.from_arrays([context[row]]), self.data.scaling)
            shift[row], width_[row] = alone.shift[0], alone.width[0]
        scaler = Scaler(self.data.scaling, shift, width_)
        scaled = scaler.apply(context, np.arange(len(context)))
        return Units(scaler, WindowScale.of(scaled, self.data.window_scaling, windows.source.season))

    def target(self, windows: Windows, units: Units) -> Floats:
        """What comes after the origins (N, horizon), as the network is to say it; NaN where missing."""
        actual = windows.actual()
        self._check_logarithms(windows, actual, windows.origin)
        return units.apply(actual)

    def encode(self, windows: Windows, length: int | None = None) -> tuple[ForecastInputs, Units]:
        """What the network reads of windows; nothing but covariates known in advance is from after the origin.

        ``length`` is how many rows before it are read, where they are not as many as in training.
        """
        source, which = windows.source, windows.which
        L, H = length or self.context_length, windows.horizon
        context = windows.context(L)
        units = self.units(windows, context)
        scaled = units.window.context(units.scaler.apply(context, np.arange(len(context))))
        rows = windows.origin[:, None] + np.arange(-L, H)
        past, past_codes = self._along(source, source.past, "past", which, rows[:, :L])
        future, future_codes = self._along(source, source.future, "future", which, rows)
        if self.calendar:
            times = source.times(which[:, None], np.maximum(rows, 0) if source.row_times is not None else rows)
            future = np.concatenate([future, calendar(times, source.clock, self.calendar)], axis=-1)
        static = _scaled(source.static.numbers[which], *self.covariates["static"])
        codes = source.static.codes[which].astype(np.int64)
        if self.data.series_embedding:
            codes = np.concatenate([codes, self._places(source)[which][:, None] + 1], axis=1)
        arrays = {
            "context": np.nan_to_num(scaled), "known": (~np.isnan(context)), "past": past, "future": future,
            "static": static, "unit": units.unit,
        }  # fmt: skip
        numbers = {name: torch.from_numpy(np.ascontiguousarray(array, np.float32)) for name, array in arrays.items()}
        kinds = {"past_codes": past_codes, "future_codes": future_codes, "static_codes": codes}
        return ForecastInputs(**numbers, **{name: torch.from_numpy(array) for name, array in kinds.items()}), units

    def to_json(self) -> dict[str, Any]:
        """What stands in a model's configuration."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {
            "data": asdict(self.data),
            "features": asdict(self.features),
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """What `to_json` gave; `ModelError` for what cannot be."""
        try:
            features: dict[str, Any] = {
                name: tuple(v) if isinstance(v, list) else v for name, v in saved["features"].items()
            }
            covariates = {
                role: (tuple(map(float, a)), tuple(map(float, b)))
                for role, (a, b) in ((role, saved["covariates"][role]) for role in ("past", "future", "static"))
            }
            made = cls(
                ForecastData(**saved["data"]), int(saved["context_length"]), tuple(saved["series"]),
                tuple(map(float, saved["shift"])), tuple(map(float, saved["width"])), tuple(saved["calendar"]),
                Features(**features), covariates,
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"config.json does not say how series are scaled: {error}") from None
        if not len(made.series) == len(made.shift) == len(made.width) or not _are_scales(made.shift, made.width):
            raise ModelError("config.json is damaged: there is not one scale for each series")
        if not 1 <= made.context_length <= MOST_CONTEXT or not all(isinstance(name, str) for name in made.series):
            raise ModelError("config.json is damaged: it does not say what is read of which series")
        own = made.features
        numbers = {"past": own.past, "future": own.future - width(made.calendar), "static": own.static}
        if set(made.calendar) - set(FEATURES) or any(
            len(shift) != numbers[role] or len(shift) != len(width_) or not _are_scales(shift, width_)
            for role, (shift, width_) in covariates.items()
        ):
            raise ModelError("config.json is damaged: there is not one scale for each covariate")
        return made

    def _check_logarithms(self, windows: Windows, values: Floats, first: npt.NDArray[np.int64]) -> None:
        for row in np.flatnonzero(without_logarithm(values, self.data.scaling).any(axis=1))[:1]:
            which = int(windows.which[row])
            check_logarithm(windows.source, which, values[row], self.data.scaling, first=int(first[row]))

    def _places(self, source: SeriesSet) -> npt.NDArray[np.int64]:
        """Where each series stands among those learned from, -1 if nowhere."""
        if source.names == self.series:
            return np.arange(len(self.series))
        place = {name: number for number, name in enumerate(self.series)}
        return np.array([place.get(name, -1) for name in source.names], np.int64)

    def _along(
        self, source: SeriesSet, columns: Columns, role: str, which: Any, rows: Any
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Covariates (N, T, columns) of rows (N, T), scaled; 0 where there are none."""
        at = source.covariate_begin[which][:, None] + rows
        valid = (rows >= 0) & (at < source.covariate_end[which][:, None])
        at = np.where(valid, at, 0)
        if not columns.names:
            return np.zeros((*rows.shape, 0), np.float32), np.zeros((*rows.shape, 0), np.int64)
        numbers = _scaled(columns.numbers[at], *self.covariates[role]) * valid[..., None]
        return numbers.astype(np.float32), columns.codes[at].astype(np.int64) * valid[..., None]


def _context(training: SeriesSet, horizon: int) -> int:
    wanted = max(3 * horizon, 2 * training.season)
    return max(1, min(wanted, int(training.lengths.max(initial=0)) - horizon))


def _known_rows(training: SeriesSet) -> npt.NDArray[np.bool_]:
    """Which rows of the covariates belong to the training part."""
    known = np.zeros(len(training.past.numbers), np.bool_)
    for begin, length in zip(training.covariate_begin, training.lengths, strict=True):
        known[begin : begin + length] = True
    return known


def _scale(numbers: npt.NDArray[np.float32]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of columns, 1 where they do not vary."""
    shifts, widths = [], []
    for column in numbers.T.astype(np.float64):
        known = column[~np.isnan(column)]
        shifts.append(float(known.mean()) if len(known) else 0.0)
        deviation = float(known.std()) if len(known) else 0.0
        widths.append(deviation if deviation > 1e-6 * float(np.abs(known).max(initial=0)) else 1.0)
    return tuple(shifts), tuple(widths)


def _are_scales(shift: tuple[float, ...], width_: tuple[float, ...]) -> bool:
    return bool(np.isfinite([*shift, *width_]).all()) and all(one > 0 for one in width_)


def _scaled(numbers: Any, shift: tuple[float, ...], width_: tuple[float, ...]) -> npt.NDArray[np.float32]:
    scaled = (numbers - np.array(shift, np.float32)) / np.array(width_, np.float32)
    return np.nan_to_num(scaled).astype(np.float32)
