"""The lines of the training part as hashes, so that a model can tell whether a line was copied.

Eight bytes a line instead of the text itself. Two different lines share a hash with a probability
of about one in 10^13 for a corpus of a million lines and a query.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from rondo.errors import ModelError
from rondo.models.folder import part_of
from rondo.storage import read_tensors, write_tensors
from rondo.tasks.poetry.forms import split_lines
from rondo.tasks.poetry.script import canonical, to_simplified

FILE_NAME = "training-lines.safetensors"


class LineMemory:
    """A set of lines, whatever their variants and script."""

    def __init__(self, hashes: np.ndarray) -> None:
        self.hashes = np.unique(hashes)
        self._set = frozenset(self.hashes.tolist())

    @classmethod
    def of(cls, texts: Iterable[str]) -> LineMemory:
        """From whole poems."""
        lines = [line for text in texts for line in split_lines(text)]
        merged = to_simplified(canonical("\n".join(lines))).split("\n") if lines else []
        return cls(np.array([_hash(line) for line in merged], dtype=np.int64))

    def __contains__(self, line: object) -> bool:
        return isinstance(line, str) and _hash(to_simplified(canonical(line))) in self._set

    def share_of(self, text: str) -> float:
        """The share of a poem's lines that the set holds."""
        lines = split_lines(text)
        return sum(line in self for line in lines) / len(lines) if lines else 0.0

    def save(self, folder: str | Path) -> None:
        write_tensors(Path(folder) / FILE_NAME, {"hashes": torch.from_numpy(self.hashes)})

    @classmethod
    def load(cls, folder: str | Path) -> LineMemory:
        path = part_of(folder, FILE_NAME)
        tensors = read_tensors(path)
        hashes = tensors.get("hashes")
        if len(tensors) != 1 or hashes is None or hashes.dtype != torch.int64 or hashes.dim() != 1:
            raise ModelError(f"{path} is damaged: it does not hold 'hashes', one list of 64-bit numbers")
        return cls(hashes.numpy())


def _hash(line: str) -> int:
    return int.from_bytes(hashlib.blake2b(line.encode(), digest_size=8).digest(), "little", signed=True)
