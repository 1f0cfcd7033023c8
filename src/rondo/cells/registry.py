"""Finding a cell: the ones that come with Rondo, and a user's own in a file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from rondo.cells.cell import Cell
from rondo.cells.gru import gru
from rondo.cells.gru_layer_norm import gru_layer_norm
from rondo.cells.gru_reset_before import gru_reset_before
from rondo.cells.indrnn import indrnn
from rondo.cells.janet import janet
from rondo.cells.lstm import lstm
from rondo.cells.lstm_coupled import lstm_coupled
from rondo.cells.lstm_layer_norm import lstm_layer_norm
from rondo.cells.lstm_peephole import lstm_peephole
from rondo.cells.lstm_projected import lstm_projected
from rondo.cells.mgu import mgu
from rondo.cells.min_gru import min_gru
from rondo.cells.min_lstm import min_lstm
from rondo.cells.rnn import rnn
from rondo.cells.slstm import slstm
from rondo.cells.ugrnn import ugrnn
from rondo.errors import CellError, UsageError, nearest

registry: dict[str, Cell] = {
    made.name: made
    for made in (
        rnn, lstm, lstm_peephole, lstm_coupled, lstm_projected, lstm_layer_norm, gru, gru_reset_before,
        gru_layer_norm, mgu, indrnn, janet, ugrnn, min_gru, min_lstm, slstm,
    )
}  # fmt: skip
"""The cells that come with Rondo, by name."""


def get_cell(name: str | Cell, **options: Any) -> Cell:
    """A cell by name (``gru``), from a file (``my_cells.py:my_cell``), or as it is; with its options set.

    Naming a file runs that file, as importing it would. Raises `UsageError` for an unknown name
    and `CellError` for a file that cannot be used.
    """
    if isinstance(name, Cell):
        found = name
    elif not isinstance(name, str):
        hint = "; mark the function with @cell" if callable(name) else ""
        raise UsageError(f"a cell is given by its name, as 'file.py:name' or as a Cell, not as {name!r:.80}{hint}")
    elif ":" in name or name.endswith(".py"):
        found = _from_file(name)
    elif name in registry:
        found = registry[name]
    else:
        raise UsageError(f"unknown cell '{name}'{nearest(name, registry)}")
    return found.with_options(**options) if options else found


def _from_file(reference: str) -> Cell:
    path_text, _, attribute = reference.rpartition(":")
    if not path_text:
        path_text, attribute = reference, ""
    path = Path(path_text)
    if not path.is_file():
        raise UsageError(f"there is no file '{path_text}' to take the cell '{attribute or reference}' from")
    spec = importlib.util.spec_from_file_location(f"rondo_user_cells_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"'{path_text}' is not a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (CellError, UsageError):
        raise
    except SyntaxError as error:
        raise CellError(f"{path_text}:{error.lineno}: {error.msg}") from None
    except Exception as error:
        raise CellError(f"running {path_text} failed: {type(error).__name__}: {error}") from error
    cells = {key: value for key, value in vars(module).items() if isinstance(value, Cell)}
    own = {key: value for key, value in cells.items() if value.function.__module__ == spec.name}
    if not attribute and len(own) == 1:
        return next(iter(own.values()))
    if attribute in cells:
        return cells[attribute]
    if attribute and hasattr(module, attribute):
        raise CellError(f"'{attribute}' in {path_text} is not a cell: mark the function with @cell")
    if not cells:
        raise CellError(f"{path_text} has no cell: mark a function with @cell")
    raise UsageError(f"name the cell, {path_text}:NAME; '{attribute}' is not one{nearest(attribute, own or cells)}")
