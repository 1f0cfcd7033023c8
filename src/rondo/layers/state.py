"""The state of a stack of layers: flat named parts, ``h_l0``, ``c_l0``, ``h_l0_reverse``, ``h_l1`` ..."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rondo.cells import State
from rondo.errors import UsageError, nearest
from rondo.layers.masks import as_marks


def suffix(layer: int, direction: int) -> str:
    """How the parameters and state parts of a layer and direction end, as in ``torch.nn``."""
    return f"_l{layer}_reverse" if direction else f"_l{layer}"


class StackState:
    """What a stack of layers carries on: one tensor (batch, width) for each part of each layer and direction.

    A state is never changed in place; each method returns a new one. ``state_dict()`` gives plain
    tensors that can be saved, ``StackState(saved)`` makes the state again.
    """

    def __init__(self, parts: Mapping[str, Tensor]) -> None:
        if not isinstance(parts, Mapping) or not parts:
            raise UsageError(f"a state is made of named parts, such as h_l0; given: {parts!r:.80}")
        for name, value in parts.items():
            if not isinstance(value, Tensor):
                raise UsageError(f"part '{name}' of a state is a tensor, not {type(value).__name__}")
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

    def checked(
        self, widths: Mapping[str, int], batch_size: int, *, dtype: torch.dtype | None, device: torch.device
    ) -> StackState:
        """The same state if it is one for a stack whose parts have ``widths``; ``dtype`` None is any real one.

        Nothing past this looks at shapes: torch's own layers would read beyond a state that is too wide.
        """
        has = f"; it has {', '.join(self._parts)}"
        if missing := [name for name in widths if name not in self._parts]:
            raise UsageError(f"the state has no {' and no '.join(missing)}, which this layer needs{has}")
        if extra := [name for name in self._parts if name not in widths]:
            raise UsageError(f"the state has {' and '.join(extra)}, this layer has no such part{has}")
        for name, N in widths.items():
            value = self._parts[name]
            if value.dim() == 2 and value.shape[0] != batch_size:
                raise UsageError(f"the state is for {value.shape[0]} sequences, x has {batch_size} (part '{name}')")
            if value.shape != (batch_size, N):
                expected = f"expected ({batch_size}, {N})"
                raise UsageError(f"part '{name}' of the state has shape {tuple(value.shape)}; {expected}")
            if value.dtype != dtype if dtype is not None else not value.is_floating_point():
                expected = f"{dtype}, as the layer: state.to({dtype})" if dtype else "a real one"
                raise UsageError(f"part '{name}' of the state has dtype {value.dtype}; expected {expected}")
            if value.device != device:
                raise UsageError(f"part '{name}' of the state is on {value.device}, the layer on {device}: state.to()")
        return self

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

    def reset(self, mask: Tensor | Sequence[bool], initial: StackState | None = None) -> StackState:
        """The rows where ``mask`` (batch,) is True start anew, from zeros or from ``initial``.

        For a layer with a learned initial state pass ``layer.initial_state(batch_size)``.
        """
        marks = as_marks("mask", mask)
        if marks.shape != (self.batch_size,):
            raise UsageError(f"mask has shape {tuple(marks.shape)}; expected ({self.batch_size},), one for a sequence")
        fresh = self.map(torch.zeros_like) if initial is None else initial
        for name, value in self._parts.items():
            if name not in fresh.parts() or fresh[name].shape != value.shape:
                raise UsageError(f"initial has no part '{name}' of shape {tuple(value.shape)}: {fresh!r}")
        column = marks.to(next(iter(self._parts.values())).device)[:, None]
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
        if not states:
            raise UsageError("there is no state to concatenate")
        if len({tuple((name, value.shape[1:]) for name, value in state.parts().items()) for state in states}) > 1:
            raise UsageError(f"states of different layers cannot be concatenated: {', '.join(map(repr, states))}")
        for name in states[0]:
            if len(kinds := {str(state[name].dtype) for state in states}) > 1:
                found = " and ".join(sorted(kinds))
                raise UsageError(f"part '{name}' of the states is of {found}: convert them to one with .to()")
        return StackState({name: torch.cat([state[name] for state in states]) for name in states[0]})
