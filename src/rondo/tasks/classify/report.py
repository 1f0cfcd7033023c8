"""The report page and the card of a trained classifier of texts."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from rondo.inspect import Card, Evidence, Report, Section, write_card
from rondo.inspect.card import DataPart
from rondo.inspect.saliency import influence
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
    metric_of,
    scores_of,
)
from rondo.tasks.classify.encoder import TextEncoder
from rondo.tasks.classify.options import OWN_TEXTS

SHOWN_TOKENS = 120
"""Of a longer text those tokens are shown that stand around what counted most."""


def write_report(run: ClassRun) -> None:
    """``report.html`` and ``README.md`` of the model folder."""
    folder, model, result = run.folder, run.model, run.result
    recurrent = model.network.recurrent
    directions = "both directions" if recurrent.bidirectional else "one direction"
    about = f"{recurrent.layers} x {recurrent.hidden_size} {recurrent.cell.name}, {directions}"
    classes = _classes(run)
    report = Report("A classifier of texts", subtitle=f"{classes}; {about}, {result['parameters']:,} parameters")
    add_head(report, run)
    add_scores(report, run)
    add_classes(report, run)
    add_mistakes(report, run, partial(_show, run))
    add_calibration(report, run)
    add_curves(report, run)
    add_data(report, run, notes=data_notes(run))
    report.next_commands(_commands(run))
    report.provenance(run.provenance)
    report.save(folder / REPORT)
    parts = [("training", run.parts.train), ("validation", run.parts.valid), ("test", run.parts.test)]
    write_card(
        Card(
            title=f"Classifier of texts ({about})",
            task="classify",
            cell=recurrent.cell.name,
            parameters=result["parameters"],
            summary=f"Says which class a text has: {classes}.",
            data=[DataPart(name, len(part), run.unit) for name, part in parts if part is not None],
            metric=metric_of(result),
            scores=scores_of(result),
            shell=[command for command, _ in _commands(run)],
            python=(
                "import rondo\n\n"
                f"classifier = rondo.load({str(folder)!r})\n"
                'print(classifier.predict(["A text."]), classifier.predict_proba(["A text."]))'
            ),
            equations=to_latex(recurrent.cell.graph),
            limits=(
                "It knows texts like those it learned from: of another kind, language or time, its classes and its "
                "probabilities can be wrong. It gives every text a class, also one that has none of them."
            ),
            provenance=run.provenance,
        ),
        folder,
    )


def data_notes(run: ClassRun) -> list[str]:
    """How texts become tokens, how many are cut, what the vectors cover."""
    encoder = run.model.encoder
    if not isinstance(encoder, TextEncoder):
        return []
    reads = [encoder.read(text) for text in run.parts.train.items]
    cut = [read.cut for read in reads if read.cut]
    tokens = sum(len(read.ids) for read in reads) + sum(cut)
    unknown = sum(int((read.ids == encoder.tokenizer.unknown).sum()) for read in reads)
    case = "in lower case" if encoder.lowercase else "as they are written"
    notes = [
        f"Texts are read as {encoder.level}, {case}; the vocabulary has {encoder.input_size:,}, made from the training "
        f"part, {unknown / max(1, tokens):.1%} of whose {encoder.level} it does not have."
    ]
    where = {
        "start": "from the start",
        "end": "from the end",
        "both": "a quarter from the start, the rest from the end",
    }
    if cut:
        notes.append(
            f"Texts are read up to {encoder.max_tokens:,} {encoder.level}, {where[encoder.keep_tokens]}: {len(cut):,} "
            f"of the {len(reads):,} in the training part are longer, and {sum(cut) / tokens:.1%} of all "
            f"{encoder.level} are not read (`--max-tokens`)."
        )
    else:
        notes.append(f"No text of the training part is longer than the {encoder.max_tokens:,} that are read.")
    learned = run.model.config.get("pretraining")
    if learned:
        source = "the texts of the training part" if learned["source"] == OWN_TEXTS else f"`{learned['source']}`"
        notes.append(
            f"The encoder first learned to predict {source}, {learned['tokens']:,} {encoder.level}, in "
            f"{learned['epochs']:.1f} epochs: perplexity {learned['perplexity']:.1f}."
        )
    vectors = run.model.config.get("vectors")
    if vectors:
        notes.append(
            f"Word vectors from `{vectors['file']}`, {vectors['width']} numbers each: they cover "
            f"{vectors['vocabulary']:.1%} of the vocabulary, {vectors['text']:.1%} of the training part."
        )
    return notes


def _show(run: ClassRun, section: Section, mistakes: Sequence[Mistake]) -> None:
    section.evidence(
        [_evidence(run, mistake) for mistake in mistakes],
        caption=(
            "Orange: what spoke for the class that was said. Blue: what spoke for the one that it has. By the gradient "
            "of the difference between the two, times the input, token by token; the three strongest are in bold."
        ),
    )


def _evidence(run: ClassRun, mistake: Mistake) -> Evidence:
    encoder: Any = run.model.encoder
    read = encoder.read(run.judgement.data.items[mistake.index])
    weights = influence(run.model.network, read.ids, mistake.said, mistake.true)
    shown = _around_the_strongest(weights)
    tokens = [token.strip() or token for token in read.tokens]
    notes = [run.judgement.data.where(mistake.index)]
    if read.cut:
        notes.append(f"{read.cut:,} {encoder.level} were not read")
    if len(shown) < len(tokens):
        notes.append(f"{len(shown)} of {len(tokens)} {encoder.level} are shown")
    said = run.model.classes.names[mistake.said]
    return Evidence(
        [tokens[i] for i in shown],
        weights[shown].tolist(),
        label=f"said {said} ({mistake.confidence:.1%}), is {mistake.name}",
        note="; ".join(note for note in notes if note),
        spaced=encoder.level == "words",
    )


def _around_the_strongest(weights: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The places of the tokens to show: the stretch in which most of the evidence lies."""
    if len(weights) <= SHOWN_TOKENS:
        return np.arange(len(weights))
    sums = np.concatenate([[0.0], np.cumsum(np.abs(weights))])
    start = int(np.argmax(sums[SHOWN_TOKENS:] - sums[:-SHOWN_TOKENS]))
    return np.arange(start, start + SHOWN_TOKENS)


def _classes(run: ClassRun) -> str:
    names = [str(name) for name in run.model.classes.names]
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"any of {shown}" if run.model.classes.several else shown.replace(", ", " or ") if len(names) == 2 else shown


def _commands(run: ClassRun) -> list[tuple[str, str]]:
    model = shlex.quote(str(run.folder))
    return [
        (f"rondo predict {model} TEXTS.txt", "the class of each line of a file"),
        (f"rondo predict {model} TEXTS.txt --json", "with the probabilities of all classes"),
        (f"rondo evaluate {model} LABELLED.csv", "score it on other texts"),
        (f"rondo info {model}", "the model's card"),
    ]
