"""The loop over time that a user of plain torch would write for a cell: the fair contender.

The loop is written out as Python source from the cell's graph, so that nothing but torch runs in it:
one product for all gates that read the same vector, sums of whole groups of gates where the equations
add them gate by gate, ``F.layer_norm`` where they normalise, ``x.unbind(1)`` for the steps. There are two:
``hoisted`` computes what does not wait for the state for all steps before the loop, the other at each step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rondo.cells import Cell
from rondo.errors import UsageError
from rondo.ir.graph import Graph, size_of
from rondo.ir.passes import after_state, reachable
from rondo.ir.printing import norms

Loop = Callable[[Tensor, Mapping[str, Tensor], Mapping[str, Tensor]], Tensor]
"""``loop(x, weights, state)``: the outputs (B, T, H)."""

_BINARY = {"add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_CALLS = {
    "sigmoid": "torch.sigmoid({})", "tanh": "torch.tanh({})", "relu": "torch.relu({})", "exp": "torch.exp({})",
    "log": "torch.log({})", "softplus": "F.softplus({})", "silu": "F.silu({})", "sqrt": "torch.sqrt({})",
    "neg": "-{}", "mean": "{}.mean(-1, keepdim=True)", "sum": "{}.sum(-1, keepdim=True)",
}  # fmt: skip
_OF_TWO = {
    "maximum": ("torch.maximum", "torch.clamp({}, min={})"),
    "minimum": ("torch.minimum", "torch.clamp({}, max={})"),
}


def eager_loop(cell: Cell, sizes: Mapping[str, int], *, hoisted: bool) -> Loop:
    """The loop, ready to run."""
    names: dict[str, Any] = {"torch": torch, "F": F}
    exec(
        compile(loop_source(cell, tuple(sorted(sizes.items())), hoisted=hoisted), f"<loop of {cell.name}>", "exec"),
        names,
    )
    loop: Loop = names["loop"]
    return loop


@lru_cache(maxsize=256)
def loop_source(cell: Cell, sizes: tuple[tuple[str, int], ...], *, hoisted: bool) -> str:
    """The loop as text."""
    return _Writer(cell.graph, dict(sizes), hoisted).source()


@dataclass(eq=False)
class _Group:
    """Blocks of one matrix that read one value: computed by one ``F.linear``."""

    name: str
    arg: int
    matrix: str
    bias: str | None
    blocks: list[int]
    """Consecutive rows of blocks in the stored matrix."""
    results: list[int]
    """For each block the node that has its value, bias included."""
    early: bool = False
    """Computed before the loop."""
    pieces: list[list[int]] = field(default_factory=list)
    """The results in the pieces in which they are used: single ones, or several that are added as one."""


class _Writer:
    def __init__(self, graph: Graph, sizes: Mapping[str, int], hoisted: bool) -> None:
        self.graph, self.sizes = graph, sizes
        self.norms = norms(graph)
        self.live = self._needed()
        self.users: dict[int, list[int]] = defaultdict(list)
        for index in sorted(self.live):
            for arg in self._args(index):
                self.users[arg].append(index)
        waiting = after_state(graph)
        self.early = {
            i for i in self.live if i not in waiting and (hoisted or not graph.nodes[i].batched) and not self._leaf(i)
        }
        self.lines: dict[bool, list[str]] = {True: [], False: []}
        self.names: dict[int, str] = {}
        self.crossing: list[str] = []
        self.weights: list[str] = []
        self.count = 0
        self.groups = list(self._grouped())
        self.of = {result: group for group in self.groups for result in group.results}
        self.sums = self._sums()
        for group in self.groups:
            group.pieces = self._pieces(group)

    def source(self) -> str:
        """The text of the function."""
        parts = [self.graph.nodes[i]["name"] for i in self.graph.leaves("state").values()]
        for early in (True, False):
            for index in sorted(self.live):
                if not self._leaf(index) and (index in self.early) is early:
                    self._write(index, early)
        after = [f"{part} = {self._use(index, False)}" for part, index in self.graph.outputs.items()]
        renamed = [line.replace(" = ", "_new = ", 1) for line in after]
        steps = list(dict.fromkeys(self.crossing)) or ["x"]
        unbound = ", ".join(f"{name}.unbind(1)" for name in steps)
        head = f"for {steps[0]} in {unbound}:" if len(steps) == 1 else f"for {', '.join(steps)} in zip({unbound}):"
        body = [
            *self.lines[False],
            *renamed,
            f"{', '.join(parts)} = {', '.join(f'{p}_new' for p in parts)}",
            "outputs.append(h)",
        ]
        lines = [
            "def loop(x, weights, state):",
            *(f"    {name} = weights['{name}']" for name in dict.fromkeys(self.weights)),
            *(f"    {part} = state['{part}']" for part in parts),
            "    outputs = []",
            *(f"    {line}" for line in self.lines[True]),
            f"    {head}",
            *(f"        {line}" for line in body),
            "    return torch.stack(outputs, 1)",
        ]
        return "\n".join(lines) + "\n"

    def _leaf(self, index: int) -> bool:
        return self.graph.nodes[index].op in ("input", "state", "bias", "vector", "const")

    def _args(self, index: int) -> tuple[int, ...]:
        """What a node reads, with a normalisation as one."""
        return (self.norms[index].argument,) if index in self.norms else self.graph.nodes[index].args

    def _needed(self) -> set[int]:
        inner = {i for norm in self.norms.values() for i in norm.inner}
        shared = reachable(self.graph, self.graph.outputs.values())
        if any(i in shared and user in shared and user not in inner and user not in self.norms
               for i in inner for user in self.graph.uses()[i] if self.graph.nodes[i].op != "const"):  # fmt: skip
            self.norms = {}
        needed: set[int] = set()
        todo = [*self.graph.outputs.values()]
        while todo:
            index = todo.pop()
            if index not in needed:
                needed.add(index)
                todo.extend(self._args(index))
        return needed

    def _grouped(self) -> Iterable[_Group]:
        """Products by matrix and argument, in runs of consecutive blocks."""
        found: dict[tuple[str, int, str | None], list[tuple[int, int]]] = defaultdict(list)
        for index in sorted(self.live):
            node = self.graph.nodes[index]
            if node.op != "product":
                continue
            parameter = self.graph.parameter(node["parameter"])
            if parameter.heads > 1:
                raise UsageError(
                    f"{parameter.name} has {parameter.heads} heads: there is no plain loop to compare with"
                )
            result, bias = self._with_bias(index)
            key = node["parameter"], node.args[0], bias
            found[key].append((parameter.blocks.index(node["block"]), result))
        for (matrix, arg, bias), members in found.items():
            run: list[tuple[int, int]] = []
            for member in sorted(members):
                if run and member[0] != run[-1][0] + 1:
                    yield self._group(matrix, arg, bias, run)
                    run = []
                run.append(member)
            yield self._group(matrix, arg, bias, run)

    def _group(self, matrix: str, arg: int, bias: str | None, run: Sequence[tuple[int, int]]) -> _Group:
        self.count += 1
        results = [result for _, result in run]
        early = all(result in self.early for result in results)
        return _Group(f"linear{self.count}", arg, matrix, bias, [block for block, _ in run], results, early)

    def _with_bias(self, index: int) -> tuple[int, str | None]:
        """The sum of a product and its own bias, where nothing else reads the product."""
        users = self.users[index]
        if len(users) == 1 and self.graph.nodes[users[0]].op == "add":
            (other,) = [arg for arg in self.graph.nodes[users[0]].args if arg != index] or [index]
            node = self.graph.nodes[other]
            if node.op == "bias" and node["block"] == self.graph.nodes[index]["block"]:
                return users[0], node["parameter"]
        return index, None

    def _sums(self) -> dict[int, list[int]]:
        """Sums of neighbouring blocks of two groups that are added as one, each listed under all of its results."""
        pairs: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
        for index in sorted(self.live):
            args = self.graph.nodes[index].args
            if self.graph.nodes[index].op != "add" or index in self.of or not all(arg in self.of for arg in args):
                continue
            a, b = sorted(args, key=lambda arg: self.of[arg].name)
            one, other = self.of[a], self.of[b]
            if one is not other and all(len(self.users[arg]) == 1 for arg in args):
                pairs[one.name, other.name].append((one.results.index(a), other.results.index(b), index))
        sums: dict[int, list[int]] = {}
        for members in pairs.values():
            run: list[tuple[int, int, int]] = []
            for member in [*sorted(members), (-9, -9, -9)]:
                if run and (member[0], member[1]) != (run[-1][0] + 1, run[-1][1] + 1):
                    if len(run) > 1:
                        sums |= dict.fromkeys(together := [index for _, _, index in run], together)
                    run = []
                run.append(member)
        return sums

    def _pieces(self, group: _Group) -> list[list[int]]:
        pieces: list[list[int]] = []
        for result in group.results:
            together = self.sums.get(self.users[result][0]) if self.users[result] else None
            if together and pieces and self.sums.get(self.users[pieces[-1][-1]][0]) is together:
                pieces[-1].append(result)
            else:
                pieces.append([result])
        return pieces

    def _write(self, index: int, early: bool) -> None:
        """The lines that compute one node."""
        node = self.graph.nodes[index]
        if index in self.names or index in self._gained():
            return
        if node.op == "product" and index not in self.of:
            return  # its bias comes with it
        if index in self.of:
            self._write_group(self.of[index], early)
        elif index in self.sums:
            self._write_sum(self.sums[index], early)
        else:
            self.lines[early].append(f"value{index} = {self._expression(index, early)}")
            self.names[index] = f"value{index}"

    def _write_group(self, group: _Group, early: bool) -> None:
        parameter = self.graph.parameter(group.matrix)
        rows = size_of(parameter.rows, self.sizes)
        weight, bias = group.matrix, group.bias
        self.weights += [weight] if bias is None else [weight, bias]
        if len(group.blocks) != len(parameter.blocks):
            part = f"[{rows * group.blocks[0]}:{rows * (group.blocks[-1] + 1)}]"
            self.lines[True].append(f"weight_{group.name} = {weight}{part}")
            weight = f"weight_{group.name}"
            if bias is not None:
                self.lines[True].append(f"bias_{group.name} = {bias}{part}")
                bias = f"bias_{group.name}"
        given = self._use(group.arg, early)
        self.lines[early].append(f"{group.name} = F.linear({given}, {weight}{'' if bias is None else f', {bias}'})")
        needed_early = any(user in self.early for result in group.results for user in self.users[result])
        inside = early and not needed_early
        if inside:
            self.crossing.append(group.name)
        self._split(group, rows, early and not inside)

    def _split(self, group: _Group, rows: int, early: bool) -> None:
        names = [f"{group.name}_{number}" for number in range(len(group.pieces))]
        if len(names) == 1:
            names = [group.name]
        elif all(len(piece) == 1 for piece in group.pieces):
            self.lines[early].append(f"{', '.join(names)} = {group.name}.chunk({len(names)}, -1)")
        else:
            widths = [rows * len(piece) for piece in group.pieces]
            self.lines[early].append(f"{', '.join(names)} = {group.name}.split({widths}, -1)")
        for name, piece in zip(names, group.pieces, strict=True):
            self.names |= dict.fromkeys(piece, name)

    def _write_sum(self, members: list[int], early: bool) -> None:
        a, b = (self._use(arg, early) for arg in self.graph.nodes[members[0]].args)
        names = [f"value{index}" for index in members]
        self.lines[early].append(f"{', '.join(names)} = ({a} + {b}).chunk({len(names)}, -1)")
        self.names |= dict(zip(members, names, strict=True))

    def _expression(self, index: int, early: bool) -> str:
        node = self.graph.nodes[index]
        if index in self.norms:
            return self._norm(index, early, None, None)
        if node.op in ("mul", "add") and (found := self._gain(index)):
            return self._norm(found[0], early, *found[1:])
        args = [self._use(arg, early) for arg in node.args]
        constants = [self.graph.nodes[arg].op == "const" for arg in node.args]
        if node.op in _BINARY:
            return f"{args[0]} {_BINARY[node.op]} {args[1]}"
        if node.op in _OF_TWO:
            call, with_number = _OF_TWO[node.op]
            if any(constants):
                return with_number.format(*(args if constants[1] else args[::-1]))
            return f"{call}({', '.join(args)})"
        if node.op == "where":
            return f"torch.where({', '.join(args)})"
        return _CALLS[node.op].format(*args)

    def _norm(self, index: int, early: bool, gain: str | None, shift: str | None) -> str:
        norm = self.norms[index]
        width = size_of(self.graph.nodes[norm.argument].width, self.sizes)
        self.weights += [name for name in (gain, shift) if name]
        return f"F.layer_norm({self._use(norm.argument, early)}, ({width},), {gain}, {shift}, {norm.epsilon!r})"

    def _gain(self, index: int) -> tuple[int, str | None, str | None] | None:
        """The normalisation behind ``gain * norm`` or ``gain * norm + shift``, with the learned vectors."""
        node = self.graph.nodes[index]
        vectors = [arg for arg in node.args if self.graph.nodes[arg].op == "vector"]
        others = [arg for arg in node.args if arg not in vectors]
        if len(vectors) != 1 or len(others) != 1:
            return None
        vector, other = self.graph.nodes[vectors[0]]["parameter"], others[0]
        if node.op == "mul":
            return (other, vector, None) if other in self.norms and len(self.users[other]) == 1 else None
        inner = self._gain(other) if self.graph.nodes[other].op == "mul" and len(self.users[other]) == 1 else None
        return None if inner is None else (inner[0], inner[1], vector)

    def _gained(self) -> set[int]:
        """Nodes that are written as a part of the layer normalisation around them."""
        found: set[int] = set()
        for index in self.live:
            if self.graph.nodes[index].op in ("mul", "add") and (inner := self._gain(index)):
                found.add(inner[0])
                if self.graph.nodes[index].op == "add":
                    found |= {arg for arg in self.graph.nodes[index].args if self.graph.nodes[arg].op == "mul"}
        return found

    def _use(self, index: int, early: bool) -> str:
        """The name of a value; one that was computed before the loop comes into it step by step."""
        node = self.graph.nodes[index]
        if node.op == "const":
            return repr(node["value"])
        if node.op in ("bias", "vector"):
            return self._learned(index)
        if node.op in ("input", "state"):
            name = str(node["name"])
            if node.op == "input" and not early:
                self.crossing.append(name)
            return name
        name = self.names[index]
        if not early and node.batched and (index in self.early) and not self._split_inside(index):
            self.crossing.append(name)
        return name

    def _split_inside(self, index: int) -> bool:
        """Whether the value is a piece of a group that comes into the loop as a whole."""
        group = self.of.get(index)
        return group is not None and not any(user in self.early for r in group.results for user in self.users[r])

    def _learned(self, index: int) -> str:
        node = self.graph.nodes[index]
        parameter = self.graph.parameter(node["parameter"])
        self.weights.append(parameter.name)
        if len(parameter.blocks) == 1:
            return parameter.name
        rows = size_of(parameter.rows, self.sizes)
        at = parameter.blocks.index(node["block"])
        return f"{parameter.name}[{rows * at}:{rows * (at + 1)}]"
