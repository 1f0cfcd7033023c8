"""Which cells are torch's: decided by equations, never by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rondo.backends.matching import same_function
from rondo.backends.vendor import torch_layer
from rondo.cells import Cell, affine, cell, get_cell, maximum, minimum, product, project, recur, registry, sigmoid, tanh
from rondo.ir import State

TORCHS = {"rnn": "RNN_TANH", "lstm": "LSTM", "lstm_projected": "LSTM", "gru": "GRU"}


@cell
def my_gru(x, h):
    """torch's GRU in other words: other names, other order of operands and of the lines."""
    reset = sigmoid(recur("reset", h) + project("reset", x))
    update = sigmoid(affine("update", x, h))
    new = tanh(recur("new", h) * reset + project("new", x))
    return State(h=h * update + new * (1 - update))


@cell
def memory(x, h, cell_state):
    """torch's LSTM with another name for c."""
    a = sigmoid(affine("a", x, h))
    b = sigmoid(affine("b", x, h))
    c = tanh(affine("c", x, h))
    d = sigmoid(affine("d", x, h))
    new = a * c + b * cell_state
    return State(h=tanh(new) * d, cell_state=new)


def made(function, name):
    function.__name__ = name
    return cell(function)


def z_exchanged(x, h):
    r = sigmoid(affine("r", x, h))
    z = sigmoid(affine("z", x, h))
    n = tanh(project("n", x) + r * recur("n", h))
    return State(h=z * n + (1 - z) * h)


def gates_exchanged(x, h, c):
    f = sigmoid(affine("f", x, h))
    i = sigmoid(affine("i", x, h))
    g = tanh(affine("g", x, h))
    o = sigmoid(affine("o", x, h))
    c = f * c + i * g
    return State(h=o * tanh(c), c=c)


def other_nonlinearity(x, h, c):
    i = sigmoid(affine("i", x, h))
    f = sigmoid(affine("f", x, h))
    g = sigmoid(affine("g", x, h))
    o = sigmoid(affine("o", x, h))
    c = f * c + i * g
    return State(h=o * tanh(c), c=c)


def old_c_in_the_output(x, h, c):
    i = sigmoid(affine("i", x, h))
    f = sigmoid(affine("f", x, h))
    g = tanh(affine("g", x, h))
    o = sigmoid(affine("o", x, h))
    return State(h=o * tanh(c), c=f * c + i * g)


def c_before_h(x, c, h):
    i = sigmoid(affine("i", x, h))
    f = sigmoid(affine("f", x, h))
    g = tanh(affine("g", x, h))
    o = sigmoid(affine("o", x, h))
    c = f * c + i * g
    return State(c=c, h=o * tanh(c))


def without_recurrent_bias(x, h):
    return State(h=tanh(project("h", x) + recur("h", h, bias=False)))


def twice_the_candidate(x, h):
    r = sigmoid(affine("r", x, h))
    z = sigmoid(affine("z", x, h))
    n = tanh(project("n", x) + r * recur("n", h))
    return State(h=(1 - z) * n + z * h + 0.001 * n)


def difference_exchanged(x, h):
    r = sigmoid(affine("r", x, h))
    z = sigmoid(affine("z", x, h))
    n = tanh(project("n", x) + r * recur("n", h))
    return State(h=(z - 1) * n + z * h)


def projected_state_in_another_array(x, h, c):
    i = sigmoid(affine("i", x, h))
    f = sigmoid(affine("f", x, h))
    g = tanh(affine("g", x, h))
    o = sigmoid(affine("o", x, h))
    c = f * c + i * g
    return State(h=product("out", o * tanh(c), to="projection"), c=c)


@pytest.mark.parametrize("name", registry)
def test_torchs_cells_and_no_others_of_the_registry(name: str) -> None:
    layer = torch_layer(registry[name])
    assert (layer.mode if layer else None) == TORCHS.get(name)


def test_the_relu_network_is_not_the_tanh_network() -> None:
    assert torch_layer(get_cell("rnn", nonlinearity="relu")).mode == "RNN_RELU"


@pytest.mark.parametrize(("own", "mode"), [(my_gru, "GRU"), (memory, "LSTM")])
def test_a_users_cell_with_the_same_equations_qualifies(own: Cell, mode: str) -> None:
    assert torch_layer(own).mode == mode
    assert torch_layer(Cell.from_json(own.to_json())).mode == mode


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (z_exchanged, "gru"),
        (gates_exchanged, "lstm"),
        (other_nonlinearity, "lstm"),
        (old_c_in_the_output, "lstm"),
        (c_before_h, "lstm"),
        (without_recurrent_bias, "rnn"),
        (twice_the_candidate, "gru"),
        (difference_exchanged, "gru"),
        (projected_state_in_another_array, "lstm_projected"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_name_alone_is_not_enough(function, name: str) -> None:
    impostor = made(function, name)
    assert impostor.name == name
    assert torch_layer(impostor) is None


def test_sums_in_any_order() -> None:
    @cell
    def left(x, h):
        return State(h=tanh((project("a", x) + recur("a", h)) + h))

    @cell
    def right(x, h):
        return State(h=tanh(h + (recur("b", h) + project("b", x))))

    @cell
    def other(x, h):
        return State(h=tanh(h + (recur("b", h) + project("b", x)) + h))

    assert same_function(left, right)
    assert not same_function(left, other)


def test_maximum_takes_its_operands_in_either_order() -> None:
    @cell
    def left(x, h):
        return State(h=maximum(tanh(affine("a", x, h)), h) - h)

    @cell
    def right(x, h):
        return State(h=maximum(h, tanh(affine("a", x, h))) - h)

    @cell
    def other(x, h):
        return State(h=minimum(h, tanh(affine("a", x, h))) - h)

    assert same_function(left, right)
    assert not same_function(left, other)


def doubled(name: str, times: int) -> Cell:
    def function(x, h):
        a = tanh(affine("a", x, h))
        for _ in range(times):
            a = a + a
        for _ in range(times):
            a = a * a
        return State(h=a)

    return made(function, name)


def test_sums_of_sums_cost_no_more_than_their_length() -> None:
    """Written out, these have 2 to the power of 200 terms."""
    assert same_function(doubled("one", 200), doubled("other", 200))
    assert not same_function(doubled("one", 200), doubled("other", 199))
    assert torch_layer(doubled("one", 200)) is None


def test_torch_s_remark_on_projections_is_not_passed_on() -> None:
    """In a process of its own: torch remarks it once a process."""
    program = """
import torch, warnings
from rondo.layers import Recurrent
warnings.simplefilter("error")
layer = Recurrent("lstm_projected", 4, 8, projection_size=3, backend="vendor")
layer(torch.randn(2, 5, 4))
layer(torch.randn(2, 5, 4), lengths=torch.tensor([5, 3]))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
