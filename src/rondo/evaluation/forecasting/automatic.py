"""AutoETS and AutoTheta of statsforecast on some of the windows: as many as fit into a time budget, evenly spaced.

Each is fitted anew at every origin, to that series' history alone. They are slow beside a forecast of a network, so
the model is scored on the same windows beside them; how many those are is part of the result.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rondo.data.series import impute
from rondo.data.series.windows import Windows
from rondo.errors import UsageError
from rondo.evaluation.forecasting.baselines import LastValue
from rondo.evaluation.forecasting.scores import ASKED

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Name = Literal["AutoETS", "AutoTheta"]
NAMES: tuple[Name, ...] = ("AutoETS", "AutoTheta")

_INTERVALS = tuple(round(100 * (1 - 2 * level)) for level in ASKED if level < 0.5)
"""The central intervals whose ends are `ASKED`, in percent."""
MOST_HISTORY = 2000
"""Rows of history that a fit reads at most: what lies further back changes little, and costs a lot."""


@dataclass(frozen=True)
class Automatic:
    """Forecasts of one of them."""

    name: str
    taken: Integers
    """(N,) Which of the windows that were asked for, in their order."""
    points: Floats
    """(N, horizon)"""
    quantiles: Floats
    """(N, horizon, levels), at `ASKED`."""
    given_up: int
    """At how many of them it could say nothing, and the last value stands in."""
    seconds: float

    @property
    def about(self) -> str:
        """How it was made."""
        failed = f" At {self.given_up} of them it failed; the last value stands in." if self.given_up else ""
        return f"{self.name} of statsforecast, fitted at each of its windows ({len(self.taken)}).{failed}"


def installed() -> bool:
    """Whether statsforecast is there."""
    try:
        import_module("statsforecast.models")
    except ImportError:
        return False
    return True


def forecast(several: Sequence[Windows], name: Name, *, seconds: float, season: int | None = None) -> Automatic:
    """Forecasts for as many windows of ``several`` as take about ``seconds``; at least one, and all if there is time.

    They are taken in an order in which those taken so far are always about evenly spaced in time.
    """
    make = _maker(name, season or several[0].source.season)
    started = time.perf_counter()
    of = np.repeat(np.arange(len(several)), [len(windows) for windows in several])
    place_in = np.concatenate([np.arange(len(windows)) for windows in several])
    moment = np.concatenate([windows.moment for windows in several])
    # At one moment any of the series may be the first.
    in_time = np.lexsort((np.random.default_rng(0).random(len(moment)), moment))
    found: dict[int, tuple[Floats, Floats]] = {}
    given_up = 0
    for place in in_time[evenly(len(of))]:
        if found and time.perf_counter() - started > seconds:
            break
        window = several[of[place]].choose([place_in[place]])
        said = _one(make(), window)
        if said is None:
            given_up += 1
            point = LastValue().forecast(window)[0]
            said = point, np.repeat(point[:, None], len(ASKED), axis=1)
        found[int(place)] = said
    taken = np.array(sorted(found), np.int64)
    points, quantiles = (np.stack([found[int(place)][part] for place in taken]) for part in (0, 1))
    return Automatic(name, taken, points, quantiles, given_up, time.perf_counter() - started)


def evenly(number: int) -> Integers:
    """All numbers below ``number``, each where the longest stretch is still empty (van der Corput's sequence)."""
    bits = max(1, int(number - 1).bit_length())
    order = np.arange(1 << bits)
    turned = np.zeros_like(order)
    for bit in range(bits):
        turned |= ((order >> bit) & 1) << (bits - 1 - bit)
    kept: Integers = turned[turned < number]
    return kept


def _maker(name: Name, season: int) -> Any:
    try:
        models = import_module("statsforecast.models")
    except ImportError:
        raise UsageError(f"{name} needs statsforecast; pip install 'rondo[statsforecast]'.") from None
    return lambda: getattr(models, name)(season_length=season)


def _one(model: Any, window: Windows) -> tuple[Floats, Floats] | None:
    """Point and quantiles of one window; None where the method cannot (a series of a few values)."""
    length = min(int(window.origin[0]), MOST_HISTORY)
    history = impute(window.context(length)[0], "last")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about seasons it leaves out; what it made of them, its error says
        try:
            said = model.forecast(y=history[~np.isnan(history)], h=window.horizon, level=list(_INTERVALS))
        except (NotImplementedError, ValueError, ArithmeticError, IndexError):
            return None
    point = np.asarray(said["mean"], np.float64)
    low = [np.asarray(said[f"lo-{one}"], np.float64) for one in _INTERVALS]
    high = [np.asarray(said[f"hi-{one}"], np.float64) for one in reversed(_INTERVALS)]
    quantiles = np.sort(np.stack([*low, point, *high], axis=-1), axis=-1)
    return (point, quantiles) if np.isfinite(quantiles).all() else None
