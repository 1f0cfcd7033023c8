"""`Cell`: one step of a recurrent network, known by its equations."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, overload

from torch import Generator, Tensor

from rondo.cells import initialise
from rondo.cells.initialise import Initialisation
from rondo.cells.replay import replayed
from rondo.cells.torch_algebra import TorchAlgebra
from rondo.errors import CellError, UsageError, nearest
from rondo.ir import Graph, Parameter, State, activate, trace
from rondo.ir.passes import after_state, log_scales
from rondo.ir.serialize import from_json, to_json

Step = Callable[[Tensor, State], State]

_BY_KEY: dict[str, Cell] = {}


@dataclass(frozen=True, eq=False)
class Cell:
    """The equations of a cell with everything that follows from them.

    ``function`` is ``f(x, *state, **options) -> State``; ``graph`` its trace. Made by `cell`,
    found by `get_cell`, or read from a saved model by `Cell.from_json`.
    """

    name: str
    function: Callable[..., State]
    graph: Graph
    initialisation: Initialisation = field(default_factory=Initialisation)
    options: Mapping[str, Any] = field(default_factory=dict)
    documentation: str = ""

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The stored arrays, in order of their first use in the equations."""
        return self.graph.parameters

    @cached_property
    def state_parts(self) -> tuple[str, ...]:
        """Names of the state parts, in the order of the function's arguments."""
        return tuple(self.graph.leaves("state"))

    @property  # not cached: torch.compile cannot see one made inside
    def output_first(self) -> tuple[str, ...]:
        """The same names, with ``h`` before the others."""
        return "h", *(part for part in self.state_parts if part != "h")

    @cached_property
    def state_widths(self) -> dict[str, str]:
        """The symbolic width of each state part; ``h`` is the output."""
        return {name: self.graph.nodes[index].width for name, index in self.graph.leaves("state").items()}

    @cached_property
    def has_projection(self) -> bool:
        """Whether the cell needs a projection size besides the hidden size."""
        return any("projection" in (p.rows, p.columns) for p in self.parameters)

    @cached_property
    def has_recurrent_product(self) -> bool:
        """Whether there is a ``recur``: the matrix that recurrent dropout and weight drop act on."""
        return any(p.name == "weight_hh" for p in self.parameters)

    @property
    def is_scan(self) -> bool:
        """Whether no product with a learned matrix waits for the state."""
        return not any(self.graph.nodes[index].op == "product" for index in after_state(self.graph))

    @cached_property
    def log_scales(self) -> tuple[str, ...]:
        """State parts that are the logarithm of a scale of the others, as the stabiliser m of `slstm`."""
        return tuple(part for part in log_scales(self.graph) if part != "h")

    def traced(self, *, bias: bool = True, recurrent_dropout: bool = False) -> Graph:
        """The graph without biases, or with a mask before each recurrent product."""
        return trace(
            self.function, _function_options(self), bias=bias, recurrent_dropout=recurrent_dropout,
            parts=self.state_parts,
        )  # fmt: skip

    def with_options(self, **options: Any) -> Cell:
        """The cell with other values of its keyword-only options."""
        known = _options_of(self.function)
        for name in options:
            if name not in known:
                has = nearest(name, known) if known else "; it has none"
                raise UsageError(f"cell '{self.name}' has no option '{name}'{has}")
        for name, value in options.items():
            if type(value) is not type(known[name]) and not (isinstance(known[name], float) and type(value) is int):
                raise UsageError(f"cell '{self.name}': {name} = {value!r}, expected something like {known[name]!r}")
        made = replace(self, options={**known, **self.options, **options})
        return replace(made, graph=made.traced())

    def bind(
        self,
        weights: Mapping[str, Tensor],
        sizes: Mapping[str, int],
        *,
        masks: Mapping[str, Tensor] | None = None,
        taps: dict[str, Tensor] | None = None,
    ) -> Step:
        """The step as a function of ``x`` (batch, input) and the state, with the weights put in.

        ``taps`` receives at each step the values that the equations name.
        """
        algebra = TorchAlgebra(self.parameters, weights, sizes, masks=masks)
        function, options = self.function, _function_options(self)
        if taps is not None:  # only the graph has all the names
            algebra.taps, function, options = taps, replayed(self.graph), {}

        def step(x: Tensor, state: State) -> State:
            with activate(algebra):
                return function(x, *(getattr(state, part) for part in self.state_parts), **options)

        return step

    def initialise(
        self,
        weights: Mapping[str, Tensor],
        sizes: Mapping[str, int],
        *,
        scheme: str | None = None,
        forget_bias: float | None = None,
        chrono: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        """Fill ``weights`` in place; what is not given follows the cell's own `Initialisation`."""
        chosen = self.initialisation.replaced(scheme=scheme, forget_bias=forget_bias, chrono=chrono)
        asked = "forget_bias" if forget_bias is not None else "chrono" if chrono is not None else None
        initialise.fill(self.name, self.parameters, weights, sizes, chosen, generator, asked=asked)

    def key(self) -> str:
        """A name by which `Cell.of_key` finds a cell of these equations: operators take text, not objects."""
        found = self.__dict__.get("_key")
        if found is None:
            content = json.dumps(self.to_json(), sort_keys=True).encode()
            found = self.__dict__["_key"] = f"{self.name}-{hashlib.sha256(content).hexdigest()[:16]}"
            _BY_KEY.setdefault(found, self)
        return found

    # As torch.compiler.assume_constant_result, which takes seconds to import.
    key._dynamo_marked_constant = True  # type: ignore[attr-defined]

    @staticmethod
    def of_key(key: str) -> Cell:
        """The cell that said this `key` in this process."""
        return _BY_KEY[key]

    def to_json(self) -> dict[str, Any]:
        """What a saved model keeps of the cell: graph and initialisation, no code."""
        return {
            "name": self.name, "options": dict(self.options), "graph": to_json(self.graph),
            "initialisation": self.initialisation.to_json(), "documentation": self.documentation,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Cell:
        """The cell of a saved model, run from its graph: no file of the user's is needed.

        Raises `CellError` for what is not one; nothing in ``data`` is run as code.
        """
        try:
            graph, name, options = from_json(data["graph"]), data["name"], dict(data.get("options", {}))
            initialisation = Initialisation.from_json(data.get("initialisation", {}))
            documentation = data.get("documentation", "")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CellError(f"a damaged cell: {type(error).__name__}: {error}") from None
        if not (isinstance(name, str) and name.isidentifier() and isinstance(documentation, str)):
            raise CellError(f"a damaged cell: {name!r} is not the name of one")
        return cls(name, replayed(graph), graph, initialisation, options, documentation)

    def __deepcopy__(self, memo: dict[int, Any]) -> Cell:
        return self  # nothing in a cell changes

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as a saved model keeps it: a user's function need not be there where it is read."""
        return Cell.from_json, (self.to_json(),)


@overload
def cell(function: Callable[..., State], /) -> Cell: ...
@overload
def cell(
    *, keep: str | None = ..., write: str | None = ..., init: str = ..., forget_bias: float | None = ...
) -> Callable[[Callable[..., State]], Cell]: ...
def cell(
    function: Callable[..., State] | None = None,
    *,
    keep: str | None = None,
    write: str | None = None,
    init: str = "uniform",
    forget_bias: float | None = None,
) -> Any:
    """Make a cell of a function ``f(x, h, ..., *, options) -> State(h=..., ...)``.

    The function is traced at once; what the cell language does not have is refused with file,
    line and op. ``keep`` names the gate that keeps the state when it is 1 (``"-z"`` for one that
    keeps it when it is 0), ``write`` an input gate beside it; ``init`` and ``forget_bias`` are the
    cell's own defaults, see `rondo.cells.initialise`.
    """

    def made(function: Callable[..., State]) -> Cell:
        if not function.__name__.isidentifier():
            raise CellError("a cell is a function with a name: write it with def, not lambda")
        options = _options_of(function)
        graph = trace(function, options)
        own = Initialisation(scheme=init, forget_bias=forget_bias, keep=keep, write=write)
        return Cell(function.__name__, function, graph, own, options, inspect.getdoc(function) or "")

    return made if function is None else made(function)


def _options_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The keyword-only arguments of a cell's function with their defaults."""
    keyword_only = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for parameter in keyword_only:
        if parameter.default is parameter.empty:
            raise UsageError(f"option '{parameter.name}' of cell '{function.__name__}' needs a default value")
    return {parameter.name: parameter.default for parameter in keyword_only}


def _function_options(cell: Cell) -> dict[str, Any]:
    return {name: cell.options[name] for name in _options_of(cell.function)}
