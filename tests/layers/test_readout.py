"""Read-outs are what they say, and padding counts nowhere: neither what stands in it nor how much of it there is."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from rondo.errors import UsageError
from rondo.layers import Readout, ReadoutName, Recurrent, RecurrentOutput
from rondo.testing.tolerances import assert_close

NAMES = get_args(ReadoutName)
LENGTHS = (7, 3, 1, 0, 6)
TYPES = [torch.float64, torch.float32]


def layer_and_readout(name: str, *, bidirectional: bool, dtype: torch.dtype) -> tuple[Recurrent, Readout]:
    torch.manual_seed(0)
    layer = Recurrent("gru", 3, 5, layers=2, bidirectional=bidirectional, learned_state=True, dtype=dtype)
    readout = Readout(name, layer.output_size).to(dtype)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in (*layer.parameters(), *readout.parameters()):
            parameter.copy_(0.5 * torch.randn_like(parameter))
    return layer, readout


def drawn(dtype: torch.dtype, T: int = 7, *, padding: float = 0.0) -> Tensor:
    x = torch.randn(5, 7, 3, generator=torch.Generator().manual_seed(1)).to(dtype)
    x = torch.cat([x, torch.full((5, T - 7, 3), padding, dtype=dtype)], 1)
    for row, length in zip(x, LENGTHS, strict=True):
        row[length:] = padding
    return x


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_extra_padding_changes_nothing(name: str, bidirectional: bool, dtype: torch.dtype) -> None:
    layer, readout = layer_and_readout(name, bidirectional=bidirectional, dtype=dtype)
    parameters = [*layer.parameters(), *readout.parameters()]

    def run(x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        read = readout(layer(x, lengths=LENGTHS), LENGTHS)
        return read.detach(), torch.autograd.grad((read**2).sum(), parameters)

    expected, gradients = run(drawn(dtype))
    for T, padding in ((7, 99.0), (8, -3.0), (24, 0.0), (45, 7.5)):
        read, found = run(drawn(dtype, T, padding=padding))
        assert_close(read, expected, dtype, what=f"{name} with {T} steps")
        for one, other in zip(found, gradients, strict=True):
            assert_close(one, other, dtype, what=f"gradient of {name} with {T} steps", gradients=True)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_what_its_sequences_are_alone(name: str, bidirectional: bool) -> None:
    layer, readout = layer_and_readout(name, bidirectional=bidirectional, dtype=torch.float64)
    x = drawn(torch.float64, 9, padding=99.0)
    read = readout(layer(x, lengths=LENGTHS), LENGTHS)
    for number, length in enumerate(LENGTHS):
        alone = readout(layer(x[number : number + 1, :length]))
        assert_close(read[number], alone[0], torch.float64, what=f"sequence of {length} steps")


@pytest.mark.parametrize("name", ["last", "max"])
def test_where_nothing_is_added_up_not_a_bit_changes(name: str) -> None:
    output = made_up()
    wider = output._replace(sequence=torch.cat([output.sequence, torch.zeros(5, 30, 4)], 1))
    readout = Readout(name, 4)  # type: ignore[arg-type]
    assert torch.equal(readout(output, LENGTHS), readout(wider, LENGTHS))


def made_up() -> RecurrentOutput:
    """What a layer might return: outputs below zero throughout, so that a zero of the padding would be the largest."""
    random = torch.Generator().manual_seed(3)
    sequence = -1 - torch.rand(5, 7, 4, generator=random)
    for row, length in zip(sequence, LENGTHS, strict=True):
        row[length:] = 0
    return RecurrentOutput(sequence, torch.randn(5, 4, generator=random), None)  # type: ignore[arg-type]


def test_they_are_what_they_say() -> None:
    output = made_up()
    read = {name: Readout(name, 4)(output, LENGTHS) for name in ("last", "mean", "max", "concat")}
    assert torch.equal(read["last"], output.last)
    for number, length in enumerate(LENGTHS):
        own = output.sequence[number, :length]
        expected = (own.mean(0), own.max(0).values) if length else (torch.zeros(4), torch.zeros(4))
        torch.testing.assert_close(read["mean"][number], expected[0])
        assert torch.equal(read["max"][number], expected[1])
    assert torch.equal(read["concat"], torch.cat([read["last"], read["max"], read["mean"]], 1))


def test_attention_is_a_mean_with_learned_weights() -> None:
    torch.manual_seed(0)
    output, readout = made_up(), Readout("attention", 4)
    weights = readout.weights(output.sequence, torch.tensor(LENGTHS))
    for number, length in enumerate(LENGTHS):
        own = output.sequence[number, :length]
        expected = (torch.tanh(own @ readout.hidden.weight.T + readout.hidden.bias) @ readout.score.weight[0]).softmax(
            0
        )
        torch.testing.assert_close(weights[number, :length], expected)
        assert not weights[number, length:].any()
    torch.testing.assert_close(readout(output, LENGTHS), torch.einsum("bt,btn->bn", weights, output.sequence))
    assert weights[0].std() > 0.001
    with pytest.raises(UsageError, match="'mean' has no weights"):
        Readout("mean", 4).weights(output.sequence)


@pytest.mark.parametrize("name", NAMES)
def test_sequences_without_any_step(name: str) -> None:
    layer, readout = layer_and_readout(name, bidirectional=True, dtype=torch.float64)
    x = torch.randn(2, 0, 3, dtype=torch.float64)
    beginning = torch.cat([layer.initial_state(2)["h_l1"], layer.initial_state(2)["h_l1_reverse"]], 1)
    nothing = torch.zeros_like(beginning)
    expected = {"last": beginning, "concat": torch.cat([beginning, nothing, nothing], 1)}.get(name, nothing)
    for lengths in (None, [0, 0]):
        assert torch.equal(readout(layer(x), lengths), expected)
    assert torch.equal(readout(layer(drawn(torch.float64)[:2], lengths=[0, 0]), [0, 0]), expected)


def test_the_width_is_told_and_an_unknown_name_refused() -> None:
    output = made_up()
    for name in NAMES:
        readout = Readout(name, 4)
        assert readout(output, LENGTHS).shape == (5, readout.output_size)
    with pytest.raises(UsageError, match="'atention'; did you mean 'attention'"):
        Readout("atention", 4)  # type: ignore[arg-type]
