"""Scikit-learn's digits as sequences of rows, split once and batched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

from rondo.errors import UsageError
from rondo.tasks.digits.options import DigitData

CLASSES = 10
ROW_LENGTH = 8


@dataclass(frozen=True)
class Digits:
    """Images as sequences: ``rows`` (N, 8, 8) from 0 (paper) to 1 (ink), top row first; ``digit`` (N,)."""

    rows: Tensor
    digit: Tensor

    def __len__(self) -> int:
        return len(self.digit)


@dataclass(frozen=True)
class DigitBatch:
    """A batch for the training loop."""

    rows: Tensor
    digit: Tensor
    fresh: bool = True


@dataclass(frozen=True)
class DigitSplit:
    """Parts of the set that share no image."""

    train: Digits
    valid: Digits
    test: Digits


def read_digits(options: DigitData, *, seed: int) -> DigitSplit:
    """Load and split; every class has the same share in each part."""
    for name in ("test_fraction", "valid_fraction"):
        if not 0 < getattr(options, name) < 1:
            raise UsageError(f"--{name.replace('_', '-')} is between 0 and 1, not {getattr(options, name)}")
    bunch = load_digits()
    images, digits = bunch.images.astype(np.float32) / 16.0, bunch.target.astype(np.int64)
    rest, test = train_test_split(
        np.arange(len(digits)), test_size=options.test_fraction, stratify=digits, random_state=seed % 2**32
    )
    train, valid = train_test_split(
        rest, test_size=options.valid_fraction, stratify=digits[rest], random_state=seed % 2**32
    )
    return DigitSplit(*(Digits(torch.as_tensor(images[i]), torch.as_tensor(digits[i])) for i in (train, valid, test)))


class ShuffledDigits:
    """Batches in a new order each epoch, as a pure function of their place."""

    def __init__(self, digits: Digits, *, batch_size: int, seed: int) -> None:
        if batch_size < 1:
            raise UsageError(f"--batch-size is at least 1, not {batch_size}")
        self.digits, self.batch_size, self.seed = digits, min(batch_size, len(digits)), seed
        self.batches_per_epoch = -(-len(digits) // self.batch_size)

    def batch(self, epoch: int, index: int) -> DigitBatch:
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.digits))
        chosen = torch.as_tensor(order[index * self.batch_size : (index + 1) * self.batch_size])
        return DigitBatch(self.digits.rows[chosen], self.digits.digit[chosen])
