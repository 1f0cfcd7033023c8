"""Layers: a cell unrolled over time, stacked, in both directions; its state; what is dropped; what is read out; CRF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rondo.layers.readout import Readout, ReadoutName
from rondo.layers.recurrent import Recurrent, RecurrentOutput
from rondo.layers.state import StackState
from rondo.layers.stepper import Stepper
from rondo.layers.transitions import Transitions

if TYPE_CHECKING:
    from rondo.layers.crf import CRF

__all__ = ["CRF", "Readout", "ReadoutName", "Recurrent", "RecurrentOutput", "StackState", "Stepper", "Transitions"]


def __getattr__(name: str) -> Any:
    # Imported when first used: it loads torch's compiler, for which who writes a text would wait.
    if name == "CRF":
        from rondo.layers.crf import CRF

        return CRF
    raise AttributeError(f"module 'rondo.layers' has no attribute '{name}'")
