"""The sequence classifier reads tokens and numbers to their end, is rebuilt from its description, and learns."""

from __future__ import annotations

import json
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rondo.data.bucket import PaddedBatch
from rondo.errors import ModelError, UsageError
from rondo.layers import ReadoutName
from rondo.models.classifier import (
    NumberClassifierOptions,
    TokenClassifierOptions,
    describe,
    number_classifier,
    rebuild,
    token_classifier,
)
from rondo.models.inputs import NumberInput, StepNorm, TokenInput
from rondo.tasks.classification.classes import Classes
from rondo.tasks.classification.objective import ClassLoss
from rondo.testing.tolerances import assert_close
from tests.tasks.helpers import same

LENGTHS = (9, 4, 1, 0, 2)
SMALL: dict[str, Any] = {"cell": "gru", "layers": 1, "hidden": 12, "output_dropout": 0.0}
KINDS: dict[str, dict[str, Any]] = {
    "tokens": {"embedding": 5},
    "pairs": {"embedding": 5, "pair_embedding": 3},
    "numbers": {},
    "convolved": {"conv_channels": 6, "conv_kernel": 3},
    "two with strides": {"conv_channels": 6, "conv_layers": 2, "conv_stride": 2},
}
kinds = pytest.mark.parametrize("kind", KINDS)
OF_TOKENS = ("tokens", "pairs")
PAIRS = np.array([[first, second] for first in (2, 8, 5, 1) for second in range(8) if first != second])
"""Of 8 tokens; 8 stands before the first."""


def made(kind: str = "numbers", *, seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    given = {**SMALL, **KINDS[kind], **options}
    if kind in OF_TOKENS:
        return token_classifier(8, 4, TokenClassifierOptions(**given), pairs=PAIRS).double()
    return number_classifier(3, 4, NumberClassifierOptions(**given)).double()


def drawn(kind: str, B: int = 5, T: int = 9) -> Tensor:
    random = torch.Generator().manual_seed(1)
    if kind in OF_TOKENS:
        return torch.randint(8, (B, T), generator=random)
    return torch.randn(B, T, 3, generator=random, dtype=torch.float64)


def padded(x: Tensor, T: int) -> Tensor:
    """With something in the padding, and as long as ``T``."""
    wide = torch.full((len(x), T, *x.shape[2:]), 7, dtype=x.dtype)
    for row, own, length in zip(wide, x, LENGTHS, strict=True):
        row[:length] = own[:length]
    return wide


@pytest.mark.parametrize("readout", get_args(ReadoutName))
@pytest.mark.parametrize("bidirectional", [False, True])
@kinds
def test_padding_changes_nothing(kind: str, bidirectional: bool, readout: str) -> None:
    model, x = made(kind, bidirectional=bidirectional, readout=readout).eval(), drawn(kind)
    logits = model(padded(x, 9), lengths=LENGTHS)
    assert_close(model(padded(x, 30), lengths=LENGTHS), logits, torch.float64, what="more padding")
    for number, length in enumerate(LENGTHS):
        alone = model(x[number : number + 1, :length])[0]
        assert_close(logits[number], alone, torch.float64, what=f"a sequence of {length} steps")
    assert not torch.allclose(logits, model(x))


@pytest.mark.parametrize("kind", ["tokens", "pairs", "two with strides"])
def test_padding_takes_no_shortcut(kind: str) -> None:
    model, x = made(kind, shortcut=True).eval(), drawn(kind)
    logits = model(padded(x, 30), lengths=LENGTHS)
    for number, length in enumerate(LENGTHS):
        alone = model(x[number : number + 1, :length])[0]
        assert_close(logits[number], alone, torch.float64, what=f"a sequence of {length} steps")


def test_the_shortcut_reads_mean_and_maximum_of_what_goes_in() -> None:
    model, x = made("numbers", shortcut=True).eval(), drawn("numbers")
    with torch.no_grad():
        model.head.weight[:, : model.readout.output_size] = 0
    beside = torch.cat([x.mean(1), x.max(1).values], 1)
    expected = beside @ model.head.weight[:, model.readout.output_size :].T + model.head.bias
    assert_close(model(x), expected, torch.float64)


def test_a_pair_is_a_token_and_the_one_before_it() -> None:
    torch.manual_seed(0)
    tokens = torch.tensor([[1, 2, 3, 1, 2], [2, 3, 3, 2, 1], [5, 1, 2, 3, 0]])
    made, _ = TokenInput(8, 5, pairs=PAIRS, pair_width=3)(tokens)
    assert made.shape == (3, 5, 8)
    known = {tuple(pair) for pair in PAIRS.tolist()}
    found = [[(8 if t == 0 else int(row[t - 1]), int(row[t])) for t in range(5)] for row in tokens]
    pairs = [[pair if pair in known else None for pair in row] for row in found]
    assert 0 < sum(pair is None for row in pairs for pair in row) < tokens.numel() / 2
    vectors: dict[Any, Tensor] = {}
    for row, of_row in zip(made[..., 5:], pairs, strict=True):
        for vector, pair in zip(row, of_row, strict=True):
            assert torch.equal(vectors.setdefault(pair, vector), vector)
    every = torch.stack(list(vectors.values()))
    assert len(every.unique(dim=0)) == len(every)


def test_pairs_have_to_be_known() -> None:
    with pytest.raises(UsageError, match="--pair-embedding needs to know"):
        TokenInput(8, 5, pair_width=3)
    none = TokenInput(8, 5, pairs=PAIRS[:0], pair_width=3)(torch.tensor([[1, 2, 1]]))[0]
    assert torch.equal(none[0, 0, 5:], none[0, 1, 5:])


def test_what_takes_the_shortcut_is_dropped_like_what_goes_into_the_layers() -> None:
    model, x = made("numbers", shortcut=True, input_dropout=0.5), drawn("numbers", 40).abs() + 1
    taken = model.readout.output_size
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
        model.head.weight[0, taken] = 1  # the mean of the first feature
    told, whole = model(x)[:, 0], model.eval()(x)[:, 0]
    assert_close(whole, x[..., 0].mean(1), torch.float64)
    assert (told != whole).all()
    assert abs((told / whole).mean() - 1) < 0.1


@pytest.mark.parametrize(("kind", "options"), [("tokens", {"shortcut": True}), ("pairs", {})], ids=str)
def test_what_does_not_go_step_by_step_is_refused(kind: str, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="step by step"):
        made(kind, **options).stepper()


def test_both_directions_are_read_out() -> None:
    assert made().head.in_features == 2 * made(bidirectional=False).head.in_features
    assert made(readout="concat").head.in_features == 3 * made().head.in_features


@pytest.mark.parametrize(
    ("kind", "options"),
    [("numbers", {"output_dropout": 0.5}), ("tokens", {"token_dropout": 0.5})],
    ids=["output_dropout", "token_dropout"],
)
def test_what_is_dropped_is_dropped_in_training_only(kind: str, options: dict[str, float]) -> None:
    model, x = made(kind, **options), drawn(kind)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))
    assert torch.equal(model(x), made(kind).eval()(x))


def test_a_dropped_token_is_dropped_whole() -> None:
    torch.manual_seed(0)
    vectors, _ = TokenInput(8, 5, token_dropout=0.4)(drawn("tokens", 50, 40))
    gone = (vectors == 0).all(2)
    assert torch.equal(gone, (vectors == 0).any(2))
    assert 0.35 < gone.double().mean() < 0.45


@pytest.mark.parametrize(
    "options",
    [{"conv_channels": 7}, {"conv_layers": 2}, {"conv_kernel": 5}, {"conv_stride": 2}, {"conv_norm": "layer"},
     {"readout": "max"}, {"shortcut": True},
     {"bidirectional": False}, {"hidden": 9}],
    ids=str,
)  # fmt: skip
def test_an_option_changes_the_network(options: dict[str, Any]) -> None:
    x = drawn("convolved")
    assert not torch.allclose(made("convolved")(x), made("convolved", **options)(x))


@kinds
def test_members_of_an_ensemble_differ_and_answer_with_their_mean(kind: str) -> None:
    model, x = made(kind, ensemble=3), drawn(kind)
    assert model(x, lengths=LENGTHS).shape == (3, 5, 4)
    one, other, third = (member(x, lengths=LENGTHS) for member in model.members)
    assert not torch.allclose(one, other)
    assert_close(model.eval()(x, lengths=LENGTHS), (one + other + third) / 3, torch.float64)
    assert torch.equal(one, made(kind)(x, lengths=LENGTHS))


def test_a_member_learns_from_its_own_mistakes() -> None:
    model, x, target = made(ensemble=2), drawn("numbers"), torch.tensor([0, 1, 2, 3, 0])
    alone = model.members[1]
    loss = ClassLoss(Classes(("a", "b", "c", "d"), several=False))
    batch = PaddedBatch(inputs=x, targets=target, lengths=torch.full((5,), 9), indices=torch.arange(5))
    loss(model, batch, None).loss_sum.backward()
    of_both = [parameter.grad.clone() for parameter in alone.parameters()]
    model.zero_grad()
    loss(alone, batch, None).loss_sum.backward()
    for one, other in zip(alone.parameters(), of_both, strict=True):
        assert_close(other, one.grad / 2, torch.float64, gradients=True)


def test_strides_make_sequences_shorter() -> None:
    torch.manual_seed(0)
    convolved, lengths = NumberInput(3, channels=6, layers=2, stride=2)(
        drawn("numbers").float(), torch.tensor([9, 8, 5, 0, 1])
    )
    assert convolved.shape == (5, 3, 6)
    assert lengths is not None
    assert lengths.tolist() == [3, 2, 2, 0, 1]


def test_batch_normalisation_is_that_of_torch_where_nothing_is_padded() -> None:
    ours, theirs = StepNorm(3).double(), torch.nn.BatchNorm1d(3).double()
    x = 5 + 3 * drawn("numbers")
    torch.testing.assert_close(ours(x), theirs(x.transpose(1, 2)).transpose(1, 2))
    torch.testing.assert_close(ours.mean, x.mean((0, 1)))
    torch.testing.assert_close(ours.variance, x.var((0, 1), correction=0))
    one, other = (x.clone().requires_grad_() for _ in range(2))
    weights = torch.randn_like(x)
    (ours(one) * weights).sum().backward()
    (theirs(other.transpose(1, 2)).transpose(1, 2) * weights).sum().backward()
    torch.testing.assert_close(one.grad, other.grad)


def test_batch_normalisation_counts_no_padding() -> None:
    x, lengths = drawn("numbers"), torch.tensor(LENGTHS)
    steps = torch.cat([row[:length] for row, length in zip(x, LENGTHS, strict=True)])
    norm = StepNorm(3).double()
    found = norm(padded(x, 15), lengths)
    torch.testing.assert_close(norm.mean, steps.mean(0))
    expected = (steps - steps.mean(0)) * torch.rsqrt(steps.var(0, correction=0) + 1e-5)
    valid = torch.arange(15) < lengths[:, None]
    torch.testing.assert_close(found[valid], expected)
    before = norm.mean.clone()
    assert norm(x, torch.zeros(5, dtype=torch.int64)).isfinite().all()
    assert torch.equal(norm.mean, before)


def test_batch_normalisation_remembers_many_batches() -> None:
    norm, random = StepNorm(2), torch.Generator().manual_seed(0)
    means = []
    for _ in range(8):
        x = torch.randn(3, 4, 2, generator=random) * 2 + 1
        norm(x)
        means.append(x.mean((0, 1)))
    torch.testing.assert_close(norm.mean, torch.stack(means).mean(0))
    for _ in range(60):
        norm(torch.full((3, 4, 2), 9.0))
    assert norm.mean.sub(9).abs().max() < 0.1  # what was long ago is forgotten
    norm.eval()
    torch.testing.assert_close(norm(norm.mean[None, None]), torch.zeros(1, 1, 2))


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("tokens", {"embedding": 0}, "--embedding is at least 1"),
        ("tokens", {"pair_embedding": -1}, "--pair-embedding is at least 0, not -1"),
        ("tokens", {"token_dropout": 1.0}, "token_dropout is a probability"),
        ("numbers", {"ensemble": 0}, "--ensemble is at least 1, not 0"),
        ("numbers", {"output_dropout": -0.1}, "output_dropout is a probability"),
        ("convolved", {"conv_kernel": 4}, "--conv-kernel is an odd number, not 4"),
        ("convolved", {"conv_stride": 0}, "--conv-stride is at least 1"),
        ("convolved", {"conv_layers": 0}, "--conv-layers is at least 1"),
        ("convolved", {"conv_norm": "bach"}, "--conv-norm cannot be 'bach'; did you mean 'batch'"),
        ("numbers", {"conv_channels": -1}, "--conv-channels is at least 0"),
    ],
)
def test_what_makes_no_network_is_refused(kind: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        made(kind, **options)


@pytest.mark.parametrize("ensemble", [1, 2])
@kinds
def test_it_is_rebuilt_from_its_description(kind: str, ensemble: int) -> None:
    more = {"cell": "min_gru", "readout": "attention", "bidirectional": False, "ensemble": ensemble}
    options = {**SMALL, **KINDS[kind], **more}
    model = made(kind, **options)
    given = (TokenClassifierOptions if kind in OF_TOKENS else NumberClassifierOptions)(**options)
    config = json.loads(json.dumps({"network": describe(model, given)}))
    again = rebuild(config, 8 if kind in OF_TOKENS else 3, 4, pairs=PAIRS).double()
    again.load_state_dict(model.state_dict())
    assert same(again.state_dict(), model.state_dict())
    assert torch.equal(again.eval()(drawn(kind)), model.eval()(drawn(kind)))


@pytest.mark.parametrize(
    "change",
    [
        {"hidden": "12"},
        {"conv_channels": 2.5},
        {"layers": 0},
        {"readout": "mean of means"},
        {"wings": 2},
        {"ensemble": 0},
        {"ensemble": "3"},
    ],
    ids=str,
)
def test_a_description_that_is_none(change: dict[str, Any]) -> None:
    config = {"network": describe(made(), NumberClassifierOptions(**SMALL))}
    config["network"]["options"] |= change
    with pytest.raises(ModelError, match=r"config\.json does not describe a classifier"):
        rebuild(config, 3, 4)


@kinds
def test_it_learns_by_heart(kind: str) -> None:
    model, x = made(kind, seed=3), drawn(kind, 16)
    classes = torch.randint(4, (16,), generator=torch.Generator().manual_seed(0))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(80):
        optimiser.zero_grad()
        F.cross_entropy(model(x), classes).backward()
        optimiser.step()
    assert F.cross_entropy(model(x), classes).item() < 0.05
    assert torch.equal(model(x).argmax(1), classes)
