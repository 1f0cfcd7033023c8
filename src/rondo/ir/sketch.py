"""A graph as the few blocks that a drawing of the step shows.

An affine map (products, biases, peepholes, normalised products) is one block, and so is a gate: a
function of an affine map. Everything else is a small sign. Labels are plain text in which ``_``
lowers the word or the braces behind it: ``W_r x + U_r h``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rondo.ir.graph import Graph
from rondo.ir.ops import OPS
from rondo.ir.printing import TEXT, Printer

SIGNS = {
    "add": "+", "sub": "−", "mul": "×", "div": "÷", "neg": "−", "sigmoid": "σ", "maximum": "max", "minimum": "min",
    "softplus": "softplus", "where": "if",
}  # fmt: skip


@dataclass(frozen=True)
class Block:
    """A box, a sign, or a terminal of the drawing."""

    key: str
    kind: str
    """input, state, parameter, affine, gate, sign or output."""
    label: str
    name: str = ""
    """What the cell calls this value."""


@dataclass
class Sketch:
    """Blocks in an order in which each comes after those it uses, and the edges between them."""

    blocks: dict[str, Block] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    seconds: set[tuple[str, str]] = field(default_factory=set)
    """Edges of what is subtracted, or divided by."""


def sketch(graph: Graph) -> Sketch:
    """The blocks of a cell's step, from its input and old state to its new state."""
    return _Sketcher(graph).sketch


class _Sketcher:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.printer = Printer(graph, TEXT)
        self.live = self.printer.live
        self.outputs = set(graph.outputs.values())
        self.uses = [[user for user in users if user in self.live] for users in graph.uses()]
        self.sketch = Sketch()
        self.key: dict[int, str] = {}
        for index, node in enumerate(graph.nodes):
            if node.op in ("input", "state"):
                time = "t" if node.op == "input" else "{t−1}"
                self._add(index, Block(f"in_{node['name']}", node.op, f"{node['name']}_{time}"), [])
        for name, index in graph.outputs.items():
            self._block(index)
            self.sketch.blocks[f"out_{name}"] = Block(f"out_{name}", "output", f"{name}_t")
            self.sketch.edges.append((self.key[index], f"out_{name}"))

    def _add(self, index: int, block: Block, sources: list[int]) -> None:
        for source in sources:
            self._block(source)
        self.key[index] = block.key
        self.sketch.blocks[block.key] = block
        self.sketch.edges += [(self.key[source], block.key) for source in dict.fromkeys(sources)]

    def _block(self, index: int) -> None:
        if index in self.key:
            return
        node, name = self.graph.nodes[index], self._name(index)
        op = OPS[node.op]
        if self._affine(index):
            terms, sources = self._terms(index)
            leaf = op.kind == "leaf"
            self._add(index, Block(f"n{index}", "parameter" if leaf else "affine", " + ".join(terms), name), sources)
        elif op.kind == "elementwise" and len(node.args) == 1 and self._inside(node.args[0]):
            terms, sources = self._terms(node.args[0])
            label = f"{SIGNS.get(node.op, node.op)}({' + '.join(terms)})"
            self._add(index, Block(f"n{index}", "affine" if node.op == "neg" else "gate", label, name), sources)
        elif index in self.printer.norms:
            self._add(index, Block(f"n{index}", "sign", "norm", name), [self.printer.norms[index].argument])
        else:
            self._sign(index, name)

    def _sign(self, index: int, name: str) -> None:
        node = self.graph.nodes[index]
        sign = SIGNS.get(node.op, node.op)
        if node.op == "const":
            self._add(index, Block(f"n{index}", "parameter", self.printer.leaf(node)), [])
            return
        if node.op == "where":
            condition, *sides = node.args
            label = f"if {self._untimed(condition)}"
            compared = [arg for arg in self.graph.nodes[condition].args if self.graph.nodes[arg].op != "const"]
            self._add(index, Block(f"n{index}", "sign", label, name), [*sides, *compared])
            return
        constants = {position: arg for position, arg in enumerate(node.args) if self.graph.nodes[arg].op == "const"}
        rest = [arg for arg in node.args if arg not in constants.values()]
        if len(node.args) == 2 and len(constants) == 1:
            value = self.printer.leaf(self.graph.nodes[next(iter(constants.values()))])
            sign = (
                f"{sign}({value}, ·)" if len(sign) > 1 else f"{value} {sign}" if 0 in constants else f"{sign} {value}"
            )
        self._add(index, Block(f"n{index}", "sign", sign, name), rest)
        if node.op in ("sub", "div") and len(set(rest)) == 2:
            self.sketch.seconds.add((self.key[rest[1]], f"n{index}"))

    def _name(self, index: int) -> str:
        return "" if index in self.outputs else self.printer.named.get(index, "")

    def _affine(self, index: int) -> bool:
        """Whether a value is a sum of products with matrices, biases, and values times a vector."""
        node = self.graph.nodes[index]
        if node.op == "add":
            return all(self._affine(arg) for arg in node.args)
        return node.op in ("product", "bias", "vector") or self._scaled(index) is not None

    def _scaled(self, index: int) -> tuple[int, int] | None:
        """``vector * value``, in either order: the vector and the other."""
        node = self.graph.nodes[index]
        if node.op == "mul":
            for one, other in (node.args, node.args[::-1]):
                if self.graph.nodes[one].op == "vector" and self.graph.nodes[other].op not in ("vector", "const"):
                    return one, other
        return None

    def _inside(self, index: int) -> bool:
        """Whether an affine value is shown inside the block that uses it, and nowhere else."""
        if OPS[self.graph.nodes[index].op].kind == "leaf":
            return self._affine(index)
        alone = len(self.uses[index]) == 1 and not self._name(index) and index not in self.outputs
        return alone and self._affine(index)

    def _terms(self, index: int) -> tuple[list[str], list[int]]:
        """The terms of an affine value, and the values that enter it."""
        found = list(self._walk(index))
        texts = [text for text, _ in found]
        texts = [text for text in texts if not (text.startswith("b'_") and text.replace("b'_", "b_") in texts)]
        texts.sort(key=lambda text: text.startswith(("b_", "b'_")))  # biases last
        return texts, [source for _, source in found if source is not None]

    def _walk(self, index: int) -> Iterator[tuple[str, int | None]]:
        node = self.graph.nodes[index]
        if node.op == "add":
            for arg in node.args:
                if self._inside(arg):
                    yield from self._walk(arg)
                else:
                    yield "•", arg
        elif scaled := self._scaled(index):
            vector = self.printer.parameter(self.graph.nodes[scaled[0]])
            text, source = self._operand(scaled[1])
            yield f"{'γ' if vector.startswith('gain_') else vector} {text}", source
        elif node.op == "product":
            text, source = self._operand(node.args[0])
            yield f"{self.printer.parameter(node)} {text}", source
        else:
            yield self.printer.parameter(node), None

    def _operand(self, index: int) -> tuple[str, int]:
        """What a matrix or a vector multiplies: by name if it has one, else a dot for the edge that comes in."""
        node = self.graph.nodes[index]
        if node.op in ("input", "state"):
            return node["name"], index
        if index in self.printer.norms:
            argument = self.printer.norms[index].argument
            if self.graph.nodes[argument].op == "product":
                text, source = self._operand(self.graph.nodes[argument].args[0])
                return f"norm({self.printer.parameter(self.graph.nodes[argument])} {text})", source
            return f"norm({self._called(argument)})", argument
        return self._called(index), index

    def _called(self, index: int) -> str:
        name = self.printer.named.get(index, "•")
        return f"{name}_t" if index in self.outputs else name

    def _untimed(self, index: int) -> str:
        text = self.printer.expression(index)[0]
        return text.replace("_{t-1}", "").replace("_t", "")
