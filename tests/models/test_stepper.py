"""Models that go on by a step a call: what they give, their state and their place in the text."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from rondo.backends.cpu.native import why_not
from rondo.errors import UsageError
from rondo.models.classifier import (
    NumberClassifierOptions,
    TokenClassifierOptions,
    number_classifier,
    token_classifier,
)
from rondo.models.language_model import LanguageModel, LanguageModelOptions
from rondo.models.place import PARTS, PlaceTokens
from rondo.models.stepper import TokenStepper
from rondo.testing.tolerances import assert_close

PLACE = PlaceTokens(forms=(3, 5), line_ends=(2, 7), most=4)
VOCABULARY = 10
KINDS: dict[str, dict[str, Any]] = {
    "own matrix": {"embedding": 6},
    "tied": {"embedding": 12},
    "with a place": {"embedding": 6, "place": PLACE},
    "tied, with a place": {"embedding": 12, "place": PLACE},
}
kinds = pytest.mark.parametrize("kind", KINDS)
backends = pytest.mark.parametrize("backend", ["reference"] if why_not() else ["reference", "cpu"])


def made(kind: str, backend: str, cell: str = "lstm") -> LanguageModel:
    torch.manual_seed(0)
    given = dict(KINDS[kind])
    place = given.pop("place", None)
    options = LanguageModelOptions(cell=cell, hidden=12, learned_state=True, backend=backend, **given)
    model = LanguageModel(VOCABULARY, options, place=place)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.4)
    return model.double()


def drawn(B: int, T: int) -> Tensor:
    """Tokens in which a form is rare."""
    chances = torch.tensor([4, 4, 3, 0.5, 4, 0.5, 4, 2, 4, 4])
    return torch.multinomial(chances, B * T, replacement=True, generator=torch.Generator().manual_seed(1)).view(B, T)


def stepped(stepper: TokenStepper, tokens: Tensor) -> Tensor:
    return torch.stack([stepper(column.contiguous()).clone() for column in tokens.unbind(1)], 1)


@backends
@kinds
@pytest.mark.parametrize("B", [1, 5])
def test_tokens_one_by_one_give_what_the_whole_gives(kind: str, B: int, backend: str) -> None:
    model, tokens = made(kind, backend), drawn(B, 40)
    stepper = model.train().stepper(B)
    steps = stepped(stepper, tokens)
    whole = model.eval()(tokens)
    assert_close(steps, whole.logits, torch.float64)
    for name, value in whole.state.parts().items():
        assert_close(stepper.state[name], value, torch.float64, what=name)
    assert stepper.prepared == (backend == "cpu")


@backends
@kinds
def test_the_state_is_the_models_own_and_goes_on(kind: str, backend: str) -> None:
    model, tokens = made(kind, backend).eval(), drawn(3, 20)
    whole = model(tokens)
    stepper = model.stepper(3)
    stepper.state = model(tokens[:, :8]).state
    assert_close(stepped(stepper, tokens[:, 8:14]), whole.logits[:, 8:14], torch.float64)
    assert_close(model(tokens[:, 14:], stepper.state).logits, whole.logits[:, 14:], torch.float64)
    stepper.reset([False, True, True])
    mixed = stepped(stepper, tokens[:, 14:])
    assert_close(mixed[:1], whole.logits[:1, 14:], torch.float64)
    assert_close(mixed[1:], model(tokens[1:, 14:]).logits, torch.float64)
    stepper.reset()
    assert_close(stepped(stepper, tokens), whole.logits, torch.float64)


@backends
@kinds
def test_a_token_outside_the_vocabulary_is_refused_and_changes_nothing(kind: str, backend: str) -> None:
    model = made(kind, backend)
    stepper = model.stepper(2)
    stepper(torch.tensor([4, 2]))
    before = stepper.state
    for wrong in (-1, VOCABULARY):
        with pytest.raises(IndexError):
            stepper(torch.tensor([1, wrong]))
    with pytest.raises(UsageError, match="expects"):
        stepper(torch.tensor([1, 2, 3]))
    for name, value in before.parts().items():
        assert torch.equal(stepper.state[name], value), name


@backends
@kinds
def test_tokens_are_a_tensor_of_int64(kind: str, backend: str) -> None:
    stepper = made(kind, backend).stepper(2)
    with pytest.raises(UsageError, match=r"a tensor of int64 \(.*2,?\), not list"):
        stepper([1, 2])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"torch.float32 \(2,\); this stepper expects int64"):
        stepper(torch.tensor([1.0, 2.0]))


@backends
def test_a_state_without_its_place_is_refused(backend: str) -> None:
    stepper = made("with a place", backend).stepper()
    parts = stepper.state.parts()
    with pytest.raises(UsageError, match="has no place_line, which this model needs"):
        stepper.state = type(stepper.state)({name: value for name, value in parts.items() if name != "place_line"})
    assert set(PARTS) < set(parts)
    with pytest.raises(UsageError, match="a state is a StackState"):
        stepper.state = None  # type: ignore[assignment]


@backends
@kinds
def test_changed_weights_are_noticed(kind: str, backend: str) -> None:
    model, tokens = made(kind, backend).eval(), drawn(2, 12)
    stepper = model.stepper(2)
    for name, parameter in model.named_parameters():
        before = model(tokens).logits.detach()
        with torch.no_grad():
            parameter.add_(torch.randn_like(parameter))
        after = model(tokens).logits.detach()
        assert not torch.allclose(before, after), name
        stepper.reset()
        assert_close(stepped(stepper, tokens), after, torch.float64, what=name)


@backends
def test_a_classifier_says_at_every_step_what_it_thinks(backend: str) -> None:
    torch.manual_seed(0)
    options = {"cell": "gru", "layers": 2, "hidden": 12, "backend": backend, "bidirectional": False}
    model = number_classifier(3, 4, NumberClassifierOptions(**options)).eval()
    x = torch.randn(2, 9, 3)
    stepper = model.stepper(2)
    for t in range(9):
        assert_close(stepper(x[:, t]), model(x[:, : t + 1]).detach(), torch.float32)

    reader = token_classifier(7, 4, TokenClassifierOptions(**options)).eval()
    tokens = torch.randint(7, (2, 9))
    stepper = reader.stepper(2)
    for t in range(9):
        assert_close(stepper.step_rows(tokens[:, t]), reader(tokens[:, : t + 1]).detach(), torch.float32)


def test_what_needs_the_whole_sequence_has_no_stepper() -> None:
    for options, said in (
        ({}, "bidirectional"),
        ({"bidirectional": False, "readout": "mean"}, "'mean' needs the whole sequence"),
        ({"bidirectional": False, "conv_channels": 3}, "convolutions look ahead"),
    ):
        with pytest.raises(UsageError, match=said):
            number_classifier(3, 4, NumberClassifierOptions(cell="gru", hidden=5, **options)).stepper()
