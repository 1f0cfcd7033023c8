"""Looking at models and their training: the one report module, figures, model cards, provenance."""

from rondo.inspect.card import Card, write_card
from rondo.inspect.provenance import DataFile, Provenance, collect
from rondo.inspect.report import Report, Section
from rondo.inspect.report_blocks import Column, Evidence, Interval, Sample, Tile
from rondo.inspect.scores import Lead, Metric, Score, Verdict, compare, metric_of, scores_of

__all__ = [
    "Card",
    "Column",
    "DataFile",
    "Evidence",
    "Interval",
    "Lead",
    "Metric",
    "Provenance",
    "Report",
    "Sample",
    "Score",
    "Section",
    "Tile",
    "Verdict",
    "collect",
    "compare",
    "metric_of",
    "scores_of",
    "write_card",
]
