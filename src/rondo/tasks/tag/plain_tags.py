"""Tags that are no spans, on the page: each tag's scores, which was taken for which, and the surest mistakes."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import numpy as np
import numpy.typing as npt

from rondo.data.tagging.schemes import Span
from rondo.evaluation.metrics import confusion
from rondo.evaluation.spans import Mistake, SpanCounts
from rondo.evaluation.tagging import TagPredictions
from rondo.inspect import Column, Report
from rondo.inspect.class_plots import MOST_CLASSES, confusion_matrix
from rondo.tasks.tag.judging import TagJudgement
from rondo.tasks.tag.mistakes import SHOWN, SpanMistake
from rondo.tasks.tag.model import TaggerModel

MOST_ROWS = 100
PAIRS = 10
"""Confusions that are listed."""


def tag_confusion(predictions: TagPredictions) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The tags, the most frequent first, and how often the one of a row was taken for the one of a column."""
    true, said = list(chain(*predictions.true)), list(chain(*predictions.predicted))
    counts = Counter(true)
    counts.update(dict.fromkeys(said, 0))
    names = [name for name, _ in counts.most_common()]
    place = {name: number for number, name in enumerate(names)}
    return names, confusion([place[tag] for tag in said], [place[tag] for tag in true], classes=len(names))


def add_tags(report: Report, predictions: TagPredictions) -> None:
    """Scores of each tag, and which was taken for which."""
    names, counts = tag_confusion(predictions)
    section = report.section("Tag by tag")
    sums = zip(np.diag(counts).tolist(), counts.sum(0).tolist(), counts.sum(1).tolist(), strict=True)
    each = list(zip(names, (SpanCounts(*own) for own in sums), strict=True))[:MOST_ROWS]
    left = f" The {MOST_ROWS} most frequent of {len(names)} tags." if len(names) > MOST_ROWS else ""
    section.table(
        ["tag", Column("precision", digits=1, percent=True), Column("recall", digits=1, percent=True),
         Column("F1", digits=1, percent=True), "tokens", "said"],
        [[name, c.precision, c.recall, c.f1, c.true, c.predicted] for name, c in each],
        caption="Precision: how much of what was given this tag has it. Recall: how much of what has it was found."
        + left,
    )  # fmt: skip
    if 1 < len(names) <= MOST_CLASSES:
        section.plot(
            confusion_matrix(counts, names, language=report.language),
            "Confusion matrix: each row is a tag, each column what it was taken for; the shade is the share of the "
            "row.",
        )
    wrong = counts - np.diag(np.diag(counts))
    pairs = [np.unravel_index(i, counts.shape) for i in np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]]
    rows = [
        [names[i], names[j], int(wrong[i, j]), float(wrong[i, j] / counts[i].sum())] for i, j in pairs if wrong[i, j]
    ]
    if len(names) > 2 and rows:
        columns: list[str | Column] = ["tag", "taken for", "how often", Column("of the tag", digits=1, percent=True)]
        section.table(columns, rows, caption="The most frequent confusions.")


def worst_tags(model: TaggerModel, judgement: TagJudgement) -> tuple[int, list[SpanMistake]]:
    """How many tags are wrong, and those of them of which the model was most sure."""
    predictions, classes = judgement.predictions, {tag: n for n, tag in enumerate(model.tags.classes)}
    every: list[SpanMistake] = []
    for index, probable in enumerate(model.marginals(judgement.data.items)):
        pairs = zip(predictions.true[index], predictions.predicted[index], strict=True)
        for place, (true, said) in enumerate(pairs):
            if true != said:
                spans = Mistake(Span(place, place + 1, true), Span(place, place + 1, said))
                sure = float(probable[place, classes[said]])
                every.append(SpanMistake(index, spans, Span(place, place + 1, ""), sure))
    return len(every), sorted(every, key=lambda mistake: -mistake.confidence)[:SHOWN]
