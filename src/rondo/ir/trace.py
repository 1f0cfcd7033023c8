"""Tracing: run a cell's function on symbols and keep what it did as a graph.

The functions of the cell language (`rondo.cells.language`) call whichever algebra is active.
Here it is `TraceAlgebra`, whose values are `Symbol`: they can be added, multiplied and passed to
the language's functions, and refuse all else with the line in the user's file.
"""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from rondo.errors import CellError, UsageError, nearest
from rondo.ir.build import Arithmetic, Builder, Value
from rondo.ir.graph import WIDTHS, Graph, Parameter
from rondo.ir.ops import FUNCTIONS
from rondo.ir.passes import simplify
from rondo.ir.state import State
from rondo.ir.verify import verify_cell

_LANGUAGE = (*FUNCTIONS, "maximum", "minimum", "where", "mean", "affine", "project", "recur", "product",
             "vector", "layer_norm", "named")  # fmt: skip

_active: ContextVar[Any] = ContextVar("rondo_algebra")


def active_algebra() -> Any:
    """What the cell language computes with at this moment."""
    try:
        return _active.get()
    except LookupError:
        raise CellError(
            "the cell language (affine, sigmoid, ...) is for functions marked with @cell; "
            "a cell runs through its step() or a Recurrent layer"
        ) from None


@contextmanager
def activate(algebra: Any) -> Iterator[None]:
    """Make the language's functions compute with ``algebra`` inside a ``with`` block."""
    token = _active.set(algebra)
    try:
        yield
    finally:
        _active.reset(token)


class Refusal(CellError):
    """Something outside the language; `trace` adds the file and line."""


def _refused(what: str, hint: str = "") -> Refusal:
    return Refusal(f"{what} is not in the cell language{hint}")


class Symbol(Arithmetic):
    """A value that is not there yet: what a cell's function computes with while it is traced."""

    __slots__ = ("_value",)

    def __init__(self, value: Value) -> None:
        object.__setattr__(self, "_value", value)

    def _apply(self, op: str, *args: Any) -> Symbol:
        return Symbol(self._value.builder.apply(op, *(_unwrapped(arg) for arg in args)))

    def __repr__(self) -> str:
        return f"<symbol {self._value.node.op}, width {self._value.node.width}>"

    # What Python, NumPy and torch would ask of a number or an array.
    def __bool__(self) -> bool:
        raise _refused("a decision on a value ('if', 'and', 'not', 'max')", "; use where(condition, a, b)")

    def __eq__(self, other: object) -> bool:
        raise _refused("'=='", "; compare with <, <=, >, >= inside where()")

    def __ne__(self, other: object) -> bool:
        raise _refused("'!='", "; compare with <, <=, >, >= inside where()")

    __hash__ = None  # type: ignore[assignment]

    def __pow__(self, other: Any) -> Any:
        raise _refused("'**'", "; write a * a, or exp(p * log(a))")

    __rpow__ = __pow__

    def __matmul__(self, other: Any) -> Any:
        raise _refused("'@'", "; products with learned matrices are project, recur and product")

    __rmatmul__ = __matmul__

    def __getitem__(self, index: Any) -> Any:
        raise _refused("indexing", "; give each gate its own name instead of slicing one product")

    def __iter__(self) -> Any:
        raise _refused("a loop over a value")

    def __len__(self) -> int:
        raise _refused("len() of a value")

    def __float__(self) -> float:
        raise _refused("turning a value into a number (as functions of 'math' do)", _functions_hint())

    __int__ = __index__ = __float__

    def __setattr__(self, name: str, value: Any) -> None:
        raise _refused(f"setting the attribute '.{name}'")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise _refused(f"the attribute '.{name}'", _near(name))

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(function, "__name__", str(function))
        raise _refused(f"torch's '{name}'", _near(name))

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        raise _refused(f"NumPy's '{ufunc.__name__}'", _near(ufunc.__name__))


def _near(name: str) -> str:
    """A word of the language that is all but ``name`` (sin is not silu), else its words."""
    return nearest(name, _LANGUAGE, cutoff=0.75)


def _functions_hint() -> str:
    return f"; its functions: {', '.join(FUNCTIONS)}"


def _unwrapped(value: Any) -> Any:
    return value._value if isinstance(value, Symbol) else value


class TraceAlgebra:
    """The language on symbols: every call appends to a graph and declares the parameters it names."""

    def __init__(self, *, bias: bool, recurrent_dropout: bool) -> None:
        self.builder = Builder()
        self.with_bias = bias
        self.recurrent_dropout = recurrent_dropout
        self.names: dict[str, Value] = {}
        self._operands: dict[tuple[str, str], int] = {}

    def function(self, op: str, *args: Any) -> Symbol:
        return Symbol(self.builder.apply(op, *(_unwrapped(arg) for arg in args)))

    def linear(
        self,
        matrix: str,
        block: str,
        value: Any,
        *,
        bias: str | None = None,
        heads: int = 1,
        to: str = "hidden",
    ) -> Symbol:
        if to not in WIDTHS[2:]:
            raise CellError(f"a product goes to 'hidden' or 'projection', not to {to!r}")
        if not isinstance(heads, int) or isinstance(heads, bool) or heads < 1:
            raise CellError(f"heads is a whole number of at least 1, not {heads!r}")
        operand = self.builder.lift(_unwrapped(value))
        if not operand.node.batched or operand.node.width == "one":
            raise CellError(f"{matrix} '{block}' multiplies a value as wide as the input or the state")
        self._declare(matrix, "matrix", block, rows=to, columns=operand.node.width, heads=heads)
        if self._operands.setdefault((matrix, block), operand.index) != operand.index:
            raise CellError(f"'{block}' of {matrix} multiplies two different values: give the second its own name")
        if matrix == "weight_hh" and self.recurrent_dropout:
            operand = operand * self.builder.leaf("mask", operand.node.width, name="recurrent")
        result = Symbol(self.builder.product(operand, matrix, block))
        return result if bias is None else result + self.bias(bias, block, to)

    def bias(self, name: str, block: str, to: str) -> Symbol | float:
        if not self.with_bias:
            return 0.0
        self._declare(name, "bias", block, rows=to)
        return Symbol(self.builder.leaf("bias", to, batched=False, parameter=name, block=block))

    def vector(self, name: str, init: float | tuple[float, float]) -> Symbol:
        self._declare(name, "vector", name, rows="hidden", init=init)
        return Symbol(self.builder.leaf("vector", "hidden", batched=False, parameter=name, block=name))

    def named(self, name: str, value: Symbol) -> Symbol:
        if isinstance(value, Symbol):
            self.names[name] = value._value
        return value

    def sort_parameters(self) -> None:
        """In torch.nn's order: the two products, their biases, then the rest by first use."""
        order = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        stored = self.builder.parameters
        first = {name: stored[name] for name in order if name in stored}
        self.builder.parameters = {**first, **stored}

    def _declare(self, name: str, kind: str, block: str, **rest: Any) -> None:
        if not (isinstance(block, str) and block.isidentifier()):
            raise CellError(f"the name of a gate or vector is a word like 'r' or 'p_i', not {block!r}")
        known = self.builder.parameters.get(name)
        if known is None:
            self.builder.parameters[name] = Parameter(name, kind, (block,), **rest)
            return
        if replace(known, blocks=(block,)) != Parameter(name, kind, (block,), **rest):
            raise CellError(f"'{block}' of {name} differs in width, heads or initial value from what {name} is so far")
        if block not in known.blocks:
            self.builder.parameters[name] = replace(known, blocks=(*known.blocks, block))


def trace(
    function: Callable[..., State],
    options: Mapping[str, Any],
    *,
    bias: bool = True,
    recurrent_dropout: bool = False,
    parts: tuple[str, ...] | None = None,
) -> Graph:
    """The graph of a cell's function ``f(x, *state, **options) -> State``.

    ``parts`` names the state where the function's signature does not.

    The widths of the state parts are found, not declared: first all are ``hidden``, then what
    the function returned. Raises `CellError` naming file, line and op.
    """
    parts = parts or state_parts(function)
    widths = dict.fromkeys(parts, "hidden")
    for _ in range(len(parts) + 1):
        graph = _trace_once(function, options, widths, bias=bias, recurrent_dropout=recurrent_dropout)
        returned = {name: graph.nodes[graph.outputs[name]].width for name in parts}
        if returned == widths:
            try:
                return verify_cell(simplify(graph))
            except CellError as error:
                raise CellError(f"{_where(function)}: {error}") from None
        widths = returned
    raise CellError(f"{_where(function)}: the widths of the state do not settle: {widths}")


def state_parts(function: Callable[..., State]) -> tuple[str, ...]:
    """The names of the state parts: the positional arguments after ``x``."""
    positional = [
        p.name
        for p in inspect.signature(function).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(positional) < 2:
        raise CellError(f"{_where(function)}: a cell takes the input x and at least one part of its state, f(x, h)")
    if "h" not in positional[1:]:
        raise CellError(f"{_where(function)}: one part of the state is named h, the cell's output")
    return tuple(positional[1:])


def _trace_once(
    function: Callable[..., State], options: Mapping[str, Any], widths: Mapping[str, str], **flags: bool
) -> Graph:
    algebra = TraceAlgebra(**flags)
    x = Symbol(algebra.builder.leaf("input", "input", name="x"))
    state = [Symbol(algebra.builder.leaf("state", width, name=name)) for name, width in widths.items()]
    with activate(algebra), _locals_of(function) as seen:
        try:
            result = function(x, *state, **options)
        except UsageError:
            raise
        except Exception as error:
            raise CellError(f"{_where(function, error)}: {_explained(error)}") from None
    if not isinstance(result, State):
        found = "one value" if isinstance(result, Symbol) else type(result).__name__
        raise CellError(f"{_where(function)}: a cell returns State(h=...), not {found}")
    parts = result.parts()
    if set(parts) != set(widths):
        raise CellError(f"{_where(function)}: takes the state {', '.join(widths)} and returns {', '.join(parts)}")
    for name, part in parts.items():
        if not isinstance(part, Symbol):
            raise CellError(
                f"{_where(function)}: the new state '{name}' is {part!r}, not computed from x and the state"
            )
    outputs = {name: parts[name]._value for name in widths}
    algebra.sort_parameters()
    return algebra.builder.graph(outputs, _names(seen, algebra.names, outputs))


def _names(seen: Mapping[str, Any], named: Mapping[str, Value], outputs: Mapping[str, Value]) -> dict[str, Value]:
    """What to call values: local variables of the function, and names given inside the language."""
    names: dict[str, Value] = {}
    taken = {value.index for value in outputs.values()}
    local = {name: value._value for name, value in seen.items() if isinstance(value, Symbol)}
    for name, value in [*local.items(), *named.items()]:
        is_leaf = value.node.op in ("input", "state", "vector", "bias", "mask", "const")
        if not is_leaf and value.index not in taken and name not in outputs:
            names[name] = value
            taken.add(value.index)
    return names


@contextmanager
def _locals_of(function: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    """The local variables of ``function`` as they were when it returned."""
    seen: dict[str, Any] = {}
    code = function.__code__
    before = sys.getprofile()

    def watch(frame: Any, event: str, argument: Any) -> None:
        if event == "return" and frame.f_code is code:
            seen.update(frame.f_locals)

    sys.setprofile(watch)
    try:
        yield seen
    finally:
        sys.setprofile(before if callable(before) else None)
        if before is not None and not callable(before):
            before.enable()  # cProfile's profiler, which cannot be handed back


def _where(function: Callable[..., Any], error: BaseException | None = None) -> str:
    """``file:line`` in the user's words: where the error left the user's file, else the function."""
    code = function.__code__
    line = code.co_firstlineno
    if error is not None:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == code.co_filename]
        line = (lines[-1] if lines else line) or line
    shown = os.path.relpath(code.co_filename) if os.path.isabs(code.co_filename) else code.co_filename
    return f"{code.co_filename if shown.startswith('..') else shown}:{line}, cell '{code.co_name}'"


def _explained(error: Exception) -> str:
    if isinstance(error, CellError):
        return str(error)
    if isinstance(error, NameError) and error.name:
        return f"'{error.name}' is not defined{nearest(error.name, _LANGUAGE)}"
    if isinstance(error, TypeError) and "Symbol" in str(error):
        return f"{str(error).replace('Symbol', 'value')}: not in the cell language{_functions_hint()}"
    return f"{type(error).__name__}: {error}"
