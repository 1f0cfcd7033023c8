"""Simple recurrent network, tanh or relu: equals torch.nn.RNN.

Elman 1990, "Finding Structure in Time" (the state is the hidden layer, not the output as in
Jordan's network). With relu, initialise with ``identity`` for the IRNN of Le et al. 2015.
"""

from rondo.cells.cell import cell
from rondo.cells.language import affine, relu, tanh
from rondo.errors import UsageError
from rondo.ir import State

NONLINEARITIES = {"tanh": tanh, "relu": relu}


@cell
def rnn(x, h, *, nonlinearity="tanh"):
    """Simple recurrent network (Elman 1990): one affine map and a nonlinearity."""
    if nonlinearity not in NONLINEARITIES:
        raise UsageError(f"nonlinearity is tanh or relu, not '{nonlinearity}'")
    return State(h=NONLINEARITIES[nonlinearity](affine("h", x, h)))
