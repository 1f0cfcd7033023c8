"""What is to be reached: as many times as fast as torch.nn, or as the fair eager loop, with x a leaf."""

from __future__ import annotations

from rondo.testing.speed.counting import SHAPES, Shape

COLUMNS = (
    ("gru", "train"), ("gru", "forward"), ("rnn", "train"), ("lstm", "train"), ("lstm", "forward"),
    ("lstm_peephole", "train"), ("lstm_coupled", "train"), ("lstm_layer_norm", "train"), ("gru_reset_before", "train"),
)  # fmt: skip

_RATIOS = {
    ("gru", "train"): (15, 5.0, 4.5, 2.8, 2.9, 2.8),
    ("gru", "forward"): (6.5, 4.5, 3.5, 2.9, 3.0, 2.7),
    ("rnn", "train"): (12, 5.0, 4.3, 2.7, 2.7, 2.6),
    ("lstm", "train"): (1.7, 1.3, 1.25, 1.4, 1.35, 1.15),
    ("lstm", "forward"): (2.0, 1.15, 1.1, 1.05, 1.1, 1.0),
    ("lstm_peephole", "train"): (20, 6, 5, 3, 3, 3),
    ("lstm_coupled", "train"): (20, 6, 5, 3, 3, 3),
    ("lstm_layer_norm", "train"): (6, 3, 3, 3, 3, 3),
    ("gru_reset_before", "train"): (2.5,) * 6,
}
"""By the six shapes, in their order."""

LEAST = 1.0
"""No entry of any cell, shape or mode may be below: the upper end of its interval."""
SHARES = {"forward": 0.85, "train": 0.80}
"""Of the machine's peak, from 256 units and 32 sequences on."""
MICROSECONDS = {64: 3.0, 256: 6.0, 512: 22.0}
"""A step of a GRU, by its units."""
BFLOAT16 = 1.6
SCAN = {"forward": 0.70, "train": 0.60}
"""Of the copy bandwidth."""
SCAN_LAYER = 1.15
RECOMPUTE = {False: 1.5, True: 1.45}
"""As long as a step that keeps all residuals, where x needs no gradient, and where it needs one."""
RAGGED = {"uniform": 1.15, "log-normal": 1.3}
PARTS = 1.05
BUSY = 2.5
TEXT = {"gru": 2.0, "lstm": 1.2}


def ratio(cell: str, mode: str, shape: list[int]) -> float | None:
    """The target of one entry with x a leaf, or None where only `LEAST` holds."""
    where = Shape(*shape)
    if (cell, mode) not in _RATIOS or where not in SHAPES:
        return None
    return _RATIOS[cell, mode][SHAPES.index(where)]


def share(mode: str, shape: list[int]) -> float | None:
    """The share of the peak to reach, or None."""
    return SHARES[mode] if shape[0] >= 32 and shape[3] >= 256 else None
