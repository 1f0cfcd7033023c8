"""The page and the card of a trained classifier, whatever it reads: what is the same for all tasks of classes."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rondo.inspect import Card, Provenance, Report, Section, write_card
from rondo.inspect.card import DataPart
from rondo.ir.printing import to_latex
from rondo.models.folder import REPORT
from rondo.tasks.classification.mistakes import Mistake, add_mistakes
from rondo.tasks.classification.model import ClassifierModel
from rondo.tasks.classification.report import (
    ClassRun,
    add_calibration,
    add_classes,
    add_curves,
    add_data,
    add_head,
    add_scores,
    card_scores,
    in_words,
)

Commands = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Words:
    """How a task speaks of its models, whatever they learned."""

    title: Callable[[ClassifierModel], str]
    """As in "A classifier of texts"."""
    item: str
    """What is classified, in the singular."""
    unit: str
    """The same in the plural, without an article."""
    example: Callable[[ClassifierModel], str]
    """Lines of Python that use ``classifier``."""
    commands: Callable[[ClassifierModel, str], Commands]
    """What to type next and what it does, from the name of the folder."""


@dataclass(frozen=True)
class Page:
    """What a task says of a training in its own words."""

    words: Words
    show: Callable[[Section, Sequence[Mistake]], None]
    """How the worst mistakes are shown."""
    notes: Sequence[str]
    """How items become sequences."""
    more: Callable[[Report], None] | None = None
    """Further sections, after the mistakes."""


def write_page(run: ClassRun, page: Page) -> None:
    """``report.html`` and ``README.md`` of the model folder."""
    model = run.model
    report = Report(
        page.words.title(model),
        subtitle=f"{_classes(model)}; {network_of(model)}, {run.result['parameters']:,} parameters",
    )
    add_head(report, run)
    add_scores(report, run)
    add_classes(report, run)
    add_mistakes(report, run, page.show)
    if page.more is not None:
        page.more(report)
    add_calibration(report, run)
    add_curves(report, run)
    add_data(report, run, notes=page.notes)
    report.next_commands(page.words.commands(model, shlex.quote(str(run.folder))))
    report.provenance(run.provenance)
    report.save(run.folder / REPORT)
    write_model_card(model, run.folder, page.words)


def network_of(model: ClassifierModel) -> str:
    """The network in a few words."""
    network = model.network
    return in_words(network.first.recurrent, members=len(network.members))


def write_model_card(model: ClassifierModel, folder: Path, words: Words) -> None:
    """``README.md`` of a model folder, from what the model knows of its training.

    Where no score was taken, the card has the accuracy on the validation part, by which the weights were chosen.
    """
    result, provenance = model.config.get("result", {}), model.config.get("provenance")
    cell = model.network.first.recurrent.cell
    metric, scores = card_scores(result, "valid_accuracy", "accuracy")
    write_card(
        Card(
            title=f"{words.title(model).removeprefix('A ').capitalize()} ({network_of(model)})",
            task=model.task,
            cell=cell.name,
            parameters=model.parameters,
            summary=f"Says which class {words.item} has: {_classes(model)}.",
            data=[DataPart(name, count, words.unit) for name, count in model.config.get("parts", {}).items()],
            metric=metric,
            scores=scores,
            shell=[command for command, _ in words.commands(model, shlex.quote(str(folder)))],
            python=f"import rondo\n\nclassifier = rondo.load({str(folder)!r})\n{words.example(model)}",
            equations=to_latex(cell.graph),
            limits=(
                f"It knows {words.unit} like those it learned from: of another kind or origin, its classes and its "
                f"probabilities can be wrong. It gives {words.item} a class, also one that has none of them."
            ),
            provenance=None if provenance is None else Provenance.from_dict(provenance),
        ),
        folder,
    )


def _classes(model: ClassifierModel) -> str:
    names = [str(name) for name in model.classes.names]
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"any of {shown}" if model.classes.several else shown.replace(", ", " or ") if len(names) == 2 else shown
