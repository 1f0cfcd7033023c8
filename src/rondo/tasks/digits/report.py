"""The report page and the card of a trained classifier of digits."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rondo.inspect import Card, Metric, Provenance, Report, Score, Tile, write_card
from rondo.inspect.card import DataPart
from rondo.inspect.plots import learning_curves
from rondo.ir.printing import to_latex
from rondo.models.folder import REPORT
from rondo.tasks.digits.data import Digits, DigitSplit
from rondo.tasks.digits.model import DigitModel
from rondo.training.protocols import TrainingSummary

ACCURACY = Metric("accuracy", "higher", digits=1, percent=True)
SHOWN = 24


@dataclass(frozen=True)
class DigitRun:
    """A finished training with everything that a page about it shows."""

    folder: Path
    model: DigitModel
    split: DigitSplit
    summary: TrainingSummary
    result: dict[str, Any]
    provenance: Provenance


def scores(result: dict[str, Any]) -> list[Score]:
    """The network beside its baselines, on the same held-out images."""
    low, high = result["score_interval"]
    ours = Score("this model", result["score"], low, high, role="ours")
    return [ours, *(Score(name, value) for name, value in result["baselines"].items())]


def tiles(model: DigitModel, digits: Digits, shown: int = SHOWN) -> list[Tile]:
    """Held-out images with what was read in them: every mistake first, as far as there is room."""
    read = model.predict(digits.rows)
    order = torch.argsort((read == digits.digit).int(), stable=True)[:shown].tolist()
    return [Tile(digits.rows[i].numpy(), str(int(read[i])), str(int(digits.digit[i]))) for i in order]


def add_digit_sections(report: Report, run: DigitRun) -> None:
    """Accuracy beside the baselines, curves and digits with their reading; used by the demo's page too."""
    model, split, summary, result = run.model, run.split, run.summary, run.result
    section = report.section("Digits: accuracy beside the baselines")
    section.text(
        f"Each image is read as a sequence of 8 rows of 8 grey levels. {len(split.test)} images were held out and "
        "touched once, at the end; the interval is a bootstrap over them (95 %)."
    )
    section.scores(scores(result), ACCURACY)
    wrong = int((model.predict(split.test.rows) != split.test.digit).sum())
    report.section("Digits and what was read in them").text(
        f"{wrong} of {len(split.test)} held-out images were read wrong; they come first."
    ).tiles(tiles(model, split.test))
    report.section("Digits: learning curves").plot(
        learning_curves(
            summary.history,
            {"loss": "training (with dropout)", "valid_loss": "validation"},
            metric=Metric("loss", "lower", "nats per image", digits=3),
        ),
        "Loss over training.",
    )


def write_report(run: DigitRun) -> None:
    """``report.html`` and ``README.md`` of the model folder."""
    folder, model, split, result = run.folder, run.model, run.split, run.result
    recurrent, name = model.network.recurrent, shlex.quote(str(folder))
    directions = "both directions" if recurrent.bidirectional else "one direction"
    about = f"{recurrent.cell.name} with {recurrent.hidden_size} units, {directions}"
    report = Report("Handwritten digits, read row by row", subtitle=f"{about}, {result['parameters']:,} parameters")
    report.compare(scores(result), ACCURACY)
    report.key_figure("accuracy", ACCURACY.format(result["score"]), f"{len(split.test)} held-out images")
    add_digit_sections(report, run)
    report.next_commands([(f"rondo evaluate {name}", "score it again"), (f"rondo info {name}", "its card")])
    report.provenance(run.provenance)
    report.save(folder / REPORT)
    parts = (("training", split.train), ("validation", split.valid), ("test", split.test))
    write_card(
        Card(
            title=f"Classifier of handwritten digits ({about})",
            task="digits",
            cell=recurrent.cell.name,
            parameters=result["parameters"],
            summary="Reads an 8 by 8 image of a digit row by row and says which digit it is.",
            data=[DataPart(part, len(digits), "images") for part, digits in parts],
            metric=ACCURACY,
            scores=scores(result),
            shell=[f"rondo evaluate {name}"],
            python=f"import rondo\n\nmodel = rondo.load({str(folder)!r})\nprint(model.predict(images))  # (N, 8, 8)",
            equations=to_latex(recurrent.cell.graph),
            limits="It knows images of this size, framed and inked like these.",
            provenance=run.provenance,
        ),
        folder,
    )
