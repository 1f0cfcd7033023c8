"""Train a language model on text files: the way from a command to a model folder, top to bottom."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from rondo.data.streams import TokenStream
from rondo.evaluation.ngram import Choice, choose_order
from rondo.inspect.provenance import collect
from rondo.models.folder import check_output_folder, prepare_output_folder
from rondo.storage import is_main_process
from rondo.tasks.options import to_sections
from rondo.tasks.text.corpus import TextCorpus, read_corpus, rows_that_fit, start_token
from rondo.tasks.text.model import TextModel, TextScores, build_network
from rondo.tasks.text.objective import NextToken, WatchLoss
from rondo.tasks.text.options import TextOptions
from rondo.tasks.text.report import TextRun, write_report
from rondo.training.loop import train
from rondo.training.protocols import Progress, SilentProgress, TrainingSummary

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
) -> TextRun | None:
    """`train_text` with everything that it made; None in processes other than the main one."""
    clock = time.perf_counter()
    progress = progress or SilentProgress()
    check_output_folder(out, resume=resume, overwrite=overwrite)
    corpus = read_corpus(paths, options.data)
    training = options.training
    rows = rows_that_fit(corpus.train, training.bptt_length, training.batch_size)
    source = TokenStream(corpus.train, batch_size=rows, bptt_length=training.bptt_length, seed=training.seed)
    if training.epochs is None and training.steps is None and training.minutes is None:
        training = replace(training, minutes=DEFAULT_MINUTES)

    torch.manual_seed(training.seed)
    network, shape = build_network(options.model, corpus.tokenizer.size)
    folder = prepare_output_folder(out, resume=resume, overwrite=overwrite)
    baseline = _baseline(corpus, options.data.baseline_order, progress)
    summary = train(
        network, source, NextToken(), WatchLoss(corpus.valid), training, folder, resume=resume, progress=progress
    )
    if not summary.is_main_process:
        return None

    progress.message("scoring the validation part in one stream, from beginning to end")
    config = {
        "task": "text",
        "network": shape,
        "options": to_sections(replace(options, training=training)),
        "start_token": start_token(corpus.tokenizer, corpus.train),
        "unit": corpus.unit,
        "batch_size": rows,
    }
    model = TextModel(network, corpus.tokenizer, config, baseline=baseline.model if baseline else None)
    valid = model.score(corpus.valid)
    test = model.score(corpus.test) if corpus.test is not None else None
    result = _result(
        folder, model, summary, valid, test, baseline, seed=training.seed, seconds=time.perf_counter() - clock
    )
    provenance = collect(
        seed=training.seed,
        seconds=result["seconds"],
        data=[file.path for file in corpus.files],
        device=next(network.parameters()).device,
    )
    model.config |= {"result": result, "provenance": provenance.to_dict()}
    model.save(folder)
    run = TextRun(folder, model, corpus, summary, result, provenance)
    write_report(run)
    return run


def _baseline(corpus: TextCorpus, max_order: int, progress: Progress) -> Choice | None:
    if max_order == 0 or not is_main_process():
        return None
    choice = choose_order(corpus.train, corpus.valid, max_order=max_order, vocabulary_size=corpus.tokenizer.size)
    order = choice.model.order
    progress.message(f"Kneser-Ney baseline of order {order}: {choice.losses[order]:.4f} nats a {corpus.unit}")
    return choice


def _result(
    folder: Path,
    model: TextModel,
    summary: TrainingSummary,
    valid: TextScores,
    test: TextScores | None,
    baseline: Choice | None,
    *,
    seed: int,
    seconds: float,
) -> dict[str, Any]:
    """The JSON object that training ends with."""
    result: dict[str, Any] = {
        "task": "text",
        "model": str(folder),
        "seed": seed,
        "seconds": seconds,
        "training_seconds": summary.seconds,
        "epochs": summary.epochs,
        "steps": summary.steps,
        "schedule_steps": summary.schedule_steps,
        "stopped": summary.stopped_why,
        "parameters": model.parameters,
        "valid_loss": valid.nats,
        "baseline_loss": valid.baseline_nats,
        "baseline": f"Kneser-Ney, order {baseline.model.order}" if baseline else None,
        "perplexity": valid.perplexity,
        "bits_per_character": valid.bits_per_character,
        "unit": model.config["unit"],
        "valid": asdict(valid),
    }
    if test is not None:
        result |= {"test_loss": test.nats, "test_baseline_loss": test.baseline_nats, "test": test.to_dict()}
    return result
