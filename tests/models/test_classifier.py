"""The sequence classifier reads to each sequence's end, and learns."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from rondo.models.classifier import SequenceClassifier
from rondo.models.options import RecurrentOptions


def made(*, bidirectional: bool = False, output_dropout: float = 0.0, seed: int = 0) -> SequenceClassifier:
    torch.manual_seed(seed)
    options = RecurrentOptions(cell="gru", layers=1, hidden=12)
    return SequenceClassifier(3, 4, options, bidirectional=bidirectional, output_dropout=output_dropout)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_what_stands_in_the_padding_changes_nothing(bidirectional: bool) -> None:
    model = made(bidirectional=bidirectional).eval()
    x = torch.randn(5, 9, 3, generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([9, 4, 1, 7, 2])
    padded = x.clone()
    for row, length in zip(padded, lengths, strict=True):
        row[length:] = 99.0

    logits = model(padded, lengths=lengths)

    for number, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(logits[number], model(x[number : number + 1, :length])[0])
    assert not torch.allclose(logits, model(x))


def test_both_directions_are_read_out() -> None:
    assert made(bidirectional=True).readout.in_features == 2 * made().readout.in_features


def test_output_dropout_acts_in_training_only() -> None:
    model, x = made(output_dropout=0.5), torch.randn(5, 6, 3, generator=torch.Generator().manual_seed(2))
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))
    assert torch.equal(model(x), made().eval()(x))


def test_it_learns_by_heart() -> None:
    model = made(seed=3)
    generator = torch.Generator().manual_seed(0)
    x, digit = torch.randn(16, 6, 3, generator=generator), torch.randint(4, (16,), generator=generator)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(120):
        optimiser.zero_grad()
        F.cross_entropy(model(x), digit).backward()
        optimiser.step()
    assert F.cross_entropy(model(x), digit).item() < 0.05
    assert torch.equal(model(x).argmax(1), digit)
