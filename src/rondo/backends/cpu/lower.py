"""From a cell to the plans the engine runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rondo.backends.cpu.complement import with_complements
from rondo.backends.cpu.emit import emit
from rondo.backends.cpu.fuse import fuse
from rondo.backends.cpu.homes import settle
from rondo.backends.cpu.plan import Code, Operand, Place, Plan
from rondo.backends.cpu.program import Program
from rondo.backends.cpu.reciprocal import with_reciprocals
from rondo.backends.cpu.schedule import schedule
from rondo.backends.cpu.sink import sink
from rondo.backends.cpu.slots import number
from rondo.backends.cpu.translate import Translator
from rondo.backends.cpu.verify import verify
from rondo.backends.cpu.zoneout import with_zoneout
from rondo.cells import Cell
from rondo.errors import UsageError, nearest
from rondo.ir import Derivative, Graph, differentiate
from rondo.ir.graph import Node
from rondo.ir.passes import visible


@dataclass(frozen=True)
class Plans:
    """The step of a cell and, for training, its step of backpropagation."""

    forward: Plan
    backward: Plan | None


@lru_cache(maxsize=512)
def plans_for(
    cell: Cell,
    *,
    bias: bool = True,
    recurrent_dropout: bool = False,
    zoneout: tuple[tuple[str, float | None], ...] = (),
    training: bool = True,
    dy: bool = True,
    dx: bool = True,
    taps: tuple[str, ...] = (),
    restarts: bool = False,
) -> Plans:
    """The plans of a cell as a layer uses it.

    ``zoneout``   parts of the state with the rate at which they keep their former value, or None where a
                  mask says so
    ``training``  whether a backward run follows
    ``dy``, ``dx``  see `lower_backward`
    ``taps``      names of values that are to be seen
    ``restarts``  see `lower_forward`
    """
    traced = cell.traced(bias=bias, recurrent_dropout=recurrent_dropout)
    graph = with_zoneout(simpler(traced), dict(zoneout))
    if not training:
        return Plans(lower_forward(graph, taps=taps, restarts=restarts), None)
    derivative = differentiate(graph)
    forward = lower_forward(derivative.forward, derivative.residuals, taps=taps, restarts=restarts)
    return Plans(forward, lower_backward(derivative, forward, dy=dy, dx=dx))


def simpler(graph: Graph) -> Graph:
    """A cell's graph as the engine computes it: the same within rounding, with fewer divisions and functions."""
    return with_complements(with_reciprocals(graph))


def lower_forward(
    graph: Graph, residuals: Iterable[str] = (), *, taps: Sequence[str] = (), restarts: bool = False
) -> Plan:
    """The plan of a step that keeps ``residuals`` (outputs of the graph) and ``taps`` (its names).

    ``restarts``: between two steps a state may be replaced by that of a new sequence. A new state that the
    backward plan reads is then kept in a slot besides.
    """
    parts = _parts(graph)
    program = Program(graph.parameters, parts)
    for name, index in graph.leaves("input").items():
        program.row("x", name, graph.nodes[index].width, timed=True)
    for part, width in parts.items():
        program.row("state", part, width, timed=True)
    kept = {name: graph.outputs[name] for name in residuals}
    known = visible(graph)
    for name in taps:
        if name not in known:
            raise UsageError(f"the cell has no value '{name}' to look at{nearest(name, known)}")
    tapped = {name: known[name] for name in taps}
    wanted = {*kept.values(), *tapped.values(), *(graph.outputs[part] for part in parts)}
    translator = Translator(program, graph, wanted, lambda node: _given(program, node))
    translator.run()
    for part, width in parts.items():
        operand = program.row("state", part, width, timed=True, ahead=1)
        program.stores.append((translator.value(graph.outputs[part]), operand))
    program.kept = {name: translator.value(index) for name, index in kept.items()}
    program.taps = {name: translator.value(index) for name, index in tapped.items()}
    return _planned(program, restarts=restarts)


def lower_backward(derivative: Derivative, forward: Plan, *, dy: bool = True, dx: bool = True) -> Plan:
    """The plan of a step of backpropagation after steps of ``forward``.

    ``dy``  whether the outputs h have gradients of their own, besides what the carried gradient brings
    ``dx``  whether x, or whatever the inputs are, need a gradient
    """
    graph, parts = derivative.backward, forward.parts
    program = Program(graph.parameters, dict(parts))
    inputs = derivative.forward.leaves("input")
    outputs = {name: index for name, index in graph.outputs.items() if dx or name not in inputs}

    def leaf(node: Node) -> int:
        if node.op == "grad":
            part = node["name"]
            carry = program.leaf(program.row("carry", part, node.width, timed=False))
            if not (dy and part == "h"):
                return carry
            return program.code(
                Code.ADD, (program.leaf(program.row("dy", "h", node.width, timed=True)), carry), node.width
            )
        if node.op == "residual":
            return program.leaf(_residual(program, forward, node["name"]))
        return _given(program, node)

    translator = Translator(program, graph, outputs.values(), leaf)
    x_index = outputs.get("x")
    x_apart = x_index is not None and translator.is_sum(x_index)
    translator.run(apart=x_index if x_apart else None)
    for name in inputs if dx else ():
        operand = program.row("dx", name, graph.nodes[outputs[name]].width, timed=True)
        if x_index is not None and x_apart:
            program.after, _, elements = translator.parts(x_index)
            if elements:
                program.stores.append((translator.total(elements, "input"), operand))
        else:
            program.stores.append((translator.value(outputs[name]), operand))
    for part, width in parts.items():
        carry = program.row("carry", part, width, timed=False)
        program.stores.append((translator.value(outputs[part]), carry))
    for name, index in outputs.items():
        node = graph.nodes[index]
        if "." not in name:
            continue
        reference = program.reference(*name.split("."))
        if node.op == "outer":
            left, right = (translator.value(arg) for arg in node.args)
            program.outers.append((left, right, reference))
        elif node.op == "sum_batch":
            program.row_sums.setdefault(translator.value(node.args[0]), []).append(reference)
    return _planned(program, restarts=False, kept=forward.kept)


def _planned(program: Program, *, restarts: bool, kept: Mapping[str, int] | None = None) -> Plan:
    sink(program)
    fuse(program)
    homes = settle(program, restarts=restarts)
    order = schedule(program, homes)
    counts = number(program, homes, order)
    if kept is not None:
        counts.kept = dict(kept)
    return verify(emit(program, homes, order, counts))


def _parts(graph: Graph) -> dict[str, str]:
    """The output h is the first, wherever it stands in the cell's function."""
    parts = {name: graph.nodes[index].width for name, index in graph.leaves("state").items()}
    return {"h": parts["h"], **parts}


def _given(program: Program, node: Node) -> int:
    """The leaf of an input, a state or a mask."""
    if node.op == "mask":
        return program.leaf(program.row("mask", node["name"], node.width, timed=node["name"] != "recurrent"))
    role = "x" if node.op == "input" else "state"
    return program.leaf(program.row(role, node["name"], node.width, timed=True))


def _residual(program: Program, forward: Plan, name: str) -> Operand:
    """Where the forward plan has left a residual."""
    operand = forward.operands[forward.residuals[name]]
    if operand.place != Place.ROW:
        return operand
    buffer = forward.rows[operand.index]
    return program.row(buffer.role, buffer.name, buffer.width, timed=buffer.timed, ahead=operand.ahead)
