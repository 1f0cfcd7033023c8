"""`State`: the named parts that a cell carries from one step to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


class State:
    """Named parts, for instance ``State(h=..., c=...)``, read as ``state.h`` and ``state.c``.

    A part is whatever the equations run on: a symbol while a cell is traced, an array of shape
    ``(batch, width)`` when it runs. A state is never changed, each method returns a new one.
    """

    __slots__ = ("_parts",)
    _parts: dict[str, Any]

    def __init__(self, **parts: Any) -> None:
        object.__setattr__(self, "_parts", parts)

    def __getattr__(self, name: str) -> Any:
        if name in ("_parts", "__setstate__") or name not in self._parts:
            raise AttributeError(f"no state part '{name}'")
        return self._parts[name]

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a state is not changed in place: make a new State")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._parts,)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __repr__(self) -> str:
        def shown(part: Any) -> str:
            return str(tuple(part.shape)) if hasattr(part, "shape") else repr(part)

        return f"State({', '.join(f'{name}={shown(part)}' for name, part in self._parts.items())})"

    def parts(self) -> dict[str, Any]:
        """A new dict of the parts by name."""
        return dict(self._parts)

    def map(self, function: Callable[[Any], Any]) -> State:
        """The state with ``function`` applied to each part."""
        return State(**{name: function(part) for name, part in self._parts.items()})

    def detach(self) -> State:
        """The same values, cut from the graph of automatic differentiation (truncated BPTT)."""
        return self.map(lambda part: part.detach())

    def select(self, index: Any) -> State:
        """The rows ``index`` of the batch."""
        return self.map(lambda part: part[index])

    def reset(self, mask: Any) -> State:
        """Zeros in the rows where ``mask`` (batch,) is True."""
        return self.map(lambda part: part.masked_fill(mask.to(part.device)[:, None], 0))


def _rebuild(parts: dict[str, Any]) -> State:
    return State(**parts)
