"""Which rows are learned from, which are watched, and which are scored."""

from __future__ import annotations

import numpy as np

from rondo.data.series import SeriesSet
from rondo.data.series.windows import Windows, training_windows
from rondo.errors import UsageError
from rondo.evaluation.forecasting.folds import Fold, Refit, named_rows, rolling_origin
from rondo.tasks.forecast.options import ForecastData

MOST_VALID = 20_000
"""Windows of the validation part that are laid out; training is watched on some of them."""


def folds_of(
    source: SeriesSet,
    data: ForecastData,
    *,
    origins: int | None,
    test_rows: int | None,
    stride: int,
    refit: Refit,
    embargo: int,
    align: str,
) -> list[Fold]:
    """The folds of a rolling origin, or the one of rows that the options name."""
    if data.split is not None:
        if origins is not None or test_rows is not None:
            raise UsageError("--split names the rows of the test; leave out how many origins or rows there are")
        return [named_rows(source, data.horizon, data.split)]
    return rolling_origin(
        source, horizon=data.horizon, origins=origins, test_rows=test_rows, stride=stride, refit=refit,
        embargo=embargo, align=align,  # type: ignore[arg-type]
    )  # fmt: skip


def held_out(source: SeriesSet, data: ForecastData) -> tuple[SeriesSet, Windows]:
    """The part to learn from, and windows after it to watch by; short series are learned from whole."""
    horizon = data.horizon
    if data.split is not None:
        fold = named_rows(source, horizon, data.split)
        return fold.training, fold.windows.choose(slice(0)) if fold.validation is None else fold.validation
    held = np.maximum(np.ceil(source.lengths * data.valid_fraction).astype(np.int64), horizon)
    held = np.where(source.lengths - held > 2 * horizon, held, 0)
    training = source.cut(source.lengths - held)
    windows = training_windows(source, horizon, at_most=MOST_VALID)
    return training, windows.choose((windows.origin >= training.lengths[windows.which]) & (held[windows.which] > 0))
