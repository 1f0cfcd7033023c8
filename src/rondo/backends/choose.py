"""Which backend runs a layer, and why not another."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

from rondo.backends.base import Backend, InspectBackend, Request
from rondo.backends.cpu.backend import CpuBackend
from rondo.backends.cpu.native import why_not
from rondo.backends.reference import ReferenceBackend
from rondo.backends.vendor import VendorBackend
from rondo.errors import UsageError, nearest

BACKENDS: dict[str, Backend] = {
    backend.name: backend for backend in (CpuBackend(), VendorBackend(), ReferenceBackend())
}
"""All backends by name, the fastest first. The last one refuses nothing."""


_COULD = "could run too"
"""How the reason begins of a backend that was not taken although it refuses nothing."""


@dataclass(frozen=True)
class Choice:
    """The backend that runs, and the reason for each that does not."""

    backend: Backend
    asked: str
    reasons: dict[str, str]

    def explain(self) -> str:
        """A line for each backend: whether it runs, and why or why not."""
        width = max(map(len, BACKENDS))
        why = "the fastest that can" if self.asked == "auto" else "asked for"
        lines = [f"{self.backend.name:{width}}  runs, {why}: {self.backend.summary}"]
        lines += [
            f"{name:{width}}  {'' if reason.startswith(_COULD) else 'does not run: '}{reason}"
            for name, reason in self.reasons.items()
        ]
        return "\n".join(lines)


def checked_backend(backend: Any) -> str:
    """``"auto"`` or the name of a backend; `UsageError` for what is neither."""
    names = ["auto", *BACKENDS]
    if not isinstance(backend, str):
        raise UsageError(f"backend is one of {', '.join(map(repr, names))}; not {backend!r:.80}")
    if backend not in names:
        raise UsageError(f"unknown backend '{backend}'{nearest(backend, names)}")
    return backend


def choose(request: Request, backend: str = "auto") -> Choice:
    """The backend for a request: the named one, or with ``"auto"`` the fastest that can.

    Raises `UsageError` when the named one does not exist or refuses; nothing else is taken in its place.
    """
    checked_backend(backend)
    refusals = {name: known.refuses(request) for name, known in BACKENDS.items()}
    if backend != "auto" and (refusal := refusals[backend]) is not None:
        raise UsageError(f"backend '{backend}' cannot run this layer: {refusal}. Use backend='auto'.")
    if backend == "auto" and request.device.type == "cpu" and (missing := why_not()) is not None:
        _say_once(f"Rondo's engine does not run, slower torch code does: {missing}")
    able = [name for name, refusal in refusals.items() if refusal is None]
    picked = able[0] if backend == "auto" else backend
    reasons = {}
    for name, refusal in refusals.items():
        if name != picked:
            other = f"'{picked}' is faster" if backend == "auto" else f"'{picked}' was asked for"
            reasons[name] = refusal or f"{_COULD}; {other}"
    return Choice(BACKENDS[picked], backend, reasons)


def choose_inspecting(request: Request, backend: str = "auto") -> InspectBackend:
    """The backend that `choose` takes where it can `inspect`, else the fastest that can: what they see is the same."""
    chosen = choose(request, backend).backend
    able = (one for one in (chosen, *BACKENDS.values()) if one.refuses(request) is None)
    return next(one for one in able if isinstance(one, InspectBackend))


@cache
def _say_once(message: str) -> None:
    warnings.warn(message, stacklevel=4)
