"""From an image to the steps that a classifier reads: rows, columns, both, or pixels, in order or permuted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rondo.errors import DataError, ModelError, UsageError
from rondo.models.token_pairs import Pairs
from rondo.tasks.digits.options import Order

Image = npt.NDArray[Any]


class ImageEncoder:
    """Images (height, width) of one size. Pixels are scaled all alike, to mean 0 and deviation 1 in training."""

    pairs: Pairs | None = None
    """Of tokens there are none."""

    def __init__(
        self,
        size: tuple[int, int],
        order: Order,
        *,
        centre: float,
        spread: float,
        permutation: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self.height, self.width = size
        self.order: Order = order
        self.centre = centre
        self.spread = spread
        self.permutation = permutation
        """(pixels,): which pixel of the image stands at each place of the permuted one."""
        if order == "both" and self.height != self.width:
            raise UsageError(f"--order both is for square images, not for {self.height} x {self.width} pixels")

    @classmethod
    def train(cls, images: npt.NDArray[Any], order: Order, *, permute: int | None = None) -> Self:
        """For images (N, height, width); ``permute`` is the seed of a permutation."""
        _, height, width = images.shape
        values = images.astype(np.float32)
        spread = float(values.std(dtype=np.float64)) or 1.0
        permutation = None if permute is None else np.random.default_rng(permute).permutation(height * width)
        centre = float(values.mean(dtype=np.float64))
        return cls((height, width), order, centre=centre, spread=spread, permutation=permutation)

    @property
    def input_size(self) -> int:
        """How many numbers a step has."""
        return {"rows": self.width, "columns": self.height, "both": 2 * self.width, "pixels": 1}[self.order]

    def check(self, item: Image, where: str) -> None:
        """An image has the size of those of the training; ``where`` begins the message."""
        if item.shape != (self.height, self.width):
            size = " x ".join(map(str, item.shape))
            raise DataError(f"{where}: an image of {size} pixels; the model learned from {self.height} x {self.width}.")

    def encode(self, item: Image) -> npt.NDArray[np.float32]:
        """The image as the network reads it, (T, features)."""
        scaled = (np.asarray(item, np.float32) - np.float32(self.centre)) / np.float32(self.spread)
        found: npt.NDArray[np.float32] = self.sequences(torch.from_numpy(scaled)[None])[0].numpy()
        return found

    def sequences(self, images: Tensor) -> Tensor:
        """Scaled images (B, height, width) as sequences (B, T, features)."""
        if self.permutation is not None:
            images = images.flatten(1)[:, self.permutation].unflatten(1, (self.height, self.width))
        if self.order == "rows":
            return images
        if self.order == "columns":
            return images.transpose(1, 2).contiguous()
        if self.order == "pixels":
            return images.flatten(1)[..., None]
        return torch.cat([images, images.transpose(1, 2)], 2)

    def images(self, sequences: Tensor) -> Tensor:
        """Sequences (B, T, features) as the images that they were made of."""
        return self._placed(sequences[..., : self.width] if self.order == "both" else sequences)

    def spread_out(self, values: Tensor) -> Tensor:
        """Values of each number of a sequence, added up where they belong in the image."""
        if self.order != "both":
            return self._placed(values)
        rows, columns = values[..., : self.width], values[..., self.width :]
        return self._placed(rows + columns.transpose(1, 2))

    def _placed(self, values: Tensor) -> Tensor:
        found = values.transpose(1, 2) if self.order == "columns" else values
        flat = found.reshape(len(values), -1)
        if self.permutation is not None:
            flat = flat[:, np.argsort(self.permutation)]
        return flat.unflatten(1, (self.height, self.width))

    def to_json(self) -> dict[str, Any]:
        """What stands in the configuration."""
        return {
            "height": self.height, "width": self.width, "order": self.order, "centre": self.centre,
            "spread": self.spread,
            "permutation": None if self.permutation is None else self.permutation.tolist(),
        }  # fmt: skip

    def save(self, folder: str | Path) -> None:
        """All of it is in the configuration."""

    def tidy(self, folder: str | Path) -> None:
        """It has no files."""

    @classmethod
    def load(cls, folder: str | Path, saved: Any) -> Self:
        """What `to_json` wrote down."""
        try:
            size, order = (saved["height"], saved["width"]), saved["order"]
            centre, spread, listed = saved["centre"], saved["spread"], saved["permutation"]
        except (TypeError, KeyError) as error:
            raise ModelError("config.json is damaged: it does not say how images are read") from error
        numbers = all(type(value) in (int, float) and abs(value) <= sys.float_info.max for value in (centre, spread))
        sides = all(type(side) is int and 1 <= side <= 1 << 15 for side in size)
        square = order != "both" or size[0] == size[1]
        if not (numbers and sides and square) or spread <= 0 or order not in get_args(Order):
            raise ModelError("config.json is damaged: it does not say how images are read")
        permutation = None if listed is None else np.array(listed)
        if permutation is not None and (
            permutation.dtype != np.int64 or not np.array_equal(np.sort(permutation), np.arange(size[0] * size[1]))
        ):
            raise ModelError("config.json is damaged: its permutation is none of the pixels")
        return cls(size, order, centre=float(centre), spread=float(spread), permutation=permutation)
