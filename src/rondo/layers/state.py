"""The state of a stack of layers: flat named parts, ``h_l0``, ``c_l0``, ``h_l0_reverse``, ``h_l1`` ..."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rondo.cells import State
from rondo.errors import UsageError, nearest


def suffix(layer: int, direction: int) -> str:
    """How the parameters and state parts of a layer and direction end, as in ``torch.nn``."""
    return f"_l{layer}_reverse" if direction else f"_l{layer}"


class StackState:
    """What a stack of layers carries on: one tensor (batch, width) for each part of each layer and direction.

    A state is never changed in place; each method returns a new one. ``state_dict()`` gives plain
    tensors that can be saved, ``StackState(saved)`` makes the state again.
    """

    def __init__(self, parts: Mapping[str, Tensor]) -> None:
        self._parts = dict(parts)

    @classmethod
    def of_layers(cls, states: Sequence[Sequence[State]]) -> StackState:
        """From the states by layer and direction."""
        return cls(
            {
                part + suffix(layer, direction): value
                for layer, of_layer in enumerate(states)
                for direction, state in enumerate(of_layer)
                for part, value in state.parts().items()
            }
        )

    def layer(self, layer: int, direction: int, parts: Sequence[str]) -> State:
        """The state of one layer in one direction (1 is the reverse)."""
        end = suffix(layer, direction)
        missing = [part + end for part in parts if part + end not in self._parts]
        if missing:
            raise UsageError(f"the state has no {' and no '.join(missing)}; it has {', '.join(self._parts)}")
        return State(**{part: self._parts[part + end] for part in parts})

    @property
    def batch_size(self) -> int:
        """The number of sequences."""
        return next(iter(self._parts.values())).shape[0]

    def __getattr__(self, name: str) -> Tensor:
        if name.startswith("_") or name not in self._parts:
            raise AttributeError(f"no state part '{name}'{nearest(name, self.__dict__.get('_parts', ()))}")
        return self._parts[name]

    def __getitem__(self, name: str) -> Tensor:
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __repr__(self) -> str:
        return f"StackState({', '.join(f'{name}={tuple(v.shape)}' for name, v in self._parts.items())})"

    def parts(self) -> dict[str, Tensor]:
        """A new dict of the parts by name."""
        return dict(self._parts)

    def map(self, function: Callable[[Tensor], Tensor]) -> StackState:
        """The state with ``function`` applied to each part."""
        return StackState({name: function(value) for name, value in self._parts.items()})

    def detach(self) -> StackState:
        """The same values, cut from the graph of automatic differentiation (truncated BPTT)."""
        return self.map(Tensor.detach)

    def select(self, index: Any) -> StackState:
        """Rows of the batch: an index tensor, a list, a slice or a mask."""
        return self.map(lambda value: value[index])

    def reset(self, mask: Tensor, initial: StackState | None = None) -> StackState:
        """The rows where ``mask`` (batch,) is True start anew, from zeros or from ``initial``.

        For a layer with a learned initial state pass ``layer.initial_state(batch_size)``.
        """
        fresh = initial or self.map(torch.zeros_like)
        column = mask.to(next(iter(self._parts.values())).device, torch.bool)[:, None]
        return StackState({name: torch.where(column, fresh[name], self[name]) for name in self})

    def to(self, *args: Any, **kwargs: Any) -> StackState:
        """Each part moved or converted, as ``Tensor.to``."""
        return self.map(lambda value: value.to(*args, **kwargs))

    def state_dict(self) -> dict[str, Tensor]:
        """Plain tensors by name, detached and each with memory of its own, ready to be saved."""
        own = self.detach().map(lambda value: value.clone(memory_format=torch.contiguous_format))
        return own.parts()

    @staticmethod
    def concatenate(states: Sequence[StackState]) -> StackState:
        """One batch out of several: sessions that are advanced together."""
        return StackState({name: torch.cat([state[name] for state in states]) for name in states[0]})
