"""Figures for reports, in one template: few lines, readable sizes, the same colours for the same roles.

Each colour has a twin for dark screens; the page's script swaps them, so a figure is built once.
"""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from rondo.inspect.scores import Metric, Score, ranked
from rondo.inspect.wording import has_han, label

INK, MUTED, GRID = "#1f2530", "#5f6875", "#e7e4dd"
BLUE, ORANGE, GREEN, PURPLE, RED = "#2b62b0", "#c05f17", "#2c7a58", "#7a4fa3", "#b03a48"
GREY, LILAC, PAPER = "#9aa1ac", "#c4b2dd", "#fcfbf8"
DARK_TWINS = {
    INK: "#e3e6ec",
    MUTED: "#a2abb9",
    GRID: "#2f353f",
    BLUE: "#7fb0f5",
    ORANGE: "#f0a35e",
    GREEN: "#6cc79b",
    PURPLE: "#bd9ae6",
    RED: "#f18f99",
    GREY: "#6f7886",
    LILAC: "#66557f",
    PAPER: "#14171c",
}
"""Light colour to dark colour."""

SERIES = (BLUE, ORANGE, GREEN, PURPLE, RED)
DASHES = ("dash", "dot", "dashdot", "longdash")
FONT = (
    'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", Arial, "PingFang SC", '
    '"Hiragino Sans GB", "Microsoft YaHei", "Noto Sans CJK SC", "Source Han Sans SC", sans-serif'
)
MOST_POINTS = 400
LEGEND_WIDTH, LEGEND_LINE = 70, 19  # characters that fit into one line; pixels
LINES = {"ours": BLUE, "baseline": MUTED, "yardstick": PURPLE}
FEW_POINTS = 12  # each of them gets a marker
ROOM_FOR_FIGURES = 60  # pixels beside bars, whatever the width of the page
FLATTENED = 2  # so many times the range of a curve's end: then its beginning need not be seen whole

TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": FONT, "size": 13, "color": INK},
        "colorway": list(SERIES),
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 8, "r": 12, "t": 12, "b": 8},
        "legend": {
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1.02,
            "yanchor": "bottom",
            "font": {"size": 13},
            "itemsizing": "constant",
        },
        "hoverlabel": {"font": {"family": FONT, "size": 13}},
        "hovermode": "x unified",
        "xaxis": {
            "showgrid": False,
            "zeroline": False,
            "showline": True,
            "linecolor": GREY,
            "ticks": "outside",
            "tickcolor": GREY,
            "tickfont": {"color": MUTED},
            "title": {"font": {"color": MUTED, "size": 13}, "standoff": 8},
            "automargin": True,
        },
        "yaxis": {
            "gridcolor": GRID,
            "zeroline": False,
            "tickfont": {"color": MUTED},
            "title": {"font": {"color": MUTED, "size": 13}, "standoff": 10},
            "automargin": True,
        },
    }
)


def plain(text: str) -> str:
    """Text for a figure's labels, in which plotly would otherwise read tags."""
    return html.escape(text, quote=False).replace("\n", " ")


def _wrapped(text: str, width: int = 26) -> str:
    """A long name on several lines; Chinese characters are twice as wide."""
    lines = textwrap.wrap(text, width // 2 if has_han(text) else width) or [text]
    return "<br>".join(plain(line) for line in lines)


def figure(*, height: int = 380) -> go.Figure:
    """An empty figure in Rondo's template, to which any traces can be added."""
    return go.Figure(layout={"template": TEMPLATE, "height": height})


def thinned(x: Sequence[float], y: Sequence[float], most: int = MOST_POINTS) -> tuple[list[float], list[float]]:
    """At most ``most`` points, each the mean of its neighbours: a long log stays light and legible."""
    if len(x) <= most:
        return list(x), list(y)
    parts = zip(np.array_split(np.asarray(x, float), most), np.array_split(np.asarray(y, float), most), strict=True)
    means = [(float(a.mean()), float(b.mean())) for a, b in parts]
    return [a for a, _ in means], [b for _, b in means]


def lines(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    x_title: str = "",
    y_title: str = "",
    percent: bool = False,
    height: int = 380,
) -> go.Figure:
    """Lines by name, each a pair (x, y); what is not finite leaves a gap, a few points get markers."""
    drawn = figure(height=height)
    for i, (name, (xs, ys)) in enumerate(series.items()):
        x, y = thinned(xs, ys)
        drawn.add_scatter(
            x=x,
            y=[value if math.isfinite(value) else None for value in y],
            name=plain(name),
            mode="lines+markers" if len(x) <= FEW_POINTS else "lines",
            line={"width": 2.2, "color": SERIES[i % len(SERIES)]},
            marker={"size": 6},
        )
    drawn.update_xaxes(title_text=plain(x_title))
    drawn.update_yaxes(title_text=plain(y_title), tickformat=".0%" if percent else None)
    drawn.update_layout(showlegend=len(series) > 1)
    return drawn


def learning_curves(
    history: Sequence[Mapping[str, Any]],
    series: Mapping[str, str],
    *,
    metric: Metric,
    baselines: Sequence[Score] = (),
    x: str = "step",
    mark_best: str | None = None,
    kept: int | None = None,
    focus: float = 0.1,
    language: str = "en",
) -> go.Figure:
    """Curves of a training run, each baseline a horizontal line.

    ``history`` holds one mapping for each line of the log, ``series`` the label of each key to draw.
    ``mark_best`` names the key whose best point, the first of several, is marked; with ``kept`` it is the point of
    the step whose weights were kept. The first ``focus`` of
    the run does not set the vertical range where it would flatten the rest (a loss that falls from 4 to
    1.5 at once), unless there are only a few points.
    """
    curves = {}
    for key, name in series.items():
        points = [(float(row[x]), float(row[key])) for row in history if row.get(key) is not None and x in row]
        if points:
            curves[name] = ([a for a, _ in points], [b for _, b in points])
    x_title = label("step", language) if x == "step" else x
    drawn = lines(curves, x_title=x_title, y_title=metric.title, percent=metric.percent)
    everything = [value for xs, _ in curves.values() for value in xs]
    if not everything:
        return drawn
    first, last = min(everything), max(everything)
    for i, score in enumerate(baselines):
        if not math.isfinite(score.value):
            continue
        drawn.add_scatter(
            x=[first if first < last else min(0.0, first), last],
            y=[score.value, score.value],
            name=plain(f"{score.name}: {metric.format(score.value)}"),
            mode="lines",
            line={"width": 1.8, "dash": DASHES[i % len(DASHES)], "color": LINES[score.role]},
            hoverinfo="skip",
        )
    chosen = curves.get(series.get(mark_best, "")) if mark_best else None
    if chosen:
        _mark_best(drawn, *chosen, kept, metric, language)
    if max(len(xs) for xs, _ in curves.values()) <= FEW_POINTS:
        focus = 0.0
    level = [score.value for score in baselines if math.isfinite(score.value)]
    points = [(a, b) for xs, ys in curves.values() for a, b in zip(xs, ys, strict=True) if math.isfinite(b)]
    every = [*level, *(b for _, b in points)]
    later = [*level, *(b for a, b in points if a >= first + focus * (last - first))]
    if every:
        flattened = later and max(every) - min(every) > FLATTENED * (max(later) - min(later))
        low, high = (min(later), max(later)) if flattened else (min(every), max(every))
        room = 0.07 * (high - low) or 0.05 * abs(high) or (0.05 if metric.percent else 1.0)
        drawn.update_yaxes(range=[low - room, high + room])
    names = [trace.name for trace in drawn.data]
    if sum(map(len, names)) > LEGEND_WIDTH:  # then each stands in a line of its own
        drawn.update_layout(height=drawn.layout.height + LEGEND_LINE * (len(names) - 1))
    drawn.update_layout(showlegend=len(names) > 1)
    return drawn


def _mark_best(
    drawn: go.Figure, xs: list[float], ys: list[float], kept: int | None, metric: Metric, language: str
) -> None:
    finite = [(b, a) for a, b in zip(xs, ys, strict=True) if math.isfinite(b) and kept in (None, a)]
    if not finite:
        return
    lower = metric.better == "lower"
    value, at = (min if lower else max)(finite, key=lambda pair: pair[0])
    text = label("best_point" if kept is None else "kept_point", language, value=metric.format(value))
    drawn.add_scatter(
        x=[at],
        y=[value],
        name=plain(text),
        mode="markers",
        marker={"size": 9, "color": INK},
        hoverinfo="skip",
    )


def interval_bars(scores: Sequence[Score], *, metric: Metric, language: str = "en") -> go.Figure:
    """Results as bars from zero, best on top, with intervals; our own stand out from the baselines."""
    shown = [score for score in ranked(scores, metric) if math.isfinite(score.value)]
    colours = {"ours": BLUE, "baseline": GREY, "yardstick": LILAC}
    names = [_wrapped(s.name) if s.role != "ours" else f"<b>{_wrapped(s.name)}</b>" for s in shown]
    drawn = figure(height=100 + 42 * max(1, len(shown)))
    drawn.add_bar(
        x=[s.value for s in shown],
        y=list(range(len(shown))),
        orientation="h",
        width=0.58,
        marker={"color": [colours[s.role] for s in shown]},
        customdata=names,
        hovertemplate="%{customdata}: %{text}<extra></extra>",
        text=[metric.format(s.value) for s in shown],
        textposition="none",
        showlegend=False,
    )
    _add_intervals(drawn, shown)
    for i, score in enumerate(shown):
        end = score.value if score.high is None else max(score.high, score.value)
        drawn.add_annotation(
            x=max(end, 0.0), y=i, text=metric.format(score.value), showarrow=False, xanchor="left", xshift=6
        )
    reach = max([0.0, *(s.value if s.high is None else max(s.high, s.value) for s in shown)])
    least = min([0.0, *(s.value if s.low is None else min(s.low, s.value) for s in shown)])
    short = len(metric.title) <= 26
    direction = plain(label(metric.better, language))
    title = f"{plain(metric.title)}{', ' if short else '<br>'}{direction}"
    drawn.update_xaxes(
        title_text=title,
        range=[least, reach + 0.02 * (reach - least or 1.0)],
        showgrid=True,
        gridcolor=GRID,
    )
    drawn.update_xaxes(tickformat=".0%" if metric.percent else None, nticks=6)
    drawn.update_yaxes(
        ticklabelstandoff=6,
        tickvals=list(range(len(shown))),
        ticktext=names,
        tickfont={"color": INK},
        showgrid=False,
        range=[len(shown) - 0.4, -0.6],
    )
    drawn.update_layout(hovermode="closest", margin={"r": ROOM_FOR_FIGURES})
    return drawn


def _add_intervals(drawn: go.Figure, shown: Sequence[Score]) -> None:
    ends = [(i, s.value, s.low, s.high) for i, s in enumerate(shown) if s.low is not None and s.high is not None]
    if not ends:
        return
    drawn.add_scatter(
        x=[value for _, value, _, _ in ends],
        y=[i for i, _, _, _ in ends],
        mode="markers",
        marker={"size": 1, "color": INK},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [max(0.0, high - value) for _, value, _, high in ends],
            "arrayminus": [max(0.0, value - low) for _, value, low, _ in ends],
            "color": INK,
            "thickness": 1.4,
            "width": 5,
        },
        hoverinfo="skip",
        showlegend=False,
    )
