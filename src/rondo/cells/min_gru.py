"""minGRU: a gated linear recurrence, no product with the state.

Feng et al. 2024, "Were RNNs All We Needed?" (arXiv 2410.01201), section 3.1. The gate sees only
the input, so that z = 1 writes; no tanh. Their numerically stable log-space form, which keeps h
positive, is another cell.
"""

from rondo.cells.cell import cell
from rondo.cells.language import project, sigmoid
from rondo.ir import State


@cell(keep="-z", init="orthogonal")
def min_gru(x, h):
    """minGRU (Feng et al. 2024): a gated linear recurrence."""
    z = sigmoid(project("z", x))  # 0 keeps h
    n = project("h", x)
    return State(h=(1 - z) * h + z * n)
