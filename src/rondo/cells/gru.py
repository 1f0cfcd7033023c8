"""Gated recurrent unit, reset applied after the recurrent product: equals torch.nn.GRU.

Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder", first arXiv version
(1406.1078v1), as cuDNN and torch compute it. Not `gru_reset_before` (later versions of the paper,
and Chung et al. 2014), which multiplies r into h before the product. Papers differ in whether z
or 1 - z keeps h; here z = 1 keeps h.
"""

from rondo.cells.cell import cell
from rondo.cells.language import affine, project, recur, sigmoid, tanh
from rondo.ir import State


@cell(keep="z", init="orthogonal")
def gru(x, h):
    """Gated recurrent unit, reset after the recurrent product (Cho et al. 2014, arXiv v1)."""
    r = sigmoid(affine("r", x, h))  # reset
    z = sigmoid(affine("z", x, h))  # update: 1 keeps h
    n = tanh(project("n", x) + r * recur("n", h))  # candidate
    return State(h=(1 - z) * n + z * h)
