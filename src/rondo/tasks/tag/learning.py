"""Training a tagger, for the command line and for the estimator alike: from parts of data to a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from rondo.data.bucket import LengthBuckets
from rondo.data.splits import Parts
from rondo.data.tagging.schemes import Scheme
from rondo.errors import DataError
from rondo.evaluation.tag_features import are_characters
from rondo.models.tagger import Tagger, describe, tagger
from rondo.tasks.classification.report import kept_metrics
from rondo.tasks.options import to_sections
from rondo.tasks.pretrained import pretrained, put_vectors, width_of
from rondo.tasks.steps import training_result, with_budget
from rondo.tasks.tag.calibrating import fit_temperature
from rondo.tasks.tag.encoder import TokenEncoder
from rondo.tasks.tag.judging import held_against
from rondo.tasks.tag.model import TaggerModel
from rondo.tasks.tag.objective import TagLoss, WatchTags, balanced_weights, in_pieces, targets_of
from rondo.tasks.tag.options import TagOptions
from rondo.tasks.tag.tags import TagNames
from rondo.training.loop import train
from rondo.training.protocols import Progress, SilentProgress, TrainingSummary

DEFAULT_EPOCHS = 20


@dataclass(frozen=True)
class TagLearner:
    """What a training begins with, besides its data."""

    network: Tagger
    encoder: TokenEncoder
    tags: TagNames
    config: dict[str, Any]
    """The model's configuration: task, network, options."""


def prepare(parts: Parts, scheme: Scheme | None, options: TagOptions, progress: Progress) -> TagLearner:
    """Vocabulary, tags and network, as the training part and the options have them."""
    sentences = parts.train.items
    if not any(sentences) or not any(parts.valid.items):
        raise DataError("the training or the validation part has no token: there is nothing to learn, or to watch by")
    tags = TagNames.of(parts.train, options.data, scheme)
    single = are_characters(sentences)
    chosen = {"auto": None if single else "recurrent", "none": None}
    model = replace(options.model, spelling=chosen.get(options.model.spelling, options.model.spelling))  # type: ignore[arg-type]
    pairs = options.data.pairs == "yes" or (options.data.pairs == "auto" and single)
    model = model if pairs else replace(model, pair_embedding=0)
    encoder = TokenEncoder.train(
        sentences, options.data, pairs=model.pair_embedding > 0, spelling=model.spelling is not None
    )
    frequencies = encoder.frequencies(sentences)
    unit = "characters" if single else "words"
    vectors = pretrained(
        model.vectors, ["", *encoder.words], frequencies.words, freeze=model.freeze_vectors, unit=unit,
        progress=progress,
    )  # fmt: skip
    model = replace(model, embedding=width_of(model, vectors))
    torch.manual_seed(options.training.seed)
    network = tagger(encoder.sizes, len(tags), model, allowed=tags.allowed)
    for member in network.members:
        member.input.replace_rare(frequencies)
    config = {"task": "tag", "network": describe(network, model), "options": to_sections(options), "unit": unit}
    if vectors is not None:
        for member in network.members:
            put_vectors(member.input.words, vectors[0], freeze=model.freeze_vectors)
        config["vectors"] = vectors[1]
    return TagLearner(network, encoder, tags, config)


def learn(
    learner: TagLearner,
    parts: Parts,
    options: TagOptions,
    folder: str | Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> tuple[TaggerModel, TrainingSummary]:
    """Train the network on ``parts.train``, watched on ``parts.valid``; ``folder`` receives log and checkpoint."""
    encoder, tags, training = learner.encoder, learner.tags, options.training
    most = options.data.max_tokens
    known = in_pieces(parts.train, most)
    targets = targets_of(known, tags)
    loss = TagLoss(balanced_weights(targets, tags) if training.class_weight == "balanced" else None)
    source = LengthBuckets(
        [encoder.encode(tokens) for tokens in known.items], targets,
        batch_size=training.batch_size, seed=training.seed, stepwise=True,
    )  # fmt: skip
    watch = WatchTags([encoder.encode(tokens) for tokens in parts.valid.items], parts.valid, tags, at_once=most)
    summary = train(learner.network, source, loss, watch, training, folder, resume=resume, progress=progress)
    model = TaggerModel(learner.network, encoder, tags, learner.config)
    if training.calibrate and summary.is_main_process:
        model.config["temperature"] = fit_temperature(model, parts.valid)
    return model, summary


def learn_tags(
    parts: Parts,
    scheme: Scheme | None,
    options: TagOptions,
    folder: str | Path,
    *,
    baselines: bool = False,
    progress: Progress | None = None,
) -> tuple[TaggerModel, TrainingSummary]:
    """From parts of data to a model, in one go: what the estimator's `fit` does.

    With ``baselines`` these are fitted, too, and the model is held against them as by a training on files.
    """
    progress = progress or SilentProgress()
    options = replace(options, training=with_budget(options.training, epochs=DEFAULT_EPOCHS))
    learner, seed = prepare(parts, scheme, options, progress), options.training.seed
    model, summary = learn(learner, parts, options, folder, progress=progress)
    result = training_result(model, Path(folder), summary, seed=seed)
    del result["model"]  # the folder vanishes
    if baselines and summary.stopped_why != "interrupted":
        result |= held_against(model, parts, baselines=True, seed=seed, progress=progress).result()
    model.config |= {"result": result | watched(summary, options), "parts": sizes(parts)}
    return model, summary


def watched(summary: TrainingSummary, options: TagOptions) -> dict[str, float | None]:
    """The figures of the validation part, of the weights that were kept."""
    kept = kept_metrics(summary, options.training.keep)
    return {name: kept.get(name) for name in ("valid_f1", "valid_accuracy", "valid_loss")}


def sizes(parts: Parts) -> dict[str, int]:
    """How many sentences each part has."""
    named = {"training": parts.train, "validation": parts.valid, "test": parts.test}
    return {name: len(part) for name, part in named.items() if part is not None}
