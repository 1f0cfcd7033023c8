"""Minimal gated unit: a GRU whose one gate both resets and updates.

Zhou et al. 2016, "Minimal Gated Unit for Recurrent Neural Networks" (arXiv 1603.09420), equations
6: the gate acts on h before the recurrent product, and f = 1 writes the candidate, so that here,
unlike in `gru`, 0 keeps the state.
"""

from rondo.cells.cell import cell
from rondo.cells.language import affine, project, recur, sigmoid, tanh
from rondo.ir import State


@cell(keep="-f", init="orthogonal")
def mgu(x, h):
    """Minimal gated unit (Zhou et al. 2016): one gate resets and updates."""
    f = sigmoid(affine("f", x, h))  # 0 keeps h
    n = tanh(project("n", x) + recur("n", f * h))
    return State(h=(1 - f) * h + f * n)
