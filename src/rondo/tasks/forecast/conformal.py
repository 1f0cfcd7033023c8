"""Conformal calibration: intervals made wider or narrower by how far values lay from them on a part held out.

For each interval, from a level to its counterpart, how far the values of the held-out windows lie beyond the nearer
end (below zero inside) is put in order, and both ends are moved outwards by what stands at the interval's probability,
a little more for the windows being few (Romano et al. 2019, "Conformalized Quantile Regression", 1905.03222,
equations 6 and 8). The median stays: that a year was above the forecast says that forecasts err so far, not that the
next year will be above it, too. Distances are in units of the window's scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from rondo.data.series.windows import Windows
from rondo.errors import ModelError
from rondo.tasks.forecast.encoder import Units

Floats = npt.NDArray[np.float64]

GRID = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.975, 0.99)
"""Levels that are moved, each with its counterpart; those between lie on straight lines."""
ENOUGH = 50
"""With fewer windows, the steps of the horizon share their errors."""


@dataclass(frozen=True)
class Conformal:
    """How far quantiles are moved."""

    shifts: Floats
    """(horizon, levels of the grid) In units of the window's scale."""
    windows: int
    """How many they are from."""

    @classmethod
    def fit(cls, windows: Windows, said: Callable[[Windows], tuple[Floats, Units]], piece: int = 512) -> Self:
        """``said`` gives the quantiles (N, horizon, levels of the grid) of windows, and their scales."""
        errors = []
        for part in windows.pieces(piece):
            quantiles, units = said(part)
            actual = _scaled(part.actual(), units)
            errors.append(actual[..., None] - _scaled(quantiles, units))
        off = np.concatenate(errors)
        if len(off) < ENOUGH:
            off = np.broadcast_to(off.reshape(-1, 1, len(GRID)), (off.shape[0] * off.shape[1], off.shape[1], len(GRID)))
        middle = len(GRID) // 2
        shifts = np.zeros(off.shape[1:])
        for step in range(off.shape[1]):
            for place, level in enumerate(GRID[:middle]):
                beyond = np.maximum(-off[:, step, place], off[:, step, -1 - place])
                known = np.sort(beyond[~np.isnan(beyond)])
                outwards = _at(known, 1 - 2 * level) if len(known) else 0.0
                shifts[step, place], shifts[step, -1 - place] = -outwards, outwards
        return cls(shifts, len(windows))

    def apply(self, quantiles: Floats, levels: Sequence[float], units: Units) -> Floats:
        """Quantiles (N, horizon, levels) in the data's unit, moved, and in order again."""
        moved = np.stack([np.interp(levels, GRID, row) for row in self.shifts])
        scaled = _scaled(quantiles, units) + moved
        order = np.argsort(np.argsort(levels, kind="stable"), kind="stable")
        return _unscaled(np.sort(scaled, axis=-1)[..., order], units)

    def move(self, paths: Floats, units: Units) -> Floats:
        """Sampled futures (N, horizon, paths) in the data's unit: each value moved as the quantile it is of its step.

        What follows on what within a path stays: the values of a step keep their order.
        """
        number = paths.shape[-1]
        levels = (np.arange(number) + 0.5) / number
        moved = np.stack([np.interp(levels, GRID, row) for row in self.shifts])
        ranks = np.argsort(np.argsort(paths, axis=-1, kind="stable"), axis=-1, kind="stable")
        calibrated = np.sort(np.sort(_scaled(paths, units), axis=-1) + moved, axis=-1)
        return _unscaled(np.take_along_axis(calibrated, ranks, axis=-1), units)

    def to_json(self) -> dict[str, Any]:
        """What stands in a model's configuration."""
        return {"shifts": self.shifts.tolist(), "windows": self.windows}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any], horizon: int) -> Self:
        """What `to_json` gave."""
        try:
            shifts = np.asarray(saved["shifts"], np.float64)
            if shifts.shape != (horizon, len(GRID)) or not np.isfinite(shifts).all():
                raise ValueError(f"{shifts.shape} numbers")
            return cls(shifts, int(saved["windows"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"config.json does not say how intervals are calibrated: {error}") from None


def _scaled(values: Floats, units: Units) -> Floats:
    scaled = units.scaler.apply(values, np.arange(len(values)))
    return scaled / _along(units.window.width, scaled)


def _unscaled(scaled: Floats, units: Units) -> Floats:
    return units.scaler.invert(scaled * _along(units.window.width, scaled), np.arange(len(scaled)))


def _along(width: Floats, values: Floats) -> Floats:
    return width.reshape(width.shape + (1,) * (values.ndim - 1))


def _at(ordered: Floats, level: float) -> float:
    """What stands at a level, of n values one further out than the level alone would say."""
    number = len(ordered)
    place = np.ceil((number + 1) * level) - 1
    return float(ordered[int(np.clip(place, 0, number - 1))])
