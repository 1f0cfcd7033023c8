"""Gated recurrent unit, reset applied before the recurrent product: two products in one step.

Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder", third arXiv version
(1406.1078v3), equations 5 to 8, and Chung et al. 2014. Keras calls it ``reset_after=False``, ONNX
``linear_before_reset=0``. Not torch's GRU (`gru`): a trained model of one is wrong in the other.
"""

from rondo.cells.cell import cell
from rondo.cells.language import affine, project, recur, sigmoid, tanh
from rondo.ir import State


@cell(keep="z", init="orthogonal")
def gru_reset_before(x, h):
    """Gated recurrent unit, reset before the recurrent product (Cho et al. 2014, arXiv v3)."""
    r = sigmoid(affine("r", x, h))
    z = sigmoid(affine("z", x, h))
    n = tanh(project("n", x) + recur("n", r * h))
    return State(h=(1 - z) * n + z * h)
