"""sLSTM: an LSTM with exponential input gate, a normaliser and block-diagonal memory mixing.

Beck et al. 2024, "xLSTM: Extended Long Short-Term Memory" (arXiv 2405.04517), equations 8 to 17,
stabilised by the running maximum m; the forget gate is a sigmoid (the paper also allows an
exponential one). Where nothing has been written yet, m is the first input's own, as in the
authors' program, so that no exponential overflows. ``heads`` makes the recurrent matrices
block-diagonal. The cell alone, without the block of convolution, group normalisation and
projections that the paper puts around it.
"""

from rondo.cells.cell import cell
from rondo.cells.language import affine, exp, maximum, sigmoid, softplus, tanh, where
from rondo.ir import State


@cell(keep="f", write="i", init="orthogonal", forget_bias=1.0)
def slstm(x, h, c, n, m, *, heads=1):
    """sLSTM (Beck et al. 2024): exponential gating with a normaliser n and a stabiliser m."""
    a_i = affine("i", x, h, heads=heads)
    log_f = -softplus(-affine("f", x, h, heads=heads))  # the logarithm of a sigmoid
    g = tanh(affine("g", x, h, heads=heads))
    o = sigmoid(affine("o", x, h, heads=heads))
    carried = where(n > 0, log_f + m, a_i)  # n is 0 where nothing has been written yet
    m_new = maximum(carried, a_i)
    i = exp(a_i - m_new)
    f = exp(carried - m_new)
    c = f * c + i * g
    n = f * n + i
    return State(h=o * (c / n), c=c, n=n, m=m_new)
