"""The sections of a page about a trained classifier, whatever it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rondo.data.labelled import Label, Labelled
from rondo.data.splits import Parts
from rondo.evaluation.calibration import reliability, scaled
from rondo.evaluation.classification import per_class, score_title
from rondo.evaluation.metrics import confusion
from rondo.inspect import Column, Metric, Provenance, Report, Score, Section, metric_of, scores_of
from rondo.inspect.class_plots import MOST_CLASSES, confusion_matrix, reliability_diagram
from rondo.inspect.plots import learning_curves
from rondo.layers import Recurrent
from rondo.tasks.classification.judging import Judgement
from rondo.tasks.classification.model import ClassifierModel
from rondo.training.protocols import TrainingSummary

PAIRS = 10
"""Confusions that are listed."""
MOST_ROWS = 100
"""Classes that are listed."""


@dataclass(frozen=True)
class ClassRun:
    """A finished training with everything that a page about it shows."""

    folder: Path
    model: ClassifierModel
    parts: Parts
    summary: TrainingSummary
    judgement: Judgement
    result: dict[str, Any]
    provenance: Provenance
    unit: str
    """What the items are called, in the plural."""


class Judged(Protocol):
    """What is judged, and by what baselines."""

    @property
    def data(self) -> Labelled: ...

    @property
    def part(self) -> str: ...

    @property
    def outcomes(self) -> Sequence[Any]: ...


class ScoredRun(Protocol):
    """A finished training of anything that has one score beside baselines."""

    @property
    def result(self) -> dict[str, Any]: ...

    @property
    def summary(self) -> TrainingSummary: ...

    @property
    def judgement(self) -> Judged: ...

    @property
    def unit(self) -> str: ...


def in_words(recurrent: Recurrent, *, members: int) -> str:
    """A network, or several of one kind, in a few words."""
    directions = "both directions" if recurrent.bidirectional else "one direction"
    one = f"{recurrent.layers} x {recurrent.hidden_size} {recurrent.cell.name}, {directions}"
    return one if members == 1 else f"{members} networks of {one}"


def kept_metrics(summary: TrainingSummary, keep: str) -> dict[str, float]:
    """The metrics of the weights that a training has kept: the best or the last."""
    return summary.best or summary.final if keep == "best" else summary.final


def card_scores(result: Mapping[str, Any], watched: str, what: str) -> tuple[Metric | None, Sequence[Score]]:
    """The score and the baselines of a card; where none was taken, ``watched``, the one on the validation part."""
    if "score" in result:
        return metric_of(result), scores_of(result)
    value = result.get(watched)
    if value is None:
        return None, ()
    metric = Metric(f"{what} on the validation part", "higher", digits=1, percent=True)
    return metric, [Score("this model", value, role="ours")]


def add_head(report: Report, run: ScoredRun) -> None:
    """Verdict and key figures at the top of the page."""
    result = run.result
    report.compare(scores_of(result), metric_of(result))
    part = {"test": "held-out", "validation": "validation"}[run.judgement.part]
    report.key_figure(
        result["metric"], metric_of(result).format(result["score"]), f"{result['items']:,} {part} {run.unit}"
    )
    report.key_figure("training", f"{run.summary.epochs:.1f} epochs", f"{run.summary.steps:,} steps")


def add_scores(report: Report, run: ScoredRun) -> None:
    """The score with its interval beside the baselines, and the other scores."""
    result, judgement = run.result, run.judgement
    if judgement.part == "test":
        said = f"{result['items']:,} {run.unit} were held out and touched once, at the end."
    else:
        said = (
            f"There is no test part: these are the {result['items']:,} {run.unit} of the validation part, by which the "
            "weights were chosen. **That flatters the model a little.**"
        )
    if result["score_interval"] is None:
        said += f" There is no interval: {result['no_interval']}"
    else:
        said += " The interval is a bootstrap over them (95 %)."
        if judgement.data.groups is not None:
            said += " Whole groups are drawn, for what belongs together resembles each other."
    lead = scores_of(result)[0].lead
    if lead is not None and lead.low is not None:
        said += f" Against the strongest baseline, on the same draws: {lead.text(metric_of(result))}."
    section = report.section(f"{metric_of(result).name[:1].upper()}{metric_of(result).name[1:]} beside the baselines")
    section.text(said).scores(scores_of(result), metric_of(result))
    if judgement.outcomes:
        section.text("\n".join(f"- {outcome.name}: {outcome.about}" for outcome in judgement.outcomes))
    for missing in result.get("missing_baselines", ()):
        section.text(f"**{missing[:1].upper()}{missing[1:]}.**")
    rows = [[score_title(name), value] for name, value in result["scores"].items()]
    section.table(["all scores", Column("this model", digits=4)], rows)


def add_curves(report: Report, run: ClassRun) -> None:
    """Losses and accuracy over training."""
    kept = kept_metrics(run.summary, run.model.config["options"]["training"]["keep"])
    step = int(kept.get("step", run.summary.steps))
    section = report.section("Learning curves")
    section.plot(
        learning_curves(
            run.summary.history,
            {"loss": "training (with dropout)", "valid_loss": "validation"},
            metric=Metric("loss", "lower", f"nats per {run.unit.removesuffix('s')}", digits=3),
            mark_best="valid_loss",
            kept=step,
        ),
        "Loss over training. That of training is of batches with dropout, class weights and label smoothing, where "
        "these were asked for; that of validation is without.",
    )
    name = "valid_f1" if run.model.classes.several else "valid_accuracy"
    metric = metric_of(run.result)
    section.plot(
        learning_curves(run.summary.history, {name: "validation"}, metric=metric, mark_best=name, kept=step),
        f"{metric.name[:1].upper()}{metric.name[1:]} on the validation part. The weights that were kept are those of "
        f"step {step:,}.",
    )


def add_classes(report: Report, run: ClassRun) -> None:
    """Scores of each class, and which was taken for which."""
    predictions = run.judgement.predictions
    scores = per_class(predictions)
    most = sorted(scores, key=lambda score: -score.support)[:MOST_ROWS] if len(scores) > MOST_ROWS else scores
    section = report.section("Class by class")
    left = f" The {MOST_ROWS} most frequent of {len(scores)} classes." if len(scores) > MOST_ROWS else ""
    section.table(
        ["class", Column("precision", digits=1, percent=True), Column("recall", digits=1, percent=True),
         Column("F1", digits=1, percent=True), run.unit],
        [[str(score.name), score.precision, score.recall, score.f1, score.support] for score in most],
        caption="Precision: how much of what was given this class has it. Recall: how much of what has it was found."
        + left,
    )  # fmt: skip
    if predictions.several:
        _add_decisions(section, run)
        return
    counts = confusion(predictions.predicted, predictions.true, classes=len(predictions.classes))
    names = [str(name) for name in predictions.classes]
    if len(names) <= MOST_CLASSES:
        section.plot(
            confusion_matrix(counts, names, language=report.language),
            "Confusion matrix: each row is a class, each column what it was taken for; the shade is the share of the "
            "row.",
        )
    wrong = counts - np.diag(np.diag(counts))
    pairs = [np.unravel_index(i, counts.shape) for i in np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]]
    rows = [
        [names[i], names[j], int(wrong[i, j]), float(wrong[i, j] / counts[i].sum())] for i, j in pairs if wrong[i, j]
    ]
    if len(names) > 2 and rows:
        columns: list[str | Column] = ["class", "taken for", "how often"]
        columns.append(Column("of the class", digits=1, percent=True))
        section.table(columns, rows, caption="The most frequent confusions.")


def _add_decisions(section: Section, run: ClassRun) -> None:
    """Of items with several classes: what was found, missed and invented, and what was said instead of what."""
    predictions = run.judgement.predictions
    names = [str(name) for name in predictions.classes]
    true, said = predictions.true.astype(np.int64), predictions.predicted.astype(np.int64)
    found, missed, invented = (true * said).sum(0), (true * (1 - said)).sum(0), ((1 - true) * said).sum(0)
    order = np.argsort(-(missed + invented), kind="stable")[:MOST_ROWS]
    section.table(
        ["class", "found", "missed", "invented", "rightly not said"],
        [
            [names[k], int(found[k]), int(missed[k]), int(invented[k]),
             int(len(true) - found[k] - missed[k] - invented[k])]
            for k in order
        ],
        caption="Each class by itself, those with the most mistakes first.",
    )  # fmt: skip
    if len(names) < MOST_CLASSES:
        section.plot(
            confusion_matrix(instead_of(true, said), [*names, "(nothing)"]),
            f"Of the {run.unit} that have the class of a row and were not given it, how many were given the class of "
            "the column, which they have not; on the diagonal, those that were rightly given it. The last column: "
            "missed, and nothing was invented; the last row: invented, and nothing was missed.",
        )


def instead_of(true: npt.NDArray[np.int64], said: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(K + 1, K + 1): how often a class was missed where another was invented, and the last place for nothing."""
    missed, invented = true * (1 - said), (1 - true) * said
    counts = np.zeros((true.shape[1] + 1, true.shape[1] + 1), np.int64)
    counts[:-1, :-1] = missed.T @ invented + np.diag((true * said).sum(0))
    counts[:-1, -1] = missed[~invented.any(1)].sum(0)
    counts[-1, :-1] = invented[~missed.any(1)].sum(0)
    return counts


def add_calibration(report: Report, run: ClassRun) -> None:
    """Whether probabilities say how often the model is right."""
    judgement, model = run.judgement, run.model
    known = judgement.predictions
    if len(known.classes) > len(model.classes):
        strangers = ", ".join(map(str, known.classes[len(model.classes) :]))
        report.section("Do the probabilities mean what they say?").text(
            f"That cannot be said here: training has not seen the labels {strangers}, about which the model gives no "
            "probability."
        )
        return
    bins = {"this model": reliability(known.probabilities, known.true)} if known.probabilities is not None else {}
    if model.temperature != 1.0:
        plain = scaled(judgement.logits, 1.0, several=model.classes.several)
        bins["without calibration"] = reliability(plain, known.true)
    error = {name: f"{100 * found.error:.1f} %" for name, found in bins.items()}
    said = f"Expected calibration error: {error['this model']}"
    if model.temperature != 1.0:
        said += (
            f", and {error['without calibration']} before the probabilities were scaled by the temperature "
            f"{model.temperature:.2f}, which was fitted on the validation part"
        )
    report.section("Do the probabilities mean what they say?").text(f"{said}.").plot(
        reliability_diagram(bins, language=report.language),
        "Decisions in bins by their confidence; larger points are more decisions. Above the diagonal the model is "
        "better than it says, below it is too sure of itself.",
    )


def add_data(report: Report, run: ClassRun, *, notes: Sequence[str] = ()) -> None:
    """The parts, how they came about, and what they share."""
    parts = run.parts
    named = {"training": parts.train, "validation": parts.valid}
    if parts.test is not None:
        named["test"] = parts.test
    section = report.section("Data").table(
        ["part", Column(run.unit, right=True), "classes"],
        [[name, f"{len(part):,}", _shares(part.labels or [], run.model.classes.names)] for name, part in named.items()],
    )
    if run.result.get("unseen_labels"):
        strangers = ", ".join(f"{name} ({count})" for name, count in run.result["unseen_labels"].items())
        notes = [*notes, f"**Training has not seen the labels {strangers}: about these the model can only be wrong.**"]
    said = [*parts.drawn, *(f"**{overlap}.**" for overlap in parts.overlaps), *notes]
    if not parts.overlaps:
        said.append(f"No two parts share any of their {run.unit}.")
    section.text("\n".join(f"- {one}" for one in said))


def _shares(labels: Sequence[Label], names: Sequence[Label]) -> str:
    """How the classes are spread, in words."""
    counts = dict.fromkeys(names, 0)
    for label in labels:
        for one in label if isinstance(label, tuple) else (label,):
            counts[one] = counts.get(one, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    total = max(1, len(labels))
    shown = ", ".join(f"{name}: {count / total:.0%}" for name, count in ranked[:6])
    return shown + (f", and {len(ranked) - 6} more" if len(ranked) > 6 else "")
