"""Train a language model on text files: the way from a command to a model folder, top to bottom."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from rondo.data.streams import TokenStream
from rondo.models.folder import check_output_folder
from rondo.models.language_model import LanguageModel, describe
from rondo.tasks.language import fit_baseline, loss_result
from rondo.tasks.options import to_sections
from rondo.tasks.steps import begin_folder, save_with_result, training_result, with_budget
from rondo.tasks.text.corpus import read_corpus, rows_that_fit, start_token
from rondo.tasks.text.model import TextModel
from rondo.tasks.text.objective import NextToken, WatchLoss
from rondo.tasks.text.options import TextOptions
from rondo.tasks.text.report import TextRun, write_report
from rondo.training.loop import train
from rondo.training.protocols import Progress, SilentProgress

DEFAULT_MINUTES = 5.0


def train_text(
    paths: Sequence[str | Path],
    out: str | Path,
    options: TextOptions,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train on files and write the model folder ``out``. Returns what `rondo train --json` prints."""
    run = run_text(paths, out, options, resume=resume, overwrite=overwrite, progress=progress)
    return run.result if run is not None else {}


def run_text(
    paths: Sequence[str | Path],
    out: str | Path,
    options: TextOptions,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    data_name: str | None = None,
) -> TextRun | None:
    """`train_text` with everything that it made; None in processes other than the main one.

    ``data_name`` says in page and card what the text is, where the names of the files do not.
    """
    started = time.perf_counter()
    progress = progress or SilentProgress()
    check_output_folder(out, resume=resume, overwrite=overwrite)
    corpus = read_corpus(paths, options.data)
    asked = options.training
    rows = rows_that_fit(corpus.train, asked.bptt_length, asked.batch_size)
    training = replace(with_budget(asked, minutes=DEFAULT_MINUTES), batch_size=rows)
    source = TokenStream(corpus.train, batch_size=rows, bptt_length=training.bptt_length, seed=training.seed)

    torch.manual_seed(training.seed)
    network = LanguageModel(corpus.tokenizer.size, options.model)
    folder = begin_folder(out, options, network.recurrent.cell, resume=resume, overwrite=overwrite, progress=progress)
    baseline = fit_baseline(
        corpus.train, corpus.valid, max_order=options.data.baseline_order, vocabulary_size=corpus.tokenizer.size,
        progress=progress,
    )  # fmt: skip
    summary = train(
        network, source, NextToken(), WatchLoss(corpus.valid), training, folder, resume=resume, progress=progress
    )
    if not summary.is_main_process:
        return None

    progress.message("scoring the validation part in one stream, from beginning to end")
    config = {
        "task": "text",
        "network": describe(network, options.model),
        "options": to_sections(replace(options, training=training)),
        "start_token": start_token(corpus.tokenizer, corpus.train),
    }
    model = TextModel(network, corpus.tokenizer, config, baseline=baseline)
    result = training_result(model, folder, summary, seed=training.seed) | loss_result(
        model.score(corpus.valid),
        model.score(corpus.test) if corpus.test is not None else None,
        baseline,
        unit=corpus.unit,
        train_tokens=len(corpus.train),
    )
    provenance = save_with_result(model, folder, result, started=started, data=corpus.files)
    run = TextRun(folder, model, corpus, summary, result, provenance, data_name)
    write_report(run)
    return run
