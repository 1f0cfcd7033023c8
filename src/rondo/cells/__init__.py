"""Cells: one step of a recurrent network, written once as its equations."""

from rondo.cells.cell import Cell, cell
from rondo.cells.language import (
    affine,
    exp,
    layer_norm,
    log,
    maximum,
    mean,
    minimum,
    named,
    product,
    project,
    recur,
    relu,
    sigmoid,
    silu,
    softplus,
    sqrt,
    tanh,
    vector,
    where,
)
from rondo.cells.registry import get_cell, registry
from rondo.cells.torch_algebra import TorchAlgebra
from rondo.ir import Parameter, State

__all__ = [
    "Cell", "Parameter", "State", "TorchAlgebra", "affine", "cell", "exp", "get_cell", "layer_norm", "log", "maximum",
    "mean", "minimum", "named", "product", "project", "recur", "registry", "relu", "sigmoid", "silu", "softplus",
    "sqrt", "tanh", "vector", "where",
]  # fmt: skip
