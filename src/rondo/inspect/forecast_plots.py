"""Figures about forecasts: fans over the history, errors by step, coverage, folds, residuals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from rondo.inspect.plots import BLUE, DASHES, GREY, INK, MUTED, ORANGE, SERIES, figure, plain

Floats = npt.NDArray[np.float64]
SHADES = ("rgba(43,98,176,0.16)", "rgba(43,98,176,0.22)", "rgba(43,98,176,0.30)")
"""Of the fan's rings, from the outermost; they are seen on light and dark paper alike."""


def history_with_fans(
    times: Sequence[Any], values: Floats, fans: Sequence[tuple[Sequence[Any], Floats, Floats | None]]
) -> go.Figure:
    """A series, and forecasts as pairs of rings around a line: (times, points, quantiles (steps, levels) or None)."""
    drawn = figure(height=340)
    for number, (when, points, quantiles) in enumerate(fans):
        at = _moments(when)
        rings = (
            []
            if quantiles is None
            else [(quantiles[:, ring], quantiles[:, -1 - ring]) for ring in range(quantiles.shape[1] // 2)]
        )
        for ring, (low, high) in enumerate(rings):
            drawn.add_scatter(
                x=[*at, *at[::-1]], y=np.concatenate([high, low[::-1]]), fill="toself", mode="lines", hoverinfo="skip",
                fillcolor=SHADES[min(ring, len(SHADES) - 1)], line={"width": 0}, showlegend=False,
            )  # fmt: skip
        drawn.add_scatter(
            x=at, y=points, mode="lines" if len(at) > 1 else "markers", name="forecast", legendgroup="forecast",
            showlegend=not number, line={"width": 2.2, "color": BLUE}, marker={"size": 7, "color": BLUE},
        )  # fmt: skip
    drawn.add_scatter(
        x=_moments(times), y=_gaps(values), mode="lines", name="what came", line={"width": 1.4, "color": INK},
    )  # fmt: skip
    drawn.update_layout(showlegend=True)
    return drawn


def shifted(times: Sequence[Any], actual: Floats, forecast: Floats, last: Floats) -> go.Figure:
    """One-step forecasts beside what came and beside the value before it, which asks nothing of a model."""
    drawn = figure(height=340)
    at = _moments(times)
    for name, values, colour, dash in (
        ("what came", actual, INK, "solid"),
        ("the value before (shifted by one step)", last, ORANGE, DASHES[1]),
        ("forecast one step ahead", forecast, BLUE, "solid"),
    ):
        drawn.add_scatter(
            x=at, y=_gaps(values), mode="lines", name=name, line={"width": 1.8, "color": colour, "dash": dash}
        )
    return drawn


def by_step(series: Mapping[str, Floats], *, title: str) -> go.Figure:
    """An error at each step of the horizon; the first series is the model's."""
    drawn = figure(height=340)
    for number, (name, values) in enumerate(series.items()):
        ours = not number
        drawn.add_scatter(
            x=np.arange(1, len(values) + 1), y=values, mode="lines+markers" if len(values) <= 24 else "lines",
            name=plain(name), line={
                "width": 2.6 if ours else 1.6, "color": BLUE if ours else SERIES[1:][(number - 1) % 4],
                "dash": "solid" if ours else DASHES[(number - 1) % len(DASHES)],
            },
        )  # fmt: skip
    longest = max(map(len, series.values()), default=1)
    drawn.update_xaxes(title_text="step of the horizon", dtick=1 if longest <= 12 else None)
    drawn.update_yaxes(title_text=plain(title), rangemode="tozero")
    return drawn


def coverage(wanted: Sequence[float], found: Mapping[str, Sequence[tuple[float, float, float]]]) -> go.Figure:
    """How many values lay within intervals that promise a share: (share, low, high) by name."""
    drawn = figure(height=360)
    drawn.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", name="as promised", hoverinfo="skip",
        line={"width": 1.5, "dash": DASHES[0], "color": GREY},
    )  # fmt: skip
    for number, (name, shares) in enumerate(found.items()):
        drawn.add_scatter(
            x=list(wanted), y=[share for share, _, _ in shares], mode="lines+markers", name=plain(name),
            line={"width": 2.2 if not number else 1.4, "color": BLUE if not number else MUTED},
            error_y={
                "type": "data", "symmetric": False, "array": [high - share for share, _, high in shares],
                "arrayminus": [share - low for share, low, _ in shares], "thickness": 1.2, "width": 4,
            },
        )  # fmt: skip
    drawn.update_xaxes(title_text="promised", tickformat=".0%", range=[0, 1.02])
    drawn.update_yaxes(title_text="found", tickformat=".0%", range=[0, 1.05])
    drawn.update_layout(hovermode="closest")
    return drawn


def folds(rows: Sequence[tuple[int, int, int, int]]) -> go.Figure:
    """Each fold as a bar along the rows: (trained on from, to, scored from, to)."""
    drawn = figure(height=90 + 26 * max(2, len(rows)))
    names = [f"fold {number}" for number in range(1, len(rows) + 1)]
    for name, colour, pairs in (
        ("learned from", GREY, [(a, b) for a, b, _, _ in rows]),
        ("scored", BLUE, [(a, b) for _, _, a, b in rows]),
    ):
        drawn.add_bar(
            x=[end - start for start, end in pairs], base=[start for start, _ in pairs], y=names, orientation="h",
            name=name, marker={"color": colour}, width=0.6,
            hovertemplate="rows %{base} to %{x}<extra></extra>",
        )  # fmt: skip
    drawn.update_layout(barmode="overlay", hovermode="closest")
    drawn.update_xaxes(title_text="row")
    drawn.update_yaxes(autorange="reversed", showgrid=False)
    return drawn


def autocorrelation(values: Floats, bound: float) -> go.Figure:
    """Correlations of first-step errors with earlier ones, and what chance allows."""
    drawn = figure(height=280)
    lags = np.arange(1, len(values) + 1)
    drawn.add_bar(x=lags, y=values, marker={"color": np.where(np.abs(values) > bound, ORANGE, GREY).tolist()})
    for sign in (-1, 1):
        drawn.add_hline(y=sign * bound, line={"width": 1.2, "dash": DASHES[1], "color": MUTED})
    drawn.update_xaxes(title_text="rows apart")
    drawn.update_yaxes(
        title_text="correlation", range=[min(-0.3, float(values.min()) * 1.1), max(0.3, float(values.max()) * 1.1)]
    )
    drawn.update_layout(showlegend=False, hovermode="closest")
    return drawn


def histogram(values: Floats, *, title: str) -> go.Figure:
    """How errors are spread; the outermost hundredths are at the edges."""
    low, high = np.quantile(values, [0.005, 0.995])
    counts, edges = np.histogram(np.clip(values, low, high), bins=min(41, max(9, round(2 * len(values) ** 0.5))))
    drawn = figure(height=280)
    drawn.add_bar(x=(edges[1:] + edges[:-1]) / 2, y=counts, marker={"color": BLUE}, width=np.diff(edges))
    drawn.add_vline(x=0, line={"width": 1.4, "dash": DASHES[0], "color": MUTED})
    drawn.update_xaxes(title_text=plain(title))
    drawn.update_yaxes(title_text="forecasts")
    drawn.update_layout(bargap=0, showlegend=False, hovermode="closest")
    return drawn


def _moments(times: Sequence[Any]) -> list[Any]:
    """Times as plotly reads them: what the clock on the wall says."""
    return [one if isinstance(one, int) else one.isoformat()[:26].removesuffix("+00:00")[:19] for one in times]


def _gaps(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
