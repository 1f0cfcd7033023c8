"""The page and the card of a trained classifier, whatever it reads: what is the same for all tasks of classes."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rondo.inspect import Card, Report, Section, metric_of, scores_of, write_card
from rondo.inspect.card import DataPart
from rondo.ir.printing import to_latex
from rondo.models.folder import REPORT
from rondo.tasks.classification.report import (
    ClassRun,
    Mistake,
    add_calibration,
    add_classes,
    add_curves,
    add_data,
    add_head,
    add_mistakes,
    add_scores,
    in_words,
)

Commands = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Page:
    """What a task says of its classifier in its own words."""

    title: str
    """As in "A classifier of texts"."""
    item: str
    """What is classified, in the singular."""
    example: str
    """Lines of Python that use ``classifier``."""
    commands: Callable[[str], Commands]
    """What to type next and what it does, from the name of the folder."""
    show: Callable[[Section, Sequence[Mistake]], None]
    """How the worst mistakes are shown."""
    notes: Sequence[str]
    """How items become sequences."""
    more: Callable[[Report], None] | None = None
    """Further sections, after the mistakes."""


def write_page(run: ClassRun, page: Page) -> None:
    """``report.html`` and ``README.md`` of the model folder."""
    report = Report(page.title, subtitle=f"{_classes(run)}; {network_of(run)}, {run.result['parameters']:,} parameters")
    add_head(report, run)
    add_scores(report, run)
    add_classes(report, run)
    add_mistakes(report, run, page.show)
    if page.more is not None:
        page.more(report)
    add_calibration(report, run)
    add_curves(report, run)
    add_data(report, run, notes=page.notes)
    commands = page.commands(shlex.quote(str(run.folder)))
    report.next_commands(commands)
    report.provenance(run.provenance)
    report.save(run.folder / REPORT)
    _write_card(run, page, commands)


def network_of(run: ClassRun) -> str:
    """The network in a few words."""
    network = run.model.network
    return in_words(network.first.recurrent, members=len(network.members))


def _write_card(run: ClassRun, page: Page, commands: Commands) -> None:
    parts = [("training", run.parts.train), ("validation", run.parts.valid), ("test", run.parts.test)]
    cell = run.model.network.first.recurrent.cell
    write_card(
        Card(
            title=f"{page.title.removeprefix('A ').capitalize()} ({network_of(run)})",
            task=run.model.task,
            cell=cell.name,
            parameters=run.result["parameters"],
            summary=f"Says which class {page.item} has: {_classes(run)}.",
            data=[DataPart(name, len(part), run.unit) for name, part in parts if part is not None],
            metric=metric_of(run.result),
            scores=scores_of(run.result),
            shell=[command for command, _ in commands],
            python=f"import rondo\n\nclassifier = rondo.load({str(run.folder)!r})\n{page.example}",
            equations=to_latex(cell.graph),
            limits=(
                f"It knows {run.unit} like those it learned from: of another kind or origin, its classes and its "
                f"probabilities can be wrong. It gives {page.item} a class, also one that has none of them."
            ),
            provenance=run.provenance,
        ),
        run.folder,
    )


def _classes(run: ClassRun) -> str:
    names = [str(name) for name in run.model.classes.names]
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"any of {shown}" if run.model.classes.several else shown.replace(", ", " or ") if len(names) == 2 else shown
