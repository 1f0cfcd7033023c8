"""The expression language of cells: graphs of a closed op set. Nothing here imports torch.

``ops`` is the table of ops, ``graph`` the data, ``trace`` makes graphs from functions, ``verify``
says whether one is legal, ``passes`` and ``derivative`` make graphs from graphs, ``interpret``
defines what they mean, ``printing`` and ``serialize`` write them down.
"""

from rondo.ir.derivative import Derivative, differentiate
from rondo.ir.graph import Graph, Node, Parameter, size_of
from rondo.ir.state import State
from rondo.ir.trace import activate, active_algebra, trace

__all__ = [
    "Derivative", "Graph", "Node", "Parameter", "State", "activate", "active_algebra", "differentiate", "size_of",
    "trace",
]  # fmt: skip
