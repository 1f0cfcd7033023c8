"""Each cell against its paper, written again in plain NumPy: no word of the cell language, no shared code.

``W``, ``U``, ``b`` and ``d`` are dicts by gate: input matrix, recurrent matrix, and the two biases.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from rondo.cells import State, get_cell
from tests.cells.derived import make_run

Array = Any


def sigmoid(a: Array) -> Array:
    return 1 / (1 + np.exp(-a))


def standardised(a: Array) -> Array:
    """Ba et al. 2016, equation 4, with torch's place for epsilon."""
    return (a - a.mean(1, keepdims=True)) / np.sqrt(a.var(1, keepdims=True) + 1e-5)


class Weights:
    """What is stored, cut into the gates' blocks."""

    def __init__(self, run: Any, gates: str) -> None:
        stored = {name: value.detach().numpy() for name, value in run.weights.items()}
        self.vector = {name: value for name, value in stored.items() if value.ndim == 1}
        self.matrix = stored

        def cut(name: str) -> dict[str, Array]:
            if name not in stored:
                return {}
            return dict(zip(gates.split(), np.split(stored[name], len(gates.split())), strict=True))

        self.W, self.U, self.b, self.d = (cut(n) for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))

    def sums(self, x: Array, h: Array) -> dict[str, Array]:
        """The pre-activation of each gate that has both products."""
        return {gate: x @ self.W[gate].T + self.b[gate] + h @ self.U[gate].T + self.d[gate] for gate in self.U}


def elman(w: Weights, x: Array, h: Array) -> dict[str, Array]:
    """Elman 1990."""
    return {"h": np.tanh(w.sums(x, h)["h"])}


def irnn(w: Weights, x: Array, h: Array) -> dict[str, Array]:
    """Le et al. 2015."""
    return {"h": np.maximum(0, w.sums(x, h)["h"])}


def lstm(w: Weights, x: Array, h: Array, c: Array) -> dict[str, Array]:
    """Hochreiter and Schmidhuber 1997 with Gers et al. 2000."""
    a = w.sums(x, h)
    c = sigmoid(a["f"]) * c + sigmoid(a["i"]) * np.tanh(a["g"])
    return {"h": sigmoid(a["o"]) * np.tanh(c), "c": c}


def lstm_peephole(w: Weights, x: Array, h: Array, c: Array) -> dict[str, Array]:
    """Gers et al. 2002, equations 3 to 8: i and f see the old cell state, o the new one."""
    a, p = w.sums(x, h), w.vector
    new = sigmoid(a["f"] + p["p_f"] * c) * c + sigmoid(a["i"] + p["p_i"] * c) * np.tanh(a["g"])
    return {"h": sigmoid(a["o"] + p["p_o"] * new) * np.tanh(new), "c": new}


def lstm_coupled(w: Weights, x: Array, h: Array, c: Array) -> dict[str, Array]:
    """Greff et al. 2015, CIFG: i = 1 - f."""
    a = w.sums(x, h)
    forget = sigmoid(a["f"])
    c = c * forget + np.tanh(a["g"]) * (1 - forget)
    return {"h": sigmoid(a["o"]) * np.tanh(c), "c": c}


def lstm_projected(w: Weights, x: Array, h: Array, c: Array) -> dict[str, Array]:
    """Sak et al. 2014, equation 7: r = W_rm m."""
    a = w.sums(x, h)
    c = sigmoid(a["f"]) * c + sigmoid(a["i"]) * np.tanh(a["g"])
    return {"h": (sigmoid(a["o"]) * np.tanh(c)) @ w.matrix["weight_hr"].T, "c": c}


def lstm_layer_norm(w: Weights, x: Array, h: Array, c: Array) -> dict[str, Array]:
    """Ba et al. 2016, equations 20 to 22, each gate normalised by itself."""
    a = {
        gate: w.vector[f"gain_x_{gate}"] * standardised(x @ w.W[gate].T)
        + w.vector[f"gain_h_{gate}"] * standardised(h @ w.U[gate].T)
        + w.vector[f"b_{gate}"]
        for gate in "ifgo"
    }
    c = sigmoid(a["f"]) * c + sigmoid(a["i"]) * np.tanh(a["g"])
    return {"h": sigmoid(a["o"]) * np.tanh(w.vector["gain_c"] * standardised(c) + w.vector["shift_c"]), "c": c}


def gru(w: Weights, x: Array, h: Array) -> dict[str, Array]:
    """Cho et al. 2014, version 1, in torch's form."""
    a = w.sums(x, h)
    candidate = np.tanh(x @ w.W["n"].T + w.b["n"] + sigmoid(a["r"]) * (h @ w.U["n"].T + w.d["n"]))
    return {"h": sigmoid(a["z"]) * h + (1 - sigmoid(a["z"])) * candidate}


def gru_reset_before(w: Weights, x: Array, h: Array) -> dict[str, Array]:
    """Cho et al. 2014, version 3, equations 5 to 8: U (r * h), z keeps h."""
    a = w.sums(x, h)
    candidate = np.tanh(x @ w.W["n"].T + w.b["n"] + (sigmoid(a["r"]) * h) @ w.U["n"].T + w.d["n"])
    return {"h": sigmoid(a["z"]) * h + (1 - sigmoid(a["z"])) * candidate}


def gru_layer_norm(w: Weights, x: Array, h: Array) -> dict[str, Array]:
    """Ba et al. 2016, equations 27 to 29, with z = 1 keeping h."""
    from_x = {g: w.vector[f"gain_x_{g}"] * standardised(x @ w.W[g].T) + w.vector[f"b_{g}"] for g in "rzn"}
    from_h = {g: w.vector[f"gain_h_{g}"] * standardised(h @ w.U[g].T) for g in "rzn"}
    r, z = sigmoid(from_x["r"] + from_h["r"]), sigmoid(from_x["z"] + from_h["z"])
    return {"h": z * h + (1 - z) * np.tanh(from_x["n"] + r * from_h["n"])}


def mgu(w: Weights, x: Array, h: Array) -> dict[str, Array]:
    """Zhou et al. 2016, equations 6a to 6c."""
    f = sigmoid(w.sums(x, h)["f"])
    candidate = np.tanh(x @ w.W["n"].T + w.b["n"] + (f * h) @ w.U["n"].T + w.d["n"])
    return {"h": (1 - f) * h + f * candidate}


def indrnn(w: Weights, x: Array, h: Array) -> dict[str, Array]:
    """Li et al. 2018, equation 2."""
    return {"h": np.maximum(0, x @ w.W["h"].T + w.vector["u"] * h + w.b["h"])}


def janet(w: Weights, x: Array, h: Array, beta: float = 1.0) -> dict[str, Array]:
    """Van der Westhuizen and Lasenby 2018, equations 3."""
    a = w.sums(x, h)
    return {"h": sigmoid(a["f"]) * h + (1 - sigmoid(a["f"] - beta)) * np.tanh(a["g"])}


def ugrnn(w: Weights, x: Array, h: Array) -> dict[str, Array]:
    """Collins et al. 2017."""
    a = w.sums(x, h)
    return {"h": sigmoid(a["g"]) * h + (1 - sigmoid(a["g"])) * np.tanh(a["n"])}


def min_gru(w: Weights, x: Array, h: Array) -> dict[str, Array]:
    """Feng et al. 2024, section 3.1: the gate and the candidate see only x."""
    z = sigmoid(x @ w.W["z"].T + w.b["z"])
    return {"h": (1 - z) * h + z * (x @ w.W["h"].T + w.b["h"])}


def min_lstm(w: Weights, x: Array, h: Array) -> dict[str, Array]:
    """Feng et al. 2024, section 3.2: f' = f / (f + i), i' = i / (f + i)."""
    f, i = sigmoid(x @ w.W["f"].T + w.b["f"]), sigmoid(x @ w.W["i"].T + w.b["i"])
    return {"h": f / (f + i) * h + i / (f + i) * (x @ w.W["h"].T + w.b["h"])}


def block_diagonal(stored: Array, heads: int) -> Array:
    full = np.zeros((stored.shape[0], stored.shape[1] * heads))
    for k, rows in enumerate(np.split(stored, heads)):
        height = rows.shape[0]
        full[k * height : (k + 1) * height, k * stored.shape[1] : (k + 1) * stored.shape[1]] = rows
    return full


def slstm(w: Weights, x: Array, h: Array, c: Array, n: Array, m: Array, heads: int = 1) -> dict[str, Array]:
    """Beck et al. 2024, equations 8 to 17: stabilised by m, with a sigmoid forget gate."""
    w.U = {gate: block_diagonal(u, heads) for gate, u in w.U.items()}
    a = w.sums(x, h)
    log_f = np.log(sigmoid(a["f"]))
    new_m = np.maximum(log_f + m, a["i"])
    i, f = np.exp(a["i"] - new_m), np.exp(log_f + m - new_m)
    new_c, new_n = f * c + i * np.tanh(a["g"]), f * n + i
    return {"h": sigmoid(a["o"]) * new_c / new_n, "c": new_c, "n": new_n, "m": new_m}


PAPERS: dict[str, tuple[str, dict[str, Any], str, Callable[..., dict[str, Array]], dict[str, Any]]] = {
    "rnn": ("rnn", {}, "h", elman, {}),
    "rnn relu": ("rnn", {"nonlinearity": "relu"}, "h", irnn, {}),
    "lstm": ("lstm", {}, "i f g o", lstm, {}),
    "lstm_peephole": ("lstm_peephole", {}, "i f g o", lstm_peephole, {}),
    "lstm_coupled": ("lstm_coupled", {}, "f g o", lstm_coupled, {}),
    "lstm_projected": ("lstm_projected", {}, "i f g o", lstm_projected, {}),
    "lstm_layer_norm": ("lstm_layer_norm", {}, "i f g o", lstm_layer_norm, {}),
    "gru": ("gru", {}, "r z n", gru, {}),
    "gru_reset_before": ("gru_reset_before", {}, "r z n", gru_reset_before, {}),
    "gru_layer_norm": ("gru_layer_norm", {}, "r z n", gru_layer_norm, {}),
    "mgu": ("mgu", {}, "f n", mgu, {}),
    "indrnn": ("indrnn", {}, "h", indrnn, {}),
    "janet": ("janet", {}, "f g", janet, {}),
    "janet beta 2": ("janet", {"beta": 2.0}, "f g", janet, {"beta": 2.0}),
    "ugrnn": ("ugrnn", {}, "n g", ugrnn, {}),
    "min_gru": ("min_gru", {}, "z h", min_gru, {}),
    "min_lstm": ("min_lstm", {}, "f i h", min_lstm, {}),
    "slstm": ("slstm", {}, "i f g o", slstm, {}),
    "slstm 2 heads": ("slstm", {"heads": 2}, "i f g o", slstm, {"heads": 2}),
    "slstm 4 heads": ("slstm", {"heads": 4}, "i f g o", slstm, {"heads": 4}),
}


@pytest.mark.parametrize("case", PAPERS)
def test_the_equations_of_the_paper(case: str) -> None:
    name, options, gates, paper, more = PAPERS[case]
    run = make_run(get_cell(name, **options), seed=21)
    state = {part: value.detach().numpy() for part, value in run.state.parts().items()}
    for t, found in enumerate(run.unrolled()):
        state = paper(Weights(run, gates), run.x[:, t].detach().numpy(), **state, **more)
        for part, value in state.items():
            assert np.abs(found.parts()[part].detach().numpy() - value).max() < 1e-12, (part, t)


def test_variants_that_must_not_be_confused_differ() -> None:
    """The same weights in another cell of the same storage give another result."""
    for one, other in (("gru", "gru_reset_before"), ("lstm", "lstm_peephole"), ("ugrnn", "mgu")):
        first, second = make_run(get_cell(one), seed=22), make_run(get_cell(other), seed=22)
        second.weights = {name: first.weights.get(name, value) for name, value in second.weights.items()}
        second.x, second.state = first.x, first.state
        assert (first.unrolled()[-1].h - second.unrolled()[-1].h).abs().max() > 1e-3


def test_slstm_begins_without_a_history() -> None:
    """From zeros, the first step gives o * g whatever the input gate; also where exp would underflow."""
    run = make_run(get_cell("slstm"), seed=23, steps=1)
    run.state = run.state.map(torch.zeros_like)
    with torch.no_grad():
        run.weights["bias_ih"][:4] = torch.tensor([-1000.0, -200.0, 0.0, 1000.0], dtype=torch.float64)
    after = run.unrolled()[0]
    w = Weights(run, "i f g o")
    a = w.sums(run.x[:, 0].detach().numpy(), np.zeros((5, 4)))
    expected = sigmoid(a["o"]) * np.tanh(a["g"])
    assert np.allclose(after.h.detach().numpy(), expected, rtol=1e-13)
    assert isinstance(after, State)


def test_min_lstm_stays_a_number_where_both_gates_are_closed() -> None:
    """Their ratio is exp(a_f - a_i) there, though each gate by itself is 0 in its type."""
    run = make_run(get_cell("min_lstm"), seed=24, steps=1)
    a_f = torch.tensor([-2000.0, -2000.0, -2001.0, 2000.0], dtype=torch.float64)
    a_i = torch.tensor([-2000.0, -2001.0, -2000.0, 2000.0], dtype=torch.float64)
    with torch.no_grad():
        run.weights["weight_ih"][:8] = 0.0
        run.weights["bias_ih"][:8] = torch.cat([a_f, a_i])
    h = run.unrolled()[0].h
    W, b = run.weights["weight_ih"][8:], run.weights["bias_ih"][8:]
    f = torch.sigmoid(a_f - a_i)
    assert torch.allclose(h, f * run.state.h + (1 - f) * (run.x[:, 0] @ W.T + b), rtol=1e-12)
    gradients = torch.autograd.grad(h.sum(), [run.weights["weight_ih"], run.weights["bias_ih"]])
    assert all(gradient.isfinite().all() for gradient in gradients)
