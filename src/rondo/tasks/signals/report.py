"""The report page and the card of a trained classifier of signals."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from rondo.data.labelled import Labelled
from rondo.data.signals import fill_missing
from rondo.inspect import Section
from rondo.inspect.class_plots import MOST_CHANNELS, signal_with_influence
from rondo.inspect.saliency import influence
from rondo.tasks.classification.mistakes import Mistake, colours
from rondo.tasks.classification.model import ClassifierModel
from rondo.tasks.classification.page import Page, Words, write_page
from rondo.tasks.classification.report import ClassRun
from rondo.tasks.signals.encoder import SignalEncoder

SHOWN = 6
"""Mistakes that are drawn."""
SCALED = {
    "training": "Each channel is scaled to mean 0 and deviation 1 as the training part has it.",
    "each": "Each channel of each signal is scaled to mean 0 and deviation 1 by itself: its level is not read.",
    "none": "Values are read as they are, without any scaling.",
}


def write_report(run: ClassRun) -> None:
    """``report.html`` and ``README.md`` of the model folder."""
    write_page(run, Page(WORDS, show=partial(_show, run), notes=data_notes(run)))


def data_notes(run: ClassRun) -> list[str]:
    """Lengths, channels, scaling, missing values."""
    lengths = np.array([len(item) for item in run.parts.train.items])
    shortest, longest = lengths.min(), lengths.max()
    steps = f"{longest:,}" if shortest == longest else f"{shortest:,} to {longest:,}"
    channels = run.model.encoder.input_size
    notes = [f"Signals of the training part have {steps} steps of {channels} channel{'s' * (channels > 1)}."]
    if isinstance(run.model.encoder, SignalEncoder):
        notes.append(SCALED[run.model.encoder.scaling])
    parts = [part for part in (run.parts.train, run.parts.valid, run.parts.test) if part is not None]
    holes = sum(map(_missing, parts))
    if holes:
        notes.append(f"{holes:,} values are missing; they were filled along straight lines.")
    changes = run.model.config["options"]["data"]
    if changes["noise"]:
        notes.append(f"In training, noise of {changes['noise']:g} deviations was added.")
    if changes["stretch"]:
        notes.append(f"In training, signals were made up to {changes['stretch']:.0%} faster or slower.")
    return notes


def _missing(part: Labelled) -> int:
    return sum(int(np.isnan(item).sum()) for item in part.items)


def _show(run: ClassRun, section: Section, mistakes: Sequence[Mistake]) -> None:
    section.text(f"Bars are steps. {colours(run)}, times the input, added up over the channels.")
    for mistake in mistakes[:SHOWN]:
        signal = run.judgement.data.items[mistake.index]
        weights = mistake.driven(influence, run.model.network, run.model.encoder.encode(signal))
        where = run.judgement.data.where(mistake.index)
        text = mistake.text(run.model.classes.names)
        left = f"; the first {MOST_CHANNELS} of {signal.shape[1]} channels" if signal.shape[1] > MOST_CHANNELS else ""
        section.plot(
            signal_with_influence(fill_missing(signal), weights),
            f"{text[:1].upper()}{text[1:]}: {where}{left}.",
        )


def _example(model: ClassifierModel) -> str:
    channels = model.encoder.input_size
    return f"print(classifier.predict(signals))  # a list of arrays (steps, {channels}), or one array"


def _commands(_: ClassifierModel, model: str) -> list[tuple[str, str]]:
    return [
        (f"rondo predict {model} SIGNALS.tsv", "the class of each signal of a file"),
        (f"rondo predict {model} SIGNALS.tsv --json", "with the probabilities of all classes"),
        (f"rondo evaluate {model} LABELLED.tsv", "score it on other signals"),
        (f"rondo info {model}", "the model's card"),
    ]


WORDS = Words(
    title=lambda _: "A classifier of signals",
    item="a signal",
    unit="signals",
    example=_example,
    commands=_commands,
)
