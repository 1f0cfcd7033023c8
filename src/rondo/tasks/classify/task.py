"""Train a classifier of texts on files: the way from a command to a model folder, top to bottom."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rondo.data.labelled import visible_files
from rondo.data.splits import Parts, make_parts
from rondo.data.texts import read_texts
from rondo.evaluation.bag_of_words import baselines_for_texts
from rondo.evaluation.rivals_file import rival_bytes
from rondo.models.folder import check_output_folder
from rondo.tasks.classification.judging import judge_held_out
from rondo.tasks.classification.learning import learn
from rondo.tasks.classification.report import ClassRun
from rondo.tasks.classify.learning import DEFAULT_EPOCHS, learn_language, prepare
from rondo.tasks.classify.options import ClassifyOptions
from rondo.tasks.classify.report import write_report
from rondo.tasks.steps import begin_folder, save_with_result, training_result, with_budget
from rondo.training.protocols import Progress, SilentProgress


def train_classify(
    paths: Sequence[str | Path],
    out: str | Path,
    options: ClassifyOptions,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train on files and write the model folder ``out``. Returns what `rondo train --json` prints."""
    run = run_classify(paths, out, options, resume=resume, overwrite=overwrite, progress=progress)
    return run.result if run is not None else {}


def run_classify(
    paths: Sequence[str | Path],
    out: str | Path,
    options: ClassifyOptions,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ClassRun | None:
    """`train_classify` with everything that it made; None in processes other than the main one."""
    started = time.perf_counter()
    progress = progress or SilentProgress()
    check_output_folder(out, resume=resume, overwrite=overwrite)
    parts = read_parts(paths, options)
    options = replace(options, training=with_budget(options.training, epochs=DEFAULT_EPOCHS))
    learner = prepare(parts, options, progress)
    cell = learner.network.recurrent.cell
    folder = begin_folder(out, options, cell, resume=resume, overwrite=overwrite, progress=progress)
    learn_language(learner, parts, options, folder, resume=resume, progress=progress)
    model, summary = learn(learner, parts, options.training, folder, resume=resume, progress=progress)
    if not summary.is_main_process:
        return None

    rivals = baselines_for_texts() if options.reading.baselines else []
    judgement = judge_held_out(model, parts, rivals, seed=options.training.seed, progress=progress)
    model.baselines = rival_bytes(rivals) if rivals else None
    result = training_result(model, folder, summary, seed=options.training.seed) | judgement.result()
    result |= {name: summary.best.get(name, summary.final.get(name)) for name in ("valid_loss", "valid_accuracy")}
    provenance = save_with_result(model, folder, result, started=started, data=_files(paths, options))
    run = ClassRun(folder, model, parts, summary, judgement, result, provenance, "texts")
    write_report(run)
    return run


def read_parts(paths: Sequence[str | Path], options: ClassifyOptions) -> Parts:
    """The parts of the texts in files: those that are named, and shares of the others."""
    reading = options.reading
    return make_parts(
        read_texts(paths, reading, label_file=reading.labels),
        valid=None if reading.valid is None else read_texts(reading.valid, reading),
        test=None if reading.test is None else read_texts(reading.test, reading),
        valid_fraction=options.data.valid_fraction,
        test_fraction=reading.test_fraction or None,
        seed=options.training.seed,
    )


def _files(paths: Sequence[str | Path], options: ClassifyOptions) -> list[Path]:
    """All files that were read."""
    reading, model = options.reading, options.model
    more = [path for path in (reading.labels, reading.valid, reading.test, model.vectors) if path is not None]
    named = [Path(path) for path in (*paths, *more)]
    return [file for path in named for file in (visible_files(path) if path.is_dir() else [path])]
