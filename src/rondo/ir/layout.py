"""Drawing a directed graph from left to right without overlaps, after Sugiyama et al. 1981.

Nodes are put into layers; an edge over several layers passes through a waypoint in each; orders
within layers are improved by barycentres; heights are the least-squares fit to the neighbours'
that keeps order and distances (pool adjacent violators).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import mean

SWEEPS = 40
_STRAIGHT = (1.0, 2.0, 8.0)
"""How strongly an edge pulls its ends to one height: between nodes, at a waypoint, between waypoints."""
Chain = tuple[str, ...]


@dataclass
class Layout:
    """``layers`` hold nodes and waypoints from top to bottom; ``y`` their middles.

    ``chains`` gives for each edge the nodes and waypoints that it passes. Edges from one node to
    several share their waypoints.
    """

    layers: list[list[str]]
    chains: dict[tuple[str, str], Chain]
    y: dict[str, float] = field(default_factory=dict)


def arrange(
    nodes: Mapping[str, float],
    edges: Sequence[tuple[str, str]],
    *,
    last: Iterable[str] = (),
    late: Iterable[str] = (),
    gap: float = 14.0,
    waypoint: float = 8.0,
) -> Layout:
    """Lay out ``nodes`` (key to height, each after those with edges to it).

    ``last`` go into the last layer; ``late`` as near to what uses them as they can.
    """
    layer = _layers(nodes, edges, set(last), set(late))
    layout = _with_waypoints(nodes, edges, layer)
    links = sorted({link for chain in layout.chains.values() for link in pairwise(chain)})
    above = {key: [a for a, b in links if b == key] for column in layout.layers for key in column}
    below = {key: [b for a, b in links if a == key] for column in layout.layers for key in column}
    _order(layout, links, above, below)
    heights = {key: nodes.get(key, waypoint) for column in layout.layers for key in column}
    _place(layout, heights, above, below, gap)
    return layout


def _layers(
    nodes: Mapping[str, float], edges: Sequence[tuple[str, str]], last: set[str], late: set[str]
) -> dict[str, int]:
    layer = dict.fromkeys(nodes, 0)
    for key in nodes:
        layer[key] = max((layer[a] + 1 for a, b in edges if b == key), default=0)
    end = max([layer[key] for key in nodes if key not in last] + [0]) + 1
    layer |= dict.fromkeys(last & set(nodes), end)
    for key in reversed(list(nodes)):
        following = [layer[b] for a, b in edges if a == key]
        if key in late and following:
            layer[key] = min(following) - 1
    return layer


def _with_waypoints(nodes: Mapping[str, float], edges: Sequence[tuple[str, str]], layer: Mapping[str, int]) -> Layout:
    layers: list[list[str]] = [[] for _ in range(max(layer.values(), default=0) + 1)]
    for key in nodes:
        layers[layer[key]].append(key)
    chains: dict[tuple[str, str], Chain] = {}
    for a, b in edges:
        passed = [f"{a}@{number}" for number in range(layer[a] + 1, layer[b])]
        for number, point in enumerate(passed, layer[a] + 1):
            if point not in layers[number]:
                layers[number].append(point)
        chains[a, b] = (a, *passed, b)
    return Layout(layers, chains)


def _order(
    layout: Layout,
    links: list[tuple[str, str]],
    above: Mapping[str, list[str]],
    below: Mapping[str, list[str]],
) -> None:
    best, fewest = [list(column) for column in layout.layers], _crossings(layout.layers, links)
    rank = {key: position for column in layout.layers for position, key in enumerate(column)}
    for sweep in range(SWEEPS):
        neighbours = below if sweep % 2 else above
        for column in layout.layers[::-1] if sweep % 2 else layout.layers:
            middle = {key: mean([rank[other] for other in neighbours[key]] or [rank[key]]) for key in column}
            column.sort(key=middle.__getitem__)
            rank.update((key, position) for position, key in enumerate(column))
        if (crossings := _crossings(layout.layers, links)) < fewest:
            best, fewest = [list(column) for column in layout.layers], crossings
    layout.layers = best


def _crossings(layers: list[list[str]], links: list[tuple[str, str]]) -> int:
    rank = {key: (number, position) for number, column in enumerate(layers) for position, key in enumerate(column)}
    count = 0
    for number, (a, b) in enumerate(links):
        for c, d in links[:number]:
            if rank[a][0] == rank[c][0]:
                count += (rank[a][1] - rank[c][1]) * (rank[b][1] - rank[d][1]) < 0
    return count


def _place(
    layout: Layout,
    heights: Mapping[str, float],
    above: Mapping[str, list[str]],
    below: Mapping[str, list[str]],
    gap: float,
) -> None:
    for column in layout.layers:
        for position, key in enumerate(column):
            layout.y[key] = position * 50.0 - len(column) * 25.0
    for sweep in range(SWEEPS):
        for column in layout.layers[::-1] if sweep % 2 else layout.layers:
            wished = []
            for key in column:
                around = above[key] + below[key] if sweep >= SWEEPS / 2 else (below if sweep % 2 else above)[key]
                pulls = [_STRAIGHT[("@" in key) + ("@" in other)] for other in around]
                pulled = sum(pull * layout.y[other] for pull, other in zip(pulls, around, strict=True))
                wished.append(pulled / sum(pulls) if around else layout.y[key])
            distances = [(heights[a] + heights[b]) / 2 + gap for a, b in pairwise(column)]
            weights = [4.0 if "@" in key else 1.0 for key in column]  # a bent line is worse than a moved node
            layout.y.update(zip(column, spaced(wished, distances, weights), strict=True))


def spaced(wished: Sequence[float], distances: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The positions nearest to ``wished`` (weighted squares) whose neighbours are ``distances`` apart or more."""
    offsets = [0.0]
    for distance in distances:
        offsets.append(offsets[-1] + distance)
    pools: list[tuple[float, float, int]] = []  # mean, weight, members
    for wish, offset, weight in zip(wished, offsets, weights, strict=False):
        mean, members = wish - offset, 1
        while pools and pools[-1][0] >= mean:
            other, other_weight, others = pools.pop()
            mean = (mean * weight + other * other_weight) / (weight + other_weight)
            weight, members = weight + other_weight, members + others
        pools.append((mean, weight, members))
    shifted = [mean for mean, _, members in pools for _ in range(members)]
    return [value + offset for value, offset in zip(shifted, offsets, strict=False)]
