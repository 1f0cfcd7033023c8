"""minLSTM: a gated linear recurrence with two gates that share one sum.

Feng et al. 2024, "Were RNNs All We Needed?" (arXiv 2410.01201), section 3.2: forget and input
gate see only the input and are divided by their sum, there is no output gate and no separate cell
state.
"""

from rondo.cells.cell import cell
from rondo.cells.language import project, sigmoid
from rondo.ir import State


@cell(keep="f", write="i", init="orthogonal", forget_bias=1.0)
def min_lstm(x, h):
    """minLSTM (Feng et al. 2024): a gated linear recurrence with normalised gates."""
    f = sigmoid(project("f", x))
    i = sigmoid(project("i", x))
    n = project("h", x)
    return State(h=(f * h + i * n) / (f + i))
