"""`Recurrent`: stacks, directions, lengths, resets, state and stepping, for every cell and backend."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import torch

from rondo.backends.cpu.native import why_not
from rondo.cells import Cell, cell, get_cell, mean, recur, registry, sigmoid, tanh
from rondo.cells import project as project_input
from rondo.errors import UsageError
from rondo.ir import State
from rondo.layers import Recurrent, StackState
from rondo.testing.tolerances import assert_close

VENDOR = ["rnn", "lstm", "lstm_projected", "gru"]
RUNS = [(name, "reference") for name in registry] + [(name, "vendor") for name in VENDOR]
RUNS += [] if why_not() else [(name, "cpu") for name in registry]
OTHERS = ["vendor"] if why_not() else ["vendor", "cpu"]


def make(name: str, *, scale: float = 0.4, dtype: torch.dtype = torch.float64, **options: Any) -> Recurrent:
    """A layer of 3 inputs and 6 units with random weights everywhere, biases and gains too."""
    if registry[name].has_projection:
        options.setdefault("projection_size", 4)
    layer = Recurrent(name, 3, 6, dtype=dtype, **options)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random, dtype=dtype) * scale)
    return layer


def random_x(B: int = 4, T: int = 7, seed: int = 2) -> torch.Tensor:
    return torch.randn(B, T, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", VENDOR)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("lengths", [None, [3, 0, 7, 5], [0, 0, 0, 0], [7, 7, 7, 7]])
@pytest.mark.parametrize("backend", OTHERS)
def test_a_stack_equals_the_reference(
    name: str, bidirectional: bool, bias: bool, lengths: list[int] | None, backend: str
) -> None:
    options = {"layers": 3, "bidirectional": bidirectional, "bias": bias, "learned_state": True}
    results = []
    for layer in (make(name, backend=taken, **options) for taken in ("reference", backend)):
        x = random_x().requires_grad_()
        output = layer(x, lengths=lengths)
        total = (output.sequence**2).sum() + sum(
            (v * (i + 1)).sum() for i, v in enumerate(output.state.parts().values())
        )
        leaves = [x, *layer.parameters()]
        found = torch.autograd.grad(total, leaves, allow_unused=True)
        gradients = [torch.zeros_like(v) if g is None else g for g, v in zip(found, leaves, strict=True)]
        results.append(([output.sequence, output.last, *output.state.parts().values()], gradients, list(output.state)))
    (values, gradients, names), (others, other_gradients, other_names) = results
    assert names == other_names
    for ours, theirs in zip(others, values, strict=True):
        assert_close(ours, theirs, torch.float64)
    for ours, theirs in zip(other_gradients, gradients, strict=True):
        assert_close(ours, theirs, torch.float64, gradients=True)


@pytest.mark.parametrize(("name", "backend"), RUNS)
def test_stepping_equals_the_whole(name: str, backend: str) -> None:
    layer, x = make(name, layers=2, backend=backend).eval(), random_x()
    whole = layer(x)
    state, steps = None, []
    for x_t in x.unbind(1):
        h, state = layer.step(x_t, state)
        steps.append(h)
    assert_close(torch.stack(steps, 1), whole.sequence, torch.float64)
    for part, value in whole.state.parts().items():
        assert_close(state[part], value, torch.float64)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", registry)
def test_a_reset_equals_sequences_run_apart(name: str, bidirectional: bool, learned: bool) -> None:
    layer, x = make(name, layers=2, bidirectional=bidirectional, learned_state=learned), random_x(B=2)
    reset = torch.zeros(2, 7, dtype=torch.bool)
    reset[0, [2, 5]] = True
    reset[1, 4] = True
    given = layer.initial_state(2).map(lambda value: value + 0.3)
    output = layer(x, given, reset=reset)
    for row, cuts in ((0, [0, 2, 5, 7]), (1, [0, 4, 7])):
        fresh = layer.initial_state(1)
        pieces = []
        for start, end in itertools.pairwise(cuts):
            # What was given begins the first piece forwards, and the last one backwards.
            parts = {}
            for part, value in fresh.parts().items():
                takes_given = end == 7 if part.endswith("reverse") else start == 0
                parts[part] = given[part][row : row + 1] if takes_given else value
            pieces.append(layer(x[row : row + 1, start:end], StackState(parts)))
        alone = torch.cat([piece.sequence for piece in pieces], 1)
        assert_close(output.sequence[row : row + 1], alone, torch.float64)
        for part, value in output.state.parts().items():
            piece = pieces[0] if part.endswith("reverse") else pieces[-1]
            assert_close(value[row : row + 1], piece.state[part], torch.float64)


def test_a_reset_mark_changes_the_result_and_a_learned_state_too() -> None:
    x, reset = random_x(), torch.zeros(4, 7, dtype=torch.bool)
    reset[1, 3] = True
    results = []
    for learned in (False, True):
        layer = make("gru", learned_state=learned, backend="reference")
        results.append(layer(x, reset=reset).sequence)
        difference = (layer(x).sequence != results[-1]).any(2)
        assert difference[1, 3:].all()
        assert not difference[1, :3].any()
        assert not difference[[0, 2, 3]].any()
    assert not torch.allclose(results[0][1, 3], results[1][1, 3])


@pytest.mark.parametrize("name", ["lstm", "gru", "mgu", "slstm"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_lengths_of_any_kind_and_order(name: str, bidirectional: bool) -> None:
    layer, x = make(name, layers=2, bidirectional=bidirectional), random_x()
    lengths = [3, 0, 7, 1]
    output = layer(x, lengths=lengths)
    for other in (torch.tensor(lengths), torch.tensor(lengths, dtype=torch.int32), tuple(lengths)):
        assert torch.equal(layer(x, lengths=other).sequence, output.sequence)
    for row, length in enumerate(lengths):
        if length == 0:
            assert not output.sequence[row].any()
            assert torch.equal(output.last[row : row + 1], torch.zeros(1, layer.output_size).double())
            continue
        alone = layer(x[row : row + 1, :length])
        assert_close(output.sequence[row : row + 1, :length], alone.sequence, torch.float64)
        assert_close(output.last[row : row + 1], alone.last, torch.float64)
        assert not output.sequence[row, length:].any()
        for part, value in alone.state.parts().items():
            assert_close(output.state[part][row : row + 1], value, torch.float64)


def test_an_empty_sequence_keeps_the_state_it_was_given() -> None:
    layer, x = make("lstm", layers=2), random_x()
    given = layer.initial_state(4).map(lambda value: torch.randn_like(value))
    output = layer(x, given, lengths=[0, 7, 0, 2])
    for part, value in output.state.parts().items():
        assert torch.equal(value[[0, 2]], given[part][[0, 2]])
        assert not torch.equal(value[1], given[part][1])


@pytest.mark.parametrize("name", ["gru", "lstm_layer_norm"])
def test_nan_in_the_padding_reaches_nothing(name: str) -> None:
    layer = make(name, layers=2, bidirectional=True, input_dropout=0.3, layer_dropout=0.3, locked_dropout=True)
    x = random_x()
    x[0, 3:], x[1] = float("nan"), float("nan")
    x.requires_grad_()
    output = layer(x, lengths=[3, 0, 7, 7])
    gradients = torch.autograd.grad(output.sequence.sum() + output.last.sum(), [x, *layer.parameters()])
    assert output.sequence.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert not gradients[0][0, 3:].any()


def test_last_is_the_output_after_the_last_step_of_both_directions() -> None:
    layer, x = make("gru", bidirectional=True), random_x()
    output = layer(x, lengths=[3, 7, 1, 5])
    assert torch.equal(output.last[0, :6], output.sequence[0, 2, :6])
    assert torch.equal(output.last[0, 6:], output.sequence[0, 0, 6:])


@pytest.mark.parametrize(("name", "backend"), RUNS)
def test_chunks_with_the_state_carried(name: str, backend: str) -> None:
    layer, x = make(name, layers=2, backend=backend), random_x()
    first = layer(x[:, :3])
    second = layer(x[:, 3:], first.state)
    assert_close(torch.cat([first.sequence, second.sequence], 1), layer(x).sequence, torch.float64)
    assert not torch.equal(second.sequence, layer(x[:, 3:]).sequence)


def test_parameters_are_named_as_torchs() -> None:
    theirs = torch.nn.LSTM(3, 6, 2, bidirectional=True, proj_size=4, bias=True)
    ours = Recurrent("lstm_projected", 3, 6, layers=2, bidirectional=True, projection_size=4)
    shapes = {name: tuple(value.shape) for name, value in theirs.named_parameters()}
    assert {name: tuple(value.shape) for name, value in ours.named_parameters()} == shapes
    ours.load_state_dict(theirs.state_dict())


def test_an_own_cell_with_torchs_equations_runs_fused_and_equals_torch() -> None:
    @cell
    def mine(x, h):
        reset = sigmoid(recur("reset", h) + project_input("reset", x))
        update = sigmoid(project_input("update", x) + recur("update", h))
        new = tanh(recur("new", h) * reset + project_input("new", x))
        return State(h=h * update + new * (1 - update))

    ours, theirs = Recurrent(mine, 3, 6, layers=2), torch.nn.GRU(3, 6, 2, batch_first=True)
    ours.load_state_dict(theirs.state_dict())
    x = random_x().float()
    assert_close(ours(x).sequence, theirs(x)[0], torch.float32)
    ours.backend = "vendor"
    assert_close(ours(x).sequence, theirs(x)[0], torch.float32)


def test_a_saved_cell_runs_as_the_one_it_was_saved_from() -> None:
    for name in ("lstm_peephole", "lstm"):
        layer, x = make(name, layers=2), random_x()
        loaded = Recurrent(Cell.from_json(layer.cell.to_json()), 3, 6, layers=2, dtype=torch.float64)
        loaded.load_state_dict(layer.state_dict())
        assert_close(loaded(x).sequence, layer(x).sequence, torch.float64)


def test_second_derivatives() -> None:
    layer = make("gru", layers=2, backend="reference", bidirectional=True)
    x = random_x(2, 3).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda value: layer(value, lengths=[3, 1]).sequence, (x,))


def test_explain_says_what_runs_and_why_not_the_others() -> None:
    layer = Recurrent("lstm", 3, 6, recurrent_dropout=0.2)
    assert "vendor     does not run: torch's layers cannot do recurrent dropout" in layer.explain()
    assert "vendor     does not run" not in layer.eval().explain()
    assert "torch's layers cannot do reset marks" in layer.explain(reset=True)
    assert "layer_dropout acts between layers" in Recurrent("gru", 3, 6, layer_dropout=0.1).explain()


def test_a_copy_is_a_layer_of_its_own() -> None:
    layer, x = make("lstm_peephole"), random_x()
    other = copy.deepcopy(layer)
    assert torch.equal(other(x).sequence, layer(x).sequence)
    with torch.no_grad():
        other.weight_ih_l0.add_(1.0)
    assert not torch.equal(other(x).sequence, layer(x).sequence)


def test_options_of_the_cell_and_of_its_initial_values() -> None:
    assert Recurrent("rnn", 3, 6, cell_options={"nonlinearity": "relu"}).cell.options["nonlinearity"] == "relu"
    identity = Recurrent("rnn", 3, 6, init="identity", layers=2)
    assert torch.equal(identity.weight_hh_l1, torch.eye(6))
    lstm = Recurrent("lstm", 3, 6, forget_bias=2.5)
    assert torch.equal(lstm.bias_ih_l0[6:12] + lstm.bias_hh_l0[6:12], torch.full((6,), 2.5))
    chrono = Recurrent("lstm", 3, 6, chrono=100)
    assert not torch.equal(chrono.bias_ih_l0[6:12], lstm.bias_ih_l0[6:12])
    assert (chrono.bias_ih_l0[6:12] >= 0).all()
    before = chrono.weight_hh_l0.clone()
    chrono.reset_parameters(torch.Generator().manual_seed(1))
    once = chrono.weight_hh_l0.clone()
    chrono.reset_parameters(torch.Generator().manual_seed(1))
    assert torch.equal(chrono.weight_hh_l0, once)
    assert not torch.equal(before, once)


def test_a_cell_that_stores_nothing_is_refused() -> None:
    @cell
    def averaging(x, h):
        return State(h=0.9 * h + 0.1 * mean(x))

    with pytest.raises(UsageError, match="cell 'averaging' has no stored array"):
        Recurrent(averaging, 3, 5)


def test_without_bias_there_is_none() -> None:
    layer = Recurrent("gru", 3, 6, bias=False)
    assert [name for name, _ in layer.named_parameters()] == ["weight_ih_l0", "weight_hh_l0"]


@pytest.mark.parametrize("asked", [{"forget_bias": 5.0}, {"chrono": 10}])
def test_the_bias_of_a_gate_without_one_is_refused_when_asked_for(asked: dict[str, Any]) -> None:
    Recurrent("lstm", 3, 6, bias=False)  # the cell's own default, which has nothing to act on
    with pytest.raises(UsageError, match=rf"{next(iter(asked))} sets .* biases are switched off"):
        Recurrent("lstm", 3, 6, bias=False, **asked)
    normalised = Recurrent("lstm_layer_norm", 3, 6, bias=False, forget_bias=5.0)  # its bias is a vector of its own
    assert torch.equal(normalised.b_f_l0, torch.full((6,), 5.0))


def test_learned_state_gets_a_gradient_in_every_layer_and_direction() -> None:
    layer = make("lstm", layers=2, bidirectional=True, learned_state=True)
    layer(random_x()).sequence.sum().backward()
    for place in ("l0", "l0_reverse", "l1", "l1_reverse"):
        for part in "hc":
            assert getattr(layer, f"initial_{part}_{place}").grad.any()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"cell": "grru"}, "did you mean 'gru'"),
        ({"bidirectional": "yes"}, "bidirectional is True or False, not 'yes'"),
        ({"bidirectional": 2}, "bidirectional is True or False, not 2"),
        ({"backend": None}, "backend is one of 'auto', 'cpu', 'vendor', 'reference'; not None"),
        ({"backend": ["cpu"]}, "backend is one of 'auto', 'cpu', 'vendor', 'reference'; not"),
        ({"hidden_size": 0}, "hidden_size"),
        ({"layers": 0}, "layers"),
        ({"zoneout": 1.0}, "zoneout is a probability"),
        ({"input_dropout": "a"}, "input_dropout is a probability from 0 to below 1, not 'a'"),
        ({"cell": None}, "not as None"),
        ({"cell": len}, "mark the function with @cell"),
        ({"layer_dropout": -0.1}, "layer_dropout is a probability"),
        ({"cell": "min_gru", "recurrent_dropout": 0.1}, "no product with its state"),
        ({"cell": "min_gru", "weight_drop": 0.1}, "no product with its state"),
        ({"cell": "lstm_projected"}, "needs projection_size"),
        ({"projection_size": 3}, "'lstm_projected' has one"),
        ({"cell": "mgu", "backend": "vendor"}, "equations of 'mgu'"),
        ({"zoneout": 0.1, "backend": "vendor"}, "zoneout"),
        ({"backend": "cuda"}, "unknown backend"),
        ({"cell_options": {"nonlinearity": "relu"}}, "no option"),
        ({"cell": get_cell("gru"), "cell_options": {"heads": 2}}, "go with the name"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], says: str) -> None:
    given = {"cell": "gru", "input_size": 3, "hidden_size": 6, **options}
    with pytest.raises(UsageError, match=says):
        Recurrent(given.pop("cell"), given.pop("input_size"), given.pop("hidden_size"), **given)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"x": torch.zeros(2, 3)}, r"expected \(batch, time, 3\)"),
        ({"x": torch.zeros(2, 5, 4)}, r"shape \(2, 5, 4\)"),
        ({"lengths": [1, 2, 3]}, r"expected \(2,\)"),
        ({"lengths": [1, 6]}, "x has 5 steps"),
        ({"lengths": [-1, 5]}, "from -1 to 5"),
        ({"lengths": [1.0, 2.0]}, "whole numbers"),
        ({"lengths": "abc"}, "lengths is a tensor or lists"),
        ({"lengths": []}, r"expected \(2,\)"),
        ({"reset": [[0, 1]]}, r"shape \(1, 2\); expected \(2, 5\)"),
        ({"reset": torch.full((2, 5), 2)}, "reset is made of marks, True and False or 1 and 0"),
        ({"reset": [[0, 0, 0.5, 0, 1]] * 2}, "reset is made of marks, True and False or 1 and 0"),
        ({"reset": [[0, 1], [0]]}, "reset is a tensor or lists"),
        ({"x": [1]}, "x is a tensor, not list"),
        ({"x": torch.zeros(2, 5, 3, dtype=torch.float64)}, "x has dtype torch.float64, the layer torch.float32"),
        ({"x": torch.zeros(2, 5, 3, device="meta")}, "x is on meta"),
        ({"reset": torch.zeros(2, 4)}, r"expected \(2, 5\)"),
        ({"state": StackState({"h_l0": torch.zeros(3, 6)})}, "for 3 sequences, x has 2"),
        ({"state": StackState({"h_l1": torch.zeros(2, 6)})}, "has no h_l0"),
    ],
)
def test_bad_input(arguments: dict[str, Any], says: str) -> None:
    x = arguments.pop("x", torch.zeros(2, 5, 3))
    state = arguments.pop("state", None)
    with pytest.raises(UsageError, match=says):
        Recurrent("gru", 3, 6)(x, state, **arguments)


def test_reset_marks_and_lengths_may_be_lists_also_of_nothing() -> None:
    layer, x = make("gru"), random_x(B=2, T=3)
    marks = [[False, False, True], [False, True, False]]
    assert torch.equal(layer(x, reset=marks).sequence, layer(x, reset=torch.tensor(marks)).sequence)
    for kind in (torch.int32, torch.float64):
        again = torch.tensor(marks).to(kind)
        assert torch.equal(layer(x, reset=again).sequence, layer(x, reset=marks).sequence)
    assert not torch.equal(layer(x, reset=marks).sequence, layer(x).sequence)
    for options in ({"lengths": []}, {"reset": []}, {"lengths": [], "reset": []}):
        assert layer(x[:0], **options).sequence.shape == (0, 3, layer.output_size)


def test_a_step_takes_one_step() -> None:
    with pytest.raises(UsageError, match=r"step\(\) expects \(batch, 3\)"):
        Recurrent("gru", 3, 6).step(torch.zeros(2, 5, 3))


def test_explain_names_locked_dropout_that_locks_nothing() -> None:
    without = "locked_dropout is about"
    assert without in Recurrent("gru", 3, 6, locked_dropout=True).explain()
    assert without not in Recurrent("gru", 3, 6, locked_dropout=True, input_dropout=0.1).explain()
    assert without not in Recurrent("gru", 3, 6, layers=2, locked_dropout=True, layer_dropout=0.1).explain()


def test_both_directions_cannot_be_stepped() -> None:
    with pytest.raises(UsageError, match="whole sequence"):
        Recurrent("gru", 3, 6, bidirectional=True).step(torch.zeros(1, 3))
