"""The plot of README.md, drawn as SVG: how many times as fast, and which share of the peak, by shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from rondo.inspect.plots import BLUE, DARK_TWINS, GREEN, GREY, GRID, INK, MUTED, ORANGE, PURPLE, RED
from rondo.testing.speed.counting import SHAPES

LINES = {
    ("gru", True): BLUE, ("rnn", True): GREEN, ("lstm", True): ORANGE, ("lstm_peephole", True): PURPLE,
    ("lstm_layer_norm", True): RED, ("gru", False): BLUE, ("lstm", False): ORANGE,
}  # fmt: skip
"""Cell and whether it is trained; forward alone is dashed."""

WIDTH, HEIGHT, LEFT, TOP, GAP = 430, 260, 56, 60, 70
FONT = "system-ui, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif"


def draw(rows: Sequence[dict[str, Any]]) -> str:
    """The plot as the text of an SVG file. Only cases with x a leaf, at the six shapes, are drawn."""
    own = [row for row in rows if not row["input_gradient"] and "ratio" in row]
    series = {
        key: {tuple(row["shape"]): row for row in own if (row["cell"], row["train"]) == key}
        for key in LINES
    }  # fmt: skip
    series = {key: found for key, found in series.items() if found}
    ratios = [end for found in series.values() for row in found.values() for end in row["ratio"]]
    right = LEFT + WIDTH + GAP
    parts = [
        *_legend(list(series)),
        *_panel(LEFT, "times as fast as torch.nn, or as the eager loop", _log_ticks(ratios)),
        *_panel(right, "share of the machine's FMA peak", [(share / 5, f"{share / 5:.0%}") for share in range(6)]),
    ]  # fmt: skip
    low, high = _log_range(ratios)
    for key, found in series.items():
        parts += _line(LEFT, key, found, "ratio", lambda value: (math.log(value) - low) / (high - low))
        parts += _line(right, key, found, "share", lambda value: value)
    width, height = right + WIDTH + 16, TOP + HEIGHT + 62
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="How many times as fast, and which share of the peak, by shape">\n{_style()}\n'
        f'<rect class="page" width="{width}" height="{height}"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _style() -> str:
    """Colours as in the reports, with their twins for dark screens."""
    names = {"ink": INK, "muted": MUTED, "grid": GRID, "axis": GREY}
    names |= {f"c{number}": colour for number, colour in enumerate(dict.fromkeys(LINES.values()))}
    light = " ".join(f"--{name}: {colour};" for name, colour in names.items())
    dark = " ".join(f"--{name}: {DARK_TWINS[colour]};" for name, colour in names.items())
    return (
        f"<style>svg {{ {light} --page: #ffffff; font: 12px {FONT}; }}\n"
        f"@media (prefers-color-scheme: dark) {{ svg {{ {dark} --page: #16191f; }} }}\n"
        ".page { fill: var(--page); } text { fill: var(--muted); } .title { fill: var(--ink); font-size: 13px; }\n"
        ".grid { stroke: var(--grid); } .axis { stroke: var(--axis); } .line { fill: none; stroke-width: 2; }</style>"
    )


def _colour(key: tuple[str, bool]) -> str:
    return f"var(--c{list(dict.fromkeys(LINES.values())).index(LINES[key])})"


def _legend(keys: Sequence[tuple[str, bool]]) -> list[str]:
    parts, x = [], float(LEFT)
    for key in keys:
        name = f"{key[0]} {'train' if key[1] else 'forward'}"
        dash = "" if key[1] else ' stroke-dasharray="5 4"'
        parts.append(
            f'<line x1="{x:.0f}" y1="16" x2="{x + 22:.0f}" y2="16" stroke="{_colour(key)}" stroke-width="2"{dash}/>'
        )
        parts.append(f'<text x="{x + 27:.0f}" y="20">{escape(name)}</text>')
        x += 27 + 6.4 * len(name) + 20
    return parts


def _panel(x: int, title: str, ticks: Sequence[tuple[float, str]]) -> list[str]:
    """Title, lines across at the ticks (given as heights from 0 to 1 with their labels), shapes below."""
    parts = [f'<text class="title" x="{x}" y="{TOP - 12}">{escape(title)}</text>']
    for height, label in ticks:
        y = TOP + HEIGHT * (1 - height)
        kind = "axis" if label in ("0%", "1") else "grid"
        parts.append(f'<line class="{kind}" x1="{x}" y1="{y:.1f}" x2="{x + WIDTH}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{x - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for number, shape in enumerate(SHAPES):
        at = f'x="{_at(x, number):.1f}" text-anchor="middle" font-size="11"'
        parts.append(f'<text {at} y="{TOP + HEIGHT + 18}">{shape.B}×{shape.T}</text>')
        parts.append(f'<text {at} y="{TOP + HEIGHT + 33}">{shape.I}×{shape.H}</text>')
    parts.append(
        f'<text x="{x + WIDTH}" y="{TOP + HEIGHT + 52}" text-anchor="end">sequences × steps, input × hidden</text>'
    )
    return parts


def _line(x: int, key: tuple[str, bool], found: dict[Any, Any], what: str, height: Any) -> list[str]:
    """A line through the medians, the intervals as strokes."""
    points = []
    parts = []
    for number, shape in enumerate(SHAPES):
        row = found.get(tuple(shape.to_list()))
        if row is None or not row[what]:
            continue
        at = _at(x, number)
        value, low, high = (TOP + HEIGHT * (1 - height(end)) for end in row[what])
        points.append(f"{at:.1f},{value:.1f}")
        stroke = f'stroke="{_colour(key)}"'
        parts.append(f'<line x1="{at:.1f}" y1="{low:.1f}" x2="{at:.1f}" y2="{high:.1f}" {stroke} stroke-width="1.4"/>')
        parts.append(f'<circle cx="{at:.1f}" cy="{value:.1f}" r="3" fill="{_colour(key)}"/>')
    dash = "" if key[1] else ' stroke-dasharray="5 4"'
    return [f'<polyline class="line" points="{" ".join(points)}" stroke="{_colour(key)}"{dash}/>', *parts]


def _at(x: int, number: int) -> float:
    return x + WIDTH * (number + 0.5) / len(SHAPES)


def _log_range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min([0.8, *values]), max([2.0, *values])
    return math.log(low) - 0.05, math.log(high) + 0.05


def _log_ticks(values: Sequence[float]) -> list[tuple[float, str]]:
    low, high = _log_range(values)
    marks = [mark for mark in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low <= math.log(mark) <= high]
    return [((math.log(mark) - low) / (high - low), f"{mark:g}") for mark in marks]
