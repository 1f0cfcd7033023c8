"""LSTM whose output is projected to fewer units: equals torch.nn.LSTM with proj_size.

Sak et al. 2014, "Long Short-Term Memory Based Recurrent Neural Network Architectures for Large
Scale Acoustic Modeling": the state h has the projection's width, the cell state c the hidden
width. Without the paper's peepholes and its non-recurrent projection.
"""

from rondo.cells.cell import cell
from rondo.cells.language import affine, product, sigmoid, tanh
from rondo.ir import State


@cell(keep="f", write="i", init="orthogonal", forget_bias=1.0)
def lstm_projected(x, h, c):
    """LSTM with a recurrent projection (Sak et al. 2014)."""
    i = sigmoid(affine("i", x, h))
    f = sigmoid(affine("f", x, h))
    g = tanh(affine("g", x, h))
    o = sigmoid(affine("o", x, h))
    c = f * c + i * g
    return State(h=product("hr", o * tanh(c), to="projection"), c=c)
