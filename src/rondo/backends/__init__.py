"""Backends: run a cell over time. `choose` picks one and says why; the reference defines the result."""

from rondo.backends.base import Backend, BothBackend, Request, StackBackend, StepBackend, Steps
from rondo.backends.choose import BACKENDS, Choice, choose

__all__ = ["BACKENDS", "Backend", "BothBackend", "Choice", "Request", "StackBackend", "StepBackend", "Steps", "choose"]
