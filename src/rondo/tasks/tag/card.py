"""The card of a trained tagger, and what else is said of a tagger in its own words."""

from __future__ import annotations

import shlex
from pathlib import Path

from rondo.inspect import Card, Provenance, write_card
from rondo.inspect.card import DataPart
from rondo.ir.printing import to_latex
from rondo.tasks.classification.report import card_scores, in_words
from rondo.tasks.tag.model import TaggerModel

UNIT = "sentences"


def write_model_card(model: TaggerModel, folder: Path) -> None:
    """``README.md`` of a model folder, from what the model knows of its training.

    Where no score was taken, the card has the one on the validation part, by which the weights were chosen.
    """
    result, provenance = model.config.get("result", {}), model.config.get("provenance")
    cell = model.network.first.recurrent.cell
    metric, scores = card_scores(result, "valid_f1", "accuracy" if model.tags.scheme is None else "span F1")
    missing = [f"{said[:1].upper()}{said[1:]}." for said in result.get("missing_baselines", ())]
    write_card(
        Card(
            title=f"Tagger ({network_of(model)})",
            task=model.task,
            cell=cell.name,
            parameters=model.parameters,
            summary=f"Tags the tokens of sentences: {kinds_of(model)}.",
            data=[DataPart(name, count, UNIT) for name, count in model.config.get("parts", {}).items()],
            metric=metric,
            scores=scores,
            shell=[command for command, _ in commands(folder)],
            python=(
                "import rondo\n\n"
                f"tagger = rondo.load({str(folder)!r})\n"
                'print(tagger.predict([["A", "sentence", "."]]), tagger.predict_spans([["A", "sentence", "."]]))'
            ),
            equations=to_latex(cell.graph),
            limits=" ".join(
                (
                    "It knows sentences like those it learned from, cut into tokens in the same way: in text of "
                    "another kind, language or time it misses more and invents more than the figures say.",
                    *missing,
                )
            ),
            provenance=None if provenance is None else Provenance.from_dict(provenance),
        ),
        folder,
    )


def network_of(model: TaggerModel) -> str:
    """The network in a few words."""
    chain = " and a CRF" if model.network.crf is not None else ""
    return in_words(model.network.first.recurrent, members=len(model.network.members)) + chain


def kinds_of(model: TaggerModel) -> str:
    """What it finds."""
    names = [kind or "spans" for kind in model.tags.kinds]
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def commands(folder: Path) -> list[tuple[str, str]]:
    """What to type next, and what it does."""
    model = shlex.quote(str(folder))
    return [
        (f"rondo predict {model} FILE", "the same file with its tags"),
        (f"rondo predict {model} FILE --json", "an object a sentence, with spans and how sure the model is of them"),
        (f"rondo evaluate {model} TAGGED_FILE", "score it on other sentences"),
        (f"rondo info {model}", "the model's card"),
    ]
