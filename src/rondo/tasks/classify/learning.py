"""Training a classifier of texts: vocabulary, vectors, network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rondo.data.labelled import Labelled
from rondo.data.splits import Parts
from rondo.data.vectors import WordVectors
from rondo.errors import UsageError
from rondo.models.classifier import describe, token_classifier
from rondo.models.inputs import TokenInput
from rondo.tasks.classification.classes import Classes
from rondo.tasks.classification.learning import Learner
from rondo.tasks.classify.encoder import TextEncoder
from rondo.tasks.classify.options import OWN_TEXTS, ClassifyNetwork, ClassifyOptions
from rondo.tasks.classify.pretraining import pretrain
from rondo.tasks.classify.unlabelled import unlabelled
from rondo.tasks.options import to_sections
from rondo.tasks.pretrained import pretrained, put_vectors, width_of
from rondo.training.protocols import Progress


def prepare(parts: Parts, options: ClassifyOptions, progress: Progress) -> Learner:
    """Vocabulary and network, as the training part and the options have them."""
    classes = Classes.of(parts.train)
    parts.valid.codes(classes.names)  # refuses labels that cannot be learned, before anything is written
    further = unlabelled(parts.train.items, options)
    others = () if further is None or further.source == OWN_TEXTS else further
    encoder = TextEncoder.train(parts.train.items, options.data, further=others, pairs=options.model.pair_embedding > 0)
    vectors = _vectors(options.model, encoder, parts.train, progress)
    both_ways = further is None if options.model.bidirectional is None else options.model.bidirectional
    width = width_of(options.model, vectors)
    model = replace(options.model, bidirectional=both_ways, embedding=width)
    torch.manual_seed(options.training.seed)
    network = token_classifier(encoder.input_size, len(classes), model, pairs=encoder.pairs)
    config = {"task": "classify", "network": describe(network, model), "options": to_sections(options)}
    if vectors is not None:
        for member in network.members:
            if isinstance(member.input, TokenInput):
                put_vectors(member.input.embedding, vectors[0], freeze=model.freeze_vectors)
        config["vectors"] = vectors[1]
    return Learner(network, encoder, classes, config, unit="texts")


def learn_language(
    learner: Learner,
    parts: Parts,
    options: ClassifyOptions,
    folder: Path,
    *,
    resume: bool = False,
    progress: Progress,
) -> None:
    """Pre-train the network, if that is wanted."""
    texts, encoder = unlabelled(parts.train.items, options), learner.encoder
    if texts is not None and isinstance(encoder, TextEncoder):
        figures = pretrain(learner.network, encoder, texts, options, folder, resume=resume, progress=progress)
        learner.config["pretraining"] = figures


def _vectors(
    options: ClassifyNetwork, encoder: TextEncoder, texts: Labelled, progress: Progress
) -> tuple[WordVectors, dict[str, Any]] | None:
    """The pretrained vectors of the vocabulary, and how much of it they cover."""
    if options.vectors is not None and encoder.level == "pieces":
        raise UsageError("--vectors are of words or characters; they do not fit --level pieces")
    tokenizer = encoder.tokenizer
    words = [tokenizer.token(number) for number in range(tokenizer.size)]
    counts = np.zeros(tokenizer.size, np.int64)
    for text in texts.items if options.vectors is not None else ():
        np.add.at(counts, encoder.encode(text), 1)
    return pretrained(
        options.vectors, words, counts, freeze=options.freeze_vectors, unit=encoder.level, progress=progress
    )
