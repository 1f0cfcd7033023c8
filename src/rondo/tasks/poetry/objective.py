"""What a model of verse is trained for and how it is watched meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from rondo.data.bucket import IGNORED, PaddedBatch
from rondo.models.language_model import LanguageModel
from rondo.tasks.poetry.scoring import network_nats
from rondo.training.protocols import Activations, Result

WATCHED_POEMS = 2000
"""About so many validation poems training is watched on; the final figure uses all."""


class NextCharacter:
    """Cross-entropy of the next token of each poem; every poem begins without a past."""

    unit = "tokens"

    def __call__(self, model: nn.Module, batch: PaddedBatch, carried: None) -> Result:
        output = model(batch.inputs)  # what stands behind a poem's end has no target
        loss = F.cross_entropy(
            output.logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        activations = Activations(raw=output.raw, dropped=output.dropped, lengths=batch.lengths)
        return Result(loss_sum=loss, count=int(batch.lengths.sum()), activations=activations)

    def restore(self, tensors: dict[str, Tensor]) -> None:
        return None


class WatchPoems:
    """``valid_loss``: nats a token of encoded poems."""

    def __init__(self, poems: Sequence[np.ndarray]) -> None:
        # From all over the part: a corpus begins with a kind of its own.
        self.poems = poems[:: max(1, len(poems) // WATCHED_POEMS)]
        self.tokens = sum(len(ids) - 1 for ids in self.poems)

    def __call__(self, model: nn.Module) -> dict[str, float]:
        return {"valid_loss": network_nats(cast(LanguageModel, model), self.poems) / self.tokens}
