"""The language model: it learns with every cell, steps as it runs, and scores as a plain loop does."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rondo.cells import registry
from rondo.errors import ModelError, UsageError
from rondo.layers import StackState
from rondo.models.language_model import LanguageModel, LanguageModelOptions, describe, rebuild
from rondo.models.weights import count_parameters, load_weights
from rondo.testing.tolerances import assert_close

# Which token follows 1 is decided by how the row began: a model without memory cannot know it.
ROWS = torch.tensor([[6, 1, 2, 1, 3, 1, 4, 1, 5], [7, 1, 5, 1, 4, 1, 3, 1, 2]])


def made(seed: int = 0, vocabulary: int = 8, **options: Any) -> LanguageModel:
    torch.manual_seed(seed)
    projection = {"projection": 16} if options.get("cell") == "lstm_projected" else {}
    return LanguageModel(vocabulary, LanguageModelOptions(**{"layers": 1, "hidden": 24, **projection, **options}))


def loss(model: LanguageModel) -> torch.Tensor:
    return F.cross_entropy(model(ROWS[:, :-1]).logits.flatten(0, 1), ROWS[:, 1:].flatten())


@pytest.mark.parametrize("cell", sorted(registry))
def test_every_cell_learns_a_batch_by_heart(cell: str) -> None:
    model = made(cell=cell, embedding=16, layer_dropout=0.0, output_dropout=0.0)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.03)
    before = loss(model).item()
    for _ in range(400):
        optimiser.zero_grad()
        now = loss(model)
        now.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if now.item() < 0.02:
            break

    assert before > 1.5
    assert loss(model).item() < 0.05


def naive_nats(model: LanguageModel, tokens: list[int]) -> list[float]:
    """One token at a time, from the definition of the cross-entropy."""
    state, costs = None, []
    for token, following in itertools.pairwise(tokens):
        logits, state = model.step(torch.tensor([token]), state)
        shifted = logits[0].double() - logits[0].double().max()
        costs.append((shifted.exp().sum().log() - shifted[following]).item())
    return costs


@pytest.mark.parametrize("cell", ["lstm", "gru", "min_gru"])
def test_nats_are_those_of_a_plain_loop_whatever_the_chunk(cell: str) -> None:
    model = made(3, cell=cell, layers=2)
    tokens = np.random.default_rng(0).integers(8, size=71).astype(np.uint8)
    wanted = naive_nats(model.eval(), tokens.tolist())
    model.train()

    for chunk in (1, 7, 35, 70, 512):
        nats = model.nats(tokens, chunk=chunk)
        assert nats.dtype == torch.float64
        assert nats.tolist() == pytest.approx(wanted, rel=1e-5)
    assert model.training
    assert model.nats(torch.tensor(tokens.tolist())).tolist() == pytest.approx(wanted, rel=1e-5)
    assert model.nats(tokens[:1]).tolist() == []


def test_the_state_goes_on_where_it_ended_and_can_begin_anew() -> None:
    model = made(1, layers=2).eval()
    tokens = torch.randint(8, (3, 20), generator=torch.Generator().manual_seed(0))
    whole = model(tokens)
    first = model(tokens[:, :9])
    second = model(tokens[:, 9:], first.state)
    torch.testing.assert_close(torch.cat([first.logits, second.logits], 1), whole.logits)

    reset = torch.zeros(3, 20, dtype=torch.bool)
    reset[1, 9] = True
    again = model(tokens, reset=reset).logits
    torch.testing.assert_close(again[1, 9:], model(tokens[1:2, 9:]).logits[0])
    torch.testing.assert_close(again[0], whole.logits[0])
    assert not torch.allclose(again[1, 9:], whole.logits[1, 9:])

    short = model(tokens, lengths=torch.tensor([20, 6, 0]))
    torch.testing.assert_close(short.state["h_l1"][1], model(tokens[1:2, :6]).state["h_l1"][0])
    assert isinstance(short.state, StackState)


def test_tied_weights_are_one_matrix_and_count_once() -> None:
    tied, free = made(embedding=24), made(embedding=24, tied=False)
    assert tied.readout.weight is tied.embedding.weight  # the default where both are equally wide
    assert count_parameters(free) - count_parameters(tied) == 8 * 24
    assert made(embedding=16).readout.weight.shape == (8, 24)
    with pytest.raises(UsageError, match=r"--tied: the embedding \(16\) must be as wide .* \(24\)"):
        made(embedding=16, tied=True)


def test_the_embedding_is_as_wide_as_told_or_as_the_vocabulary_suggests() -> None:
    assert made(vocabulary=256).embedding.embedding_dim == 64
    assert made(vocabulary=257).embedding.embedding_dim == 24
    assert made(vocabulary=257, cell="lstm_projected").embedding.embedding_dim == 16
    assert made(embedding=5).embedding.embedding_dim == 5


@pytest.mark.parametrize(
    "options",
    [
        {"output_dropout": 0.5}, {"output_dropout": 0.5, "locked_dropout": True}, {"input_dropout": 0.5},
        {"layers": 2, "layer_dropout": 0.5}, {"recurrent_dropout": 0.5}, {"weight_drop": 0.5}, {"zoneout": 0.5},
    ],
)  # fmt: skip
def test_dropouts_act_in_training_only(options: dict[str, Any]) -> None:
    model = made(**{"layer_dropout": 0.0, "output_dropout": 0.0, **options})
    with torch.no_grad():
        first, second = model(ROWS).logits, model(ROWS).logits
        model.eval()
        assert torch.equal(model(ROWS).logits, model(ROWS).logits)
    assert not torch.equal(first, second)


def test_steps_are_computed_again_on_request() -> None:
    usual, lean = made(), made(recompute=True)
    assert (usual.recurrent.recompute_steps, lean.recurrent.recompute_steps) == (None, "auto")
    lean.load_state_dict(usual.state_dict())
    for model in (usual.eval(), lean.eval()):
        model(ROWS).logits.square().sum().backward()
    for name, parameter in usual.named_parameters():
        assert_close(dict(lean.named_parameters())[name].grad, parameter.grad, torch.float32, what=name, gradients=True)


def test_output_dropout_is_seen_by_the_read_out_and_is_locked_on_request() -> None:
    out = made(output_dropout=0.5, locked_dropout=True)(ROWS)
    zero = (out.dropped == 0) & (out.raw != 0)
    assert 0.2 < zero.float().mean() < 0.8
    assert torch.equal(zero.all(1), zero.any(1))  # the same places at every step
    torch.testing.assert_close(out.dropped[~zero], 2 * out.raw[~zero])
    free = made(output_dropout=0.5)(ROWS)
    zero = (free.dropped == 0) & (free.raw != 0)
    assert not torch.equal(zero.all(1), zero.any(1))


@pytest.mark.parametrize("cell", ["lstm_projected", "rnn", "slstm"])
def test_a_description_builds_the_same_network_from_the_graph_of_its_cell(cell: str) -> None:
    options = LanguageModelOptions(cell=cell, hidden=12, layers=2, projection=8 if "projected" in cell else None)
    network = LanguageModel(9, options).eval()
    config = {"network": describe(network, options)}
    config["network"]["options"]["cell"] = "gone.py:gone"

    again = rebuild(config, 9).eval()
    load_weights(again, network.state_dict(), "folder")

    assert torch.equal(again(ROWS).logits, network(ROWS).logits)


def test_weights_keep_their_precision() -> None:
    network = made().double()
    again = made(1)
    load_weights(again, network.state_dict(), "folder")

    assert again(ROWS).logits.dtype == torch.float64
    assert torch.equal(again.eval()(ROWS).logits, network.eval()(ROWS).logits)


def test_weights_that_do_not_fit_are_named() -> None:
    network = made()
    tensors = dict(network.state_dict())
    del tensors["readout.bias"]
    tensors["weight_of_another"] = torch.zeros(2)
    tensors["embedding.weight"] = torch.zeros(9, 64)
    with pytest.raises(ModelError) as caught:
        load_weights(network, tensors, "some/folder")

    said = str(caught.value)
    assert "some/folder" in said
    assert "missing: readout.bias" in said
    assert "unknown: weight_of_another" in said
    assert "of another shape: embedding.weight" in said
    with pytest.raises(ModelError, match="missing"):
        load_weights(network, {}, "some/folder")


@pytest.mark.parametrize("damage", ["network", "options", "cell", "sizes", "range", "huge", "unknown"])
def test_a_damaged_description_is_a_model_error(damage: str) -> None:
    options = LanguageModelOptions(hidden=8)
    config: dict[str, Any] = {"network": describe(LanguageModel(8, options), options)}
    if damage == "network":
        config = {"network": None}
    elif damage in ("options", "cell"):
        del config["network"][damage]
    else:
        values = {"sizes": ("hidden", "wide"), "range": ("hidden", -3), "huge": ("hidden", 10**7), "unknown": ("x", 1)}
        name, value = values[damage]
        config["network"]["options"][name] = value
    with pytest.raises(ModelError, match=r"config.json does not describe a language model"):
        rebuild(config, 8)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hidden": 0}, "--hidden is at least 1, not 0"), ({"layers": -1}, "--layers is at least 1"),
        ({"embedding": 0}, "--embedding is at least 1"), ({"output_dropout": 1.0}, "output_dropout is a probability"),
        ({"cell": "lstn"}, "did you mean 'lstm'"), ({"cell": "gru", "projection": 3}, "has no projection"),
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        made(**options)
