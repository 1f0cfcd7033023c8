"""The report page and the card of a model of verse."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from rondo.inspect import Card, Column, Provenance, Report, Sample, write_card
from rondo.inspect.card import DataPart
from rondo.ir.printing import to_latex
from rondo.models.folder import REPORT
from rondo.tasks.language import add_curves, add_head, loss_metric, scores
from rondo.tasks.poetry.corpus import Corpus, Split
from rondo.tasks.poetry.forms import FIXED_FORMS, Form, split_lines
from rondo.tasks.poetry.model import PoetryModel
from rondo.training.protocols import TrainingSummary

REPORT_SAMPLES = 200


def lined(poem: str, form: Form) -> str:
    """A poem as it is printed: a couplet of five-character lines in a row, else a line in a row."""
    marked = [line + form.mark(number) for number, line in enumerate(split_lines(poem))]
    if form.width == 5:
        return "\n".join("".join(marked[at : at + 2]) for at in range(0, len(marked), 2))
    return "\n".join(marked)


def write_report(
    folder: Path,
    model: PoetryModel,
    corpus: Corpus,
    parts: Split,
    summary: TrainingSummary,
    result: dict[str, Any],
    provenance: Provenance,
) -> None:
    """``report.html`` and ``README.md`` of the model folder."""
    recurrent = model.network.recurrent
    about = f"{recurrent.layers} x {recurrent.hidden_size} {recurrent.cell.name}, {result['parameters']:,} parameters"
    report = Report("Classical Chinese verse", subtitle=f"{about}, learned from {len(parts.train):,} poems")
    add_head(report, result, summary)
    held = model.can_hold()
    how = "held to form, rhyme and tones" if held else "sampled freely: its vocabulary is too small to hold them"
    report.section("Poems").text(f"Written by the model from nothing but the form, {how}; not picked.").samples(
        [
            Sample(lined(poem, form), label=form.name)
            for form in FIXED_FORMS
            for poem in model.generate(form.name, samples=2, seed=result["seed"], hold_form=held)
        ],
        kind="verse",
    )
    table = model.compare(parts.valid, samples=REPORT_SAMPLES, seed=result["seed"])
    report.section("Beside human poems").text(
        f"{REPORT_SAMPLES} poems sampled freely (only the form is told), "
        f"{'as many held to form, rhyme and tones while they are written, ' if held else ''}"
        "and the human poems of these forms that were held out. Temperature 1. The rules are those of recent-style "
        "verse; rhymes and tones by the 106 Pingshui groups. `rondo evaluate` counts more poems."
    ).table(
        [column if number == 0 else Column(column, right=True) for number, column in enumerate(table.columns)],
        table.rows(),
    )
    said = (
        f"Nats per token (character, mark or end) over {len(parts.valid):,} poems held out; poems that share half "
        "their lines were kept on one side."
    )
    if result["baseline"] is not None:
        said += " The n-gram model learned from the same poems; its order was chosen on those held out."
    report.section("Loss beside the baseline").text(said).scores(scores(result), loss_metric(result["unit"]))
    add_curves(report, "Learning curves", summary, result, "Loss over training.")
    counts = corpus.counts.to_dict()
    report.section("Data").facts(
        {name.replace("_", " "): f"{value:,}" for name, value in counts.items() if isinstance(value, int)}
    ).table(["form", Column("poems", right=True)], [[name, f"{n:,}"] for name, n in corpus.counts.forms.items()])
    report.next_commands(_commands(folder))
    report.provenance(provenance)
    report.save(folder / REPORT)
    write_card(
        Card(
            title=f"Classical Chinese verse ({about})",
            task="poetry",
            cell=recurrent.cell.name,
            parameters=result["parameters"],
            summary="Writes verse in five forms, held to form, rhyme and tones on request.",
            data=[DataPart(name, count, "poems") for name, count in result["poems"].items() if count],
            metric=loss_metric(result["unit"]),
            scores=scores(result),
            shell=[command for command, _ in _commands(folder)],
            python=(
                "import rondo\n\n"
                f"model = rondo.load({str(folder)!r})\n"
                'print(model.generate("七言絕句", prompt="明月", seed=1)[0])'
            ),
            equations=to_latex(recurrent.cell.graph),
            limits="It holds the rules because it is held to them, and knows the sound of the old lines, not sense.",
            provenance=provenance,
        ),
        folder,
    )


def _commands(folder: Path) -> list[tuple[str, str]]:
    model = shlex.quote(str(folder))
    return [
        (f"rondo generate {model} --form 七言绝句 --prompt 明月", "a poem that begins with these characters"),
        (f"rondo generate {model} --form 五言绝句 --acrostic 春夏秋冬", "lines that begin with them (藏头诗)"),
        (f"rondo evaluate {model} POEMS.jsonl", "rules kept, lines copied, perplexity"),
    ]
