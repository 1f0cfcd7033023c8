"""Options of the recurrent stack that every model has. The text below a field is its help on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from rondo.cells import Cell
from rondo.errors import ModelError, UsageError
from rondo.layers import Recurrent

WHOLE_NUMBERS = (
    "layers", "hidden", "projection", "embedding", "conv_channels", "conv_layers", "conv_kernel", "conv_stride",
    "ensemble", "character_embedding", "character_hidden", "shape_embedding", "pair_embedding",
)  # fmt: skip
"""Options that say how large something is, here and in the classes made from this one."""


@dataclass(frozen=True, kw_only=True)
class RecurrentOptions:
    """The recurrent stack of a model, as `Recurrent` takes it."""

    cell: str = "lstm"
    """The cell: a name such as lstm, gru or min_gru, or your own as FILE.py:NAME."""
    layers: int = 2
    """Recurrent layers on top of each other."""
    hidden: int = 256
    """Units in each layer."""
    projection: int | None = None
    """Width of the projected output, for cells that have one (lstm_projected)."""
    input_dropout: float = 0.0
    """Probability of dropping values of the input of the first layer."""
    layer_dropout: float = 0.0
    """Probability of dropping outputs between layers."""
    recurrent_dropout: float = 0.0
    """Variational dropout on what enters the recurrent products, one mask a sequence."""
    zoneout: float = 0.0
    """Probability that a value of the state keeps its former value at a step."""
    weight_drop: float = 0.0
    """Probability of dropping elements of the recurrent matrices (DropConnect)."""
    locked_dropout: bool = False
    """One mask for all steps of a sequence in input, layer and output dropout."""
    learned_state: bool = False
    """Learn the initial state instead of starting from zeros."""
    init: str | None = None
    """Initial weights: uniform, orthogonal or identity; left out, what the cell itself prefers."""
    forget_bias: float | None = None
    """Initial bias of the gate that keeps the state."""
    chrono: int | None = None
    """Chrono initialisation for dependencies of up to this many steps."""
    recompute: bool = False
    """Keep what few steps need for the backward pass and compute the rest again: memory grows with the root of the
    length of what is trained on at once, a step takes a third to a half more time."""
    backend: str = "auto"
    """What runs the layers: auto, cpu (Rondo's own engine), vendor (torch's fused layers) or reference (a
    plain loop)."""

    def __post_init__(self) -> None:
        for name in ("layers", "hidden", "projection"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name} is at least 1, not {value}")

    @classmethod
    def saved(cls, options: Mapping[str, Any], at_most: int | None) -> Self:
        """The options in a configuration. With ``at_most``, the most layers there can be, they are for a trial on
        torch's meta device.
        """
        read = cls(**options)
        for name in WHOLE_NUMBERS:
            value = getattr(read, name, None)
            if value is not None and type(value) is not int:
                raise ModelError(f"{name} is a whole number, not {str(value)[:80]}")
        if at_most is None:
            return read
        # Runs anywhere; more layers or members than there are weights are too many already, whatever their number.
        fewer = {
            name: min(getattr(read, name), at_most)
            for name in ("layers", "conv_layers", "ensemble")
            if hasattr(read, name)
        }
        return replace(read, backend="reference", **fewer)

    def build(self, input_size: int, *, cell: Cell | None = None, bidirectional: bool = False) -> Recurrent:
        """The stack; ``cell`` stands in for the name when a saved model brings its own."""
        return Recurrent(
            cell or self.cell,
            input_size,
            self.hidden,
            layers=self.layers,
            bidirectional=bidirectional,
            projection_size=self.projection,
            input_dropout=self.input_dropout,
            layer_dropout=self.layer_dropout,
            recurrent_dropout=self.recurrent_dropout,
            zoneout=self.zoneout,
            weight_drop=self.weight_drop,
            locked_dropout=self.locked_dropout,
            learned_state=self.learned_state,
            init=self.init,
            forget_bias=self.forget_bias,
            chrono=self.chrono,
            recompute_steps="auto" if self.recompute else None,
            backend=self.backend,
        )


@dataclass(frozen=True, kw_only=True)
class EnsembleOptions(RecurrentOptions):
    """The network."""

    ensemble: int = 1
    """Networks that begin from different weights, learn side by side and answer together: that many times the work,
    for an answer that is right more often."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ensemble < 1:
            raise UsageError(f"--ensemble is at least 1, not {self.ensemble}")
