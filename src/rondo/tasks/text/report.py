"""The report page and the card of a trained language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rondo.inspect import Card, Column, Metric, Provenance, Report, Sample, Score, write_card
from rondo.inspect.card import DataPart
from rondo.inspect.plots import learning_curves
from rondo.ir.printing import to_latex
from rondo.models.folder import REPORT
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


def loss_metric(unit: str) -> Metric:
    """Validation loss, in nats a token."""
    return Metric("validation loss", "lower", f"nats per {unit}", digits=4)


def scores(result: dict[str, Any]) -> list[Score]:
    """The network beside its baseline, on the same tokens."""
    found = [Score("this model", result["valid_loss"], role="ours")]
    if result["baseline_loss"] is not None:
        found.append(Score(result["baseline"], result["baseline_loss"], note="same training text"))
    return found


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
    metric = loss_metric(corpus.unit)
    found = scores(result)
    section = report.section("Text: loss beside the baseline")
    section.text(
        f"Nats per {corpus.unit} over the whole validation part ({len(corpus.valid):,} {corpus.tokenizer.kind}), read "
        "once from beginning to end with the state carried. The baseline is an interpolated Kneser-Ney model of the "
        "same training text; its order was chosen on the validation part, which favours it a little."
    )
    section.scores([*found, *yardsticks], metric)
    section.text(f"Perplexity {result['perplexity']:.2f}, {result['bits_per_character']:.3f} bits per character.")
    report.section("Text: samples").text(
        "Written by the model from nothing, one step at a time. A low temperature keeps to what is likely, a high one "
        "dares more."
    ).samples(samples(run.model, seed=result["seed"]), kind=kind)
    report.section("Text: learning curves").plot(
        learning_curves(
            run.summary.history,
            {"loss": "training (with dropout)", "valid_loss": "validation (while training)"},
            metric=metric,
            baselines=[score for score in found if score.role == "baseline"],
            mark_best="valid_loss",
        ),
        "Loss over training. While training is watched, the validation part is cut into streams that begin without "
        "a past, so the curve lies a little above the final figure.",
    )


def write_report(run: TextRun) -> None:
    """``report.html`` and ``README.md`` of the model folder."""
    folder, model, corpus, result = run.folder, run.model, run.corpus, run.result
    cell, recurrent = model.network.recurrent.cell, model.network.recurrent
    about = f"{recurrent.layers} x {recurrent.hidden_size} {cell.name}, {result['parameters']:,} parameters"
    report = Report("A language model", subtitle=f"{about}, trained on {_files(corpus)}")
    if result["baseline_loss"] is not None:
        report.compare(scores(result), loss_metric(corpus.unit))
    report.key_figure("validation loss", f"{result['valid_loss']:.4f}", f"nats per {corpus.unit}")
    report.key_figure("training", f"{run.summary.epochs:.1f} epochs", f"{run.summary.steps:,} steps")
    add_text_sections(report, run)
    report.section("Data").table(
        ["part", Column(model.tokenizer.kind, right=True)],
        [[name, f"{len(part):,}"] for name, part in _parts(corpus)],
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
            summary=f"Predicts the next {corpus.unit}; trained on {_files(corpus)}.",
            data=[DataPart(name, len(part), model.tokenizer.kind) for name, part in _parts(corpus)],
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


def _parts(corpus: TextCorpus) -> list[tuple[str, Any]]:
    parts = [("training", corpus.train), ("validation", corpus.valid)]
    return parts if corpus.test is None else [*parts, ("test", corpus.test)]


def _files(corpus: TextCorpus) -> str:
    names = [Path(file.path).name for file in corpus.files]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more files"


def _commands(folder: Path) -> list[tuple[str, str]]:
    return [
        (f"rondo generate {folder} --temperature 0.8", "write more"),
        (f"rondo evaluate {folder} ANOTHER.txt", "score another text"),
        (f"rondo info {folder}", "the model's card"),
    ]
