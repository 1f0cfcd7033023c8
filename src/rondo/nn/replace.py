"""`accelerate`: Rondo's layers in place of torch's, inside a model that is there already."""

from __future__ import annotations

import warnings
from typing import TypeVar

from torch import nn

from rondo.backends.choose import checked_backend
from rondo.errors import UsageError
from rondo.nn.cells import GRUCell, LSTMCell, RNNCell
from rondo.nn.layers import GRU, LSTM, RNN

Module = TypeVar("Module", bound=nn.Module)

_STAND_INS: dict[type[nn.Module], type[nn.Module]] = {
    nn.RNN: RNN,
    nn.LSTM: LSTM,
    nn.GRU: GRU,
    nn.RNNCell: RNNCell,
    nn.LSTMCell: LSTMCell,
    nn.GRUCell: GRUCell,
}


def accelerate(module: Module, *, backend: str = "auto") -> Module:
    """Make every ``nn.RNN``, ``nn.LSTM``, ``nn.GRU`` and every cell of these in ``module`` one of Rondo's.

    Each stays the object it is, with its parameters, hooks and place in the model, and becomes of Rondo's
    class: optimisers, state dicts and references to it go on as before. Subclasses of torch's classes (a
    parametrized layer is of one) are left alone, since they may do something else; a warning names them.
    Returns ``module``; ``backend`` is set on each.

        model = rondo.accelerate(model)

    Outputs are what the engine keeps for the backward pass: ``h += x`` before it is refused by torch, write
    ``h = h + x``. Under autocast to bfloat16 the outputs are float32.
    """
    checked_backend(backend)
    if not isinstance(module, nn.Module):
        raise UsageError(f"a torch.nn.Module is what can be accelerated, not {type(module).__name__}")
    own = set(_STAND_INS.values())
    apart = [
        (f"'{name}'" if name else "the module itself") + f" ({type(one).__name__})"
        for name, one in module.named_modules()
        if isinstance(one, tuple(_STAND_INS)) and not isinstance(one, tuple(own)) and type(one) not in _STAND_INS
    ]
    if apart:
        theirs = "a class of its own, which may do something else than torch's"
        warnings.warn(f"rondo.accelerate leaves alone what has {theirs}: {', '.join(apart)}", stacklevel=2)
    for one in module.modules():
        if type(one) in _STAND_INS:
            one.__class__ = _STAND_INS[type(one)]
        if type(one) in own:
            one.backend = backend  # type: ignore[assignment]  # of ours, which have one
    return module
