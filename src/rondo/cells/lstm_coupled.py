"""LSTM with coupled input and forget gates: what is forgotten is what is written.

Greff et al. 2015, "LSTM: A Search Space Odyssey", section 3 (CIFG): i = 1 - f. No peepholes here.
Not a GRU: there is a cell state with an output gate.
"""

from rondo.cells.cell import cell
from rondo.cells.language import affine, sigmoid, tanh
from rondo.ir import State


@cell(keep="f", init="orthogonal", forget_bias=1.0)
def lstm_coupled(x, h, c):
    """LSTM with coupled input and forget gates (Greff et al. 2015, CIFG)."""
    f = sigmoid(affine("f", x, h))  # 1 keeps c and writes nothing
    g = tanh(affine("g", x, h))
    o = sigmoid(affine("o", x, h))
    c = f * c + (1 - f) * g
    return State(h=o * tanh(c), c=c)
