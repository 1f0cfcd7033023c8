"""The card of a model folder: a README.md that says what the model is, how good it is, and how to use it."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import rondo
from rondo.inspect.provenance import Provenance
from rondo.inspect.report import data_rows, provenance_facts
from rondo.inspect.scores import Metric, Score, best, compare, ranked
from rondo.inspect.wording import label, number
from rondo.storage import write_text

FILE_NAME = "README.md"


@dataclass(frozen=True)
class DataPart:
    """A part of the data, counted."""

    name: str
    """For instance ``training`` or ``validation``."""
    count: int
    unit: str
    """What was counted, for instance ``characters`` or ``poems``."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """Everything a card says."""

    title: str
    task: str
    cell: str
    parameters: int
    summary: str = ""
    """One or two sentences on what the model does."""
    data: Sequence[DataPart] = ()
    metric: Metric | None = None
    scores: Sequence[Score] = ()
    """The model's results and its baselines; needs ``metric``."""
    shell: Sequence[str] = ()
    """Commands that use the model."""
    python: str = ""
    """A few lines of Python that use the model."""
    equations: str = ""
    """The cell in LaTeX."""
    limits: str = ""
    """What the model cannot do and should not be used for."""
    provenance: Provenance | None = None
    language: str = "en"


def card_text(card: Card) -> str:
    """The card as Markdown."""
    say = functools.partial(label, language=card.language)
    parts = [f"# {_plain(card.title)}"]
    if card.summary:
        parts.append(_plain(card.summary))
    if card.scores and card.metric:
        if any(score.role == "ours" for score in card.scores):
            parts.append(f"**{_plain(compare(card.scores, card.metric, card.language).text)}**")
        parts += [f"## {say('results')}", _scores(card.scores, card.metric, card.language)]
    if card.shell or card.python:
        parts.append(f"## {say('use')}")
    if card.shell:
        parts += [say("shell"), _fence("\n".join(card.shell), "sh")]
    if card.python:
        parts += [say("python"), _fence(card.python, "python")]
    model = [[say("task"), card.task], [say("cell"), card.cell], [say("parameters"), f"{card.parameters:,}"]]
    parts += [f"## {say('model')}", _table(["", ""], model)]
    if card.equations:
        parts += [f"## {say('equations')}", _fence(card.equations, "math")]
    parts += _data(card)
    if card.limits:
        parts += [f"## {say('limits')}", _plain(card.limits)]
    if card.provenance:
        parts.append(f"## {say('provenance')}")
        if card.provenance.command:
            parts.append(_fence(card.provenance.command, "sh"))
        parts.append(_table(["", ""], provenance_facts(card.provenance, card.language).items()))
    parts.append(f"*{say('card_note', version=rondo.__version__)}*")
    return "\n\n".join(parts) + "\n"


def write_card(card: Card, folder: str | os.PathLike[str]) -> Path:
    """Write the card into a model folder and return its path."""
    path = Path(folder) / FILE_NAME
    write_text(path, card_text(card))
    return path


def _plain(text: str) -> str:
    """Text without Markdown or HTML in it; blank lines still part paragraphs."""
    kept = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", " ", text)
    kept = re.sub(r"([\\`*_\[\]<>|~$])", r"\\\1", kept).replace("&", "&amp;")
    kept = re.sub(r"(?m)^(\s*)([#+=-])", r"\1\\\2", kept)
    kept = re.sub(r"(?m)^(\s*\d+)([.)])(?=\s|$)", r"\1\\\2", kept)
    return "\n\n".join(" ".join(block.split()) for block in re.split(r"\n\s*\n", kept.strip()))


def _fence(text: str, kind: str) -> str:
    """A code block whose fence is longer than any inside it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{kind}\n{text.rstrip()}\n{fence}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    rule = ["---:" if j in right else "---" for j in range(len(heads))]
    body = [[" ".join(_plain(cell).split()) for cell in row] for row in rows]
    lines = [[_plain(head) for head in heads], rule, *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _scores(scores: Sequence[Score], metric: Metric, language: str) -> str:
    say = functools.partial(label, language=language)
    with_interval = any(s.low is not None and s.high is not None for s in scores)
    top = best(scores, metric)
    heads = [say("name"), f"{metric.title}, {say(metric.better)}", ""]
    lines = []
    for score in ranked(scores, metric):
        value = metric.format(score.value)
        if with_interval and score.low is not None and score.high is not None:
            value += f" [{metric.format(score.low)}, {metric.format(score.high)}]"
        words = [
            say(score.role),
            *([say("best")] if score is top else []),
            *([score.note] if score.note else []),
        ]
        lines.append([score.name, value, ", ".join(words)])
    return _table(heads, lines, right=[1])


def _data(card: Card) -> list[str]:
    say = functools.partial(label, language=card.language)
    files = data_rows(card.provenance, card.language) if card.provenance else []
    parts = [f"## {say('data')}"] if card.data or files else []
    if card.data:
        rows = [[part.name, f"{number(part.count, digits=0)} {part.unit}"] for part in card.data]
        parts.append(_table([say("part"), say("count")], rows, right=[1]))
    if files:
        parts.append(_table([say("file"), say("size")], files, right=[1]))
    return parts
