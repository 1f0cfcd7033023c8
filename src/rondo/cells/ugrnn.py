"""Update gate network: a simple network and one gate that keeps the state.

Collins et al. 2017, "Capacity and Trainability in Recurrent Neural Networks" (arXiv 1611.09913).
The bias of the gate, theirs to choose, starts at 1, as in TensorFlow's cell of that name. Not
`mgu`, whose gate also resets.
"""

from rondo.cells.cell import cell
from rondo.cells.language import affine, sigmoid, tanh
from rondo.ir import State


@cell(keep="g", init="orthogonal", forget_bias=1.0)
def ugrnn(x, h):
    """Update gate network (Collins et al. 2017)."""
    n = tanh(affine("n", x, h))  # candidate
    g = sigmoid(affine("g", x, h))  # 1 keeps h
    return State(h=g * h + (1 - g) * n)
