"""Layers: a cell unrolled over time, stacked, in both directions; its state; what is dropped."""

from rondo.layers.recurrent import Recurrent, RecurrentOutput
from rondo.layers.state import StackState
from rondo.layers.stepper import Stepper

__all__ = ["Recurrent", "RecurrentOutput", "StackState", "Stepper"]
