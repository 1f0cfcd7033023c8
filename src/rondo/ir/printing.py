"""Graphs for people: equations as text and as LaTeX.

Values with a name (gates, candidates, the new state) become an equation each, everything else is
written out inside them. ``W`` is a block of ``weight_ih``, ``U`` of ``weight_hh``, ``b`` of
``bias_ih`` and ``b'`` of ``bias_hh``. A layer normalisation is printed as ``norm(a)``, which is
explained in a last line. In a derivative ``grad_r`` is the loss's gradient with respect to r.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rondo.ir.graph import Graph, Node
from rondo.ir.ops import OPS
from rondo.ir.passes import reachable

_SYMBOLS = {"weight_ih": "W", "weight_hh": "U", "bias_ih": "b", "bias_hh": "b'"}
_TIGHT = ("product", "gradient")
_LONG = 60
"""A value without a name that would print longer than this many ops gets one: v1, v2, ..."""


@dataclass(frozen=True)
class Style:
    """How the parts of an equation are written."""

    template: Callable[[Node, Graph], str]
    subscript: Callable[[str, str], str]
    number: Callable[[float], str]
    group: str
    norm: str
    norm_is: tuple[str, str]
    fractions: bool
    """Whether a division groups by itself."""


def _latex_subscript(name: str, index: str) -> str:
    gradient, name = (r"\partial ", name[5:]) if name.startswith("grad_") else ("", name)
    head, _, tail = name.partition("_")
    prime = "'" if head.endswith("'") else ""
    head = head.rstrip("'")
    greek = {"alpha": r"\alpha", "beta": r"\beta", "gamma": r"\gamma", "mu": r"\mu"}
    base = gradient + greek.get(head, head if len(head) == 1 else rf"\mathrm{{{head}}}") + prime
    lower = ",".join(part for part in (tail.replace("_", ","), index) if part)
    return f"{base}_{{{lower}}}" if lower else base


def _latex_number(value: float) -> str:
    digits, _, exponent = f"{value:g}".partition("e")
    if not exponent:
        return digits
    power = f"10^{{{int(exponent)}}}"
    return power if digits == "1" else rf"{digits} \cdot {power}"


def _latex_template(node: Node, graph: Graph) -> str:
    scaled = node.op == "mul" and graph.nodes[node.args[0]].op == "const"
    return r"{0}\,{1}" if scaled else OPS[node.op].latex


TEXT = Style(
    template=lambda node, graph: OPS[node.op].text,
    subscript=lambda name, index: f"{name}_{index}" if index else name,
    number=lambda value: f"{value:g}",
    group="({})",
    norm="norm({})",
    norm_is=("norm(a)", "(a - mean(a)) / sqrt(mean((a - mean(a))²) + {})"),
    fractions=False,
)
LATEX = Style(
    template=_latex_template,
    subscript=_latex_subscript,
    number=_latex_number,
    group=r"\left({}\right)",
    norm=r"\operatorname{{norm}}\left({}\right)",
    norm_is=(
        r"\operatorname{norm}(a)",
        r"\frac{{a - \overline{{a}}}}{{\sqrt{{\overline{{(a - \overline{{a}})^2}} + {}}}}}",
    ),
    fractions=True,
)


def equations(graph: Graph) -> dict[str, str]:
    """One line of plain text for each named value, in the order in which they are computed."""
    return {name: f"{left} = {right}" for name, (left, right) in Printer(graph, TEXT).equations().items()}


def to_text(graph: Graph) -> str:
    """The equations, one a line."""
    return "\n".join(equations(graph).values())


def to_latex(graph: Graph) -> str:
    """The equations as one LaTeX ``aligned`` block."""
    lines = [rf"{left} &= {right}" for left, right in Printer(graph, LATEX).equations().values()]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


@dataclass(frozen=True)
class Norm:
    """A layer normalisation without its gain: the argument, epsilon, and the nodes between."""

    argument: int
    epsilon: float
    inner: frozenset[int]


def norms(graph: Graph) -> dict[int, Norm]:
    """The divisions that complete a layer normalisation, ``(a - mean(a)) / sqrt(mean(squares) + epsilon)``."""
    found = {}
    for index, node in enumerate(graph.nodes):
        if node.op == "div" and (norm := _norm(graph, *node.args)):
            found[index] = norm
    return found


def _norm(graph: Graph, centred: int, deviation: int) -> Norm | None:
    nodes = graph.nodes

    def is_(index: int, op: str) -> bool:
        return nodes[index].op == op

    if not (is_(centred, "sub") and is_(deviation, "sqrt")):
        return None
    argument, average = nodes[centred].args
    variance = nodes[deviation].args[0]
    if not (is_(average, "mean") and nodes[average].args == (argument,) and is_(variance, "add")):
        return None
    mean, epsilon = nodes[variance].args
    if not (is_(mean, "mean") and is_(epsilon, "const")):
        return None
    square = nodes[mean].args[0]
    if not (is_(square, "mul") and nodes[square].args == (centred, centred)):
        return None
    return Norm(argument, nodes[epsilon]["value"], frozenset((centred, average, square, mean, variance, deviation)))


class Printer:
    """Writes the values of one graph in one style."""

    def __init__(self, graph: Graph, style: Style, *, short_norms: bool = True) -> None:
        self.graph, self.style = graph, style
        self.live = reachable(graph, graph.outputs.values())
        found = norms(graph) if short_norms else {}
        self.norms = {index: norm for index, norm in found.items() if index in self.live}
        self.named = {index: name for name, index in graph.names.items() if index not in self._inside()}
        self.named |= {index: name for name, index in graph.outputs.items()}
        self._name_long_ones()

    def equations(self) -> dict[str, tuple[str, str]]:
        """Left and right side by name; an output comes under its own name even if it equals another."""
        result = {}
        for index in sorted(self.named):
            if index in self.live and OPS[self.graph.nodes[index].op].kind != "leaf":
                right = self.expression(index, top=True)[0]
                result[self.named[index]] = (self._left(self.named[index]), right)
        for name, index in self.graph.outputs.items():  # a part that is only passed on, or the same as another
            if name not in result:
                result[name] = (self._left(name), self.expression(index)[0])
        for epsilon in sorted({norm.epsilon for norm in self.norms.values()}):
            left, right = self.style.norm_is
            result["norm"] = (left, right.format(self.style.number(epsilon)))
        return result

    def expression(self, index: int, top: bool = False) -> tuple[str, int]:
        """The printed form of a node and its precedence."""
        node, style = self.graph.nodes[index], self.style
        op = OPS[node.op]
        if op.kind == "leaf":
            return self.leaf(node), 3 if node.op == "const" and node["value"] < 0 else 9
        if index in self.named and not top:
            return self._left(self.named[index]), 9
        if index in self.norms:
            return style.norm.format(self.expression(self.norms[index].argument)[0]), 9
        own = 9 if node.op == "div" and style.fractions else op.precedence
        parts = []
        for position, arg in enumerate(node.args):
            text, precedence = self.expression(arg)
            tight = own + (2 if op.kind in _TIGHT else position == 1 and node.op in ("sub", "div"))
            parts.append(style.group.format(text) if own < 9 and 0 < precedence < tight else text)
        name = self.parameter(node) if op.kind == "product" else ""
        return style.template(node, self.graph).format(*parts, name=name), own

    def leaf(self, node: Node) -> str:
        """A leaf with its time index."""
        subscript = self.style.subscript
        if node.op == "const":
            return self.style.number(node["value"])
        if node.op in ("bias", "vector"):
            return self.parameter(node)
        if node.op == "state":
            return subscript(node["name"], "{t-1}" if self.style is TEXT else "t-1")
        if node.op == "mask":
            return subscript(f"mask_{node['name']}", "")
        return subscript(f"grad_{node['name']}" if node.op == "grad" else node["name"], "t")

    def parameter(self, node: Node) -> str:
        """A block of a learned array: ``W_r``, ``U_n``, ``b'_z``, ``p_i``."""
        parameter, block = node["parameter"], node["block"]
        if parameter in _SYMBOLS:
            return self.style.subscript(_SYMBOLS[parameter], block)
        return self.style.subscript(*(("W", block) if parameter.startswith("weight_") else (parameter, "")))

    def _left(self, name: str) -> str:
        if "." in name:  # the gradient of a block, in a derivative
            parameter, block = name.split(".")
            symbol = _SYMBOLS.get(parameter, "W" if parameter.startswith("weight_") else parameter)
            return self.style.subscript(f"grad_{symbol}", block if symbol != block else "")
        is_gradient = "grad" in {node.op for node in self.graph.nodes}
        if is_gradient and name in self.graph.outputs:
            index = "t" if name == "x" else "{t-1}" if self.style is TEXT else "t-1"
            return self.style.subscript(f"grad_{name}", index)
        return self.style.subscript(name, "t")

    def _inside(self) -> set[int]:
        """The nodes that stand only inside a normalisation and so have no equation of their own."""
        inside = {index for norm in self.norms.values() for index in norm.inner}
        uses = self.graph.uses()
        return {index for index in inside if all(u in inside or u in self.norms for u in uses[index] if u in self.live)}

    def _name_long_ones(self) -> None:
        size: dict[int, int] = {}
        taken = {*self.graph.names, *self.graph.outputs}
        count = 0
        for index in sorted(self.live):
            node = self.graph.nodes[index]
            args = (self.norms[index].argument,) if index in self.norms else node.args
            size[index] = 1 if index in self.named else 1 + sum(size[arg] for arg in args)
            if size[index] > _LONG and OPS[node.op].kind not in ("compare", "gradient"):
                count += 1
                while f"v{count}" in taken:
                    count += 1
                self.named[index] = f"v{count}"
                size[index] = 1
