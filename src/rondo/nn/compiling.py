"""torch.compile's way into the stand-ins.

Its tracer turns away whatever is a ``torch.nn.RNN``, ``LSTM`` or ``GRU`` before it looks at what runs there, unless
``torch._dynamo.config.allow_rnn`` is set for all of them. Rondo's stand-ins are of these classes, so that
``isinstance`` holds, and can be traced. So the tracer is told, for these alone, as soon as it is imported, which takes
seconds and which Rondo leaves to whoever compiles. See docs/dev/decisions/0008-stand-ins-are-let-into-the-tracer.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from torch import nn

_TRACER = "torch._dynamo.variables.builder"


def let_in(takes: Callable[[nn.Module], bool]) -> None:
    """Let the tracer of torch.compile look into modules that ``takes`` says yes to, whatever their class."""
    when_imported(_TRACER, lambda tracer: _open(tracer, takes))


def when_imported(name: str, change: Callable[[ModuleType], None]) -> None:
    """Change a module now if it is imported already, else right after it will be."""
    if name in sys.modules:
        change(sys.modules[name])
    else:
        sys.meta_path.insert(0, _Once(name, change))


class _Once(MetaPathFinder):
    """Sees one module imported, and is gone."""

    def __init__(self, name: str, change: Callable[[ModuleType], None]) -> None:
        self._name, self._change = name, change

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)  # as if this finder had never been
        if spec is None or spec.loader is None:
            return spec
        run: Callable[[ModuleType], None] = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run(module)
            self._change(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _open(tracer: Any, takes: Callable[[nn.Module], bool]) -> None:
    """Does nothing where a version of torch has no such door: then it stays as it is."""
    wraps = getattr(getattr(tracer, "VariableBuilder", None), "wrap_module", None)
    config: Any = getattr(tracer, "config", None)
    if wraps is None or not hasattr(config, "allow_rnn"):
        return

    def wrap_module(self: Any, value: nn.Module) -> Any:
        if not takes(value):
            return wraps(self, value)
        with config.patch(allow_rnn=True):
            return wraps(self, value)

    tracer.VariableBuilder.wrap_module = wrap_module
