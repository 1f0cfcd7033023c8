"""The linear baseline: least squares from a context to all steps of the horizon, shared by all series.

The last value is subtracted from the context and added to the forecast, as in NLinear (Zeng et al. 2023, "Are
Transformers Effective for Time Series Forecasting?"); the solution is exact, not found by gradient descent (Toner and
Darlow 2024, "An Analysis of Linear Time Series Forecasting Models").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from rondo.data.series import SeriesSet
from rondo.data.series.scaling import Scaler, WindowScale
from rondo.data.series.windows import Windows, training_windows

Floats = npt.NDArray[np.float64]

MULTIPLES = (1, 2, 4, 7, 14, 30)
"""Look-backs that are tried, in seasons."""
MOST_WINDOWS = 200_000
"""Least squares over more windows than these takes every second, third ... of them."""
RIDGE = 1e-6
"""Relative to the mean variance of the inputs: only against look-backs whose values say the same."""
_PIECE = 1 << 22


class Linear:
    """Fitted on the training part; its look-back is chosen by squared error on the validation part."""

    name = "linear"

    def __init__(self, lookbacks: Sequence[int] | None = None) -> None:
        self.lookbacks = None if lookbacks is None else tuple(lookbacks)
        self.lookback = 0
        self.about = ""
        self.errors: dict[int, float] = {}
        """The validation error of each look-back, in squared units of the series' scale."""

    def fit(self, training: SeriesSet, horizon: int, validation: Windows | None = None) -> Self:
        """Without ``validation``: by the last fifth of the training part, then fitted on all of it."""
        tried = self._candidates(training, horizon)
        inner, held = training, validation
        if held is None and len(tried) > 1:
            inner, held = _held_out(training, horizon)
        scaler, solved = self._solve(inner, horizon, tried, held)
        if not solved and inner is not training:  # too little is left beside what was held out
            inner, held = training, None
            scaler, solved = self._solve(training, horizon, tried[:1], None)
        if not solved:
            self.lookback, self._scaler = 1, scaler
            self._weights, self._bias = np.zeros((1, horizon)), np.zeros(horizon)
            self.about = "The last value: there are too few rows for least squares."
            return self
        self.lookback = min(self.errors, key=lambda one: self.errors[one]) if self.errors else max(solved)
        self._scaler, (self._weights, self._bias) = scaler, solved[self.lookback]
        if inner is not training:
            self._scaler = Scaler.fit(training, "standard")
            windows = training_windows(training, horizon, context=self.lookback + 1, at_most=MOST_WINDOWS)
            self._weights, self._bias = _least_squares(windows, self.lookback, self._scaler)
        self.about = (
            f"Least squares from the last {self.lookback} rows, shared by all series, the last value subtracted; "
            f"look-back chosen among {', '.join(map(str, solved))}."
        )
        return self

    def _solve(
        self, training: SeriesSet, horizon: int, tried: Sequence[int], held: Windows | None
    ) -> tuple[Scaler, dict[int, tuple[Floats, Floats]]]:
        """Weights and biases by look-back, of those that have two windows; their errors on what is held out."""
        scaler = Scaler.fit(training, "standard")
        solved: dict[int, tuple[Floats, Floats]] = {}
        for lookback in tried:
            windows = training_windows(training, horizon, context=lookback + 1, at_most=MOST_WINDOWS)
            if len(windows) < 2:
                continue
            solved[lookback] = _least_squares(windows, lookback, scaler)
            if held is not None and len(held):
                self.errors[lookback] = _squared_error(held, lookback, scaler, *solved[lookback])
        return scaler, solved

    def forecast(self, windows: Windows) -> Floats:
        found = np.empty((len(windows), windows.horizon))
        done = 0
        for piece in windows.pieces(max(1, _PIECE // self.lookback)):
            inputs, scale, _ = _inputs(piece, self.lookback, self._scaler)
            scaled = scale.invert(inputs @ self._weights + self._bias)
            found[done : done + len(piece)] = self._scaler.invert(scaled, piece.which)
            done += len(piece)
        return found

    def _candidates(self, training: SeriesSet, horizon: int) -> tuple[int, ...]:
        longest = int(training.lengths.max(initial=0)) - horizon
        wanted = self.lookbacks or tuple(training.season * several for several in MULTIPLES)
        return tuple(sorted({one for one in wanted if 0 < one < longest})) or (1,)


def _held_out(training: SeriesSet, horizon: int) -> tuple[SeriesSet, Windows | None]:
    """The first four fifths of each series, and windows over what comes after."""
    shorter = training.cut(training.lengths * 4 // 5)
    windows = training_windows(training, horizon, at_most=MOST_WINDOWS // 10)
    later = windows.choose(windows.origin >= shorter.lengths[windows.which])
    if not len(later) or int(shorter.lengths.max(initial=0)) <= horizon + 2:
        return training, None
    return shorter, later


def _inputs(windows: Windows, lookback: int, scaler: Scaler) -> tuple[Floats, WindowScale, Floats]:
    """Contexts relative to their last value, 0 where missing; their scale, and the targets in it."""
    context = scaler.apply(windows.context(lookback), windows.which)
    scale = WindowScale.of(context, "last")
    targets = scale.target(scaler.apply(windows.actual(), windows.which))
    return np.nan_to_num(scale.context(context), copy=False), scale, targets


def _least_squares(windows: Windows, lookback: int, scaler: Scaler) -> tuple[Floats, Floats]:
    """Weights (lookback, horizon) and bias (horizon,) by the normal equations, centred."""
    squares, products = np.zeros((lookback, lookback)), np.zeros((lookback, windows.horizon))
    sums, totals, number = np.zeros(lookback), np.zeros(windows.horizon), 0
    for piece in windows.pieces(max(1, _PIECE // (lookback + windows.horizon))):
        inputs, _, targets = _inputs(piece, lookback, scaler)
        whole = ~np.isnan(targets).any(axis=1)
        inputs, targets = inputs[whole], targets[whole]
        squares += inputs.T @ inputs
        products += inputs.T @ targets
        sums += inputs.sum(axis=0)
        totals += targets.sum(axis=0)
        number += len(inputs)
    if not number:
        return np.zeros((lookback, windows.horizon)), np.zeros(windows.horizon)
    middle, centre = sums / number, totals / number
    squares -= number * np.outer(middle, middle)
    products -= number * np.outer(middle, centre)
    ridge = RIDGE * np.trace(squares) / lookback + 1e-12 * number
    weights = np.linalg.solve(squares + ridge * np.eye(lookback), products)
    return weights, centre - middle @ weights


def _squared_error(windows: Windows, lookback: int, scaler: Scaler, weights: Floats, bias: Floats) -> float:
    total, number = 0.0, 0
    for piece in windows.pieces(max(1, _PIECE // lookback)):
        inputs, _, targets = _inputs(piece, lookback, scaler)
        gaps = targets - (inputs @ weights + bias)
        total += float(np.nansum(gaps * gaps))
        number += int((~np.isnan(gaps)).sum())
    return total / number if number else float("nan")
