"""Scaling of series: fitted on what is known at the time, inverted exactly.

`Scaler` has two numbers for a series, from its training part. `WindowScale` has them for a window, from its context
alone: reversible instance normalisation (Kim et al. 2022, "Reversible Instance Normalization for Accurate Time-Series
Forecasting against Distribution Shift", without its learned gain), the last value subtracted (as NLinear does, Zeng et
al. 2023, "Are Transformers Effective for Time Series Forecasting?"), the value a season before, or differences of
neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from rondo.data.series.collection import SeriesSet
from rondo.data.series.missing import last_known
from rondo.errors import DataError, UsageError, nearest

Floats = npt.NDArray[np.float64]
Scaling = Literal["none", "standard", "robust", "minmax", "mean", "log", "log1p"]
WindowScaling = Literal["none", "last", "seasonal", "instance", "difference"]

INSTANCE_EPSILON = 1e-5
"""Added to the variance of a window, as RevIN does, in units of the series' scale."""


@dataclass(frozen=True)
class Scaler:
    """Scales of many series: ``(x - shift) / width``, of the logarithm if the kind says so."""

    kind: Scaling
    shift: Floats
    """One for each series."""
    width: Floats

    @classmethod
    def fit(cls, training: SeriesSet, kind: Scaling) -> Scaler:
        """From the training part alone: what is not to be seen must be cut off before.

        A series that does not vary has the width 1.
        """
        if kind not in get_args(Scaling):
            raise UsageError(f"there is no scaling '{kind}'{nearest(str(kind), get_args(Scaling))}")
        pairs = np.zeros((len(training), 2))
        for which in range(len(training)):
            values = training.series(which)
            known = values[~np.isnan(values)]
            if kind in ("log", "log1p"):
                check_logarithm(training, which, values, kind)
                known = _logarithm(known, kind)
            pairs[which] = _shift_and_width(known, kind)
        return cls(kind, pairs[:, 0], pairs[:, 1])

    def apply(self, values: npt.ArrayLike, which: Any) -> Floats:
        """Values (...) of the series ``which``, a number or one for each of the first axis."""
        read = np.asarray(values, np.float64)
        if self.kind in ("log", "log1p"):
            read = _logarithm(read, self.kind)
        return (read - _along(self.shift[which], read)) / _along(self.width[which], read)

    def invert(self, scaled: npt.ArrayLike, which: Any) -> Floats:
        """The values that were scaled."""
        read = np.asarray(scaled, np.float64)
        values = read * _along(self.width[which], read) + _along(self.shift[which], read)
        if self.kind == "log":
            return np.exp(values)
        return np.expm1(values) if self.kind == "log1p" else values

    def choose(self, which: Any) -> Scaler:
        """That of some of the series."""
        return Scaler(self.kind, self.shift[which], self.width[which])


def check_logarithm(source: SeriesSet, which: int, values: Floats, kind: Scaling, *, first: int = 0) -> None:
    """Raise `DataError` where one of the values of a series, from its row ``first`` on, has not the logarithm asked."""
    wrong = without_logarithm(values, kind)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{source.place(which, first + row)}, column '{source.column(which)}': {_refusal(values[row], kind)}"
        )


@dataclass(frozen=True)
class WindowScale:
    """Scales of windows, each from its own context."""

    kind: WindowScaling
    shift: Floats
    """(N,); seasonal: (N, season), the last value at each row of the season, from the first after the context on."""
    width: Floats

    @classmethod
    def of(cls, context: Floats, kind: WindowScaling, season: int = 1) -> WindowScale:
        """From contexts (N, T), NaN where missing; one without any value has shift 0 and width 1."""
        shift, width = np.zeros(len(context)), np.ones(len(context))
        if kind in ("last", "difference"):
            shift = last_values(context)
        elif kind == "seasonal":
            shift = last_season(context, season)
        elif kind == "instance":
            known = ~np.isnan(context)
            counts = np.maximum(known.sum(axis=1), 1)
            shift = np.where(known, context, 0.0).sum(axis=1) / counts
            gaps = np.where(known, context - shift[:, None], 0.0)
            width = np.sqrt((gaps * gaps).sum(axis=1) / counts + INSTANCE_EPSILON)
        elif kind != "none":
            raise UsageError(f"there is no window scaling '{kind}'{nearest(str(kind), get_args(WindowScaling))}")
        return cls(kind, shift, width)

    def context(self, context: Floats) -> Floats:
        """The context (N, T) as the network sees it; of differences, the first is 0, of seasonal ones a season."""
        if self.kind == "difference":
            return np.diff(_filled(context), axis=1, prepend=_filled(context)[:, :1])
        if self.kind == "seasonal":
            season = self.shift.shape[1]
            return np.concatenate([0 * context[:, :season], context[:, season:] - context[:, :-season]], axis=1)
        return (context - _along(self.shift, context)) / _along(self.width, context)

    def target(self, target: Floats) -> Floats:
        """What comes after it, (N, horizon), as the network is to say it."""
        if self.kind == "difference":
            return np.diff(target, axis=1, prepend=self.shift[:, None])
        if self.kind == "seasonal":
            return target - self._repeated(target)
        return (target - _along(self.shift, target)) / _along(self.width, target)

    def invert(self, scaled: Floats) -> Floats:
        """From (N, horizon, ...) that the network said: of differences points or sampled paths, never quantiles."""
        if self.kind == "difference":
            return np.cumsum(scaled, axis=1) + _along(self.shift, scaled)
        if self.kind == "seasonal":
            return scaled + self._repeated(scaled)
        return scaled * _along(self.width, scaled) + _along(self.shift, scaled)

    def _repeated(self, values: Floats) -> Floats:
        """The last season again and again, beside values (N, horizon, ...)."""
        steps = self.shift[:, np.arange(values.shape[1]) % self.shift.shape[1]]
        return steps.reshape(steps.shape + (1,) * (values.ndim - 2))


def last_season(context: Floats, season: int) -> Floats:
    """(N, season) The last value at each row of the season that is not missing; where there is none, the last of all.

    The first is for the row after the context.
    """
    found = np.full((len(context), season), np.nan)
    for end in range(context.shape[1], 0, -season):
        own = context[:, max(0, end - season) : end]
        place = found[:, season - own.shape[1] :]
        place[:] = np.where(np.isnan(place), own, place)
    return np.where(np.isnan(found), last_values(context)[:, None], found)


def last_values(context: Floats) -> Floats:
    """The last value of each row (N, T) that is not missing; 0 where all are."""
    if not context.shape[1]:
        return np.zeros(len(context))
    last = context[:, -1].copy()
    for row in np.flatnonzero(np.isnan(last)):
        at = last_known(~np.isnan(context[row]))[-1]
        last[row] = context[row, at] if at >= 0 else 0.0
    return last


def _filled(context: Floats) -> Floats:
    """Missing values as the last one before; before the first, as it."""
    if not np.isnan(context).any():
        return context
    filled = context.copy()
    for row in filled:
        known = ~np.isnan(row)
        at = last_known(known)
        first = int(np.argmax(known)) if known.any() else -1
        row[:] = 0.0 if first < 0 else row[np.maximum(at, first)]
    return filled


def _shift_and_width(known: Floats, kind: Scaling) -> tuple[float, float]:
    if not len(known) or kind == "none":
        return 0.0, 1.0
    if kind == "robust":
        low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
        shift, width = float(middle), float(high - low)
        if not _varies(width, known):  # most values are the same
            width = float(np.std(known))
    elif kind == "minmax":
        shift, width = float(known.min()), float(known.max() - known.min())
    elif kind == "mean":
        shift, width = 0.0, float(np.abs(known).mean())
    else:
        shift, width = float(known.mean()), float(np.std(known))
    return shift, width if _varies(width, known) else 1.0


def _varies(width: float, known: Floats) -> bool:
    """Whether a width is more than the rounding of the values."""
    return width > 1e-12 * float(np.abs(known).max())


def without_logarithm(values: Floats, kind: Scaling) -> npt.NDArray[np.bool_]:
    """Which values a scaling cannot take."""
    return values <= {"log": 0.0, "log1p": -1.0}.get(kind, -np.inf)


def _refusal(value: float, kind: Scaling) -> str:
    advice = "log1p takes zeros; " if kind == "log" and value == 0 else ""
    return f"{value:g} has no logarithm; {advice}choose another scaling."


def _logarithm(values: Floats, kind: Scaling) -> Floats:
    wrong = without_logarithm(values, kind)
    if wrong.any():
        raise DataError(_refusal(values[wrong][0], kind))
    return np.log1p(values) if kind == "log1p" else np.log(values)


def _along(one: Any, values: npt.NDArray[Any]) -> Any:
    """A number for each of the first axis, to be combined with all of it."""
    each = np.asarray(one)
    return each if each.ndim == 0 else each.reshape(each.shape + (1,) * (values.ndim - each.ndim))
