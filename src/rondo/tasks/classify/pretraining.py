"""Learning the language before the classes: the encoder as a language model of text that has no labels.

Dai and Le 2015, "Semi-supervised Sequence Learning" (1511.01432); Howard and Ruder 2018, "Universal Language
Model Fine-tuning for Text Classification" (1801.06146). Token vectors and layers go on from what the language
model learned; the read-out and the head are new. It is the language model of ``rondo train text``, trained in
the folder ``pretraining`` of the model's.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rondo import storage
from rondo.data.files import CHUNK
from rondo.data.streams import TokenStream
from rondo.data.tokenizers import encode_stream
from rondo.errors import DataError, UsageError
from rondo.models.classifier import Classifier, SequenceClassifier
from rondo.models.folder import CHECKPOINT
from rondo.models.inputs import TokenInput
from rondo.models.language_model import LanguageModel, LanguageModelOptions
from rondo.models.options import RecurrentOptions
from rondo.tasks.classify.encoder import TextEncoder
from rondo.tasks.classify.options import ClassifyOptions
from rondo.tasks.classify.unlabelled import named_source
from rondo.tasks.text.corpus import rows_that_fit
from rondo.tasks.text.objective import NextToken, WatchLoss
from rondo.training.loop import train
from rondo.training.options import TrainingOptions
from rondo.training.protocols import Progress

FOLDER = "pretraining"
RESULT = "result.json"
BPTT_LENGTH = 64
HELD_OUT = 0.05
"""Share of the tokens, the last ones, by which the best weights are chosen."""
HALF_KNOWN = 10
"""A token that was met so often keeps half of its vector."""
SAME = ("device", "threads", "precision", "seed", "checkpoint_minutes", "checkpoint_steps", "log_every", "clip_norm")
"""Options of the training that hold for the pre-training, too."""


def pretrain(
    network: Classifier,
    encoder: TextEncoder,
    texts: Iterable[str],
    options: ClassifyOptions,
    folder: Path,
    *,
    resume: bool,
    progress: Progress,
) -> dict[str, Any]:
    """Train a language model and put what it learned into the network. Returns its figures.

    A training that is resumed after the pre-training has the weights from its checkpoint.
    """
    own = folder / FOLDER
    if resume and (folder / CHECKPOINT).exists() and (own / RESULT).exists():
        done: dict[str, Any] = storage.read_json(own / RESULT)
        return done
    if not resume and own.exists():
        shutil.rmtree(own)  # of the training that is discarded
    progress.message(f"pre-training: a language model of {named_source(options)}")
    tokens = encode_stream(encoder.chunks(texts), encoder.tokenizer)
    boundary = math.floor(len(tokens) * (1 - HELD_OUT))
    if boundary < 2 * BPTT_LENGTH or len(tokens) - boundary < 2:
        raise DataError(f"{named_source(options)} has {len(tokens)} {encoder.level}: too few to learn a language from")
    training = _training(options)
    rows = rows_that_fit(tokens[:boundary], BPTT_LENGTH, None)
    source = TokenStream(tokens[:boundary], batch_size=rows, bptt_length=BPTT_LENGTH, seed=training.seed)
    torch.manual_seed(training.seed)
    model = _language_model(encoder.input_size, network.first, options)
    watch = WatchLoss(tokens[boundary:])
    summary = train(model, source, NextToken(), watch, training, own, resume=resume, progress=progress)
    if summary.stopped_why == "interrupted":
        raise KeyboardInterrupt
    counts = _counts(tokens, encoder.input_size)
    for member in network.members:
        take_over(member, model, counts)
    valid = summary.best.get("valid_loss", summary.final.get("valid_loss", math.nan))
    figures = {
        "source": options.pretraining.pretrain,
        "tokens": len(tokens),
        "epochs": summary.epochs,
        "steps": summary.steps,
        "seconds": summary.seconds,
        "perplexity": math.exp(min(valid, 700.0)),
    }
    storage.write_json(own / RESULT, figures)
    progress.message(f"pre-training: perplexity {figures['perplexity']:.1f} on the last {HELD_OUT:.0%}")
    return figures


@torch.no_grad()
def take_over(network: SequenceClassifier, model: LanguageModel, counts: Tensor) -> None:
    """Token vectors and layers of a language model become those of a classifier.

    A vector that was met ``counts`` times only is still nearly as it was drawn: it becomes shorter the more so.
    """
    if not isinstance(network.input, TokenInput):
        raise UsageError("a language model reads tokens; this network takes numbers")
    known = counts / (counts + HALF_KNOWN)
    network.input.embedding.weight.copy_(model.embedding.weight * model.gain * known[:, None])
    network.recurrent.load_state_dict(model.recurrent.state_dict())


def _counts(tokens: npt.NDArray[Any], size: int) -> Tensor:
    """How often each token is there; the tokens may lie in a file."""
    counts = np.zeros(size, np.int64)
    for start in range(0, len(tokens), CHUNK):
        counts += np.bincount(tokens[start : start + CHUNK], minlength=size)
    return torch.from_numpy(counts)


def _language_model(vocabulary_size: int, network: SequenceClassifier, options: ClassifyOptions) -> LanguageModel:
    """With the layers of the classifier and its cell, so that both have the same equations."""
    same = {field.name: getattr(options.model, field.name) for field in dataclasses.fields(RecurrentOptions)}
    return LanguageModel(
        vocabulary_size,
        LanguageModelOptions(**{**same, "embedding": options.model.embedding}),
        cell=network.recurrent.cell,
    )


def _training(options: ClassifyOptions) -> TrainingOptions:
    own = options.pretraining
    same = {name: getattr(options.training, name) for name in SAME}
    return TrainingOptions(
        **same,
        epochs=own.pretrain_epochs if own.pretrain_minutes is None else None,
        minutes=own.pretrain_minutes,
        learning_rate=own.pretrain_learning_rate,
        warmup_steps=50,
        weight_decay=0.01,
        evaluations=10,
    )
