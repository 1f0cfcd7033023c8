"""Errors of forecasts. Missing actual values (NaN) are left out; arrays are (windows, horizon) unless told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rondo.errors import DataError, UsageError

Floats = npt.NDArray[np.float64]

M4_NAIVE2 = {"hourly": (18.383, 2.395), "weekly": (9.161, 2.777)}
"""sMAPE and MASE of the M4 competition's Naive2, from the organisers' table: what OWA is relative to."""


def mse(actual: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    """Mean squared error."""
    return float(np.nanmean(_gaps(actual, forecast) ** 2))


def rmse(actual: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(mse(actual, forecast)))


def mae(actual: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    """Mean absolute error."""
    return float(np.nanmean(np.abs(_gaps(actual, forecast))))


def smape_parts(actual: npt.ArrayLike, forecast: npt.ArrayLike) -> Floats:
    """``200 |y - f| / (|y| + |f|)`` of each value, from 0 to 200 (Makridakis et al. 2020, "The M4 Competition").

    Where both are zero it is 0: the forecast is right.
    """
    gaps = np.abs(_gaps(actual, forecast))
    sizes = np.abs(np.asarray(actual, np.float64)) + np.abs(np.asarray(forecast, np.float64))
    return 200.0 * np.divide(gaps, sizes, out=np.where(np.isnan(gaps), np.nan, 0.0), where=sizes > 0)


def smape(actual: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    """Symmetric mean absolute percentage error, 0 to 200."""
    return float(np.nanmean(smape_parts(actual, forecast)))


def seasonal_error(history: npt.ArrayLike, season: int) -> float:
    """What MASE is relative to: the mean of ``|y_t - y_(t-season)|`` over the training part of one series.

    NaN if the series is no longer than a season, or does not vary: its MASE says nothing.
    """
    values = np.asarray(history, np.float64)
    gaps = np.abs(values[season:] - values[:-season])
    if not len(gaps) or np.isnan(gaps).all():
        return float("nan")
    error = float(np.nanmean(gaps))
    return error if error > 0 else float("nan")


def mase(actual: npt.ArrayLike, forecast: npt.ArrayLike, scale: npt.ArrayLike) -> float:
    """Mean absolute scaled error (Hyndman and Koehler 2006), ``scale`` being the `seasonal_error` of each window."""
    each = np.nanmean(np.abs(_gaps(actual, forecast)), axis=-1) / np.asarray(scale, np.float64)
    return float(np.nanmean(each))


def owa(smape_value: float, mase_value: float, naive2: tuple[float, float]) -> float:
    """Overall weighted average of the M4 competition: half the ratio of sMAPE and half that of MASE to Naive2's."""
    return 0.5 * (smape_value / naive2[0] + mase_value / naive2[1])


def pinball(actual: npt.ArrayLike, quantiles: npt.ArrayLike, levels: Sequence[float]) -> Floats:
    """The loss that a quantile minimises (Koenker and Bassett 1978), of each value; quantiles (..., levels)."""
    tau = _checked(levels)
    gaps = np.asarray(actual, np.float64)[..., None] - np.asarray(quantiles, np.float64)
    return np.maximum(tau * gaps, (tau - 1) * gaps)


def weighted_quantile_loss(actual: npt.ArrayLike, quantiles: npt.ArrayLike, levels: Sequence[float]) -> float:
    """GluonTS's ``mean_weighted_sum_quantile_loss``: over the levels, the mean of 2 x pinball, summed, by sum |y|."""
    losses = pinball(actual, quantiles, levels)
    total = np.nansum(losses.reshape(-1, len(levels)), axis=0)
    return float(np.mean(2 * total / np.nansum(np.abs(np.asarray(actual, np.float64)))))


def crps(actual: npt.ArrayLike, samples: npt.ArrayLike) -> Floats:
    """Continuous ranked probability score of samples (..., K) for actual (...), in the unit of the data.

    That of the samples' own distribution: ``E|X - y| - E|X - X'| / 2`` (Gneiting and Raftery 2007, eq. 21), by sorting.
    """
    ordered = np.sort(np.asarray(samples, np.float64), axis=-1)
    number = ordered.shape[-1]
    near = np.abs(ordered - np.asarray(actual, np.float64)[..., None]).mean(axis=-1)
    weights = (2 * np.arange(1, number + 1) - number - 1) / number**2
    spread: Floats = near - ordered @ weights
    return spread


def crps_of_quantiles(actual: npt.ArrayLike, quantiles: npt.ArrayLike, levels: Sequence[float]) -> Floats:
    """About the same from quantiles (..., levels): twice the integral of the pinball loss over the level.

    Each level stands for those nearer to it than to another.
    """
    tau = _checked(levels)
    if len(tau) < 2:
        raise UsageError("a distribution needs quantiles of at least two levels.")
    borders = np.concatenate([[0.0], (tau[1:] + tau[:-1]) / 2, [1.0]])
    integral: Floats = 2 * pinball(actual, quantiles, levels) @ np.diff(borders)
    return integral


def inside(actual: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike) -> Floats:
    """1 where a value lies in its interval, 0 where not, NaN where it is missing."""
    values = np.asarray(actual, np.float64)
    hits: Floats = np.where(np.isnan(values), np.nan, (np.asarray(low) <= values) & (values <= np.asarray(high)))
    return hits


def directional_accuracy(actual: npt.ArrayLike, forecast: npt.ArrayLike, last: npt.ArrayLike) -> tuple[int, int]:
    """How often a forecast goes the way the value went from the ``last`` one (N,), and of how many.

    Values that did not move are left out; a forecast that does not move is wrong.
    """
    before = np.asarray(last, np.float64)[:, None]
    went = np.sign(np.asarray(actual, np.float64) - before)
    said = np.sign(np.asarray(forecast, np.float64) - before)
    counted = ~np.isnan(went) & (went != 0)
    return int((went == said)[counted].sum()), int(counted.sum())


def _gaps(actual: npt.ArrayLike, forecast: npt.ArrayLike) -> Floats:
    values, said = np.asarray(actual, np.float64), np.asarray(forecast, np.float64)
    if values.shape != said.shape:
        raise DataError(f"there are {values.shape} values and {said.shape} forecasts.")
    if np.isnan(said).any():
        raise DataError("a forecast is no number (NaN).")
    gaps: Floats = values - said
    return gaps


def _checked(levels: Sequence[float]) -> Floats:
    tau = np.asarray(levels, np.float64)
    if not len(tau) or (tau <= 0).any() or (tau >= 1).any() or (np.diff(tau) <= 0).any():
        raise UsageError(f"levels of quantiles rise between 0 and 1, not {list(levels)}.")
    return tau
