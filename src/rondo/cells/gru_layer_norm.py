"""Gated recurrent unit with layer normalisation in every step.

Ba et al. 2016, "Layer Normalization" (arXiv 1607.06450), supplementary equations 27 to 29 (after
Kiros et al.): the products with state and input are normalised apart; the reset acts after the
recurrent product, as in `gru`. This differs from the paper in one point: here each gate is
normalised by itself over the hidden units, while the paper and its authors' program normalise the
pre-activations of r and z together, with one mean and deviation over both, 2 H. Where the paper's
z = 1 writes, here it keeps h, as in `gru`.
"""

from rondo.cells.cell import cell
from rondo.cells.language import layer_norm, project, recur, sigmoid, tanh, vector
from rondo.ir import State


@cell(keep="z", init="orthogonal")
def gru_layer_norm(x, h):
    """Gated recurrent unit with layer normalisation in every step (Ba et al. 2016)."""

    def from_input(name):
        return layer_norm(f"x_{name}", project(name, x, bias=False)) + vector(f"b_{name}")

    def from_state(name):
        return layer_norm(f"h_{name}", recur(name, h, bias=False))

    r = sigmoid(from_input("r") + from_state("r"))
    z = sigmoid(from_input("z") + from_state("z"))
    n = tanh(from_input("n") + r * from_state("n"))
    return State(h=(1 - z) * n + z * h)
