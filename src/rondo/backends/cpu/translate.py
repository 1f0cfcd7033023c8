"""From the graph of a step to a `Program`: sums of products become one value, the rest instructions."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rondo.backends.cpu.plan import Code
from rondo.backends.cpu.program import Program, Reference, Term, Value
from rondo.ir.graph import Graph, Node
from rondo.ir.ops import OPS
from rondo.ir.passes import reachable

_SELECT = {
    "lt": (Code.SELECT_LT, False), "gt": (Code.SELECT_LT, True),
    "le": (Code.SELECT_LE, False), "ge": (Code.SELECT_LE, True),
}  # fmt: skip
"""The instruction for each comparison, and whether its sides change places."""


class Translator:
    """Makes the values of a program from the nodes that ``wanted`` ones depend on.

    ``leaf`` gives the value of an input, state, mask, grad or residual. Trees of ``add`` whose inner nodes
    have no other use, and are not wanted themselves, are summed up together: all products into one
    accumulator that starts from the sum of the biases.
    """

    def __init__(self, program: Program, graph: Graph, wanted: Iterable[int], leaf: Callable[[Node], int]) -> None:
        self.program = program
        self.nodes = graph.nodes
        self.leaf = leaf
        self.pinned = set(wanted)
        self.live = sorted(reachable(graph, self.pinned))
        self.users: dict[int, list[int]] = {index: [] for index in self.live}
        for index in self.live:
            for arg in graph.nodes[index].args:
                self.users[arg].append(index)
        self.number: dict[int, int] = {}

    def run(self, *, apart: int | None = None) -> None:
        """Translate all nodes but the one ``apart``, whose parts are asked for by `parts`."""
        for index in self.live:
            node = self.nodes[index]
            kind = OPS[node.op].kind
            if index == apart or self._joins(index) or kind in ("compare", "gradient"):
                continue
            if kind == "leaf":
                self.number[index] = self._leaf(node)
            elif kind == "reduce":
                self.number[index] = self._reduced(index)
            elif kind == "product" or node.op == "add":
                terms, vectors, elements = self.parts(index)
                self.number[index] = self._sum(terms, vectors, elements, node.width)
            else:
                self.number[index] = self._instruction(node)

    def value(self, index: int) -> int:
        return self.number[index]

    def is_sum(self, index: int) -> bool:
        """Whether a wanted node is a sum or a product and nothing else is computed from it."""
        node = self.nodes[index]
        return (node.op == "add" or OPS[node.op].kind == "product") and not self.users[index]

    def parts(self, index: int) -> tuple[list[Term], list[Reference], list[int]]:
        """The products, biases and other values that a node is the sum of; biases only beside products."""
        terms: list[Term] = []
        biases: list[int] = []
        elements: list[int] = []
        todo = [index]
        while todo:
            current = todo.pop()
            node = self.nodes[current]
            if OPS[node.op].kind == "product" and (current == index or self._joins(current)):
                matrix = self.program.reference(node["parameter"], node["block"])
                terms.append(Term(self.number[node.args[0]], matrix, node.op == "product_t"))
            elif node.op == "add" and (current == index or self._joins(current)):
                todo.extend(reversed(node.args))
            elif node.op in ("bias", "vector"):
                biases.append(current)
            else:
                elements.append(self.number[current])
        if not terms:
            return terms, [], [self.number[bias] for bias in biases] + elements
        nodes = (self.nodes[bias] for bias in biases)
        return terms, [self.program.reference(node["parameter"], node["block"]) for node in nodes], elements

    def total(self, elements: list[int], width: str) -> int:
        """The values added up, one instruction after the other."""
        result = elements[0]
        for element in elements[1:]:
            result = self.program.code(Code.ADD, (result, element), width)
        return result

    def _joins(self, index: int) -> bool:
        """Whether a node is only a part of the sum that its one user is."""
        node, users = self.nodes[index], self.users[index]
        summed = node.op == "add" or OPS[node.op].kind == "product"
        return summed and index not in self.pinned and len(users) == 1 and self.nodes[users[0]].op == "add"

    def _sum(self, terms: list[Term], vectors: list[Reference], elements: list[int], width: str) -> int:
        """A sum with products. What else is added comes before the products where it is known by then."""
        if not terms:
            return self.total(elements, width)
        program = self.program
        sums = Value("sum", width, 0, terms=tuple(terms), vectors=tuple(vectors))
        levels = program.term_levels(sums)
        sums.level = max(levels)
        if not elements:
            return program.add(sums)
        ready = max(program.code_level(element) for element in elements)
        if ready < min(levels) and not vectors and not any(program.is_hoisted(term) for term in terms):
            sums.args = (self.total(elements, width),)
            return program.add(sums)
        return self.total([program.add(sums), *elements], width)

    def _leaf(self, node: Node) -> int:
        if node.op == "const":
            return self.program.constant(node["value"])
        if node.op in ("bias", "vector"):
            reference = self.program.reference(node["parameter"], node["block"])
            return self.program.leaf(self.program.vector((reference,), node.width))
        return self.leaf(node)

    def _reduced(self, index: int) -> int:
        """``mean`` and ``sum`` are accumulated over the units; ``broadcast`` and ``spread`` only look."""
        program, node = self.program, self.nodes[index]
        arg = self.number[node.args[0]]
        if node.op in ("mean", "sum"):
            mean = node.op == "mean" or self._is_mean(index)
            return program.add(Value("reduce", "one", program.code_level(arg), (arg,), mean=mean))
        if node.op == "spread" and not self._is_mean(node.args[0]):
            arg = program.code(Code.MUL, (arg, program.constant(1.0, node.width)), "one")
        return program.view(arg, node.width)

    def _is_mean(self, index: int) -> bool:
        """Whether a sum over the units is only spread over them again: it is divided where it is finished."""
        node, users = self.nodes[index], self.users[index]
        return (
            node.op == "sum"
            and index not in self.pinned
            and all(
                self.nodes[user].op == "spread" and self.nodes[user].width == self.nodes[node.args[0]].width
                for user in users
            )
        )

    def _instruction(self, node: Node) -> int:
        if node.op != "where":
            args = tuple(self.number[arg] for arg in node.args)
            return self.program.code(Code[node.op.upper()], args, node.width)
        condition = self.nodes[node.args[0]]
        code, swapped = _SELECT[condition.op]
        a, b = (self.number[arg] for arg in condition.args)
        if swapped:
            a, b = b, a
        return self.program.code(code, (a, b, self.number[node.args[1]], self.number[node.args[2]]), node.width)
