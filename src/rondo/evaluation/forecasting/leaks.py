"""What of the future has got into the data: named before anyone believes the forecasts.

Four kinds (Kapoor and Narayanan 2023, "Leakage and the reproducibility crisis in machine-learning-based science",
kinds L1.2, L2 and L3.1): the target in a covariate, scales of all rows, values filled from later rows, and covariates
that nobody knows in advance. What is told from data alone can be a coincidence; so each alarm says what it saw. What
data alone cannot tell is asked (`questions`). Filling backward is not looked for: a run of equal values says nothing
about which of its ends was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rondo.data.series import SeriesSet
from rondo.data.series.scaling import Scaler
from rondo.errors import DataError
from rondo.evaluation.forecasting.calendars import follows_from_time
from rondo.evaluation.forecasting.filled import EXACT, SINGLE, filled_with_mean, interpolated
from rondo.evaluation.forecasting.folds import Fold

Floats = npt.NDArray[np.float64]
Kind = Literal[
    "target in a covariate", "scaled with later rows", "filled from later rows", "not known in advance",
    "known in advance?",
]  # fmt: skip

ROWS = 4000
"""Rows of a series that are looked at, the last ones before training ends and what comes after."""
SERIES = 50
"""Series that are looked at."""
SAME = 0.9999
"""Correlation of changes above which two columns are the same, but for shift and scale."""
ALIKE = (0.999, 0.98)
"""Rank correlation of values and of changes above which two columns are the same, but for noise, rounding or a curve.

Below are those that follow each other by nature: changes of a closing price and of the next opening have 0.89."""
FEW = 20
"""A column with at most so many different values is a mark or a plan, not a measurement."""


@dataclass(frozen=True)
class Alarm:
    """One leak that was found."""

    kind: Kind
    column: str
    message: str

    def __str__(self) -> str:
        return self.message


def examine(fold: Fold) -> list[Alarm]:
    """All alarms that the data of a fold gives; at most one of a kind for each column."""
    source, horizon = fold.everything, fold.windows.horizon
    found = [*covariate_alarms(source, horizon), *scale_alarms(source, fold.training), *filling_alarms(source)]
    first: dict[tuple[str, str], Alarm] = {}
    for alarm in found:
        first.setdefault((alarm.kind, alarm.column), alarm)
    return list(first.values())


def questions(fold: Fold) -> list[Alarm]:
    """What only the user can tell: whether columns that end with the target are really known in advance.

    Columns that are known by the calendar are not asked about, nor those which an alarm is raised for.
    """
    source = fold.everything
    named = {alarm.column for alarm in covariate_alarms(source, fold.windows.horizon)}
    last: dict[int, int] = {}  # series that share their covariates end where the longest of them does
    for begin, length in zip(source.covariate_begin.tolist(), source.lengths.tolist(), strict=True):
        last[begin] = max(last.get(begin, 0), begin + length)
    found = []
    for name, column in _future_columns(source):
        ends = zip(source.covariate_begin.tolist(), source.covariate_end.tolist(), strict=True)
        if name in named or any(not np.isnan(column[last[begin] : end]).all() for begin, end in ends):
            continue
        for which in range(min(len(source), SERIES)):
            begin, rows = int(source.covariate_begin[which]), int(source.lengths[which])
            if not follows_from_time(column[begin : begin + rows], source, which):
                found.append(
                    Alarm(
                        "known in advance?", name,
                        f"column '{name}' is said to be known in advance, but ends where the target ends: is it really "
                        "known that far ahead? If so, give its values for the rows to be forecast, too; if not, make "
                        "it a past covariate.",
                    )
                )  # fmt: skip
                break
    return found


def covariate_alarms(source: SeriesSet, horizon: int) -> list[Alarm]:
    """Covariates that are the target of later rows, or that nothing shows to be known in advance."""
    found = []
    for role, columns in (("past", source.past), ("future", source.future)):
        for place, name in enumerate(columns.number_names):
            for which in range(min(len(source), SERIES)):
                begin, rows = int(source.covariate_begin[which]), int(source.lengths[which])
                column = columns.numbers[begin : begin + rows, place].astype(np.float64)[-ROWS:]
                target = source.series(which)[-ROWS:]
                lowest, most = -horizon if role == "future" else 0, 2 * max(horizon, source.season)
                exact = _lead(column, target, lowest, most)
                lead = _lead_by_ranks(column, target, lowest, most) if exact is None else exact
                if lead is not None:
                    found.append(_target_alarm(name, lead, role, source, which, exact is not None))
                elif (
                    role == "future"
                    and not _goes_on(source, which, place)
                    and _measured_beside(column, target, source.season)
                ):
                    found.append(
                        Alarm(
                            "not known in advance", name,
                            f"column '{name}' is said to be known in advance, but ends where {_called(source, which)} "
                            "ends, changes like a measurement, and moves with the target at the same time. Add its "
                            "values for the rows to be forecast, or make it a past covariate.",
                        )
                    )  # fmt: skip
    return found


def scale_alarms(source: SeriesSet, training: SeriesSet) -> list[Alarm]:
    """Series and past covariates that look as if scaled with all of their rows, the ones to be forecast included."""
    found = []
    for which, name, values, _ in _measured(source):
        part = values[: int(training.lengths[which])]
        whole, part = values[~np.isnan(values)], part[~np.isnan(part)]
        if len(whole) < 2 * FEW or len(part) == len(whole) or len(np.unique(whole[:ROWS])) <= FEW:
            continue
        how = _scaled(whole)
        if how is not None and _scaled(part) != how:
            found.append(
                Alarm(
                    "scaled with later rows", name,
                    f"column '{name}' of {_called(source, which)} has {how} over all rows, not over the training part: "
                    "it was scaled with rows that are to be forecast. Give the values as they were measured.",
                )
            )  # fmt: skip
    return found


def filling_alarms(source: SeriesSet) -> list[Alarm]:
    """Values of series and past covariates exactly on the line between their neighbours, or the mean of all rows."""
    found = []
    for which, name, values, blur in _measured(source):
        if which >= SERIES:
            continue
        first = max(0, len(values) - ROWS)
        between, mean = interpolated(values[first:], blur) + first, filled_with_mean(values, blur)
        for rows, looks, how in (
            (between, "lie exactly on the line between their neighbours", "with the later one"),
            (mean, "are exactly the mean of all rows", "with it"),
        ):
            if len(rows):
                found.append(
                    Alarm(
                        "filled from later rows", name,
                        f"column '{name}', {source.place(which, int(rows[0]))}: this value and {len(rows) - 1} others "
                        f"{looks}, as if filled in {how}. Leave missing values missing (missing='mask'), or fill them "
                        "from the past (missing='impute').",
                    )
                )  # fmt: skip
    return found


def _measured(source: SeriesSet) -> Iterator[tuple[int, str, Floats, float]]:
    """Series and what was measured beside them: the series' number, the column's name, its values, their blur.

    What is known in advance may be filled and scaled with its later rows.
    """
    for which in range(len(source)):
        yield which, source.column(which), source.series(which), EXACT
    rows = source.covariate_begin[:, None] + np.stack([np.zeros_like(source.lengths), source.lengths], axis=1)
    for place, name in enumerate(source.past.number_names):
        for which in np.unique(source.covariate_begin, return_index=True)[1].tolist():
            yield which, name, source.past.numbers[slice(*rows[which]), place].astype(np.float64), SINGLE


def check_scaler(scaler: Scaler, training: SeriesSet) -> None:
    """Refuse scales that are not those of the training part."""
    right = Scaler.fit(training, scaler.kind)
    wrong = np.flatnonzero(~np.isclose(scaler.shift, right.shift) | ~np.isclose(scaler.width, right.width))
    if len(wrong):
        which = int(wrong[0])
        raise DataError(
            f"{_called(training, which)}: the scale is not that of the training part (shift {scaler.shift[which]:g}, "
            f"expected {right.shift[which]:g}; width {scaler.width[which]:g}, expected {right.width[which]:g}). It was "
            "fitted on other rows."
        )


def check_preparation(prepare: Callable[[Floats], Floats], values: Floats, known: int) -> None:
    """Refuse a preparation of a series (T,) in which the first ``known`` rows depend on later ones.

    Later rows are replaced by others, and by missing ones; what comes out before them must stay as it is.
    """
    expected = np.asarray(prepare(values.copy()), np.float64)[:known]
    rng = np.random.default_rng(0)
    spread = float(np.nanstd(values)) or 1.0
    others = [
        values[known:] * 3 + spread * (5 + rng.normal(size=len(values) - known)),
        np.full(len(values) - known, np.nan),
    ]
    for later in others:
        got = np.asarray(prepare(np.concatenate([values[:known], later])), np.float64)[:known]
        wrong = np.flatnonzero(~np.isclose(got, expected, rtol=1e-9, atol=1e-12 * spread, equal_nan=True))
        if len(wrong):
            raise DataError(
                f"the preparation looks ahead: with other values from row {known + 1} on, row {wrong[0] + 1} becomes "
                f"{got[wrong[0]]:g} instead of {expected[wrong[0]]:g}."
            )


def _future_columns(source: SeriesSet) -> list[tuple[str, Floats]]:
    """Numbers, and kinds as codes; NaN where missing."""
    future = source.future
    codes = np.where(future.codes == 0, np.nan, future.codes)
    found = np.concatenate([future.numbers.astype(np.float64), codes], axis=1)
    return list(zip(future.names, found.T, strict=True))


def _target_alarm(name: str, lead: int, role: str, source: SeriesSet, which: int, exact: bool) -> Alarm:
    rows = f"{abs(lead)} row{'s' if abs(lead) != 1 else ''}"
    when = f"{rows} later" if lead > 0 else "of the same row" if lead == 0 else f"{rows} before"
    why = "" if lead > 0 else ", which is not known in advance for the whole horizon"
    but = "a shift and a scale" if exact else "noise, rounding or a curve"
    return Alarm(
        "target in a covariate", name,
        f"column '{name}' ({role} covariate) is the target of {_called(source, which)} {when}{why}, but for "
        f"{but}: whoever knows it needs no forecast. Take it out.",
    )  # fmt: skip


def _lead(column: Floats, target: Floats, lowest: int, most: int) -> int | None:
    """How many rows later the target has the changes of the column, if that is later than ``lowest``.

    None, too, if the same changes are found where they were known, as in a wave that repeats itself.
    """
    changes, of_target = np.diff(column), np.diff(target)
    most = min(most, len(changes) - 30)
    if most < 1 or not np.nanstd(changes) or not np.nanstd(of_target):
        return None
    found = None
    for lead in range(lowest + 1, most + 1):
        if _correlation(changes, of_target, lead) > SAME:
            found = lead
            break
    if found is None:
        return None
    known = range(lowest, max(-most, lowest - most) - 1, -1)
    return None if any(_correlation(changes, of_target, lead) > SAME for lead in known) else found


def _lead_by_ranks(column: Floats, target: Floats, lowest: int, most: int) -> int | None:
    """The same of columns that rise and fall with the target of later rows, in values and in changes.

    It must do so much more closely than with any row that was known: what changes slowly is like its neighbours.
    """
    changes, of_target = _ranks(np.diff(column)), _ranks(np.diff(target))
    most = min(most, len(changes) - 30)
    if most <= lowest:
        return None
    leads = np.arange(min(-most, lowest - most), most + 1)
    alike = _at_all_leads(changes, of_target, leads)
    unknown = leads > lowest
    lead = int(leads[unknown][alike[unknown].argmax()])
    values, change = _correlation(_ranks(column), _ranks(target), lead), _correlation(changes, of_target, lead)
    before = float(alike[~unknown].max(initial=0.0))
    return lead if values > ALIKE[0] and change > ALIKE[1] and 1 - before > 2 * (1 - change) else None


def _ranks(values: Floats) -> Floats:
    """From the lowest to the highest; equal ones share the mean of theirs, missing ones have none."""
    found = np.full(len(values), np.nan)
    known = ~np.isnan(values)
    if known.any():
        # Differences of equal steps differ in their last digits.
        near = np.round(values[known] / (float(np.abs(values[known]).max()) or 1.0), 6)
        _, place, count = np.unique(near, return_inverse=True, return_counts=True)
        found[known] = (np.cumsum(count) - (count + 1) / 2)[place]
    return found


def _at_all_leads(changes: Floats, of_target: Floats, leads: npt.NDArray[np.int64]) -> Floats:
    """Correlations at many leads at once, about; without a sign."""
    size = 2 * len(changes)
    one, other = (np.nan_to_num(values - np.nanmean(values)) for values in (changes, of_target))
    scale = float(np.sqrt((one**2).sum() * (other**2).sum()))
    if not scale:
        return np.zeros(len(leads))
    sums = np.fft.irfft(np.conj(np.fft.rfft(one, size)) * np.fft.rfft(other, size), size)
    overlap = len(changes) - np.abs(leads)
    found: Floats = np.where(overlap < 30, 0.0, np.abs(sums[leads % size]) * len(changes) / np.maximum(overlap, 1))
    return found / scale


def _correlation(changes: Floats, of_target: Floats, lead: int) -> float:
    size = len(changes) - abs(lead)
    if size < 30:
        return 0.0
    one, other = changes[max(0, -lead) :][:size], of_target[max(0, lead) :][:size]
    both = ~np.isnan(one) & ~np.isnan(other)
    one, other = one[both], other[both]
    if len(one) < 30 or not one.std() or not other.std():
        return 0.0
    return abs(float(np.corrcoef(one, other)[0, 1]))


def _goes_on(source: SeriesSet, which: int, place: int) -> bool:
    """Whether a covariate has values after the last one of the target."""
    after = int(source.covariate_begin[which] + source.lengths[which])
    beyond = source.future.numbers[after : int(source.covariate_end[which]), place]
    return bool(len(beyond)) and not bool(np.isnan(beyond[:1]).any())


def _measured_beside(column: Floats, target: Floats, season: int) -> bool:
    """Whether a column changes like a measurement, and what is new in it goes with what is new in the target."""
    if len(np.unique(column[~np.isnan(column)])) <= FEW or np.mean(np.diff(column) != 0) < 0.5:
        return False
    lags = sorted({1, 2, season})
    most = max(lags)
    own = [series[most - lag : len(series) - lag] for series in (column, target) for lag in lags]
    table = np.column_stack([np.ones(len(column) - most if len(column) > most else 0), *own])
    ends = np.column_stack([column[most:], target[most:]])
    whole = ~np.isnan(table).any(axis=1) & ~np.isnan(ends).any(axis=1)
    if whole.sum() < 3 * table.shape[1] + 30:
        return False
    table, ends = table[whole], ends[whole]
    new = ends - table @ np.linalg.lstsq(table, ends, rcond=None)[0]
    if (new.std(axis=0) < 1e-6 * ends.std(axis=0)).any():  # it follows from its past: a calendar, a trend
        return False
    return abs(float(np.corrcoef(new.T)[0, 1])) > max(0.1, 5 / np.sqrt(len(new)))


def _scaled(values: Floats) -> str | None:
    """What scaling a series shows, if any."""
    if not len(values):
        return None
    if abs(values.mean()) < 1e-4 and any(abs(values.std(ddof=d) - 1) < 1e-4 for d in (0, 1)):
        return "mean 0 and standard deviation 1"
    low, high = values.min(), values.max()
    ends = [(values == low).sum(), (values == high).sum()]
    for least in (0, -1):
        if abs(low - least) < 1e-9 and abs(high - 1) < 1e-9 and max(ends) == 1:
            return f"minimum {least} and maximum 1"
    if abs(np.median(values)) < 1e-7 and abs(np.subtract(*np.quantile(values, [0.75, 0.25])) - 1) < 1e-5:
        return "median 0 and quartiles 1 apart"
    return None


def _called(source: SeriesSet, which: int) -> str:
    return f"series '{source.names[which]}'"
