"""Things that are imported when they are used, named as MODULE:NAME: to use a model, nothing of training is loaded."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def named(place: str) -> Any:
    """What stands there."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
