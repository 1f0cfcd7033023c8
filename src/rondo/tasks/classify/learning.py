"""Training a classifier of texts: vocabulary, vectors, network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rondo.data.labelled import Labelled
from rondo.data.splits import Parts
from rondo.data.vectors import WordVectors, read_vectors
from rondo.errors import UsageError
from rondo.models.classifier import SequenceClassifier, describe, token_classifier
from rondo.models.inputs import TokenInput
from rondo.tasks.classification.classes import Classes
from rondo.tasks.classification.learning import Learner
from rondo.tasks.classify.encoder import TextEncoder
from rondo.tasks.classify.options import OWN_TEXTS, ClassifyNetwork, ClassifyOptions
from rondo.tasks.classify.pretraining import pretrain, unlabelled
from rondo.tasks.options import to_sections
from rondo.training.protocols import Progress


def prepare(parts: Parts, options: ClassifyOptions, progress: Progress) -> Learner:
    """Vocabulary and network, as the training part and the options have them."""
    classes = Classes.of(parts.train)
    parts.valid.codes(classes.names)  # refuses labels that cannot be learned, before anything is written
    further = unlabelled(parts.train.items, options)
    others = () if further is None or further.source == OWN_TEXTS else further
    encoder = TextEncoder.train(parts.train.items, options.data, further=others)
    pretrained = _vectors(options.model, encoder, parts.train, progress)
    both_ways = further is None if options.model.bidirectional is None else options.model.bidirectional
    width = options.model.embedding if pretrained is None else pretrained[0].width
    model = replace(options.model, bidirectional=both_ways, embedding=width)
    torch.manual_seed(options.training.seed)
    network = token_classifier(encoder.input_size, len(classes), model)
    config = {"task": "classify", "network": describe(network, model), "options": to_sections(options)}
    if pretrained is not None:
        for member in network.members:
            _put(member, pretrained[0], freeze=model.freeze_vectors)
        config["vectors"] = pretrained[1]
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
    if options.vectors is None:
        if options.freeze_vectors:
            raise UsageError("--freeze-vectors is about pretrained vectors, which --vectors names")
        return None
    if encoder.level == "pieces":
        raise UsageError("--vectors are of words or characters; they do not fit --level pieces")
    tokenizer = encoder.tokenizer
    vectors = read_vectors(options.vectors, [tokenizer.token(number) for number in range(tokenizer.size)])
    counts = np.zeros(tokenizer.size, np.int64)
    for text in texts.items:
        np.add.at(counts, encoder.encode(text), 1)
    coverage = {
        "file": options.vectors,
        "width": vectors.width,
        "vocabulary": vectors.coverage(),
        "text": vectors.coverage(counts),
    }
    progress.message(
        f"{options.vectors}: vectors for {coverage['vocabulary']:.1%} of the vocabulary, which is "
        f"{coverage['text']:.1%} of the {encoder.level} in the training part"
    )
    return vectors, coverage


@torch.no_grad()
def _put(network: SequenceClassifier, vectors: WordVectors, *, freeze: bool) -> None:
    """Pretrained vectors in place of drawn ones; tokens that have none are drawn as wide as the others are."""
    if not isinstance(network.input, TokenInput):
        raise UsageError("pretrained vectors are of tokens; this network takes numbers")
    weight, known = network.input.embedding.weight, torch.from_numpy(vectors.found)
    rows = torch.from_numpy(vectors.rows).to(weight.dtype)
    weight.mul_(rows[known].std() / weight.std())
    weight[known] = rows[known]
    weight.requires_grad_(not freeze)
