"""The demonstration: two models from data that is on any machine, in a few minutes, on one page.

Text: the source of Python's own standard library, character by character. Digits: scikit-learn's
handwritten digits, row by row. Nothing is downloaded.
"""

from __future__ import annotations

import random
import sysconfig
import time
from pathlib import Path
from typing import Any

from rondo.errors import DataError, UsageError
from rondo.inspect import Report, Score, collect, metric_of
from rondo.models.folder import check_output_folder
from rondo.tasks.classification.report import ClassRun
from rondo.tasks.digits.options import DigitOptions
from rondo.tasks.digits.report import add_digit_sections
from rondo.tasks.digits.task import run_digits
from rondo.tasks.options import from_flat
from rondo.tasks.text.options import TextOptions
from rondo.tasks.text.report import TextRun, add_text_sections
from rondo.tasks.text.task import run_text
from rondo.training.protocols import Progress, SilentProgress

CHARACTERS = 2_000_000
"""About so much of the library is read."""
MINUTES = 3.0
DIGIT_CHANGES = {"shift": 0.5, "rotate": 8.0, "zoom": 0.1}
"""How images are changed in training: 1,400 are few to learn from."""
ENOUGH = 0.3
"""Passes through the text below which the text model is not worth looking at."""
LONGER_RUN = Score(
    "In fifteen minutes", 1.185, role="yardstick",
    note="5,500 steps on the library of Python 3.11, Kneser-Ney 1.297; benchmarks/quality, row library-15",
)  # fmt: skip
"""The same network with more time."""


def library_files(characters: int = CHARACTERS) -> list[Path]:
    """Modules of the standard library in an order that looks random and is always the same."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    modules = sorted(path for path in folder.glob("*.py") if path.stat().st_size)
    random.Random(0).shuffle(modules)
    chosen: list[Path] = []
    for path in modules:
        if sum(p.stat().st_size for p in chosen) >= characters:
            break
        chosen.append(path)
    if not chosen:
        raise DataError(f"there is no source of Python's standard library in {folder}; train on a text of your own")
    return chosen


def run_demo(
    out: str | Path,
    *,
    minutes: float = MINUTES,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train both models into ``out`` and write ``report.html`` there. Returns the figures of both."""
    started = time.perf_counter()
    out = check_demo_folder(out, overwrite=overwrite)
    options = from_flat(TextOptions, {"minutes": minutes, "seed": seed, "device": device, "encoding": "utf-8"})
    progress = progress or SilentProgress()
    progress.message("1 of 2: text, the source of Python's standard library, character by character")
    text = run_text(
        library_files(), out / "text", options, overwrite=overwrite, progress=progress,
        data_name="source code of Python's standard library",
    )  # fmt: skip
    progress.message("2 of 2: handwritten digits, read row by row")
    digits = run_digits(
        [],
        out / "digits",
        from_flat(DigitOptions, {"seed": seed, "device": device, **DIGIT_CHANGES}),
        overwrite=overwrite,
        progress=progress,
    )
    if text is None or digits is None:
        return {}
    seconds = time.perf_counter() - started
    write_page(out, text, digits, seconds=seconds)
    return {
        "task": "demo",
        "report": str(out / "report.html"),
        "seconds": seconds,
        "text": text.result,
        "text_verdict": text_verdict(text.result),
        "digits": digits.result,
        "next": next_commands(out),
    }


def check_demo_folder(out: str | Path, *, overwrite: bool) -> Path:
    """Refuse a folder with anything in it but an earlier demonstration."""
    folder = Path(out)
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if found - {"text", "digits", "report.html"} or ("report.html" in found and "text" not in found):
        raise UsageError(f"{folder} holds something other than a demonstration; give an empty or a new folder")
    for part in ("text", "digits"):
        check_output_folder(folder / part, overwrite=overwrite)
    return folder


def text_verdict(result: dict[str, Any]) -> str:
    """In words, who is ahead, and what a longer run gives where the network is behind."""
    if result["epochs"] < ENOUGH:
        return (
            f"Only {result['steps']} steps fitted into the demo's time, {result['epochs']:.2f} of a pass through the "
            "text: this machine is slow or busy with other things, and the text model has learned next to nothing. "
            "Give it longer with --minutes."
        )
    ours, baseline = result["valid_loss"], result["baseline_loss"]
    if ours <= baseline:
        return f"The network is ahead of {result['baseline']}: {ours:.3f} to {baseline:.3f} nats per character."
    said = (
        f"In the demo's time the network is still behind {result['baseline']}: {ours:.3f} to {baseline:.3f} nats "
        "per character."
    )
    return f"{said} {LONGER_RUN.name} it reached {LONGER_RUN.value:.3f} ({LONGER_RUN.note})."


def next_commands(out: Path) -> list[tuple[str, str]]:
    """What to type next, and what it does."""
    return [
        (f"rondo generate {out / 'text'} --prompt 'def main(' --temperature 0.6", "let the text model go on"),
        ("rondo train text YOUR_TEXT.txt --out my-model --minutes 10", "train on a text of your own"),
        ("rondo explain gru", "a cell: its equations, its parameters, where its state goes"),
        (f"rondo info {out / 'digits'}", "the card of the digit model"),
    ]


def write_page(out: Path, text: TextRun, digits: ClassRun, *, seconds: float) -> None:
    """One page with both."""
    ahead = text.result["valid_loss"] <= text.result["baseline_loss"]
    report = Report(
        "Rondo's demonstration",
        subtitle="A language model of Python's own source text, and handwritten digits read row by row",
    )
    accuracy = metric_of(digits.result)
    wins = digits.result["score"] > digits.result["baseline_score"]
    said = (
        f"Digits: {accuracy.format(digits.result['score'])} accuracy, "
        f"{'above' if wins else 'not above'} {digits.result['baseline']} "
        f"({accuracy.format(digits.result['baseline_score'])}). {text_verdict(text.result)}"
    )
    report.verdict(said, tone="good" if ahead and wins else "even")
    report.key_figure("digits read right", accuracy.format(digits.result["score"]), "of those held out")
    report.key_figure("text", f"{text.result['valid_loss']:.3f}", "nats per character")
    report.key_figure("time", f"{seconds / 60:.1f} min", "for both, from nothing")
    add_text_sections(report, text, kind="code", yardsticks=[LONGER_RUN])
    add_digit_sections(report, digits)
    report.next_commands(next_commands(out))
    report.provenance(
        collect(
            seed=text.result["seed"],
            seconds=seconds,
            data=text.corpus.files,
            device=text.provenance.device,
        )
    )
    report.save(out / "report.html")
