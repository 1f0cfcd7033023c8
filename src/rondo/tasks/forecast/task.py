"""Train a forecaster on files of series, and score it on rows that were held out, beside the baselines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rondo.data.series import SeriesSet, from_frame
from rondo.data.series.files import read_frames
from rondo.evaluation.forecasting.backtest import ScoredAs
from rondo.evaluation.forecasting.folds import Fold, left_out, named_rows, rolling_origin
from rondo.models.folder import check_output_folder
from rondo.models.forecast_heads import make_head
from rondo.tasks.forecast.backtest import run_backtest
from rondo.tasks.forecast.framing import about_frame
from rondo.tasks.forecast.learning import EPOCHS, learn_forecast, prepare
from rondo.tasks.forecast.options import ForecastOptions
from rondo.tasks.forecast.parts import held_out
from rondo.tasks.forecast.report import ForecastRun, write_report
from rondo.tasks.forecast.values import check_values
from rondo.tasks.steps import begin_folder, save_with_result, training_result, with_budget
from rondo.training.protocols import Progress, SilentProgress


def train_forecast(
    paths: Sequence[str | Path],
    out: str | Path,
    options: ForecastOptions,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train on files and write the model folder ``out``. Returns what `rondo train --json` prints."""
    started = time.perf_counter()
    progress = progress or SilentProgress()
    check_output_folder(out, resume=resume, overwrite=overwrite)
    source = from_frame(read_frames(paths), options.reading)
    options = replace(options, training=with_budget(options.training, epochs=EPOCHS))
    check_values(source, options.data.scaling, counts=make_head(options.model.head).counts)
    fold = held_back(source, options)
    source = source.with_kinds(fold.training.kinds)
    training, validation = (
        (fold.training, fold.validation) if fold.validation is not None else held_out(fold.training, options.data)
    )
    prepared = prepare(training, options)
    cell = prepared[1].recurrent.cell
    folder = begin_folder(out, options, cell, resume=resume, overwrite=overwrite, progress=progress)
    lost = left_out([fold])
    for note in (*source.notes, *([] if lost is None else [str(lost)])):
        progress.message(note)
    model, summary = learn_forecast(
        training, validation, options, folder, prepared=prepared, resume=resume, progress=progress
    )
    if not summary.is_main_process:
        return {}
    asked = options.scoring.automatic_seconds
    backtest = run_backtest(
        [fold], lambda _: model, scored=ScoredAs(scaled=options.scoring.scaled, step=options.scoring.scored_step),
        automatic_seconds=summary.seconds if asked is None else asked,
    )  # fmt: skip
    model.config |= about_frame(source)
    model.history = source
    result = training_result(model, folder, summary, seed=options.training.seed) | backtest.to_json()
    provenance = save_with_result(model, folder, result, started=started, data=[Path(path) for path in paths])
    write_report(ForecastRun(folder, source, training, backtest, summary, result, provenance))
    return result


def held_back(source: SeriesSet, options: ForecastOptions) -> Fold:
    """What is trained on and what is scored: the rows that are named, or the last ones."""
    data, scoring = options.data, options.scoring
    if data.split is not None:
        return named_rows(source, data.horizon, data.split)
    rows = scoring.test_rows or max(data.horizon, int(np.median(source.lengths)) // 10)
    folds = rolling_origin(
        source, horizon=data.horizon, test_rows=rows, stride=scoring.stride, refit="never", align=scoring.align
    )
    return folds[0]
