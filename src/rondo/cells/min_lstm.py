"""minLSTM: a gated linear recurrence with two gates that share one sum.

Feng et al. 2024, "Were RNNs All We Needed?" (arXiv 2410.01201), section 3.2: forget and input
gate see only the input and are divided by their sum, there is no output gate and no separate cell
state. Written as in the authors' appendix: f / (f + i) is the sigmoid of log f - log i, which stays
a number where both gates are closed so far that they round to 0.
"""

from rondo.cells.cell import cell
from rondo.cells.language import project, sigmoid, softplus
from rondo.ir import State


@cell(keep="f", write="i", init="orthogonal", forget_bias=1.0)
def min_lstm(x, h):
    """minLSTM (Feng et al. 2024): a gated linear recurrence with normalised gates."""
    a_f = project("f", x)
    a_i = project("i", x)
    d = softplus(-a_i) - softplus(-a_f)  # the difference of the gates' logarithms
    f = sigmoid(d)
    i = sigmoid(-d)
    n = project("h", x)
    return State(h=f * h + i * n)
