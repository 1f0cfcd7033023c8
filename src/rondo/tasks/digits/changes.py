"""What is done to images in training, so that each epoch shows them a little different."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rondo.tasks.digits.encoder import ImageEncoder


@dataclass(frozen=True)
class ImageChanges:
    """Each image moved, turned and made larger or smaller; what comes in at a border is what lies on it."""

    encoder: ImageEncoder
    shift: float
    """Pixels, at most."""
    rotate: float
    """Degrees, at most."""
    zoom: float
    """Share, at most."""

    def __call__(self, inputs: Tensor, lengths: Tensor, rng: np.random.Generator) -> Tensor:
        """Images as sequences (B, T, features), all of one length."""
        images = self.encoder.images(inputs)
        batch, height, width = images.shape
        drawn = torch.from_numpy(rng.uniform(-1, 1, (4, batch)).astype(np.float32))
        angle, size = drawn[0] * math.radians(self.rotate), 1 + self.zoom * drawn[1]
        cosine, sine = torch.cos(angle) / size, torch.sin(angle) / size
        # From places in the new image to places in the old one; both run from -1 to 1, whatever the sides are.
        right, down = self.shift * 2 / width * drawn[2], self.shift * 2 / height * drawn[3]
        across = torch.stack([cosine, -sine * height / width, right], 1)
        along = torch.stack([sine * width / height, cosine, down], 1)
        grid = F.affine_grid(torch.stack([across, along], 1), [batch, 1, height, width], align_corners=False)
        moved = F.grid_sample(images[:, None], grid, padding_mode="border", align_corners=False)
        return self.encoder.sequences(moved[:, 0])
