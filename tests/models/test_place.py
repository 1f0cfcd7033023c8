"""The place in a text of lines: counted as a plain loop counts, carried in the state, saved with the model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from rondo.errors import ModelError, UsageError
from rondo.layers import StackState
from rondo.models.language_model import LanguageModel, LanguageModelOptions, describe, rebuild
from rondo.models.place import PARTS, Place, PlaceTokens
from rondo.models.weights import load_weights

TOKENS = PlaceTokens(forms=(3, 5), line_ends=(2, 7), most=4)
VOCABULARY = 10


def drawn(B: int, T: int, seed: int = 0) -> Tensor:
    """Tokens in which a form is rare."""
    chances = torch.tensor([4, 4, 3, 0.5, 4, 0.5, 4, 2, 4, 4])
    return torch.multinomial(chances, B * T, replacement=True, generator=torch.Generator().manual_seed(seed)).view(B, T)


def made(seed: int = 0, place: PlaceTokens | None = TOKENS, **options: Any) -> LanguageModel:
    torch.manual_seed(seed)
    return LanguageModel(VOCABULARY, LanguageModelOptions(hidden=12, embedding=6, **options), place=place).eval()


def counted(row: list[int], reset: list[bool], place: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """Form, line and position behind each token, from the definition, not capped."""
    form, line, position = place
    found = []
    for token, anew in zip(row, reset, strict=True):
        if anew:
            form, line, position = 0, 0, 0
        if token in TOKENS.forms:
            form, line, position = TOKENS.forms.index(token) + 1, 0, 0
        elif token in TOKENS.line_ends:
            line, position = line + 1, 0
        else:
            position += 1
        found.append((form, line, position))
    return found


def expected(place: Place, found: list[tuple[int, int, int]]) -> Tensor:
    most = TOKENS.most
    position = [form * (most + 1) + min(position, most) for form, _, position in found]
    line = [form * (most + 1) + min(line, most) for form, line, _ in found]
    return place.position.weight[position] + place.line.weight[line]


@pytest.mark.parametrize("resets", [False, True], ids=["no-reset", "reset"])
@pytest.mark.parametrize("carried", [False, True], ids=["fresh", "carried"])
@pytest.mark.parametrize("T", [1, 2, 63])
def test_the_place_is_that_of_a_plain_loop(T: int, carried: bool, resets: bool) -> None:
    B, place = 40, Place(TOKENS, VOCABULARY, 6)
    tokens = drawn(B, T)
    random = torch.Generator().manual_seed(1)
    reset = torch.rand(B, T, generator=random) < (0.1 if resets else 0)
    lengths = torch.randint(0, T + 1, (B,), generator=random)
    begin = torch.stack([torch.randint(0, limit, (B,), generator=random) for limit in (3, 5, 5)], 1) * carried
    before = StackState({name: begin[:, [number]] for number, name in enumerate(PARTS)})

    vectors, after = place(tokens, before if carried else None, lengths=lengths, reset=reset if resets else None)

    for row in range(B):
        start = (int(begin[row, 0]), int(begin[row, 1]), int(begin[row, 2]))
        found = counted(tokens[row].tolist(), reset[row].tolist(), start)
        torch.testing.assert_close(vectors[row], expected(place, found))
        form, line, position = [start, *found][int(lengths[row])]
        ended = [form, min(line, TOKENS.most), min(position, TOKENS.most)]
        assert [int(after[name][row, 0]) for name in PARTS] == ended


def test_the_place_of_a_poem() -> None:
    place = Place(TOKENS, VOCABULARY, 6)
    _, after = place(torch.tensor([[5, 0, 1, 2, 4]]))
    assert {name: value.item() for name, value in after.items()} == {
        "place_form": 2, "place_line": 1, "place_position": 1,
    }  # fmt: skip
    rows = torch.stack([place(torch.tensor([tokens]))[0][0, -1] for tokens in ([5, 0], [3, 0], [0], [5, 0, 1], [5, 2])])
    assert (torch.cdist(rows, rows) > 1e-3).sum() == 20  # each place has a vector of its own


@pytest.mark.parametrize("cell", ["lstm", "min_gru"])
@pytest.mark.parametrize("chunk", [1, 3, 40])
def test_chunks_and_steps_give_what_the_whole_gives(cell: str, chunk: int) -> None:
    model, tokens = made(cell=cell, layers=2), drawn(5, 77)
    whole = model(tokens)

    state, parts = None, []
    for start in range(0, 77, chunk):
        output = model(tokens[:, start : start + chunk], state)
        parts.append(output.logits)
        state = output.state
    torch.testing.assert_close(torch.cat(parts, 1), whole.logits)
    assert state is not None
    torch.testing.assert_close(state.parts(), whole.state.parts())

    state, steps = None, []
    for token in tokens.T:
        logits, state = model.step(token, state)
        steps.append(logits)
    torch.testing.assert_close(torch.stack(steps, 1), whole.logits)
    torch.testing.assert_close(state.parts(), whole.state.parts())


def test_a_long_stream_is_scored_alike_in_any_chunks_and_the_state_does_not_grow() -> None:
    model, tokens = made(), drawn(1, 300)[0]
    assert model.nats(tokens, chunk=7).tolist() == pytest.approx(model.nats(tokens).tolist(), rel=1e-4)
    unbroken = torch.zeros(2, 10_000, dtype=torch.int64)
    state = model.place(unbroken)[1] if model.place else {}
    assert [int(value.max()) for value in state.values()] == [0, 0, TOKENS.most]
    assert all(value.shape == (2, 1) for value in state.values())


def test_only_what_was_read_counts() -> None:
    model, tokens = made(), drawn(4, 30)
    other = tokens.clone()
    other[:, 20:] = drawn(4, 10, seed=9)
    torch.testing.assert_close(model(other).logits[:, :20], model(tokens).logits[:, :20])
    assert not torch.allclose(model(other).logits[:, 20:], model(tokens).logits[:, 20:])


def test_a_state_is_reset_and_a_reset_begins_anew() -> None:
    model, tokens = made(), drawn(3, 20)
    reset = torch.zeros(3, 20, dtype=torch.bool)
    reset[1, 9] = True
    again = model(tokens, reset=reset).logits
    torch.testing.assert_close(again[1, 9:], model(tokens[1:2, 9:]).logits[0])
    first = model(tokens[:, :9]).state
    from_reset = model(tokens[:, 9:], first.reset(torch.tensor([False, True, False]))).logits
    torch.testing.assert_close(from_reset, again[:, 9:])


def test_what_is_padding_does_not_count() -> None:
    model, tokens = made(), drawn(3, 20)
    state = model(tokens, lengths=torch.tensor([20, 6, 0])).state
    torch.testing.assert_close(state.select([1]).parts(), model(tokens[1:2, :6]).state.parts())
    assert [int(state[name][2, 0]) for name in PARTS] == [0, 0, 0]


def test_the_place_is_learned_and_changes_what_is_said() -> None:
    with_place, without = made(3), made(3, place=None)
    tokens = drawn(16, 60)
    torch.testing.assert_close(with_place.recurrent.weight_hh_l0, without.recurrent.weight_hh_l0)  # drawn before it
    assert not torch.allclose(with_place(tokens).logits, without(tokens).logits)
    with_place(tokens).logits.square().sum().backward()
    assert with_place.place is not None
    for table in (with_place.place.position, with_place.place.line):
        assert table.weight.grad is not None
        assert (table.weight.grad.abs().sum(1) > 0).all()


def test_a_state_of_other_layers_is_refused() -> None:
    model, plain, tokens = made(), made(place=None), drawn(3, 4)
    with pytest.raises(UsageError, match="the state has no place_form and no place_line"):
        model(tokens, plain(tokens).state)
    with pytest.raises(UsageError, match=r"place_form .* this layer has no such part"):
        plain(tokens, model(tokens).state)
    with pytest.raises(UsageError, match="the state is for 2 sequences, x has 3"):
        model(tokens, model(tokens).state.select([0, 1]))
    with pytest.raises(UsageError, match=r"tokens have shape \(3, 1, 4\)"):
        model.step(tokens, None)
    strange = StackState({**model(tokens).state.parts(), **{name: torch.full((3, 1), 10**6) for name in PARTS}})
    assert model(tokens, strange).logits.isfinite().all()


def test_a_state_goes_with_a_model_of_other_precision() -> None:
    model, tokens = made(), drawn(3, 20)
    state = model(tokens[:, :9]).state.to(torch.float64)
    whole = model(tokens).logits.double()
    torch.testing.assert_close(model.double()(tokens[:, 9:], state).logits, whole[:, 9:], rtol=1e-4, atol=1e-5)


def test_a_description_builds_the_place_again() -> None:
    options = LanguageModelOptions(hidden=12, embedding=6)
    network, tokens = LanguageModel(VOCABULARY, options, place=TOKENS).eval(), drawn(3, 20)
    again = rebuild({"network": describe(network, options)}, VOCABULARY).eval()
    load_weights(again, network.state_dict(), "folder")
    assert torch.equal(again(tokens).logits, network(tokens).logits)
    plain = describe(LanguageModel(VOCABULARY, options), options)
    assert rebuild({"network": plain}, VOCABULARY).place is None


@pytest.mark.parametrize(
    "damage",
    [
        {"forms": None}, {"forms": 3}, {"forms": ["a"]}, {"forms": [1.0]}, {"forms": [True]}, {"forms": [2, 3]},
        {"forms": [3, 3]}, {"forms": [10]}, {"line_ends": [-1]}, {"line_ends": [10**30]}, {"line_ends": {}, "forms": 1},
        {"most": 0}, {"most": -(10**30)}, {"most": "a"}, {"most": True},
    ],
    ids=str,
)  # fmt: skip
def test_a_damaged_place_is_a_model_error(damage: dict[str, Any]) -> None:
    options = LanguageModelOptions(hidden=8, embedding=4)
    shape = describe(LanguageModel(VOCABULARY, options, place=TOKENS), options)
    for place in ({**shape["place"], **damage}, None, [], 3):
        with pytest.raises(ModelError, match=r"config.json does not describe a language model"):
            rebuild({"network": {**shape, "place": place}}, VOCABULARY)
