"""Figures about classifiers: which class was taken for which, and whether probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from rondo.evaluation.calibration import Reliability
from rondo.inspect.plots import BLUE, DASHES, GREY, GRID, INK, MUTED, ORANGE, PAPER, SERIES, figure, plain
from rondo.inspect.wording import label

WITH_COUNTS = 16
"""Up to so many classes the cells of a confusion matrix have their numbers written in them."""
MOST_CLASSES = 60
"""Of more classes a matrix is no longer legible."""
LONGEST_NAME = 18
MOST_CHANNELS = 6
"""Of a signal with more channels the first are drawn."""


def confusion_matrix(counts: npt.NDArray[np.int64], names: Sequence[str], *, language: str = "en") -> go.Figure:
    """How often the class of a row was taken for that of a column; the shade is the share of the row."""
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    shown = [plain(name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…") for name in names]
    size = len(names)
    drawn = figure(height=max(260, min(720, 130 + 44 * size)))
    drawn.add_heatmap(
        z=shares,
        x=list(range(size)),
        y=list(range(size)),
        zmin=0,
        zmax=1,
        colorscale=[[0, GRID], [1, BLUE]],
        showscale=False,
        xgap=1,
        ygap=1,
        customdata=counts,
        hovertemplate="%{y} → %{x}: %{customdata} (%{z:.1%})<extra></extra>",
    )
    for i, j in np.ndindex(size, size) if size <= WITH_COUNTS else ():
        drawn.add_annotation(
            x=j, y=i, text=f"{counts[i, j]:,}", showarrow=False,
            font={"color": PAPER if shares[i, j] > 0.55 else INK, "size": 13 if size <= 10 else 11},
        )  # fmt: skip
    ticks = {"tickvals": list(range(size)), "ticktext": shown, "showgrid": False, "tickfont": {"color": INK}}
    drawn.update_xaxes(title_text=label("said", language), side="top", showline=False, ticks="", **ticks)
    drawn.update_yaxes(title_text=label("truth", language), autorange="reversed", ticklabelstandoff=6, **ticks)
    drawn.update_layout(hovermode="closest")
    return drawn


def reliability_diagram(series: Mapping[str, Reliability], *, language: str = "en") -> go.Figure:
    """The share that is right at each confidence; on the diagonal probabilities mean what they say."""
    drawn = figure(height=400)
    drawn.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", name=plain(label("honest", language)), hoverinfo="skip",
        line={"width": 1.5, "dash": DASHES[0], "color": GREY},
    )  # fmt: skip
    for i, (name, bins) in enumerate(series.items()):
        there = bins.counts > 0
        counts = bins.counts[there]
        drawn.add_scatter(
            x=bins.confidence[there],
            y=bins.right[there],
            mode="lines+markers",
            name=plain(name),
            customdata=counts,
            line={"width": 2.2, "color": SERIES[i % len(SERIES)]},
            marker={"size": 5 + 16 * np.sqrt(counts / counts.max())},
            hovertemplate="%{x:.1%} → %{y:.1%} (%{customdata:,})<extra></extra>",
        )
    drawn.update_xaxes(title_text=label("confidence", language), tickformat=".0%", range=[-0.02, 1.02])
    drawn.update_yaxes(title_text=label("share_right", language), tickformat=".0%", range=[-0.02, 1.05])
    drawn.update_layout(hovermode="closest")
    return drawn


def signal_with_influence(
    signal: npt.NDArray[np.floating], weights: npt.NDArray[np.floating], *, language: str = "en"
) -> go.Figure:
    """A signal (T, channels), and below it what each step spoke for: upwards for what was said."""
    drawn = figure(height=300)
    steps = np.arange(1, len(signal) + 1)
    for channel, values in enumerate(signal.T[:MOST_CHANNELS]):
        drawn.add_scatter(
            x=steps, y=values, mode="lines", showlegend=signal.shape[1] > 1, name=str(channel + 1), yaxis="y",
            line={"width": 1.8, "color": INK if signal.shape[1] == 1 else SERIES[channel % len(SERIES)],
                  "dash": "solid" if channel < len(SERIES) else DASHES[0]},
        )  # fmt: skip
    drawn.add_bar(
        x=steps, y=weights, yaxis="y2", showlegend=False, name=label("influence", language),
        marker={"color": np.where(weights > 0, ORANGE, BLUE).tolist(), "line": {"width": 0}},
    )  # fmt: skip
    drawn.update_xaxes(title_text=label("time_step", language), anchor="y2")  # below the bars, not upon them
    drawn.update_layout(
        bargap=0,
        yaxis={"domain": [0.36, 1]},
        yaxis2={
            "domain": [0, 0.3], "anchor": "x", "showticklabels": False, "zeroline": True, "zerolinecolor": MUTED,
            "showgrid": False,
        },
    )  # fmt: skip
    return drawn
