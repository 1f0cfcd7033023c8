"""The report page and the card of a trained language model."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rondo.inspect import Card, Column, Provenance, Report, Sample, Score, write_card
from rondo.inspect.card import DataPart
from rondo.ir.printing import to_latex
from rondo.models.folder import REPORT
from rondo.tasks.language import add_curves, add_head, loss_metric, scores
from rondo.tasks.text.corpus import TextCorpus
from rondo.tasks.text.model import TextModel
from rondo.training.protocols import TrainingSummary

TEMPERATURES = (0.5, 0.8, 1.0)
SAMPLE_LENGTH = {"characters": 600, "words": 120, "pieces": 200}


@dataclass(frozen=True)
class TextRun:
    """A finished training with everything that a page about it shows."""

    folder: Path
    model: TextModel
    corpus: TextCorpus
    summary: TrainingSummary
    result: dict[str, Any]
    provenance: Provenance
    data_name: str | None = None
    """What the text is, in words; without it the files are named."""


def samples(model: TextModel, *, seed: int, temperatures: Sequence[float] = TEMPERATURES) -> list[Sample]:
    """A text at each temperature."""
    length = SAMPLE_LENGTH[model.tokenizer.kind]
    return [
        Sample(model.generate(length=length, temperature=t, seed=seed)[0], label=f"temperature {t}")
        for t in temperatures
    ]


def add_text_sections(
    report: Report, run: TextRun, *, kind: Literal["prose", "code"] = "prose", yardsticks: Sequence[Score] = ()
) -> None:
    """Loss beside the baseline, curves and samples; used by the task's own page and by the demo's."""
    corpus, result = run.corpus, run.result
    size = run.model.tokenizer.size
    said = (
        f"Nats per {corpus.unit} over the whole validation part ({len(corpus.valid):,} {corpus.tokenizer.kind}), read "
        "once from beginning to end with the state carried: how surprised the model is by what comes next, on average. "
        f"0 would be certainty; guessing evenly among all {size:,} {corpus.tokenizer.kind} it knows would be "
        f"{math.log(size):.2f}."
    )
    if result["baseline"] is not None:
        said += (
            " The baseline counts what follows the last few of them in the same training text (an interpolated "
            "Kneser-Ney model; how many, its order, was chosen on the validation part, which favours it a little)."
        )
    report.section("Text: loss beside the baseline").text(said).scores(
        [*scores(result), *yardsticks], loss_metric(corpus.unit)
    ).text(
        f"Perplexity {result['perplexity']:.2f}: as unsure as among so many that are equally likely. "
        f"{result['bits_per_character']:.3f} bits per character."
    )
    report.section("Text: samples").text(
        "Written by the model from nothing, one step at a time. A low temperature keeps to what is likely, a high one "
        "dares more."
    ).samples(samples(run.model, seed=result["seed"]), kind=kind)
    add_curves(
        report, "Text: learning curves", run.summary, result,
        "Loss over training. While training is watched, the validation part is cut into streams that begin without "
        "a past, so the curve lies a little above the final figure.",
    )  # fmt: skip


def write_report(run: TextRun) -> None:
    """``report.html`` and ``README.md`` of the model folder."""
    folder, model, corpus, result = run.folder, run.model, run.corpus, run.result
    cell, recurrent = model.network.recurrent.cell, model.network.recurrent
    about = f"{recurrent.layers} x {recurrent.hidden_size} {cell.name}, {result['parameters']:,} parameters"
    report = Report("A language model", subtitle=f"{about}, trained on {_text(run)}")
    add_head(report, result, run.summary)
    add_text_sections(report, run)
    report.section("Data").table(
        ["part", Column(model.tokenizer.kind, right=True)],
        [[name, f"{len(part):,}"] for name, part in corpus.parts.items()],
        caption=f"Vocabulary: {model.tokenizer.size:,} tokens, made from the training part.",
    )
    report.next_commands(_commands(folder))
    report.provenance(run.provenance)
    report.save(folder / REPORT)
    write_card(
        Card(
            title=f"Language model ({about})",
            task="text",
            cell=cell.name,
            parameters=result["parameters"],
            summary=f"Predicts the next {corpus.unit}; trained on {_text(run)}.",
            data=[DataPart(name, len(part), model.tokenizer.kind) for name, part in corpus.parts.items()],
            metric=loss_metric(corpus.unit),
            scores=scores(result),
            shell=[command for command, _ in _commands(folder)],
            python=(
                "import rondo\n\n"
                f"model = rondo.load({str(folder)!r})\n"
                "print(model.generate(length=200, temperature=0.8, seed=1)[0])"
            ),
            equations=to_latex(cell.graph),
            limits="It has seen this text and nothing else: what it writes imitates the text, it does not know facts.",
            provenance=run.provenance,
        ),
        folder,
    )


def _text(run: TextRun) -> str:
    names = [run.data_name] if run.data_name else [file.name for file in run.corpus.files]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more files"


def _commands(folder: Path) -> list[tuple[str, str]]:
    model = shlex.quote(str(folder))
    return [
        (f"rondo generate {model} --temperature 0.8", "write more"),
        (f"rondo evaluate {model} ANOTHER.txt", "score another text"),
        (f"rondo info {model}", "the model's card"),
    ]
