"""The file of a Kneser-Ney model: the n-grams as a trie, and the counts of the longest.

A NumPy archive without pickles. All other counts follow from the n-grams, and rows of small integers
compress well, so an n-gram takes a byte or two.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rondo.errors import ModelError
from rondo.storage import DAMAGED_ARRAYS, read_bytes, write_bytes

FORMAT = 1
Integers = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Trie:
    """What is written; the lists have an entry for each length of n-grams, shortest first."""

    vocabulary_size: int
    modified: bool
    """Whether the model has three discounts, not one."""
    tokens: list[Integers]
    """The last token of each n-gram, the n-grams in sorted order."""
    children: list[Integers]
    """How many n-grams of this length begin with each n-gram of the length before."""
    counts: Integers
    """How often each of the longest n-grams was seen."""


def write_trie(path: Path, trie: Trie) -> None:
    arrays = {
        "header": np.array([FORMAT, trie.vocabulary_size, trie.modified, len(trie.tokens)], np.int64),
        "counts": _smallest(trie.counts),
    }
    for n, (tokens, children) in enumerate(zip(trie.tokens, trie.children, strict=True), start=1):
        arrays[f"tokens_{n}"] = _smallest(tokens)
        arrays[f"children_{n}"] = _smallest(children)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def read_trie(path: Path) -> Trie:
    data = read_bytes(path)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            version, vocabulary_size, modified, order = (int(value) for value in archive["header"])
            if version > FORMAT:
                raise ModelError(f"{path} was written by a newer version of Rondo (format {version}): update it.")
            trie = Trie(
                vocabulary_size,
                bool(modified),
                [archive[f"tokens_{n}"] for n in range(1, order + 1)],
                [archive[f"children_{n}"] for n in range(1, order + 1)],
                archive["counts"],
            )
    except DAMAGED_ARRAYS as error:
        raise _damaged(path, error) from None
    if not _consistent(trie):
        raise ModelError(f"{path} is damaged: its n-grams do not fit together.")
    return trie


def _damaged(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path} is not an n-gram model of Rondo's, or it is damaged ({error}).")


def _consistent(trie: Trie) -> bool:
    contexts = 1
    if not trie.tokens or trie.vocabulary_size < 1:
        return False
    for tokens, children in zip(trie.tokens, trie.children, strict=True):
        if any(a.ndim != 1 or not np.issubdtype(a.dtype, np.unsignedinteger) for a in (tokens, children)):
            return False
        if len(children) != contexts or int(children.sum(dtype=np.uint64)) != len(tokens):
            return False
        if int(tokens.max(initial=0)) >= trie.vocabulary_size:
            return False
        contexts = len(tokens)
    return trie.counts.shape == (contexts,) and np.issubdtype(trie.counts.dtype, np.unsignedinteger)


def _smallest(values: Integers) -> Integers:
    """The same numbers, none negative, in the smallest unsigned type that holds them."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))
