"""The textbooks' forms of the cells, over whole sequences in NumPy, equal Rondo's cells and torch's layers.

`docs/textbook-forms.md` shows the same a step at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from rondo.cells import State, get_cell

B, T, I, H = 2, 7, 3, 4
TORCH = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
Weights = dict[str, np.ndarray]


def random_weights(cell: str) -> Weights:
    generator = np.random.default_rng(7)
    sizes = {"input": I, "hidden": H}
    return {p.name: generator.normal(size=p.shape(sizes)) for p in get_cell(cell).parameters}


X = np.random.default_rng(8).normal(size=(B, T, I))


def ours(cell: str, weights: Weights) -> np.ndarray:
    step = get_cell(cell).bind({n: torch.tensor(w) for n, w in weights.items()}, {"input": I, "hidden": H})
    state = State(**dict.fromkeys(get_cell(cell).state_parts, torch.zeros(B, H, dtype=torch.float64)))
    outputs = []
    for t in range(T):
        state = step(torch.tensor(X[:, t]), state)
        outputs.append(state.h)
    return torch.stack(outputs, 1).numpy()


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def unroll(step: Callable[..., tuple[np.ndarray, ...]], parts: int = 1) -> np.ndarray:
    """Run ``step(x, *state) -> state`` over the columns of X; the first part of the state is the output."""
    state, outputs = (np.zeros((H, B)),) * parts, []
    for t in range(T):
        state = step(X[:, t].T, *state)
        outputs.append(state[0].T)
    return np.stack(outputs, 1)


def concatenated(weights: Weights, gates: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each gate the matrix over [h, x] and its one bias, a column."""
    matrix = np.concatenate([weights["weight_hh"], weights["weight_ih"]], 1)
    bias = (weights["bias_ih"] + weights["bias_hh"])[:, None]
    return dict(zip(gates, zip(np.split(matrix, len(gates)), np.split(bias, len(gates)), strict=True), strict=True))


def rnn_with_three_matrices(weights: Weights) -> np.ndarray:
    waa, wax = weights["weight_hh"], weights["weight_ih"]
    ba = (weights["bias_ih"] + weights["bias_hh"])[:, None]
    return unroll(lambda x, a: (np.tanh(waa @ a + wax @ x + ba),))


def rnn_in_rows(weights: Weights) -> np.ndarray:
    w_xh, w_hh = weights["weight_ih"].T, weights["weight_hh"].T
    b_h = weights["bias_ih"] + weights["bias_hh"]
    return unroll(lambda x, h: (np.tanh(x.T @ w_xh + h.T @ w_hh + b_h).T,))


def rnn_concatenated(weights: Weights) -> np.ndarray:
    wa, ba = concatenated(weights, "a")["a"]
    return unroll(lambda x, a: (np.tanh(wa @ np.vstack([a, x]) + ba),))


def lstm_concatenated(weights: Weights) -> np.ndarray:
    gates = concatenated(weights, "ufco")  # update, forget, candidate, output

    def step(x: np.ndarray, a: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, ...]:
        pre = {name: w @ np.vstack([a, x]) + b for name, (w, b) in gates.items()}
        c = sigmoid(pre["u"]) * np.tanh(pre["c"]) + sigmoid(pre["f"]) * c
        return sigmoid(pre["o"]) * np.tanh(c), c

    return unroll(step, parts=2)


def gru_where_z_replaces(weights: Weights) -> np.ndarray:
    """h = z n + (1 - z) h: the weights of z with the other sign."""
    w, u, b, c = (weights[n].copy() for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    for array in (w, u, b, c):
        array[H : 2 * H] *= -1

    def step(x: np.ndarray, h: np.ndarray) -> tuple[np.ndarray]:
        x_r, x_z, x_n = np.split(w @ x + b[:, None], 3)
        h_r, h_z, h_n = np.split(u @ h + c[:, None], 3)
        z = sigmoid(x_z + h_z)
        return (z * np.tanh(x_n + sigmoid(x_r + h_r) * h_n) + (1 - z) * h,)

    return unroll(step)


def gru_of_the_courses(weights: Weights) -> np.ndarray:
    """Concatenated, z exchanged, reset inside the product."""
    gates = concatenated(weights, "ruc")

    def step(x: np.ndarray, c: np.ndarray) -> tuple[np.ndarray]:
        def affine(gate: str, state: np.ndarray) -> np.ndarray:
            return gates[gate][0] @ np.vstack([state, x]) + gates[gate][1]

        update, reset = 1 - sigmoid(affine("u", c)), sigmoid(affine("r", c))
        candidate = np.tanh(affine("c", reset * c))
        return (update * candidate + (1 - update) * c,)

    return unroll(step)


FORMS = [
    ("rnn", rnn_with_three_matrices),
    ("rnn", rnn_in_rows),
    ("rnn", rnn_concatenated),
    ("lstm", lstm_concatenated),
    ("gru", gru_where_z_replaces),
    ("gru_reset_before", gru_of_the_courses),
]


@pytest.mark.parametrize(("cell", "form"), FORMS, ids=[form.__name__ for _, form in FORMS])
def test_a_textbook_form_is_the_cell(cell: str, form: Callable[[Weights], np.ndarray]) -> None:
    weights = random_weights(cell)
    np.testing.assert_allclose(form(weights), ours(cell, weights), rtol=1e-12, atol=1e-13)
    if cell in TORCH:
        layer = TORCH[cell](I, H, batch_first=True).double()
        layer.load_state_dict({name + "_l0": torch.tensor(weight) for name, weight in weights.items()})
        np.testing.assert_allclose(form(weights), layer(torch.tensor(X))[0].detach(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("cell", "form"), FORMS, ids=[form.__name__ for _, form in FORMS])
def test_a_form_uses_every_gate_of_every_array(cell: str, form: Callable[[Weights], np.ndarray]) -> None:
    for name in random_weights(cell):
        for gate in range(len(random_weights(cell)["bias_ih"]) // H):
            changed = random_weights(cell)
            changed[name][gate * H] += 0.1
            assert not np.allclose(form(changed), form(random_weights(cell))), (name, gate)


def test_two_biases_are_one_except_in_the_candidate_of_the_gru() -> None:
    for cell in ("rnn", "lstm", "gru_reset_before", "gru"):
        weights = random_weights(cell)
        total = weights["bias_ih"] + weights["bias_hh"]
        same = np.allclose(ours(cell, weights | {"bias_ih": total, "bias_hh": 0 * total}), ours(cell, weights))
        assert same is (cell != "gru")


def test_reset_before_and_after_the_product_are_two_cells() -> None:
    weights = random_weights("gru")
    assert not np.allclose(ours("gru", weights), ours("gru_reset_before", weights))
