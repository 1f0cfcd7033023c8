"""LSTM whose gates see the cell state through peephole connections, one weight a unit.

Gers and Schmidhuber 2000, "Recurrent nets that time and count"; equations as in Gers et al. 2002,
"Learning Precise Timing with LSTM Recurrent Networks": input and forget gate see the old cell
state, the output gate the new one. Not torch's LSTM, which has none.
"""

from rondo.cells.cell import cell
from rondo.cells.language import affine, sigmoid, tanh, vector
from rondo.ir import State


@cell(keep="f", write="i", init="orthogonal", forget_bias=1.0)
def lstm_peephole(x, h, c):
    """LSTM with peephole connections (Gers and Schmidhuber 2000)."""
    i = sigmoid(affine("i", x, h) + vector("p_i") * c)
    f = sigmoid(affine("f", x, h) + vector("p_f") * c)
    g = tanh(affine("g", x, h))
    c = f * c + i * g
    o = sigmoid(affine("o", x, h) + vector("p_o") * c)
    return State(h=o * tanh(c), c=c)
