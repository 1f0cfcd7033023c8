"""Train a model of classical Chinese verse: the way from a command to a model folder, top to bottom."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rondo.data.bucket import IGNORED, LengthBuckets, PaddedBatch
from rondo.errors import UsageError
from rondo.evaluation.ngram import Choice, choose_order
from rondo.inspect.provenance import collect
from rondo.models.folder import check_output_folder, prepare_output_folder
from rondo.storage import is_main_process
from rondo.tasks.options import to_sections
from rondo.tasks.poetry.corpus import Corpus, Poem, Split, make_corpus, read_corpus, split_corpus
from rondo.tasks.poetry.memory import LineMemory
from rondo.tasks.poetry.model import PoetryModel
from rondo.tasks.poetry.options import PoetryData, PoetryOptions
from rondo.tasks.poetry.report import write_report
from rondo.tasks.poetry.scoring import network_nats
from rondo.tasks.poetry.vocabulary import PoemVocabulary
from rondo.tasks.text.model import build_network
from rondo.tasks.text.options import LanguageModelOptions
from rondo.training.loop import train
from rondo.training.protocols import Activations, Progress, Result, SilentProgress, TrainingSummary

DEFAULT_MINUTES = 30.0
WATCHED_POEMS = 500
"""Validation poems that training is watched on; the final figure uses all."""


class NextCharacter:
    """Cross-entropy of the next token of each poem; every poem begins without a past."""

    def __call__(self, model: nn.Module, batch: PaddedBatch, carried: None) -> Result:
        output = model(batch.inputs)  # what stands behind a poem's end has no target
        loss = F.cross_entropy(
            output.logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        activations = Activations(raw=output.raw, dropped=output.dropped, lengths=batch.lengths)
        return Result(loss_sum=loss, count=int(batch.lengths.sum()), activations=activations)

    def restore(self, tensors: dict[str, Tensor]) -> None:
        return None


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
    clock = time.perf_counter()
    progress = progress or SilentProgress()
    check_output_folder(out, resume=resume, overwrite=overwrite)
    training = options.training
    if training.epochs is None and training.steps is None and training.minutes is None:
        training = replace(training, minutes=DEFAULT_MINUTES)
    corpus, parts = read_parts(paths, options.data, seed=training.seed)
    vocabulary = PoemVocabulary.build(parts.train, min_count=options.data.min_count)
    pieces = [piece for poem in parts.train for piece in _pieces(poem, vocabulary, options.data.max_tokens)]
    source = LengthBuckets(
        [piece[:-1] for piece in pieces],
        [piece[1:] for piece in pieces],
        batch_tokens=training.batch_tokens,
        seed=training.seed,
    )
    valid = [vocabulary.encode_poem(poem) for poem in parts.valid]

    torch.manual_seed(training.seed)
    network, shape = build_network(_as_language_model(options), vocabulary.size)
    folder = prepare_output_folder(out, resume=resume, overwrite=overwrite)
    baseline = _baseline(parts, vocabulary, options.data.baseline_order, progress)
    summary = train(
        network, source, NextCharacter(), lambda model: _watch(model, valid[:WATCHED_POEMS]), training, folder,
        resume=resume, progress=progress,
    )  # fmt: skip
    if not summary.is_main_process:
        return {}

    progress.message("scoring the validation part")
    config = {
        "task": "poetry",
        "network": shape,
        "options": to_sections(replace(options, training=training)),
        "unit": "token",
    }
    memory = LineMemory.of(poem.text for poem in parts.train)
    model = PoetryModel(network, vocabulary, memory, config, baseline=baseline.model if baseline else None)
    result = _result(folder, model, parts, summary, baseline, seed=training.seed)
    result["corpus"] = corpus.counts.to_dict()
    result["seconds"] = time.perf_counter() - clock
    named = [*paths, *(path for path in (options.data.valid, options.data.test) if path)]
    provenance = collect(
        seed=training.seed, seconds=result["seconds"], data=named, device=next(network.parameters()).device
    )
    model.config |= {"result": result, "provenance": provenance.to_dict()}
    model.save(folder)
    progress.message("writing poems for the report")
    write_report(folder, model, corpus, parts, summary, result, provenance)
    return result


def read_parts(paths: Sequence[str | Path], options: PoetryData, *, seed: int) -> tuple[Corpus, Split]:
    """Read and split. What is held out, by fraction or by file, shares no half poem with the training part."""
    corpus = read_corpus(paths, encoding=options.encoding)
    held = {
        name: read_corpus([path], encoding=options.encoding).poems
        for name, path in (("valid", options.valid), ("test", options.test))
        if path is not None
    }
    together = make_corpus([*held.get("test", ()), *held.get("valid", ()), *corpus.poems])
    taken = {poem.text for poems in held.values() for poem in poems}
    blocked = {group for poem, group in zip(together.poems, together.group, strict=True) if poem.text in taken}
    free = [index for index, group in enumerate(together.group) if group not in blocked]
    rest = Corpus(
        tuple(together.poems[index] for index in free), tuple(together.group[index] for index in free), corpus.counts
    )
    split = split_corpus(rest, valid_fraction=0.0 if options.valid else options.valid_fraction, seed=seed)
    if not options.valid and not split.valid:
        raise UsageError("--valid-fraction leaves no poem to validate on")
    return corpus, Split(train=split.train, valid=held.get("valid", split.valid), test=held.get("test", ()))


def _pieces(poem: Poem, vocabulary: PoemVocabulary, max_tokens: int) -> Iterator[np.ndarray]:
    """A poem's tokens; a long poem in pieces that end with a line, each behind the form's token."""
    ids = vocabulary.encode_poem(poem)
    while len(ids) > max_tokens:
        stops = np.flatnonzero((ids[:max_tokens] == vocabulary.stop) | (ids[:max_tokens] == vocabulary.comma))
        end = int(stops[-1]) + 1 if len(stops) and stops[-1] > 1 else max_tokens
        yield ids[:end]
        ids = np.concatenate([ids[:1], ids[end:]])
    yield ids


def _as_language_model(options: PoetryOptions) -> LanguageModelOptions:
    network = options.model
    return LanguageModelOptions(**{name: getattr(network, name) for name in LanguageModelOptions.__dataclass_fields__})


def _watch(model: nn.Module, encoded: Sequence[np.ndarray]) -> dict[str, float]:
    return {"valid_loss": network_nats(model, encoded) / sum(len(ids) - 1 for ids in encoded)}  # type: ignore[arg-type]


def _baseline(parts: Split, vocabulary: PoemVocabulary, max_order: int, progress: Progress) -> Choice | None:
    if max_order == 0 or not is_main_process():
        return None
    train, valid = (np.concatenate([vocabulary.encode_poem(poem) for poem in p]) for p in (parts.train, parts.valid))
    choice = choose_order(train, valid, max_order=max_order, vocabulary_size=vocabulary.size)
    progress.message(f"Kneser-Ney baseline of order {choice.model.order}")
    return choice


def _result(
    folder: Path, model: PoetryModel, parts: Split, summary: TrainingSummary, baseline: Choice | None, *, seed: int
) -> dict[str, Any]:
    valid = model.score(parts.valid)
    result: dict[str, Any] = {
        "task": "poetry",
        "model": str(folder),
        "seed": seed,
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
        "unit": "token",
        "valid": valid.to_dict(),
        "poems": {"training": len(parts.train), "validation": len(parts.valid), "test": len(parts.test)},
    }
    if parts.test:
        test = model.score(parts.test)
        result |= {"test_loss": test.nats, "test_baseline_loss": test.baseline_nats, "test": test.to_dict()}
    return result
