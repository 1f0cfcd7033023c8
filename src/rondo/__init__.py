"""Rondo: learning from sequences with recurrent neural networks.

A cell is written once as its equations (`rondo.cell`), a layer unrolls it over time
(`rondo.Recurrent`), a task trains a model on files (`rondo.train`) that is then used
(`rondo.load`). ``rondo.nn`` has stand-ins for ``torch.nn.RNN``, ``LSTM`` and ``GRU``;
`rondo.accelerate` puts them into a model that is there already.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from rondo import nn
    from rondo.cells import Cell, State, cell, get_cell
    from rondo.data.columns import TextFormat
    from rondo.data.images import ImageFormat, read_images
    from rondo.data.signals import SignalFormat, read_signals
    from rondo.data.tagging import TokenFormat, read_sentences
    from rondo.data.texts import read_texts
    from rondo.layers import Recurrent, StackState
    from rondo.nn import accelerate
    from rondo.tasks.classify.estimator import TextClassifier
    from rondo.tasks.digits.estimator import DigitClassifier
    from rondo.tasks.forecast.estimator import Forecaster
    from rondo.tasks.registry import load, train
    from rondo.tasks.signals.estimator import SignalClassifier
    from rondo.tasks.tag.estimator import Tagger

_HOME = {
    "Cell": "rondo.cells",
    "DigitClassifier": "rondo.tasks.digits.estimator",
    "Forecaster": "rondo.tasks.forecast.estimator",
    "ImageFormat": "rondo.data.images",
    "Recurrent": "rondo.layers",
    "SignalClassifier": "rondo.tasks.signals.estimator",
    "SignalFormat": "rondo.data.signals",
    "StackState": "rondo.layers",
    "State": "rondo.cells",
    "Tagger": "rondo.tasks.tag.estimator",
    "TextClassifier": "rondo.tasks.classify.estimator",
    "TextFormat": "rondo.data.columns",
    "TokenFormat": "rondo.data.tagging",
    "accelerate": "rondo.nn",
    "cell": "rondo.cells",
    "get_cell": "rondo.cells",
    "load": "rondo.tasks.registry",
    "read_images": "rondo.data.images",
    "read_sentences": "rondo.data.tagging",
    "read_signals": "rondo.data.signals",
    "read_texts": "rondo.data.texts",
    "train": "rondo.tasks.registry",
}
"""Where each public name lives; it is imported when first used, so that `import rondo` is quick."""

__all__ = [
    "Cell", "DigitClassifier", "Forecaster", "ImageFormat", "Recurrent", "SignalClassifier", "SignalFormat",
    "StackState", "State", "Tagger", "TextClassifier", "TextFormat", "TokenFormat", "__version__", "accelerate", "cell",
    "get_cell", "load", "nn", "read_images", "read_sentences", "read_signals", "read_texts", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "nn":
        return import_module("rondo.nn")
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'rondo' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
