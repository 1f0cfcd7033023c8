"""Independently recurrent network: each unit sees only its own past.

Li et al. 2018, "Independently Recurrent Neural Network (IndRNN): Building A Longer and Deeper RNN"
(arXiv 1803.04831), equation 2: the recurrent matrix is a diagonal, relu the nonlinearity. The
recurrent weights start uniform in [0, 1]. Not IRNN, a simple network with an identity matrix.
"""

from rondo.cells.cell import cell
from rondo.cells.language import project, relu, vector
from rondo.ir import State


@cell(init="orthogonal")
def indrnn(x, h):
    """Independently recurrent network (Li et al. 2018): a diagonal recurrent matrix."""
    return State(h=relu(project("h", x) + vector("u", init=(0.0, 1.0)) * h))
