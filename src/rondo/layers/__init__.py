"""Layers: a cell unrolled over time, stacked, in both directions; its state; what is dropped; what is read out; CRF."""

from rondo.layers.chain import Transitions
from rondo.layers.crf import CRF
from rondo.layers.readout import Readout, ReadoutName
from rondo.layers.recurrent import Recurrent, RecurrentOutput
from rondo.layers.state import StackState
from rondo.layers.stepper import Stepper

__all__ = ["CRF", "Readout", "ReadoutName", "Recurrent", "RecurrentOutput", "StackState", "Stepper", "Transitions"]
