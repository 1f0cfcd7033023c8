"""Backends: run a cell over time. `choose` picks one and says why; the reference defines the result."""

from rondo.backends.base import Backend, BothBackend, InspectBackend, Request, StackBackend, StepBackend, Steps
from rondo.backends.choose import BACKENDS, Choice, choose, choose_inspecting

__all__ = [
    "BACKENDS", "Backend", "BothBackend", "Choice", "InspectBackend", "Request", "StackBackend", "StepBackend", "Steps",
    "choose", "choose_inspecting",
]  # fmt: skip
