"""`StackState`: named parts that can be detached, selected, reset, joined, moved, saved and restored."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from rondo.errors import UsageError
from rondo.layers import Recurrent, StackState


@pytest.fixture
def layer() -> Recurrent:
    torch.manual_seed(0)
    layer = Recurrent("lstm", 3, 5, layers=2, learned_state=True)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    return layer


@pytest.fixture
def state(layer: Recurrent) -> StackState:
    return layer(torch.randn(4, 6, 3)).state


def test_parts_have_names(state: StackState) -> None:
    assert list(state) == ["h_l0", "c_l0", "h_l1", "c_l1"]
    assert state.h_l1 is state["h_l1"]
    assert state.batch_size == 4
    assert "c_l1=(4, 5)" in repr(state)
    with pytest.raises(AttributeError, match="did you mean 'h_l1'"):
        _ = state.h_11


def test_detach_cuts_the_gradient(state: StackState) -> None:
    assert state.h_l0.requires_grad
    assert not any(value.requires_grad for value in state.detach().parts().values())
    assert torch.equal(state.detach().c_l1, state.c_l1)


def test_select_takes_rows(state: StackState) -> None:
    for index in (torch.tensor([2, 0]), [2, 0]):
        assert torch.equal(state.select(index).c_l0, state.c_l0[[2, 0]])
    assert state.select(slice(1, 4)).batch_size == 3


def test_reset_starts_rows_anew(layer: Recurrent, state: StackState) -> None:
    mask = torch.tensor([False, True, False, True])
    zeros = state.reset(mask)
    fresh = state.reset(mask, layer.initial_state(4))
    for part, value in state.parts().items():
        assert not zeros[part][mask].any()
        assert torch.equal(fresh[part][1], getattr(layer, f"initial_{part}"))
        assert torch.equal(zeros[part][~mask], value[~mask])
        assert torch.equal(fresh[part][~mask], value[~mask])


def test_saved_and_restored_it_goes_on_as_before(layer: Recurrent, state: StackState) -> None:
    x = torch.randn(4, 3, 3)
    restored = StackState(load(save(state.state_dict())))
    assert torch.equal(layer(x, restored).sequence, layer(x, state).sequence)
    assert not any(value.requires_grad for value in restored.parts().values())


def test_a_saved_state_has_memory_of_its_own(state: StackState) -> None:
    plain = state.detach()
    saved = plain.state_dict()
    plain.h_l0.add_(1.0)
    assert not torch.equal(saved["h_l0"], plain.h_l0)


def test_concatenate_joins_batches(layer: Recurrent, state: StackState) -> None:
    other = layer.initial_state(2)
    joined = StackState.concatenate([state, other])
    assert joined.batch_size == 6
    assert torch.equal(joined.h_l1, torch.cat([state.h_l1, other.h_l1]))


def test_to_converts_each_part(state: StackState) -> None:
    assert {value.dtype for value in state.to(torch.float64).parts().values()} == {torch.float64}
    assert state.to("meta").h_l0.device.type == "meta"


def test_a_state_of_another_layer_is_refused(layer: Recurrent) -> None:
    gru = Recurrent("gru", 3, 5, layers=2)
    with pytest.raises(UsageError, match="has no c_l0"):
        layer(torch.randn(2, 3, 3), gru.initial_state(2))


ANOTHER_STATE = [
    (lambda s: s.map(lambda v: torch.ones(4, 40)), r"'h_l0' of the state has shape \(4, 40\); expected \(4, 5\)"),
    (lambda s: StackState({**s.parts(), "c_l1": torch.ones(4, 6)}), r"'c_l1' of the state has shape \(4, 6\)"),
    (lambda s: StackState({**s.parts(), "c_l1": torch.ones(3, 5)}), r"for 3 sequences, x has 4 \(part 'c_l1'\)"),
    (lambda s: s.map(lambda v: v[0]), r"shape \(5,\); expected \(4, 5\)"),
    (lambda s: s.to(torch.float64), "dtype torch.float64; expected torch.float32"),
    (lambda s: s.to("meta"), "on meta, the layer on cpu"),
    (lambda s: StackState({**s.parts(), "h_l2": s.h_l0}), "has h_l2, this layer has no such part"),
    (lambda s: StackState({"h_l0": s.h_l0}), "no c_l0 and no h_l1 and no c_l1"),
    (lambda s: (s.h_l0, s.c_l0), "is a StackState, .* not tuple"),
]


@pytest.mark.parametrize(("changed", "says"), ANOTHER_STATE)
@pytest.mark.parametrize("backend", ["auto", "vendor", "reference"])
@pytest.mark.parametrize("T", [1, 3])
def test_a_state_of_another_form_is_refused(layer: Recurrent, backend: str, T: int, changed: Any, says: str) -> None:
    layer.backend = backend
    state = layer.initial_state(4)
    layer(torch.randn(4, T, 3), state)
    with pytest.raises(UsageError, match=says):
        layer(torch.randn(4, T, 3), changed(state))


def test_a_state_of_more_parts_is_refused_by_a_layer_of_fewer(state: StackState) -> None:
    first = StackState({name: state[name] for name in ("h_l0", "c_l0")})
    with pytest.raises(UsageError, match="has c_l0"):
        Recurrent("gru", 3, 5)(torch.randn(4, 3, 3), first)
    with pytest.raises(UsageError, match="has h_l1 and c_l1"):
        Recurrent("lstm", 3, 5)(torch.randn(4, 3, 3), state)


def test_under_autocast_a_state_may_have_another_type(layer: Recurrent) -> None:
    x = torch.randn(4, 3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer(x, layer.initial_state(4).to(torch.bfloat16))
        with pytest.raises(UsageError, match="int64; expected a real one"):
            layer(x, layer.initial_state(4).to(torch.int64))


def test_a_reset_mask_may_be_a_list_and_has_one_mark_a_sequence(layer: Recurrent, state: StackState) -> None:
    marked = state.reset([False, True, False, False])
    assert not marked.h_l0[1].any()
    assert torch.equal(marked.h_l0[0], state.h_l0[0])
    for mask in ([True], torch.ones(5, dtype=torch.bool), torch.ones(4, 1)):
        with pytest.raises(UsageError, match=r"expected \(4,\)"):
            state.reset(mask)
    with pytest.raises(UsageError, match="mask is a tensor or lists"):
        state.reset("abcd")
    with pytest.raises(UsageError, match="initial has no part 'h_l0'"):
        state.reset([True] * 4, layer.initial_state(3))


@pytest.mark.parametrize("parts", [{}, None, {"h_l0": [1.0]}])
def test_what_is_not_a_state(parts: Any) -> None:
    with pytest.raises(UsageError, match=r"named parts|is a tensor, not list"):
        StackState(parts)


def test_only_states_of_one_layer_can_be_joined(state: StackState) -> None:
    with pytest.raises(UsageError, match="no state to"):
        StackState.concatenate([])
    with pytest.raises(UsageError, match="different layers"):
        StackState.concatenate([state, Recurrent("gru", 3, 5).initial_state(2)])
    with pytest.raises(UsageError, match=r"'h_l0' of the states is of torch\.float32 and torch\.float64"):
        StackState.concatenate([state, state.to(torch.float64)])


def test_a_mask_is_made_of_marks(state: StackState) -> None:
    for wrong in (torch.full((4,), 2), [0, 0.5, 1, 0]):
        with pytest.raises(UsageError, match="mask is made of marks"):
            state.reset(wrong)
    assert torch.equal(state.reset([0, 1, 0, 1]).h_l0, state.reset([False, True, False, True]).h_l0)
