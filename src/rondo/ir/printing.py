"""Graphs for people: equations as text and as LaTeX, and a diagram as Mermaid or SVG source.

Values with a name (gates, candidates, the new state) become an equation each, everything else is
written out inside them. ``W`` is a block of ``weight_ih``, ``U`` of ``weight_hh``, ``b`` of
``bias_ih`` and ``b'`` of ``bias_hh``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rondo.ir.graph import Graph, Node
from rondo.ir.ops import OPS
from rondo.ir.passes import reachable

_SYMBOLS = {"weight_ih": "W", "weight_hh": "U", "bias_ih": "b", "bias_hh": "b'"}


@dataclass(frozen=True)
class _Style:
    template: Callable[[str], str]
    subscript: Callable[[str, str], str]
    group: Callable[[str], str]


_TEXT = _Style(
    template=lambda op: OPS[op].text,
    subscript=lambda name, index: f"{name}_{index}" if index else name,
    group=lambda inner: f"({inner})",
)


def _latex_subscript(name: str, index: str) -> str:
    head, _, tail = name.partition("_")
    prime = "'" if head.endswith("'") else ""
    head = head.rstrip("'")
    greek = {"beta": r"\beta", "mu": r"\mu"}
    base = greek.get(head, head if len(head) == 1 else rf"\mathrm{{{head}}}") + prime
    lower = ",".join(part for part in (tail.replace("_", ","), index) if part)
    return f"{base}_{{{lower}}}" if lower else base


_LATEX = _Style(
    template=lambda op: OPS[op].latex,
    subscript=_latex_subscript,
    group=lambda inner: rf"\left({inner}\right)",
)


def equations(graph: Graph) -> dict[str, str]:
    """One line of plain text for each named value, in the order in which they are computed."""
    return {name: f"{left} = {right}" for name, (left, right) in _equations(graph, _TEXT).items()}


def to_text(graph: Graph) -> str:
    """The equations, one a line."""
    return "\n".join(equations(graph).values())


def to_latex(graph: Graph) -> str:
    """The equations as one LaTeX ``aligned`` block."""
    lines = [rf"{left} &= {right}" for left, right in _equations(graph, _LATEX).values()]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def _equations(graph: Graph, style: _Style) -> dict[str, tuple[str, str]]:
    named = {index: name for name, index in graph.names.items()}
    named |= {index: name for name, index in graph.outputs.items()}
    live = reachable(graph, graph.outputs.values())
    result = {}
    for index in sorted(named):
        if index in live and OPS[graph.nodes[index].op].kind != "leaf":
            left = style.subscript(named[index], "t")
            result[named[index]] = (left, _expression(graph, index, named, style, top=True)[0])
    for name, index in graph.outputs.items():  # a part that is only passed on
        if OPS[graph.nodes[index].op].kind == "leaf":
            result[name] = (style.subscript(name, "t"), _leaf(graph.nodes[index], style))
    return result


def _expression(graph: Graph, index: int, named: dict[int, str], style: _Style, top: bool = False) -> tuple[str, int]:
    """The printed form of a node and its precedence."""
    node = graph.nodes[index]
    if index in named and not top and OPS[node.op].kind != "leaf":
        return style.subscript(named[index], "t"), 9
    op = OPS[node.op]
    if op.kind == "leaf":
        return _leaf(node, style), 9 if node.op != "const" or node["value"] >= 0 else 3
    own = 9 if node.op == "div" and style is _LATEX else op.precedence  # a fraction groups by itself
    parts = []
    for position, arg in enumerate(node.args):
        text, precedence = _expression(graph, arg, named, style)
        tight = own + (1 if (position == 1 and node.op in ("sub", "div")) or op.kind == "product" else 0)
        parts.append(style.group(text) if own < 9 and 0 < precedence < tight else text)
    name = _matrix(node, style) if op.kind == "product" else ""
    return style.template(node.op).format(*parts, name=name), own


def _leaf(node: Node, style: _Style) -> str:
    if node.op == "const":
        return f"{node['value']:g}"
    if node.op == "input":
        return style.subscript("x", "t")
    if node.op == "state":
        return style.subscript(node["name"], "{t-1}" if style is _TEXT else "t-1")
    if node.op in ("bias", "vector"):
        return _matrix(node, style)
    return style.subscript(f"{node.op}_{node['name']}", "t")


def _matrix(node: Node, style: _Style) -> str:
    parameter, block = node["parameter"], node["block"]
    if parameter in _SYMBOLS:
        return style.subscript(_SYMBOLS[parameter], block)
    return style.subscript("W", block) if parameter.startswith("weight_") else style.subscript(parameter, "")


def to_mermaid(graph: Graph) -> str:
    """A flow chart of the step as Mermaid source, which GitHub and many editors draw."""
    named = {index: name for name, index in graph.names.items()}
    live = sorted(reachable(graph, graph.outputs.values()))
    lines = ["flowchart LR"]
    for index in live:
        node = graph.nodes[index]
        label = node_label(graph, index, named)
        shape = (
            '(["{}"])' if OPS[node.op].kind == "leaf" else '["{}"]' if OPS[node.op].kind == "product" else '(("{}"))'
        )
        lines.append(f"  n{index}{shape.format(label)}")
        lines += [f"  n{arg} --> n{index}" for arg in node.args]
    for name, index in graph.outputs.items():
        lines += [f'  out_{name}(["{name}_t"])', f"  n{index} --> out_{name}"]
    return "\n".join(lines)


def node_label(graph: Graph, index: int, named: dict[int, str]) -> str:
    """A few characters for a node of a diagram: ``σ → r``, ``U_r ·``, ``+``."""
    node = graph.nodes[index]
    signs = {"add": "+", "sub": "−", "mul": "×", "div": "÷", "neg": "−", "sigmoid": "σ"}
    if OPS[node.op].kind == "leaf":
        label = _leaf(node, _TEXT).replace("{", "").replace("}", "")
    elif OPS[node.op].kind == "product":
        label = f"{_matrix(node, _TEXT)} ·"
    else:
        label = signs.get(node.op, node.op)
    return f"{label} → {named[index]}" if index in named else label
