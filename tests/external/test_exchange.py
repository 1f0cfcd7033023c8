"""Weights exchanged with Keras and ONNX compute the same, by those systems' documented equations.

`documented` holds the equations of Keras and ONNX. Rondo's side is torch.nn where torch has the cell, and
Rondo's own cell always. All weights are random and asymmetric: no two gates can change places unnoticed.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rondo.cells import State, get_cell
from rondo.errors import UsageError
from rondo.exchange import LAYOUTS, from_keras, from_onnx, onnx_operator, to_keras, to_onnx
from tests.external import documented

B, T, I, H = 3, 6, 5, 4
GATES = {"rnn": 1, "lstm": 4, "lstm_peephole": 4, "gru": 3, "gru_reset_before": 3}
TORCH = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
KERAS = ["rnn", "lstm", "gru", "gru_reset_before"]


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape) * 0.8


X = random(B, T, I, seed=99)


def keras_arrays(cell: str, *, bias: bool = True, seed: int = 0) -> list[np.ndarray]:
    width = GATES[cell] * H
    arrays = [random(I, width, seed=seed), random(H, width, seed=seed + 1)]
    if bias:
        arrays.append(random(2, width, seed=seed + 2) if cell == "gru" else random(width, seed=seed + 2))
    return arrays


def keras_output(cell: str, x: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
    if cell == "rnn":
        return documented.keras_simple_rnn(x, *arrays)
    if cell == "lstm":
        return documented.keras_lstm(x, *arrays)
    return documented.keras_gru(x, *arrays, reset_after=cell == "gru")


def onnx_inputs(cell: str, *, bias: bool = True, directions: int = 1) -> dict[str, np.ndarray]:
    rows = GATES[cell] * H
    inputs = {"W": random(directions, rows, I), "R": random(directions, rows, H)}
    if bias:
        inputs["B"] = random(directions, 2 * rows)
    if cell == "lstm_peephole":
        inputs["P"] = random(directions, 3 * H)
    return inputs


def onnx_output(cell: str, x: np.ndarray, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Batch first, directions side by side, as Rondo and torch give it."""
    operator, attributes = onnx_operator(cell)
    function = {"RNN": documented.onnx_rnn, "LSTM": documented.onnx_lstm, "GRU": documented.onnx_gru}[operator]
    out = function(x.transpose(1, 0, 2), **inputs, **attributes)
    return out.transpose(2, 0, 1, 3).reshape(len(x), x.shape[1], -1)


def rondo_weights(cell: str, *, bias: bool = True, bidirectional: bool = False, layer: int = 0, width: int = I):
    rows, weights = GATES[cell] * H, {}
    for seed, suffix in enumerate([f"_l{layer}", f"_l{layer}_reverse"][: 1 + bidirectional]):
        weights["weight_ih" + suffix] = random(rows, width, seed=seed)
        weights["weight_hh" + suffix] = random(rows, H, seed=seed + 10)
        if bias:
            weights["bias_ih" + suffix] = random(rows, seed=seed + 20)
            weights["bias_hh" + suffix] = random(rows, seed=seed + 30)
        if cell == "lstm_peephole":
            weights |= {p + suffix: random(H, seed=seed + n) for n, p in enumerate(("p_i", "p_f", "p_o"), 40)}
    return weights


def rondo_output(cell: str, x: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Rondo's own equations, stepped through time."""
    equations, outputs = get_cell(cell), []
    directions = ["_l0", "_l0_reverse"] if "weight_ih_l0_reverse" in weights else ["_l0"]
    for suffix in directions:
        own = {n.removesuffix(suffix): torch.tensor(w) for n, w in weights.items() if n.endswith(suffix)}
        step = equations.bind(own, {"input": I, "hidden": H})
        state = State(**dict.fromkeys(equations.state_parts, torch.zeros(len(x), H, dtype=torch.float64)))
        read, sequence = torch.tensor(x if suffix == "_l0" else x[:, ::-1].copy()), []
        for t in range(x.shape[1]):
            state = step(read[:, t], state)
            sequence.append(state.h)
        out = torch.stack(sequence, 1).numpy()
        outputs.append(out if suffix == "_l0" else out[:, ::-1])
    return np.concatenate(outputs, -1)


def torch_output(cell: str, x: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    module = TORCH[cell](
        I, H, batch_first=True, bias="bias_ih_l0" in weights, bidirectional="weight_ih_l0_reverse" in weights
    ).double()
    module.load_state_dict({name: torch.tensor(weight) for name, weight in weights.items()})
    return module(torch.tensor(x))[0].detach().numpy()


def assert_computes(cell: str, weights: dict[str, np.ndarray], expected: np.ndarray) -> None:
    np.testing.assert_allclose(rondo_output(cell, X, weights), expected, rtol=1e-12, atol=1e-13)
    if cell in TORCH:
        np.testing.assert_allclose(torch_output(cell, X, weights), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("cell", KERAS)
def test_what_comes_from_keras_computes_what_keras_computes(cell: str, bias: bool) -> None:
    arrays = keras_arrays(cell, bias=bias)
    assert_computes(cell, from_keras(cell, arrays), keras_output(cell, X, *arrays))


@pytest.mark.parametrize("cell", KERAS)
def test_both_directions_come_from_keras(cell: str) -> None:
    arrays = keras_arrays(cell) + keras_arrays(cell, seed=50)
    expected = documented.keras_bidirectional(lambda *a: keras_output(cell, *a), X, arrays)
    assert_computes(cell, from_keras(cell, arrays), expected)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("cell", KERAS)
def test_what_goes_to_keras_computes_the_same_there(cell: str, bias: bool, bidirectional: bool) -> None:
    weights = rondo_weights(cell, bias=bias, bidirectional=bidirectional)
    arrays = to_keras(cell, weights)
    assert len(arrays) == (2 + bias) * (1 + bidirectional)
    if bidirectional:
        theirs = documented.keras_bidirectional(lambda *a: keras_output(cell, *a), X, arrays)
    else:
        theirs = keras_output(cell, X, *arrays)
    assert_computes(cell, weights, theirs)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("cell", LAYOUTS)
def test_what_comes_from_onnx_computes_what_onnx_computes(cell: str, bias: bool, directions: int) -> None:
    inputs = onnx_inputs(cell, bias=bias, directions=directions)
    assert_computes(cell, from_onnx(cell, inputs), onnx_output(cell, X, inputs))


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("cell", LAYOUTS)
def test_what_goes_to_onnx_computes_the_same_there(cell: str, bias: bool, bidirectional: bool) -> None:
    weights = rondo_weights(cell, bias=bias, bidirectional=bidirectional)
    assert_computes(cell, weights, onnx_output(cell, X, to_onnx(cell, weights)))


@pytest.mark.parametrize("cell", LAYOUTS)
def test_onnx_and_back_gives_the_same_arrays(cell: str) -> None:
    weights = rondo_weights(cell, bidirectional=True)
    back = from_onnx(cell, to_onnx(cell, weights))
    assert back.keys() == weights.keys()
    for name, weight in weights.items():
        np.testing.assert_array_equal(back[name], weight)


def test_keras_and_back_keeps_both_biases_of_the_gru() -> None:
    weights = rondo_weights("gru", bidirectional=True)
    back = from_keras("gru", to_keras("gru", weights))
    assert back.keys() == weights.keys()
    for name, weight in weights.items():
        np.testing.assert_array_equal(back[name], weight)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru_reset_before"])
def test_where_keras_has_one_bias_the_sum_goes_and_comes(cell: str) -> None:
    weights = rondo_weights(cell)
    back = from_keras(cell, to_keras(cell, weights))
    np.testing.assert_array_equal(back["bias_ih_l0"], weights["bias_ih_l0"] + weights["bias_hh_l0"])
    assert not back["bias_hh_l0"].any()


def test_arrays_worked_out_by_hand() -> None:
    """One unit, one input: each number names its gate."""
    z, r, h = 1.0, 2.0, 3.0
    gru = from_keras("gru", [np.array([[z, r, h]]), 10 * np.array([[z, r, h]]), np.array([[4.0, 5, 6], [7, 8, 9]])])
    assert gru["weight_ih_l0"].tolist() == [[2], [1], [3]]  # r z n
    assert gru["weight_hh_l0"].tolist() == [[20], [10], [30]]
    assert gru["bias_ih_l0"].tolist() == [5, 4, 6]
    assert gru["bias_hh_l0"].tolist() == [8, 7, 9]

    i, f, c, o = 1.0, 2.0, 3.0, 4.0
    lstm = from_keras("lstm", [np.array([[i, f, c, o]]), np.array([[i, f, c, o]]), np.array([i, f, c, o])])
    assert lstm["weight_ih_l0"].tolist() == [[1], [2], [3], [4]]  # i f g o: Keras' own order
    onnx = from_onnx(
        "lstm_peephole",
        {
            "W": np.array([[[i], [o], [f], [c]]]),
            "R": np.array([[[i], [o], [f], [c]]]),
            "B": np.array([[i, o, f, c, -i, -o, -f, -c]]),
            "P": np.array([[i, o, f]]),
        },
    )
    assert onnx["weight_ih_l0"].tolist() == [[1], [2], [3], [4]]
    assert onnx["bias_ih_l0"].tolist() == [1, 2, 3, 4]
    assert onnx["bias_hh_l0"].tolist() == [-1, -2, -3, -4]
    assert (onnx["p_i_l0"], onnx["p_f_l0"], onnx["p_o_l0"]) == ([1], [2], [4])


@pytest.mark.parametrize(("there", "back"), [(to_keras, from_keras), (to_onnx, from_onnx)])
def test_one_layer_of_a_state_dict_is_exchanged(there, back) -> None:
    module = torch.nn.GRU(I, H, num_layers=12, bidirectional=True)
    state = module.state_dict()
    changed = back("gru", there("gru", state, layer=1), layer=1)
    assert set(changed) == {name for name in state if name.endswith(("_l1", "_l1_reverse"))}
    for name, weight in changed.items():
        assert weight.dtype == np.float32
        np.testing.assert_array_equal(weight, state[name].numpy())


def test_what_is_given_back_is_a_copy() -> None:
    weights = rondo_weights("rnn")
    arrays = [*to_keras("rnn", weights), *to_onnx("rnn", weights).values()]
    again = from_keras("rnn", arrays[:3])
    for array in arrays:
        assert array.flags.c_contiguous
        array[...] = 0.0
    assert all(weight.all() for weight in weights.values())
    assert again["weight_ih_l0"].all()


WRONG = {
    "kernel too wide": (
        lambda: from_keras("gru", [random(I, 13), random(H, 12)]),
        ["kernel", "(5, 13)", "(5, 12)"],
    ),
    "kernel of rank 1": (lambda: from_keras("gru", [random(12), random(H, 12)]), ["kernel", "(12,)"]),
    "recurrent kernel turned round": (
        lambda: from_keras("lstm", [random(I, 16), random(16, 4)]),
        ["recurrent_kernel", "(16, 4)", "(16, 64)"],
    ),
    "recurrent kernel of rank 3": (
        lambda: from_keras("lstm", [random(I, 16), random(1, H, 16)]),
        ["recurrent_kernel", "(1, 4, 16)", "(units, gates * units)"],
    ),
    "the other variant's bias": (
        lambda: from_keras("gru", [random(I, 12), random(H, 12), random(12)]),
        ["bias", "(12,)", "(2, 12)", "gru_reset_before"],
    ),
    "the backward layer's kernel": (
        lambda: from_keras("gru", [random(I, 12), random(H, 12), random(I, 11), random(H, 12)]),
        ["kernel of the backward layer", "(5, 11)", "(5, 12)"],
    ),
    "directions of two widths": (
        lambda: from_keras("rnn", [random(I, 4), random(4, 4), random(I, 3), random(3, 3)]),
        ["weight_ih_l0_reverse", "(3, 5)", "(4, 5)"],
    ),
    "five arrays": (
        lambda: from_keras("gru", [random(3)] * 5),
        ["5 arrays", "kernel, recurrent_kernel and bias"],
    ),
    "whole numbers": (
        lambda: from_keras("rnn", [np.ones((I, H), int), random(H, H)]),
        ["kernel", "int64", "floating-point"],
    ),
    "no such cell": (lambda: from_keras("lsmt", []), ["'lsmt'", "did you mean 'lstm'"]),
    "a cell of Rondo's": (lambda: to_onnx("slstm", {}), ["'slstm'", "ONNX"]),
    "a cell Keras lacks": (lambda: to_keras("lstm_peephole", {}), ["Keras has no layer", "lstm_peephole"]),
    "nor takes it": (lambda: from_keras("lstm_peephole", []), ["Keras has no layer", "lstm_peephole"]),
    "a missing weight": (
        lambda: to_keras("rnn", {"weight_ih_l0": random(H, I)}),
        ["'weight_hh_l0' is missing", "layer 0"],
    ),
    "one bias of two": (
        lambda: to_keras("rnn", {k: v for k, v in rondo_weights("rnn").items() if k != "bias_hh_l0"}),
        ["'bias_hh_l0' is missing"],
    ),
    "a layer that is not there": (
        lambda: to_onnx("rnn", rondo_weights("rnn"), layer=3),
        ["'weight_ih_l3'", "layer 3"],
    ),
    "a projection": (
        lambda: to_keras("lstm", rondo_weights("lstm") | {"weight_hr_l0": random(2, H)}),
        ["'weight_hr_l0' has no place"],
    ),
    "weights of another cell": (
        lambda: to_onnx("gru", rondo_weights("lstm")),
        ["weight_ih_l0", "(16, 5)", "(12, 5)"],
    ),
    "a short bias": (
        lambda: to_onnx("gru", rondo_weights("gru") | {"bias_hh_l0": random(4)}),
        ["bias_hh_l0", "(4,)", "(12,)"],
    ),
    "a flat weight": (
        lambda: to_onnx("gru", rondo_weights("gru") | {"weight_hh_l0": random(48)}),
        ["weight_hh_l0", "(48,)", "(gates * hidden, hidden)"],
    ),
    "W of ONNX": (
        lambda: from_onnx("gru", {"W": random(1, 16, I), "R": random(1, 12, H)}),
        ["W", "(1, 16, 5)", "(1, 12, 5)"],
    ),
    "B of ONNX": (
        lambda: from_onnx("gru", onnx_inputs("gru") | {"B": random(1, 12)}),
        ["B", "(1, 12)", "(1, 24)"],
    ),
    "P of ONNX": (
        lambda: from_onnx("lstm_peephole", onnx_inputs("lstm_peephole") | {"P": random(1, 16)}),
        ["P", "(1, 16)", "(1, 12)"],
    ),
    "R without directions": (
        lambda: from_onnx("gru", {"W": random(12, I), "R": random(12, H)}),
        ["R", "(12, 4)", "1 or 2 directions"],
    ),
    "no R": (lambda: from_onnx("gru", {"W": random(1, 12, I)}), ["'R'", "GRU", "missing"]),
    "no P": (lambda: from_onnx("lstm_peephole", onnx_inputs("lstm")), ["'P'", "LSTM", "missing"]),
    "an input of another cell": (lambda: from_onnx("lstm", onnx_inputs("lstm_peephole")), ["'P'", "'lstm'"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_named(name: str) -> None:
    call, words = WRONG[name]
    with pytest.raises(UsageError) as caught:
        call()
    for word in words:
        assert word in str(caught.value)
