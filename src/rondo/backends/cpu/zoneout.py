"""Zoneout (Krueger et al. 2017, arXiv 1606.01305) as a rewriting of a cell's graph.

At random, or on average, a part of the state keeps its former value. The cell's equations do not know of
it; the step that is lowered and differentiated does.
"""

from __future__ import annotations

from collections.abc import Mapping

from rondo.ir import Graph
from rondo.ir.build import Builder
from rondo.ir.verify import verify_cell

MASK = "zoneout_"
"""What the name of a part's mask begins with."""


def with_zoneout(graph: Graph, rates: Mapping[str, float | None]) -> Graph:
    """The graph in which each part of ``rates`` is mixed of its former and its new value.

    A rate p takes p of the former and 1 - p of the new value. None takes the former value where the mask
    ``zoneout_<part>``, given for every step, is greater than 0.
    """
    if not rates:
        return graph
    builder = Builder.continuing(graph)
    outputs = {name: builder.value(index) for name, index in graph.outputs.items()}
    states = graph.leaves("state")
    for part, rate in rates.items():
        new, former = outputs[part], builder.value(states[part])
        if rate is None:
            mask = builder.leaf("mask", new.node.width, name=f"{MASK}{part}")
            outputs[part] = new.where(mask > 0.0, former, new)
        else:
            outputs[part] = rate * former + (1.0 - rate) * new
    names = {name: builder.value(index) for name, index in graph.names.items()}
    return verify_cell(builder.graph(outputs, names))
