"""Operations and bytes against numbers worked out by hand."""

from __future__ import annotations

import pytest

from rondo.cells import Cell, get_cell, registry
from rondo.errors import UsageError
from rondo.testing.speed.counting import SHAPES, Shape, operations, scan_bytes, shape_of

SHAPE = Shape(2, 3, 5, 4)  # B, T, I, H: 2 B T = 12


@pytest.mark.parametrize(
    ("name", "forward", "leaf", "inner"),
    [
        # 12 rows of weights: 12 · 12 · (5 + 4); three times that, less 12 · 12 · 5
        ("gru", 1296, 3168, 3888),
        ("rnn", 432, 1056, 1296),
        ("lstm", 1728, 4224, 5184),
        # 8 rows on x and none on the state: 12 · 8 · 5
        ("min_gru", 480, 960, 1440),
        # gates 16 × 5 and 16 × 2, projection 2 × 4: 12 · (80 + 32 + 8)
        ("lstm_projected", 1440, 3360, 4320),
        ("lstm_layer_norm", 1728, 4224, 5184),
    ],
)
def test_operations(name: str, forward: int, leaf: int, inner: int) -> None:
    cell = registry[name]
    assert operations(cell, SHAPE, train=False, input_gradient=False) == forward
    assert operations(cell, SHAPE, train=False, input_gradient=True) == forward
    assert operations(cell, SHAPE, train=True, input_gradient=False) == leaf
    assert operations(cell, SHAPE, train=True, input_gradient=True) == inner


def test_blocks_by_heads_count_what_is_stored() -> None:
    # 16 × 5 on x, 4 blocks of two 2 × 2 matrices on the state
    assert operations(get_cell("slstm", heads=2), SHAPE, train=False, input_gradient=False) == 12 * (80 + 32)


def test_the_large_shape_of_the_targets() -> None:
    # GRU: 2 · 64 · 128 · 3072 · 1536, and in training three times that less the input's third
    forward = operations(registry["gru"], SHAPES[5], train=False, input_gradient=False)
    assert forward == 77_309_411_328
    assert operations(registry["gru"], SHAPES[5], train=True, input_gradient=False) == 3 * forward - forward // 3


@pytest.mark.parametrize(
    ("cell", "forward", "train"),
    [
        (registry["indrnn"], 2, 6),  # a, h; dy, a, h, da
        (registry["min_gru"], 3, 9),  # two pre-activations
        (registry["min_lstm"], 4, 12),
    ],
    ids=lambda value: value.name if isinstance(value, Cell) else str(value),
)
def test_bytes_of_a_scan(cell: Cell, forward: int, train: int) -> None:
    each = 4 * 2 * 3 * 4  # bytes of a float, B, T, H
    assert scan_bytes(cell, SHAPE, train=False) == forward * each
    assert scan_bytes(cell, SHAPE, train=True) == train * each


def test_shapes_are_written_and_read() -> None:
    for shape in SHAPES:
        assert shape_of(str(shape)) == shape
    assert shape_of("64x100x256x512") == Shape(64, 100, 256, 512)
    for wrong in ("64x100x256", "64x100x256x0", "64x100x256xH", "", "1x2x3x4x5", "1x-2x3x4"):
        with pytest.raises(UsageError, match="BATCHxSTEPSxINPUTxHIDDEN"):
            shape_of(wrong)
