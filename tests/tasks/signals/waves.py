"""Small made-up signals whose shape tells their class: where in time a bump is, in two channels of unequal lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

Signals = list[np.ndarray[Any, Any]]

SMALL: dict[str, Any] = {
    "hidden": 8, "conv_channels": 8, "conv_layers": 1, "conv_kernel": 5, "steps": 60, "evaluations": 2,
    "learning_rate": 2e-2, "batch_size": 20, "valid_fraction": 0.2,
}  # fmt: skip
"""Options that learn them in a second or two."""
QUICK = {**SMALL, "steps": 5}


def waves(count: int = 90, seed: int = 0, *, equal: bool = False) -> tuple[Signals, list[str]]:
    """Signals (T, 2) and their classes; ``equal``: all of 20 steps."""
    rng = np.random.default_rng(seed)
    signals, labels = [], []
    for _ in range(count):
        steps = 20 if equal else int(rng.integers(12, 25))
        label = str(rng.choice(["early", "late", "flat"]))
        signal = rng.normal(3.0, 0.4, (steps, 2))
        if label != "flat":
            place = (0.25 if label == "early" else 0.75) * steps
            signal[:, 1] += 3 * np.exp(-(((np.arange(steps) - place) / 2) ** 2))
        signals.append(signal.astype(np.float32))
        labels.append(label)
    return signals, labels


def write_ts(path: Path, signals: Signals, labels: list[str]) -> Path:
    """A file as sktime has them."""
    names = " ".join(sorted(set(labels)))
    channels = signals[0].shape[1]
    lines = [f"@univariate false\n@dimensions {channels}\n@classLabel true {names}\n@data\n"]
    for signal, label in zip(signals, labels, strict=True):
        lines.append(":".join([*(",".join(f"{value:.4f}" for value in row) for row in signal.T), label]) + "\n")
    path.write_text("".join(lines))
    return path
