"""Layers: a cell unrolled over time, stacked, in both directions; its state; what is dropped; what is read out."""

from rondo.layers.readout import Readout, ReadoutName
from rondo.layers.recurrent import Recurrent, RecurrentOutput
from rondo.layers.state import StackState
from rondo.layers.stepper import Stepper

__all__ = ["Readout", "ReadoutName", "Recurrent", "RecurrentOutput", "StackState", "Stepper"]
