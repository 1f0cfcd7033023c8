"""Long short-term memory with a forget gate: equals torch.nn.LSTM.

Hochreiter and Schmidhuber 1997, "Long Short-Term Memory", with the forget gate of Gers et al.
2000, "Learning to Forget". No peepholes (`lstm_peephole`), input and forget gate apart
(tied in `lstm_coupled`).
"""

from rondo.cells.cell import cell
from rondo.cells.language import affine, sigmoid, tanh
from rondo.ir import State


@cell(keep="f", write="i", init="orthogonal", forget_bias=1.0)
def lstm(x, h, c):
    """Long short-term memory with a forget gate (Hochreiter and Schmidhuber 1997; Gers et al. 2000)."""
    i = sigmoid(affine("i", x, h))  # input
    f = sigmoid(affine("f", x, h))  # forget: 1 keeps c
    g = tanh(affine("g", x, h))  # candidate
    o = sigmoid(affine("o", x, h))  # output
    c = f * c + i * g
    return State(h=o * tanh(c), c=c)
