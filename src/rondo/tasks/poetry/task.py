"""Train a model of classical Chinese verse: the way from a command to a model folder, top to bottom."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rondo.data.bucket import LengthBuckets
from rondo.errors import DataError
from rondo.models.folder import check_output_folder
from rondo.models.language_model import LanguageModel, describe
from rondo.tasks.language import fit_baseline, loss_result
from rondo.tasks.options import to_sections
from rondo.tasks.poetry.memory import LineMemory
from rondo.tasks.poetry.model import PoetryModel
from rondo.tasks.poetry.objective import NextCharacter, WatchPoems
from rondo.tasks.poetry.options import PoetryOptions
from rondo.tasks.poetry.parts import pieces_of, read_parts
from rondo.tasks.poetry.report import write_report
from rondo.tasks.poetry.vocabulary import PoemVocabulary
from rondo.tasks.steps import begin_folder, save_with_result, training_result, with_budget
from rondo.training.loop import train
from rondo.training.protocols import Progress, SilentProgress

DEFAULT_MINUTES = 30.0
MOST_UNKNOWN = 0.3
"""Share of what is learned from that may be the unknown character; then nothing is learned but where it stands."""


def train_poetry(
    paths: Sequence[str | Path],
    out: str | Path,
    options: PoetryOptions,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train on files of poems and write the model folder ``out``. Returns what `rondo train --json` prints."""
    started = time.perf_counter()
    progress = progress or SilentProgress()
    check_output_folder(out, resume=resume, overwrite=overwrite)
    data, training = options.data, with_budget(options.training, minutes=DEFAULT_MINUTES)
    corpus, parts = read_parts(paths, data, seed=training.seed)
    vocabulary = PoemVocabulary.build(parts.train, min_count=data.min_count)
    poems = [vocabulary.encode_poem(poem) for poem in parts.train]
    _check_known(poems, vocabulary, data.min_count)
    valid = [vocabulary.encode_poem(poem) for poem in parts.valid]
    pieces = [piece for ids in poems for piece in pieces_of(ids, vocabulary, data.max_tokens)]
    source = LengthBuckets(
        [piece[:-1] for piece in pieces],
        [piece[1:] for piece in pieces],
        batch_tokens=training.batch_tokens,
        seed=training.seed,
    )

    torch.manual_seed(training.seed)
    place = vocabulary.place_tokens if options.model.place else None
    network = LanguageModel(vocabulary.size, options.model, place=place)
    folder = begin_folder(out, options, network.recurrent.cell, resume=resume, overwrite=overwrite, progress=progress)
    learned = np.concatenate(poems)
    baseline = fit_baseline(
        learned, np.concatenate(valid), max_order=data.baseline_order, vocabulary_size=vocabulary.size,
        progress=progress,
    )  # fmt: skip
    summary = train(
        network, source, NextCharacter(), WatchPoems(valid), training, folder, resume=resume, progress=progress
    )
    if not summary.is_main_process:
        return {}

    progress.message("scoring the validation part")
    config = {
        "task": "poetry",
        "network": describe(network, options.model),
        "options": to_sections(replace(options, training=training)),
    }
    memory = LineMemory.of(poem.text for poem in parts.train)
    model = PoetryModel(network, vocabulary, memory, config, baseline=baseline)
    result = training_result(model, folder, summary, seed=training.seed) | loss_result(
        model.score(parts.valid),
        model.score(parts.test) if parts.test else None,
        baseline,
        unit="token",
        train_tokens=len(learned),
    )
    result["poems"] = {"training": len(parts.train), "validation": len(parts.valid), "test": len(parts.test)}
    result["corpus"] = corpus.counts.to_dict()
    files = [*paths, *(path for path in (data.valid, data.test) if path)]
    provenance = save_with_result(model, folder, result, started=started, data=files)
    progress.message("writing poems for the report")
    write_report(folder, model, corpus, parts, summary, result, provenance)
    return result


def _check_known(poems: Sequence[npt.NDArray[Any]], vocabulary: PoemVocabulary, min_count: int) -> None:
    learned = np.concatenate(poems)
    unknown = float((learned == vocabulary.unknown).mean())
    if unknown > MOST_UNKNOWN:
        raise DataError(
            f"{unknown:.0%} of what there is to learn from are characters that are there fewer than {min_count} times, "
            "which all count as one unknown character: give more poems, or --min-count 1"
        )
