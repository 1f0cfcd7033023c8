"""Whether a forecaster is better than another on the same windows, or only looks so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from rondo.errors import DataError, UsageError, nearest
from rondo.evaluation.forecasting.scores import WindowScores
from rondo.evaluation.metrics import checked_level

Floats = npt.NDArray[np.float64]
Error = Literal["mae", "mse", "rmse", "smape", "mase", "crps"]
ERRORS: tuple[Error, ...] = ("mae", "mse", "rmse", "smape", "mase", "crps")
FEWEST_BLOCKS = 6
"""Of origins that do not overlap, or series: with fewer there is no interval. Were five all on one side, that would
still happen by chance once in 16 times, more often than an interval of 95 % may be wrong.
"""


@dataclass(frozen=True)
class Skill:
    """``1 - error / error of the baseline``: 0 is as good as it, 1 perfect, below 0 worse."""

    value: float
    low: float
    """NaN, as is ``high``, where there is too little to tell an interval from."""
    high: float
    baseline: str
    units: str
    """What was drawn with replacement: origins (in blocks that follow each other) or series."""
    number: int
    """Of how many."""

    @property
    def clear(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0


def strongest(baselines: Mapping[str, WindowScores], error: Error) -> str:
    """The name of the baseline with the smallest error."""
    if not baselines:
        raise DataError("there is no baseline to be held against.")
    errors = {name: scores.summary().get(error, float("nan")) for name, scores in baselines.items()}
    known = {name: value for name, value in errors.items() if not np.isnan(value)}
    if not known:
        raise DataError(f"no baseline has the error '{error}'{nearest(error, ERRORS)}")
    return min(known, key=lambda name: known[name])


def skill(
    ours: WindowScores,
    theirs: WindowScores,
    *,
    error: Error = "mae",
    baseline: str = "baseline",
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Skill:
    """The skill with its bootstrap interval, both forecasters on the same windows.

    What is drawn is whole origins, with the windows of all series at them, in blocks as long as windows overlap
    (Künsch 1989); or whole series, where there are more of them than origins. There is no interval with fewer than
    `FEWEST_BLOCKS` to draw from.
    """
    _same_windows(ours, theirs)
    sums = np.concatenate([_sums(ours, error), _sums(theirs, error)], axis=1)
    origins, series = np.unique(ours.origin), np.unique(ours.which)
    by_series = len(series) > len(origins)
    keys = ours.which if by_series else ours.origin
    units = series if by_series else origins
    rows = np.zeros((len(units), sums.shape[1]))
    np.add.at(rows, np.searchsorted(units, keys), sums)
    block = 1 if by_series else _overlap(origins, len(ours.by_step["mae"]))
    values = np.zeros(0)
    if len(units) // block >= FEWEST_BLOCKS:
        values = _skill(_drawn(rows, block, resamples, seed), error)
        values = values[~np.isnan(values)]
    tail = (1 - checked_level(level)) / 2
    low, high = np.quantile(values, [tail, 1 - tail]) if len(values) else (np.nan, np.nan)
    whole = float(_skill(rows.sum(axis=0)[None], error)[0])
    return Skill(whole, float(low), float(high), baseline, "series" if by_series else "origins", len(units))


@dataclass(frozen=True)
class DieboldMariano:
    """A test of equal accuracy."""

    statistic: float
    """Below 0: the first forecaster's loss is smaller."""
    p_value: float
    """Two-sided."""
    origins: int


def diebold_mariano(ours: Floats, theirs: Floats, *, overlap: int = 1) -> DieboldMariano:
    """Test of equal expected loss, from losses at successive origins (Diebold and Mariano 1995).

    ``overlap`` is how many successive forecasts share values: differences that far apart are correlated. With the
    small-sample correction of Harvey, Leybourne and Newbold (1997, eq. 9) and the t distribution. Where the sum of
    autocovariances is not positive, Bartlett's weights stand in (Newey and West 1987).
    """
    gaps = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    number = len(gaps)
    if number < 3 or not 1 <= overlap < number:
        raise DataError(f"{number} origins whose forecasts overlap by {overlap} are too few to test.")
    centred = gaps - gaps.mean()
    covariances = np.array([centred[lag:] @ centred[: number - lag] / number for lag in range(overlap)])
    variance = covariances[0] + 2 * covariances[1:].sum()
    if variance <= 0:
        weights = 1 - np.arange(overlap) / overlap
        variance = covariances[0] + 2 * (weights * covariances)[1:].sum()
    if variance <= 0:  # no difference varies: they are equal, or one is better at every origin by the same
        same = bool(gaps.mean() == 0)
        return DieboldMariano(0.0 if same else float(np.sign(gaps.mean()) * np.inf), 1.0 if same else 0.0, number)
    correction = (number + 1 - 2 * overlap + overlap * (overlap - 1) / number) / number
    statistic = float(gaps.mean() / np.sqrt(variance / number) * np.sqrt(correction))
    return DieboldMariano(statistic, float(2 * stats.t.sf(abs(statistic), number - 1)), number)


def equal_accuracy(ours: WindowScores, theirs: WindowScores, *, error: Error = "mae") -> DieboldMariano:
    """The same on scored windows: at each origin, the mean loss over all series and steps."""
    _same_windows(ours, theirs)
    origins, place = np.unique(ours.origin, return_inverse=True)
    losses = []
    for scores in (ours, theirs):
        sums = _sums(scores, "mse" if error == "rmse" else error)
        total = np.stack([np.bincount(place, weights=column, minlength=len(origins)) for column in sums.T])
        losses.append(total[0] / total[1])
    known = ~np.isnan(losses[0] + losses[1])
    overlap = min(_overlap(origins, len(ours.by_step["mae"])), max(1, int(known.sum()) - 1))
    return diebold_mariano(losses[0][known], losses[1][known], overlap=overlap)


def _same_windows(ours: WindowScores, theirs: WindowScores) -> None:
    if len(ours) != len(theirs) or (ours.which != theirs.which).any() or (ours.origin != theirs.origin).any():
        raise DataError("the forecasters were not scored on the same windows.")


def _sums(scores: WindowScores, error: Error) -> Floats:
    """For each window what is added up: (N, 2), the error and what it is divided by."""
    if error not in ERRORS:
        raise UsageError(f"there is no error '{error}'{nearest(error, ERRORS)}")
    weights = scores.count.astype(np.float64)
    if error == "mase":
        return np.nan_to_num(
            np.stack([scores.absolute / scores.scale, np.where(np.isnan(scores.scale), 0, weights)], 1)
        )
    sums = {"mae": scores.absolute, "mse": scores.squared, "rmse": scores.squared, "smape": scores.smape}.get(error)
    sums = scores.crps if sums is None else sums
    if sums is None:
        raise DataError("forecasts that are points have no CRPS.")
    return np.stack([sums, weights], 1)


def _skill(sums: Floats, error: Error) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (sums[:, 0] / sums[:, 1]) / (sums[:, 2] / sums[:, 3])
    values: Floats = 1 - (np.sqrt(ratio) if error == "rmse" else ratio)
    return values


def _overlap(origins: npt.NDArray[np.int64], horizon: int) -> int:
    """How many successive forecasts share values."""
    stride = int(np.median(np.diff(origins))) if len(origins) > 1 else horizon
    return max(1, -(-horizon // max(1, stride)))


def _drawn(rows: Floats, block: int, resamples: int, seed: int) -> Floats:
    """Sums over units drawn with replacement, in blocks that go around from the end to the beginning."""
    whole = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(np.concatenate([rows, rows[: block - 1]]), axis=0)])
    blocks = whole[block:] - whole[:-block]
    rng = np.random.default_rng(seed)
    times = -(-len(rows) // block)
    return np.stack([blocks[rng.integers(len(blocks), size=times)].sum(axis=0) for _ in range(resamples)])
