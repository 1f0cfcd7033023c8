"""Pretrained vectors on their way from a file into a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import torch
from torch import nn

from rondo.data.vectors import WordVectors, read_vectors
from rondo.errors import UsageError
from rondo.training.protocols import Progress


def pretrained(
    path: str | None, words: Sequence[str], counts: npt.ArrayLike, *, freeze: bool, unit: str, progress: Progress
) -> tuple[WordVectors, dict[str, Any]] | None:
    """The vectors of a vocabulary in a file, and how much of it they cover; None if no file is named.

    ``counts`` say how often the training part has each of the words, which are ``unit``.
    """
    if path is None:
        if freeze:
            raise UsageError("--freeze-vectors is about pretrained vectors, which --vectors names")
        return None
    vectors = read_vectors(path, words)
    coverage = {
        "file": path,
        "width": vectors.width,
        "vocabulary": vectors.coverage(),
        "text": vectors.coverage(counts),
    }
    progress.message(
        f"{path}: vectors for {coverage['vocabulary']:.1%} of the vocabulary, which is {coverage['text']:.1%} of the "
        f"{unit} in the training part"
    )
    return vectors, coverage


def width_of(model: Any, vectors: tuple[WordVectors, dict[str, Any]] | None) -> int:
    """How wide the vectors of the options ``model`` are: as wide as those of a file, which no option may contradict."""
    width: int = model.embedding
    if vectors is None or width == vectors[0].width:
        return width
    if width != type(model).embedding:
        raise UsageError(f"--embedding {width} does not fit pretrained vectors, which are {vectors[0].width} wide")
    return vectors[0].width


@torch.no_grad()
def put_vectors(embedding: nn.Embedding, vectors: WordVectors, *, freeze: bool) -> None:
    """Pretrained vectors in place of drawn ones; words that have none are drawn as wide as the others are."""
    weight, known = embedding.weight, torch.from_numpy(vectors.found)
    rows = torch.from_numpy(vectors.rows).to(weight.dtype)
    weight.mul_(rows[known].std() / weight.std())
    weight[known] = rows[known]
    weight.requires_grad_(not freeze)
