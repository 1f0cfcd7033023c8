"""The report page and the card of a trained classifier of images, and what the demonstration shows of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rondo.inspect import Report, Section, Tile, metric_of, scores_of
from rondo.inspect.saliency import contributions
from rondo.tasks.classification.mistakes import Mistake, colours, worst_mistakes
from rondo.tasks.classification.model import ClassifierModel
from rondo.tasks.classification.page import Page, Words, network_of, write_page
from rondo.tasks.classification.report import ClassRun, add_curves
from rondo.tasks.digits.encoder import ImageEncoder

SHOWN = 24
"""Images that are shown with what was read in them."""
ORDERS = {
    "rows": "row by row, from the top",
    "columns": "column by column, from the left",
    "both": "rows and columns of the same number together, from the top and from the left",
    "pixels": "pixel by pixel, row by row",
}
FOR, AGAINST = np.array([192, 95, 23]), np.array([43, 98, 176])
"""Orange and blue, as the page has them."""


def write_report(run: ClassRun) -> None:
    """``report.html`` and ``README.md`` of the model folder."""
    encoder: Any = run.model.encoder
    notes = data_notes(encoder, run.model.config["options"]["data"])
    write_page(run, Page(WORDS, show=partial(_show, run), notes=notes, more=partial(_add_others, run)))


def data_notes(encoder: ImageEncoder, data: dict[str, Any]) -> list[str]:
    """How images become sequences, and what was done to them in training."""
    notes = [f"Images of {encoder.height} x {encoder.width} pixels are read {ORDERS[encoder.order]}."]
    if encoder.permutation is not None:
        notes.append("Their pixels were put into another order first, the same for all images.")
    said = {
        "shift": f"moved by up to {data['shift']:g} pixels",
        "rotate": f"turned by up to {data['rotate']:g} degrees",
        "zoom": f"made up to {data['zoom']:.0%} larger or smaller",
    }
    done = [words for name, words in said.items() if data[name]]
    if done:
        notes.append(f"In training they were {', '.join(done)}, otherwise each time.")
    return notes


def add_digit_sections(report: Report, run: ClassRun) -> None:
    """Score beside the baselines, images with their reading, curves: what the demonstration's page shows."""
    section = report.section("Digits: accuracy beside the baselines")
    encoder: Any = run.model.encoder
    section.text(
        f"Each image is read as a sequence, {ORDERS[encoder.order]}. {run.result['items']} images were held out and "
        "touched once, at the end; the interval is a bootstrap over them (95 %)."
    )
    section.scores(scores_of(run.result), metric_of(run.result))
    _add_tiles(run, report)
    add_curves(report, run)


def tiles(run: ClassRun, shown: int = SHOWN, *, leave: Collection[int] = ()) -> list[Tile]:
    """Held-out images but for those to ``leave``, with what was read in them: every mistake first, if there is room."""
    predictions, data = run.judgement.predictions, run.judgement.data
    wrong = predictions.predicted != predictions.true
    order = [i for i in np.argsort(~wrong, kind="stable").tolist() if i not in leave][:shown]
    names = predictions.classes
    return [
        Tile(np.asarray(data.items[i], float), str(names[predictions.predicted[i]]), str(names[predictions.true[i]]))
        for i in order
    ]


def _add_others(run: ClassRun, report: Report) -> None:
    """Images that are not among the worst mistakes, which stand above."""
    if run.judgement.predictions.several:
        return
    above = {mistake.index for mistake in worst_mistakes(run)}
    shown = tiles(run, leave=above)
    if shown:
        report.section("Images and what was read in them").text(
            "Others than those above; what was read wrong comes first."
        ).tiles(shown)


def _add_tiles(run: ClassRun, report: Report) -> None:
    predictions = run.judgement.predictions
    if predictions.several:
        return
    wrong = int((predictions.predicted != predictions.true).sum())
    report.section("Images and what was read in them").text(
        f"{wrong:,} of {len(run.judgement.data):,} were read wrong; they come first. ({network_of(run.model)})"
    ).tiles(tiles(run))


def _show(run: ClassRun, section: Section, mistakes: Sequence[Mistake]) -> None:
    section.tiles(
        [
            Tile(_shaded(run, mistake), _said(run, mistake), _truth(mistake), f"{mistake.confidence:.1%}")
            for mistake in mistakes
        ],
        caption=f"{colours(run)}, times the input, pixel by pixel.",
    )


def _said(run: ClassRun, mistake: Mistake) -> str:
    name = str(run.model.classes.names[mistake.said])
    return f"not {name}" if mistake.missed else name


def _truth(mistake: Mistake) -> str:
    return ", ".join(map(str, mistake.name)) if isinstance(mistake.name, tuple) else str(mistake.name)


def _shaded(run: ClassRun, mistake: Mistake) -> npt.NDArray[np.uint8]:
    """The image in grey, coloured by what each pixel spoke for, (H, W, 3)."""
    encoder: Any = run.model.encoder
    image = np.asarray(run.judgement.data.items[mistake.index], float)
    values = mistake.driven(contributions, run.model.network, encoder.encode(image))
    weights = encoder.spread_out(torch.from_numpy(values)[None])[0].numpy()
    span = image.max() - image.min()
    grey = 255 - 150 * (image - image.min()) / (span or 1.0)
    largest = np.abs(weights).max()
    share = (np.abs(weights) / largest if largest > 0 else np.zeros_like(weights))[..., None]
    colour = np.where((weights > 0)[..., None], FOR, AGAINST)
    found: npt.NDArray[np.uint8] = np.rint(grey[..., None] * (1 - share) + colour * share).astype(np.uint8)
    return found


def _title(model: ClassifierModel) -> str:
    encoder: Any = model.encoder
    return f"A classifier of images, read by {encoder.order if encoder.order != 'both' else 'rows and columns'}"


def _example(model: ClassifierModel) -> str:
    encoder: Any = model.encoder
    return f"print(classifier.predict(images))  # (N, {encoder.height}, {encoder.width})"


def _commands(trained: ClassifierModel, model: str) -> list[tuple[str, str]]:
    provenance = trained.config.get("provenance")
    again = [(f"rondo evaluate {model}", "score it again")] if provenance and not provenance.get("data") else []
    return [
        *again,
        (f"rondo predict {model} IMAGES.idx", "the class of each image of a file (idx or .npz)"),
        (f"rondo evaluate {model} IMAGES.idx", "score it on other images, whose classes are known"),
        (f"rondo info {model}", "the model's card"),
    ]


WORDS = Words(title=_title, item="an image", unit="images", example=_example, commands=_commands)
