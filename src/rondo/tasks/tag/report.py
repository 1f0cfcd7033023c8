"""The report page and the card of a trained tagger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rondo.data.splits import Parts
from rondo.data.tagging.schemes import read_spans
from rondo.evaluation.spans import mistakes
from rondo.inspect import Column, Metric, Provenance, Report
from rondo.inspect.class_plots import MOST_CLASSES, confusion_matrix, reliability_diagram
from rondo.inspect.plots import learning_curves
from rondo.models.folder import REPORT
from rondo.tasks.classification.report import add_head, add_scores, kept_metrics
from rondo.tasks.tag.calibrating import calibration_of
from rondo.tasks.tag.card import UNIT, commands, kinds_of, network_of, write_model_card
from rondo.tasks.tag.judging import TagJudgement
from rondo.tasks.tag.mistakes import evidence, worst_mistakes
from rondo.tasks.tag.model import TaggerModel
from rondo.tasks.tag.plain_tags import add_tags, worst_tags
from rondo.training.protocols import TrainingSummary

NOTHING = "(none)"
"""What stands for no span in the confusion matrix."""
MOST_ROWS = 100


@dataclass(frozen=True)
class TagRun:
    """A finished training with everything that a page about it shows."""

    folder: Path
    model: TaggerModel
    parts: Parts
    summary: TrainingSummary
    judgement: TagJudgement
    result: dict[str, Any]
    provenance: Provenance
    unit: str = UNIT


def write_report(run: TagRun) -> None:
    """``report.html`` and ``README.md`` of the model folder."""
    model = run.model
    about = f"{kinds_of(model)}; {network_of(model)}, {run.result['parameters']:,} parameters"
    report = Report("A tagger", subtitle=about)
    add_head(report, run)
    add_scores(report, run)
    _add_kinds(report, run)
    _add_mistakes(report, run)
    _add_calibration(report, run)
    _add_curves(report, run)
    _add_data(report, run)
    report.next_commands(commands(run.folder))
    report.provenance(run.provenance)
    report.save(run.folder / REPORT)
    write_model_card(model, run.folder)


def _add_kinds(report: Report, run: TagRun) -> None:
    """Scores of each kind of span, and which was taken for which."""
    predictions = run.judgement.predictions
    if predictions.scheme is None:
        add_tags(report, predictions)
        return
    kinds = sorted(predictions.spans.kinds.items(), key=lambda pair: -pair[1].true)[:MOST_ROWS]
    section = report.section("Kind by kind")
    section.table(
        ["kind", Column("precision", digits=1, percent=True), Column("recall", digits=1, percent=True),
         Column("F1", digits=1, percent=True), "spans", "found"],
        [[kind or "(no name)", c.precision, c.recall, c.f1, c.true, c.predicted] for kind, c in kinds],
        caption="Precision: how many of the spans that were found are right. Recall: how many of those that are there "
        "were found. A span is right if its kind, its first and its last token are.",
    )  # fmt: skip
    names = [kind for kind, _ in kinds]
    if len(names) >= MOST_CLASSES:
        return
    section.plot(
        confusion_matrix(confusion(run.judgement), [*(name or "(no name)" for name in names), NOTHING]),
        "Confusion of kinds: each row is what a span is, each column what was found in its place; on the diagonal "
        "those of the right kind, with wrong borders too. The last row are spans that are not there, the last column "
        "those that were missed.",
    )


def confusion(judgement: TagJudgement) -> np.ndarray[Any, np.dtype[np.int64]]:
    """How often a span of one kind was found as another; the last row and column are of no span."""
    predictions = judgement.predictions
    kinds = sorted(predictions.spans.kinds.items(), key=lambda pair: -pair[1].true)[:MOST_ROWS]
    place = {kind: number for number, (kind, _) in enumerate(kinds)}
    none = len(place)
    counts = np.zeros((none + 1, none + 1), np.int64)
    for kind, count in kinds:
        counts[place[kind], place[kind]] = count.correct
    for one, other in zip(predictions.true, predictions.predicted, strict=True):
        for wrong in mistakes(read_spans(one), read_spans(other)):
            row = none if wrong.true is None else place.get(wrong.true.kind, none)
            column = none if wrong.predicted is None else place.get(wrong.predicted.kind, none)
            counts[row, column] += 1
    return counts


def _add_mistakes(report: Report, run: TagRun) -> None:
    section = report.section("The worst mistakes")
    if run.judgement.predictions.scheme is None:
        wrong, worst = worst_tags(run.model, run.judgement)
        _, every = run.judgement.predictions.tokens.sum(0)
        said, none = f"{wrong:,} of {every:,} tags are wrong", "No tag is wrong."
    else:
        counts, worst = worst_mistakes(run.model, run.judgement)
        wrong, none = counts.total(), "No span was missed, invented or found wrong."
        said = f"{wrong:,} mistakes: {', '.join(f'{count:,} {_WORDS[what]}' for what, count in counts.most_common())}"
    if not wrong:
        section.text(none)
        return
    section.text(f"{said}. Here are those of which the model was most sure.")
    section.evidence(
        [evidence(run.model, run.judgement, mistake) for mistake in worst],
        caption=(
            "Orange: what spoke for the tags that were said there. Blue: what spoke for those that are right. By the "
            "gradient of the difference between the two, times the input, token by token; the three strongest are in "
            "bold."
        ),
    )


_WORDS = {
    "missed": "missed",
    "invented": "invented",
    "kind": "of the wrong kind",
    "borders": "with wrong borders",
    "kind and borders": "with wrong kind and borders",
}


def _add_calibration(report: Report, run: TagRun) -> None:
    """Whether probabilities say how often tags and spans are right."""
    judgement, model = run.judgement, run.model
    ours = judgement.calibration
    if ours is None:
        return
    named = {"spans": ours.spans, "tags of tokens": ours.tokens}
    if model.temperature != 1.0:
        plain = calibration_of(model, judgement.data, judgement.predictions, temperature=1.0)
        more = {} if plain is None else {"spans": plain.spans, "tags of tokens": plain.tokens}
        named |= {f"{name}, without calibration": bins for name, bins in more.items()}
    found = {name: bins for name, bins in named.items() if bins is not None}
    errors = ", ".join(f"{name} {100 * bins.error:.1f}\u00a0%" for name, bins in found.items())
    heat = f" All scores were divided by the temperature {model.temperature:.2f}, fitted on the validation part."
    report.section("Do the probabilities mean what they say?").text(
        f"Expected calibration error: {errors}.{heat if model.temperature != 1.0 else ''}"
    ).plot(
        reliability_diagram(found, language=report.language),
        "What was said, in bins by its probability over all readings of the sentence; larger points are more of it. "
        "Above the diagonal the model is better than it says, below it is too sure of itself.",
    )


def _add_curves(report: Report, run: TagRun) -> None:
    kept = kept_metrics(run.summary, run.model.config["options"]["training"]["keep"])
    section, best = report.section("Learning curves"), int(kept.get("step", run.summary.steps))
    name = run.result["metric"]
    section.plot(
        learning_curves(
            run.summary.history,
            {"loss": "training (with dropout)", "valid_loss": "validation"},
            metric=Metric("loss", "lower", "nats per token", digits=3),
            mark_best="valid_loss",
            kept=best,
        ),
        "Loss over training: the negative log-likelihood of the tags. That of training is of batches with dropout.",
    )
    section.plot(
        learning_curves(
            run.summary.history,
            {"valid_f1": "validation"},
            metric=Metric(name, "higher", digits=1, percent=True),
            mark_best="valid_f1",
            kept=best,
        ),
        f"{name[:1].upper()}{name[1:]} on the validation part. The weights that were kept are those of step {best:,}.",
    )


def _add_data(report: Report, run: TagRun) -> None:
    parts, model = run.parts, run.model
    named = [("training", parts.train), ("validation", parts.valid), ("test", parts.test)]
    section = report.section("Data").table(
        ["part", *(Column(name, right=True) for name in ("sentences", "tokens", "not in the vocabulary"))],
        [[name, f"{len(part):,}", f"{sum(map(len, part.items)):,}", _unknown(model, part.items)]
         for name, part in named if part is not None],
    )  # fmt: skip
    said = [*parts.drawn, *(f"**{overlap}.**" for overlap in parts.overlaps), *data_notes(model)]
    if not parts.overlaps:
        said.append("No two parts share a sentence.")
    most = model.max_tokens
    long = (
        0 if most is None else sum(len(tokens) > most for _, part in named if part is not None for tokens in part.items)
    )
    if long:
        said.append(
            f"{long:,} sentences are longer than {most:,} tokens: the network learns from their pieces, and reads them "
            "piece by piece (--max-tokens)."
        )
    if run.judgement.unseen:
        names = ", ".join(f"{name} ({count})" for name, count in run.judgement.unseen.items())
        said.append(f"**Training has not seen {names}: about these the model can only be wrong.**")
    section.text("\n".join(f"- {one}" for one in said))


def data_notes(model: TaggerModel) -> list[str]:
    """How tokens and tags are read, and what the vectors cover."""
    encoder, tags, unit = model.encoder, model.tags, model.config.get("unit", "words")
    sizes = encoder.sizes
    case = "in lower case" if encoder.lowercase else "as they are written"
    digits = "" if encoder.digits else ", with 0 for every digit"
    features = [f"{sizes.words - 1:,} {unit}", f"{sizes.shapes - 1:,} shapes"]
    features += [f"{sizes.pairs - 1:,} pairs of neighbours"] if encoder.pairs else []
    features += [f"{len(encoder.characters):,} characters in words"] if encoder.characters is not None else []
    notes = [f"Looked up {case}{digits}; the training part has given {', '.join(features)} to the vocabulary."]
    if tags.scheme is None:
        notes.append(f"The tags are no spans: {len(tags)} of them, each token judged right or wrong by itself.")
    else:
        own = "" if tags.inner == tags.scheme or tags.inner is None else f"; the network learns {tags.inner.name}"
        notes.append(f"Spans are written in {tags.scheme.name}{own}.")
    vectors = model.config.get("vectors")
    if vectors:
        notes.append(
            f"Word vectors from `{vectors['file']}`, {vectors['width']} numbers each: they cover "
            f"{vectors['vocabulary']:.1%} of the vocabulary, {vectors['text']:.1%} of the training part."
        )
    return notes


def _unknown(model: TaggerModel, sentences: Any) -> str:
    tokens = [token for tokens in sentences for token in tokens]
    unknown = sum(not model.encoder.known(token) for token in tokens)
    return f"{unknown / max(1, len(tokens)):.1%}"
