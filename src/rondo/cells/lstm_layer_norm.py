"""LSTM with layer normalisation in every step.

Ba et al. 2016, "Layer Normalization" (arXiv 1607.06450), equations 20 to 22: the products with
the state and with the input are normalised apart, each with a gain, and the cell state before the
output. This differs from the paper in one point: here each gate is normalised by itself over the
hidden units (as in TensorFlow's LayerNormBasicLSTMCell), while the paper and its authors' program
normalise the pre-activations of the four gates together, with one mean and deviation over all 4 H.
The input and recurrent parts share one bias.
"""

from rondo.cells.cell import cell
from rondo.cells.language import layer_norm, project, recur, sigmoid, tanh, vector
from rondo.ir import State


def gate(name, x, h):
    """The pre-activation of a gate: two normalised products and a bias."""
    from_input = layer_norm(f"x_{name}", project(name, x, bias=False))
    from_state = layer_norm(f"h_{name}", recur(name, h, bias=False))
    return from_input + from_state + vector(f"b_{name}")


@cell(keep="f", write="i", init="orthogonal", forget_bias=1.0)
def lstm_layer_norm(x, h, c):
    """LSTM with layer normalisation in every step (Ba et al. 2016)."""
    i = sigmoid(gate("i", x, h))
    f = sigmoid(gate("f", x, h))
    g = tanh(gate("g", x, h))
    o = sigmoid(gate("o", x, h))
    c = f * c + i * g
    return State(h=o * tanh(layer_norm("c", c, shift=True)), c=c)
