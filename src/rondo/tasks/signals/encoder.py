"""From a signal to the steps that a classifier reads: missing values filled, channels scaled."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
import numpy.typing as npt

from rondo.data.series_files import Signal
from rondo.data.signals import fill_missing
from rondo.errors import DataError, ModelError
from rondo.models.token_pairs import Pairs
from rondo.tasks.signals.options import Scaling

Floats = npt.NDArray[np.float64]


class SignalEncoder:
    """Signals (T, channels), scaled channel by channel. What does not change at all becomes zero."""

    pairs: Pairs | None = None
    """Of tokens there are none."""

    def __init__(self, scaling: Scaling, centre: Floats, spread: Floats) -> None:
        self.scaling = scaling
        self.centre = centre
        """(channels,): the means in the training part."""
        self.spread = spread
        """(channels,): the deviations in the training part."""

    @classmethod
    def train(cls, signals: Sequence[Signal], scaling: Scaling) -> Self:
        """With means and deviations of all steps of these signals."""
        steps = np.concatenate([fill_missing(signal) for signal in signals])
        return cls(scaling, steps.mean(0, dtype=np.float64), _spread(steps))

    @property
    def input_size(self) -> int:
        """The number of channels."""
        return len(self.centre)

    def check(self, item: Signal, where: str) -> None:
        """A signal has the channels that training saw; ``where`` begins the message."""
        if item.shape[1] != self.input_size:
            raise DataError(
                f"{where}: {_channels(item.shape[1])}; the model learned from {_channels(self.input_size)}."
            )

    def encode(self, item: Signal) -> Signal:
        """The signal as the network reads it, (T, channels)."""
        signal = fill_missing(item)
        if self.scaling == "none":
            return signal
        if self.scaling == "each":
            centre, spread = signal.mean(0, dtype=np.float64), _spread(signal)
        else:
            centre, spread = self.centre, self.spread
        return ((signal - centre) / spread).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """What stands in the configuration."""
        return {"scaling": self.scaling, "centre": self.centre.tolist(), "spread": self.spread.tolist()}

    def save(self, folder: str | Path) -> None:
        """All of it is in the configuration."""

    def tidy(self, folder: str | Path) -> None:
        """It has no files."""

    @classmethod
    def load(cls, folder: str | Path, saved: Any) -> Self:
        """What `to_json` wrote down."""
        try:
            scaling, centre, spread = saved["scaling"], saved["centre"], saved["spread"]
        except (TypeError, KeyError) as error:
            raise ModelError("config.json is damaged: it does not say how signals are scaled") from error
        sound = scaling in get_args(Scaling) and all(isinstance(row, list) and row for row in (centre, spread))
        if not sound or len(centre) != len(spread) or not all(map(_is_finite, [*centre, *spread])) or 0 in spread:
            raise ModelError("config.json is damaged: it does not say how signals are scaled")
        return cls(scaling, np.array(centre, np.float64), np.array(spread, np.float64))


def _spread(steps: Signal) -> Floats:
    deviation = steps.std(0, dtype=np.float64)
    # What float32 leaves of a constant is no deviation.
    return np.where(deviation > 1e-6 * np.abs(steps).max(0), deviation, 1.0)


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _channels(count: int) -> str:
    return f"{count} channel{'' if count == 1 else 's'}"
