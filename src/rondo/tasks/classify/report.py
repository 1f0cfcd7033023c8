"""The report page and the card of a trained classifier of texts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from rondo.inspect import Evidence, Section
from rondo.inspect.saliency import influence
from rondo.tasks.classification.mistakes import Mistake, colours
from rondo.tasks.classification.model import ClassifierModel
from rondo.tasks.classification.page import Page, Words, write_page
from rondo.tasks.classification.report import ClassRun
from rondo.tasks.classify.encoder import TextEncoder
from rondo.tasks.classify.options import OWN_TEXTS

SHOWN_TOKENS = 120
"""Of a longer text those tokens are shown that stand around what counted most."""


def write_report(run: ClassRun) -> None:
    """``report.html`` and ``README.md`` of the model folder."""
    write_page(run, Page(WORDS, show=partial(_show, run), notes=data_notes(run)))


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
        caption=f"{colours(run)}, times the input, token by token; the three strongest are in bold.",
    )


def _evidence(run: ClassRun, mistake: Mistake) -> Evidence:
    encoder: Any = run.model.encoder
    read = encoder.read(run.judgement.data.items[mistake.index])
    weights = mistake.driven(influence, run.model.network, read.ids)
    shown = _around_the_strongest(weights)
    tokens = [token.strip() or token for token in read.tokens]
    notes = [run.judgement.data.where(mistake.index)]
    if read.cut:
        notes.append(f"{read.cut:,} {encoder.level} were not read")
    if len(shown) < len(tokens):
        notes.append(f"{len(shown)} of {len(tokens)} {encoder.level} are shown")
    return Evidence(
        [tokens[i] for i in shown],
        weights[shown].tolist(),
        label=mistake.text(run.model.classes.names),
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


def _commands(_: ClassifierModel, model: str) -> list[tuple[str, str]]:
    return [
        (f"rondo predict {model} TEXTS.txt", "the class of each line of a file"),
        (f"rondo predict {model} TEXTS.txt --json", "with the probabilities of all classes"),
        (f"rondo evaluate {model} LABELLED.csv", "score it on other texts"),
        (f"rondo info {model}", "the model's card"),
    ]


WORDS = Words(
    title=lambda _: "A classifier of texts",
    item="a text",
    unit="texts",
    example=lambda _: 'print(classifier.predict(["A text."]), classifier.predict_proba(["A text."]))',
    commands=_commands,
)
