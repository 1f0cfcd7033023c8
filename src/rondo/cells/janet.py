"""JANET: just another network, an LSTM reduced to its forget gate.

Van der Westhuizen and Lasenby 2018, "The unreasonable effectiveness of the forget gate" (arXiv
1804.04849), equations 3: what is written is gated by 1 - sigmoid(s - beta), with beta = 1. The
paper starts it with the chrono initialisation: give ``chrono``. Not `lstm_coupled`, which has an
output gate and a second state.
"""

from rondo.cells.cell import cell
from rondo.cells.language import affine, sigmoid, tanh
from rondo.ir import State


@cell(keep="f", init="orthogonal", forget_bias=1.0)
def janet(x, h, *, beta=1.0):
    """JANET (van der Westhuizen and Lasenby 2018): the forget gate alone."""
    a_f = affine("f", x, h)
    g = tanh(affine("g", x, h))
    return State(h=sigmoid(a_f) * h + (1 - sigmoid(a_f - beta)) * g)
