"""`StackState`: named parts that can be detached, selected, reset, joined, moved, saved and restored."""

from __future__ import annotations

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
