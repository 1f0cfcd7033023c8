"""Stand-ins for ``torch.nn.RNN``, ``LSTM``, ``GRU`` and their cells, and `accelerate`, which puts them in place."""

from rondo.nn.cells import GRUCell, LSTMCell, RNNCell
from rondo.nn.layers import GRU, LSTM, RNN
from rondo.nn.replace import accelerate

for _class in (RNN, LSTM, GRU, RNNCell, LSTMCell, GRUCell):
    _class.__module__ = __name__  # where it is found, also by what was pickled

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell", "accelerate"]
