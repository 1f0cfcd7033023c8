"""Building graphs: values with operators that append nodes, shared by tracing and by the derivative."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from rondo.errors import CellError
from rondo.ir.graph import Graph, Node, Parameter
from rondo.ir.ops import OPS
from rondo.ir.verify import joined


class Builder:
    """Collects nodes. Equal nodes are made once; arithmetic with constants is folded."""

    def __init__(self, parameters: tuple[Parameter, ...] = ()) -> None:
        self.nodes: list[Node] = []
        self.parameters = {parameter.name: parameter for parameter in parameters}
        self._index: dict[Node, int] = {}

    @classmethod
    def continuing(cls, graph: Graph) -> Builder:
        """A builder that already holds the nodes of ``graph`` under their numbers."""
        builder = cls(graph.parameters)
        builder.nodes = list(graph.nodes)
        builder._index = {node: index for index, node in enumerate(graph.nodes)}
        return builder

    def append(self, node: Node) -> Value:
        if node not in self._index:
            self._index[node] = len(self.nodes)
            self.nodes.append(node)
        return self.value(self._index[node])

    def value(self, index: int) -> Value:
        return Value(self, index)

    def leaf(self, op: str, width: str, *, batched: bool = True, **attributes: Any) -> Value:
        return self.append(Node(op, (), width, batched, tuple(attributes.items())))

    def const(self, value: float) -> Value:
        if not math.isfinite(value):
            raise CellError(f"a constant is a finite number, not {value}")
        return self.leaf("const", "one", batched=False, value=float(value))

    def lift(self, value: Any) -> Value:
        """A number as a constant; a value as itself."""
        if isinstance(value, Value):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self.const(value)
        raise CellError(f"a cell computes with its values and with numbers, not with {type(value).__name__}")

    def apply(self, op: str, *args: Any) -> Value:
        """An elementwise op, a comparison, or a reduction to one number a row."""
        values = [self.lift(arg) for arg in args]
        nodes = [value.node for value in values]
        for position, node in enumerate(nodes):
            is_comparison, decides = OPS[node.op].kind == "compare", op == "where" and position == 0
            if is_comparison and not decides:
                raise CellError("a comparison is not a number: it stands only in where(a > 0, ...)")
            if decides and not is_comparison:
                raise CellError("where() decides by a comparison, such as a > 0")
        if all(node.op == "const" for node in nodes) and OPS[op].kind == "elementwise":
            with np.errstate(all="ignore"):  # what is not finite is refused below, by name
                folded = OPS[op].evaluate(*(node["value"] for node in nodes))  # type: ignore[misc]
            return self.const(float(folded))
        if simpler := _simplified(op, values):
            return simpler
        if OPS[op].kind == "reduce":
            width, batched = "one", nodes[0].batched
            if nodes[0].width == "one":
                raise CellError(f"{op} over the hidden axis of a value that has none")
        else:
            width, batched = joined(nodes)
        return self.append(Node(op, tuple(value.index for value in values), width, batched))

    def product(self, value: Value, parameter: str, block: str, *, transposed: bool = False) -> Value:
        stored = self.parameters[parameter]
        width = stored.columns if transposed else stored.rows
        if width is None:
            raise CellError(f"{parameter} is not a matrix")
        op = "product_t" if transposed else "product"
        return self.append(Node(op, (value.index,), width, True, (("parameter", parameter), ("block", block))))

    def fitted(self, gradient: Value, like: Node) -> Value:
        """A gradient summed back over what the forward op broadcast, so that it has the shape of ``like``."""
        if like.width == "one" and gradient.node.width != "one":
            gradient = self.apply("sum", gradient)
        elif like.width != "one" and gradient.node.width == "one":
            gradient = self.append(Node("broadcast", (gradient.index,), like.width, gradient.node.batched))
        return gradient

    def graph(self, outputs: Mapping[str, Value], names: Mapping[str, Value] | None = None) -> Graph:
        return Graph(
            tuple(self.nodes),
            {name: value.index for name, value in outputs.items()},
            tuple(self.parameters.values()),
            {name: value.index for name, value in (names or {}).items()},
        )


class Arithmetic:
    """The operators of the cell language; a subclass says what applying an op means."""

    __slots__ = ()

    def _apply(self, op: str, *args: Any) -> Any:
        raise NotImplementedError

    def __add__(self, other: Any) -> Any:
        return self._apply("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return self._apply("add", other, self)

    def __sub__(self, other: Any) -> Any:
        return self._apply("sub", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self._apply("sub", other, self)

    def __mul__(self, other: Any) -> Any:
        return self._apply("mul", self, other)

    def __rmul__(self, other: Any) -> Any:
        return self._apply("mul", other, self)

    def __truediv__(self, other: Any) -> Any:
        return self._apply("div", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._apply("div", other, self)

    def __neg__(self) -> Any:
        return self._apply("neg", self)

    def __lt__(self, other: Any) -> Any:
        return self._apply("lt", self, other)

    def __le__(self, other: Any) -> Any:
        return self._apply("le", self, other)

    def __gt__(self, other: Any) -> Any:
        return self._apply("gt", self, other)

    def __ge__(self, other: Any) -> Any:
        return self._apply("ge", self, other)


class Value(Arithmetic):
    """A node under construction, with the arithmetic of the language."""

    __slots__ = ("builder", "index")

    def __init__(self, builder: Builder, index: int) -> None:
        self.builder = builder
        self.index = index

    @property
    def node(self) -> Node:
        return self.builder.nodes[self.index]

    def apply(self, op: str, *args: Any) -> Value:
        return self.builder.apply(op, *args)

    _apply = apply

    def where(self, condition: Value, a: Any, b: Any) -> Value:
        return self.builder.apply("where", condition, a, b)

    def spread(self, like: Value) -> Value:
        return self.builder.append(Node("spread", (self.index,), like.node.width, self.node.batched))

    def broadcast(self, like: Value) -> Value:
        return self.builder.append(Node("broadcast", (self.index,), like.node.width, self.node.batched))

    def transposed(self, product: Value) -> Value:
        node = product.node
        return self.builder.product(self, node["parameter"], node["block"], transposed=node.op == "product")


def _simplified(op: str, values: list[Value]) -> Value | None:
    """``a * 1``, ``a + 0``, ``a - 0``, ``a / 1``: the other operand, exactly the same numbers.

    ``a + (-b)`` is ``a - b`` and the reverse. ``where`` with a condition on constants is the branch that is taken.
    """
    if op == "where":
        condition = values[0].node
        sides = [values[0].builder.nodes[arg] for arg in condition.args]
        if OPS[condition.op].kind != "compare" or any(side.op != "const" for side in sides):
            return None
        return values[1 if OPS[condition.op].evaluate(*(side["value"] for side in sides)) else 2]  # type: ignore[misc]
    if op not in ("add", "sub", "mul", "div"):
        return None
    a, b = values
    neutral = 0.0 if op in ("add", "sub") else 1.0
    if b.node.op == "const" and b.node["value"] == neutral:
        return a
    if op in ("add", "mul") and a.node.op == "const" and a.node["value"] == neutral:
        return b
    if op in ("add", "sub") and b.node.op == "neg":
        return a.apply("sub" if op == "add" else "add", a, a.builder.value(b.node.args[0]))
    return None
