"""The step of a cell as a drawing: SVG that stands alone, or Mermaid source."""

from __future__ import annotations

import re
from html import escape
from itertools import pairwise
from math import sqrt

from rondo.ir.graph import Graph
from rondo.ir.layout import Layout, arrange
from rondo.ir.sketch import Block, Sketch, sketch

_FILL = {
    "input": "#e3eefb", "state": "#fdebd3", "output": "#fdebd3", "affine": "#f1f3f5", "gate": "#e2f4e8",
    "parameter": "#f1e9fb", "sign": "#ffffff",
}  # fmt: skip
_LINE = {
    "input": "#3b76b8", "state": "#c97b16", "output": "#c97b16", "affine": "#868e96", "gate": "#2f8f53",
    "parameter": "#8a63b8", "sign": "#495057",
}  # fmt: skip
_HEIGHT, _RADIUS, _COLUMN_GAP, _MARGIN, _LANE = 30.0, 13.0, 46.0, 22.0, 14.0
_LOWERED = re.compile(r"_(\{[^}]*\}|[A-Za-z0-9_]+)")
_SHIFT = 3.5


def to_mermaid(graph: Graph) -> str:
    """A flow chart of the step as Mermaid source, which GitHub and many editors draw."""
    shapes = {"affine": '["{}"]', "gate": '["{}"]', "sign": '(("{}"))'}
    drawn = sketch(graph)
    lines = ["flowchart LR"]
    for block in drawn.blocks.values():
        label = f"{block.name} = {block.label}" if block.name else block.label
        text = label.replace("{", "").replace("}", "").replace("<", "#lt;").replace(">", "#gt;")
        lines.append(f"  {block.key}" + shapes.get(block.kind, '(["{}"])').format(text))
    lines += [f"  {a} --> {b}" for a, b in drawn.edges]
    return "\n".join(lines)


def to_svg(graph: Graph, *, title: str = "one step of the cell") -> str:
    """The step as an SVG drawing, from input and old state on the left to the new state on the right.

    Dashed lines carry the new state into the next step.
    """
    return _Drawing(graph, title).svg


class _Drawing:
    def __init__(self, graph: Graph, title: str) -> None:
        self.sketch: Sketch = sketch(graph)
        blocks = self.sketch.blocks
        self.size = {key: _size(block) for key, block in blocks.items()}
        room = {key: h + (26.0 if _named_above(blocks[key]) else 0.0) for key, (_, h) in self.size.items()}
        outputs = [key for key, block in blocks.items() if block.kind == "output"]
        fed = {target for _, target in self.sketch.edges} | {"in_x", *(f"in_{key[4:]}" for key in outputs)}
        small = [key for key, block in blocks.items() if block.kind in ("sign", "parameter") or key not in fed]
        self.layout: Layout = arrange(room, self.sketch.edges, last=outputs, late=small)
        self.loops = [(key, f"in_{key[4:]}") for key in outputs if f"in_{key[4:]}" in blocks]
        self._columns()
        self.parts: list[str] = []
        self._edges()
        for block in blocks.values():
            self._block(block)
        self._loops()
        self.svg = self._document(title)

    def _columns(self) -> None:
        self.left: list[float] = []
        self.right: list[float] = []
        x = _MARGIN + _LANE * len(self.loops)
        for column in self.layout.layers:
            width = max([self.size[key][0] for key in column if key in self.size] + [10.0])
            self.left.append(x)
            self.right.append(x + width)
            x += width + _COLUMN_GAP
        self.width = x - _COLUMN_GAP + _MARGIN + _LANE * len(self.loops)
        column_of = {key: number for number, column in enumerate(self.layout.layers) for key in column}
        self.middle = {
            key: ((self.left[column_of[key]] + self.right[column_of[key]]) / 2, y) for key, y in self.layout.y.items()
        }
        tops = [y - self._half(key) for key, (_, y) in self.middle.items()]
        bottoms = [y + self._half(key) for key, (_, y) in self.middle.items()]
        shift = _MARGIN - min(tops)
        self.middle = {key: (x, y + shift) for key, (x, y) in self.middle.items()}
        self.bottom = max(bottoms) + shift
        self.height = self.bottom + _MARGIN + (_LANE * len(self.loops) + 8 if self.loops else 0)
        self.span = {key: (self.left[number], self.right[number]) for key, number in column_of.items()}

    def _half(self, key: str) -> float:
        if key not in self.size:
            return 4.0
        return self.size[key][1] / 2 + (16.0 if _named_above(self.sketch.blocks[key]) else 0.0)

    def _exit(self, key: str) -> tuple[float, float]:
        x, y = self.middle[key]
        return (x + self.size[key][0] / 2, y) if key in self.size else (self.span[key][1], y)

    def _entries(self, key: str) -> dict[str, tuple[float, float]]:
        """Where the edges into a block end: spread over its left side in the order in which they come."""
        x, y = self.middle[key]
        width, height = self.size[key]
        sources = {chain[-2] for (_, b), chain in self.layout.chains.items() if b == key}
        ordered = sorted(sources, key=lambda source: self.middle[source][1])
        step = min(11.0, (height - 8) / max(1, len(ordered)))
        points = {}
        for position, source in enumerate(ordered):
            dy = (position - (len(ordered) - 1) / 2) * step
            round_ = self.sketch.blocks[key].kind == "sign" and width == height
            reach = sqrt(max(0.0, _RADIUS**2 - dy**2)) if round_ else width / 2
            points[source] = (x - reach, y + dy)
        return points

    def _edges(self) -> None:
        entries = {key: self._entries(key) for key in self.size}
        drawn = set()
        for (a, b), chain in self.layout.chains.items():
            colour = (
                _LINE[self.sketch.blocks[a].kind] if self.sketch.blocks[a].kind in ("input", "state") else "#868e96"
            )
            for source, target in pairwise(chain):
                if (source, target) in drawn:
                    continue
                drawn.add((source, target))
                start = self._exit(source)
                end = entries[target][source] if target in entries else (self.span[target][0], self.middle[target][1])
                self._curve(start, end, colour, through=self.span.get(target), arrow=target in entries)
            if (a, b) in self.sketch.seconds:
                x, y = entries[b][chain[-2]]
                sign = escape(self.sketch.blocks[b].label)
                self.parts.append(f'<text class="sign" x="{x - 11:.1f}" y="{y - 4:.1f}">{sign}</text>')

    def _curve(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        colour: str,
        through: tuple[float, float] | None,
        arrow: bool,
    ) -> None:
        """An edge between two columns: level up to the end of the first, a bend, level inside the second."""
        (x0, y0), (x1, y1) = start, end
        bend = max(left for left in self.left if left <= x1 + 0.1) if through else x1
        first = max(right for right in self.right if right < bend) if any(r < bend for r in self.right) else x0
        from_, to = max(x0, first), min(x1, bend)
        half = (to - from_) / 2
        path = (
            f"M{x0:.1f},{y0:.1f} H{from_:.1f} C{from_ + half:.1f},{y0:.1f} {to - half:.1f},{y1:.1f} {to:.1f},{y1:.1f}"
        )
        if arrow:
            path += f" H{x1:.1f}"
        elif through:
            path += f" H{through[1]:.1f}"
        marker = ' marker-end="url(#arrow)"' if arrow else ""
        self.parts.append(f'<path d="{path}" stroke="{colour}"{marker}/>')

    def _block(self, block: Block) -> None:
        (x, y), (width, height) = self.middle[block.key], self.size[block.key]
        radius = {"affine": 5.0, "gate": 5.0, "sign": _RADIUS}.get(block.kind, height / 2)
        self.parts.append(
            f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'rx="{radius:g}" fill="{_FILL[block.kind]}" stroke="{_LINE[block.kind]}"/>'
        )
        if _named_above(block):
            self._text(x, y - height / 2 - 6, [("name", block.name)])
            self._text(x, y + 4.5, [("", block.label)])
        else:
            name = [("name", block.name), ("", " = ")] if block.name else []
            self._text(x, y + 4.5, [*name, ("", block.label)])

    def _text(self, x: float, y: float, runs: list[tuple[str, str]]) -> None:
        spans = []
        for style, text in runs:
            css = f' class="{style}"' if style else ""
            lowered = 0.0
            for piece, low in _pieces(text):
                shift = (_SHIFT if low else 0.0) - lowered
                lowered += shift
                dy = f' dy="{shift:g}"' if shift else ""
                size = ' font-size="9.5"' if low else ""
                spans.append(f"<tspan{css}{dy}{size}>{escape(piece)}</tspan>")
            if lowered:
                spans.append(f'<tspan dy="{-lowered:g}">\u200b</tspan>')
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" xml:space="preserve">{"".join(spans)}</text>'
        )

    def _loops(self) -> None:
        """The new state becomes the old one: outermost lane for the topmost terminal."""
        ordered = sorted(self.loops, key=lambda loop: -self.middle[loop[0]][1])
        for number, (out, back) in enumerate(ordered):
            x0, y0 = self.middle[out][0] + self.size[out][0] / 2, self.middle[out][1]
            x1, y1 = self.middle[back][0] - self.size[back][0] / 2, self.middle[back][1]
            inset = _LANE * (number + 1)
            right, left, lane = self.right[-1] + inset, self.left[0] - inset, self.bottom + inset + 4
            path = f"M{x0:.1f},{y0:.1f} H{right:.1f} V{lane:.1f} H{left:.1f} V{y1:.1f} H{x1:.1f}"
            self.parts.append(
                f'<path d="{path}" stroke="{_LINE["state"]}" stroke-dasharray="5 4" marker-end="url(#arrow)"/>'
            )
        if self.loops:
            lane = self.bottom + _LANE * len(self.loops) + 4
            self.parts.append(
                f'<rect x="{self.width / 2 - 34:.1f}" y="{lane - 8:.1f}" width="68" height="14" fill="#fff"/>'
                f'<text class="note" x="{self.width / 2:.1f}" y="{lane + 3.5:.1f}" text-anchor="middle">'
                "next step</text>"
            )

    def _document(self, title: str) -> str:
        w, h = f"{self.width:.0f}", f"{self.height:.0f}"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}" role="img">\n'
            f"<title>{escape(title)}</title>\n"
            "<style>text{font:13px 'Helvetica Neue',Helvetica,Arial,sans-serif;fill:#212529}"
            ".name{font-weight:bold}.note{font-size:11px;fill:#a8660f}.sign{font-size:11px;fill:#495057}"
            "path{fill:none;stroke-width:1.4}rect{stroke-width:1.2}</style>\n"
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7.4" refY="4" markerWidth="6.5" markerHeight="6.5" '
            'orient="auto"><path d="M0,0.8 L8,4 L0,7.2 Z" style="fill:#868e96;stroke:none"/></marker></defs>\n'
            f'<rect width="{w}" height="{h}" rx="8" fill="#fff"/>\n' + "\n".join(self.parts) + "\n</svg>\n"
        )


def _named_above(block: Block) -> bool:
    return bool(block.name) and block.kind == "sign"


def _pieces(text: str) -> list[tuple[str, bool]]:
    """A label cut into pieces, each with whether it is lowered."""
    pieces, position = [], 0
    for match in _LOWERED.finditer(text):
        pieces += [(text[position : match.start()], False), (match[1].strip("{}").replace("_", ","), True)]
        position = match.end()
    return [(piece, low) for piece, low in [*pieces, (text[position:], False)] if piece]


def _size(block: Block) -> tuple[float, float]:
    if block.kind == "sign" and len(block.label) == 1:
        return 2 * _RADIUS, 2 * _RADIUS
    label = f"{block.name} = {block.label}" if block.name and not _named_above(block) else block.label
    width = sum(_advance(piece) * (0.74 if low else 1.0) for piece, low in _pieces(label))
    return width + 20.0, 2 * _RADIUS if block.kind == "sign" else _HEIGHT


def _advance(text: str) -> float:
    """About how wide a text is in Helvetica or Arial at 13 pixels."""
    narrow, wide = "ijlft'.,;:|!()[] ", "mwMWσ•=+−×÷<>γ"
    return sum(4.3 if c in narrow else 9.6 if c in wide else 7.6 for c in text)
