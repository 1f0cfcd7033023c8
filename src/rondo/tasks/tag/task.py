"""Train a tagger on files: the way from a command to a model folder, top to bottom."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rondo.data.splits import Parts, make_parts
from rondo.data.tagging import Scheme, read_sentences
from rondo.models.folder import check_output_folder
from rondo.tasks.steps import begin_folder, save_with_result, training_result, with_budget
from rondo.tasks.tag.judging import held_against
from rondo.tasks.tag.learning import DEFAULT_EPOCHS, learn, prepare, sizes, watched
from rondo.tasks.tag.options import TagOptions
from rondo.tasks.tag.report import TagRun, write_report
from rondo.tasks.tag.tags import checked, in_scheme, scheme_of
from rondo.training.protocols import Progress, SilentProgress


def train_tag(
    paths: Sequence[str | Path],
    out: str | Path,
    options: TagOptions,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train on files and write the model folder ``out``. Returns what `rondo train --json` prints."""
    run = run_tag(paths, out, options, resume=resume, overwrite=overwrite, progress=progress)
    return run.result if run is not None else {}


def run_tag(
    paths: Sequence[str | Path],
    out: str | Path,
    options: TagOptions,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> TagRun | None:
    """`train_tag` with everything that it made; None in processes other than the main one."""
    started = time.perf_counter()
    progress = progress or SilentProgress()
    check_output_folder(out, resume=resume, overwrite=overwrite)
    parts, scheme = read_parts(paths, options)
    if scheme is None and options.data.scheme == "auto":
        progress.message("the tags are no spans (no letters B, I ... with a kind): each token is judged by itself")
    options = replace(options, training=with_budget(options.training, epochs=DEFAULT_EPOCHS))
    learner = prepare(parts, scheme, options, progress)
    cell = learner.network.first.recurrent.cell
    folder = begin_folder(out, options, cell, resume=resume, overwrite=overwrite, progress=progress)
    model, summary = learn(learner, parts, options, folder, resume=resume, progress=progress)
    if not summary.is_main_process:
        return None

    seed = options.training.seed
    judgement = held_against(model, parts, baselines=options.reading.baselines, seed=seed, progress=progress)
    result = training_result(model, folder, summary, seed=seed) | judgement.result() | watched(summary, options)
    model.config["parts"] = sizes(parts)
    provenance = save_with_result(model, folder, result, started=started, data=_files(paths, options))
    run = TagRun(folder, model, parts, summary, judgement, result, provenance)
    write_report(run)
    return run


def read_parts(paths: Sequence[str | Path], options: TagOptions) -> tuple[Parts, Scheme | None]:
    """The parts of the sentences in files: those that are named, and shares of the others; and how tags are written."""
    reading, data = options.reading, options.data
    sentences = read_sentences(list(paths), reading, labels=reading.labels, group_column=reading.group_column)
    scheme = scheme_of(sentences, data)
    named = {}
    for name in ("valid", "test"):
        path, labels = getattr(reading, name), getattr(reading, f"{name}_labels")
        if path is not None:
            read = read_sentences(path, reading, labels=labels, group_column=reading.group_column)
            named[name] = checked(in_scheme(read, scheme, broken=data.broken), scheme, data)
    parts = make_parts(
        checked(sentences, scheme, data),
        valid=named.get("valid"),
        test=named.get("test"),
        valid_fraction=data.valid_fraction,
        test_fraction=reading.test_fraction or None,
        seed=options.training.seed,
    )
    return parts, scheme


def _files(paths: Sequence[str | Path], options: TagOptions) -> list[Path]:
    """All files that were read."""
    reading, model = options.reading, options.model
    more = (reading.labels, reading.valid, reading.valid_labels, reading.test, reading.test_labels, model.vectors)
    return [Path(path) for path in (*paths, *more) if path is not None]
