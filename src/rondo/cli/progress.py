"""How training looks to the person who waits: a bar on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from rondo.cli.output import duration

if TYPE_CHECKING:
    from rondo.training.protocols import Now, TrainingSummary

LINE_SECONDS, LINE_SHARE = 10.0, 0.05
"""Where there is no terminal to draw on: seconds between lines, and the share of the budget between them."""
SILENT_SECONDS = 300.0
"""After so long a silence there is a line in any case."""


class LineProgress:
    """A line now and then, for logs and pipes: some twenty in a training, however long it is."""

    def __init__(self) -> None:
        self._written = 0.0
        self._told = 0.0
        self._valid: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def start(self, *, step: int, parameters: int, device: str) -> None:
        self._valid, self._told = {}, 0.0
        self._line(_beginning(step, parameters, device))

    def update(self, now: Now) -> None:
        silent = time.monotonic() - self._written
        due = now.fraction - self._told >= LINE_SHARE or self._told == 0
        if silent >= (LINE_SECONDS if due else SILENT_SECONDS):
            self._told = now.fraction
            self._line(f"{now.fraction:4.0%}  step {now.step}  {'  '.join(_figures(now, self._valid))}")

    def evaluation(self, *, step: int, metrics: dict[str, float], best: bool) -> None:
        self._valid = metrics
        if best and time.monotonic() - self._written >= LINE_SECONDS:
            self._line(f"step {step}: {_metrics(metrics)}  (best so far)")

    def message(self, text: str) -> None:
        self._line(text)

    def finish(self, summary: TrainingSummary) -> None:
        self._line(_ending(summary))

    def _line(self, text: str) -> None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
        self._written = time.monotonic()


class BarProgress:
    """A bar with rate, loss, validation loss and time left; messages scroll by above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, transient=True, refresh_per_second=8, redirect_stdout=False)
        self._valid: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._live.start()
        self._wait("reading")
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def start(self, *, step: int, parameters: int, device: str) -> None:
        self._valid = {}
        self._say(_beginning(step, parameters, device))
        self._wait("evaluating the untrained model" if step == 0 else "going on")

    def update(self, now: Now) -> None:
        self._live.update(_bar(now, self._valid))

    def evaluation(self, *, step: int, metrics: dict[str, float], best: bool) -> None:
        self._valid = metrics

    def message(self, text: str) -> None:
        self._say(text)
        self._wait("working")

    def finish(self, summary: TrainingSummary) -> None:
        self._say(_ending(summary))
        self._wait("scoring")

    def _say(self, text: str) -> None:
        self._console.print(Text(text, style="dim"), soft_wrap=True)

    def _wait(self, text: str) -> None:
        self._live.update(Spinner("dots", Text(f" {text} ...", style="dim")))


class NoProgress:
    """For --quiet, and for the processes that are not the main one."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def start(self, *, step: int, parameters: int, device: str) -> None:
        pass

    def update(self, now: Now) -> None:
        pass

    def evaluation(self, *, step: int, metrics: dict[str, float], best: bool) -> None:
        pass

    def message(self, text: str) -> None:
        pass

    def finish(self, summary: TrainingSummary) -> None:
        pass


@contextlib.contextmanager
def waiting(text: str, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """A sign of life on a terminal, for what takes a while; what it gives says in other words what is done now."""
    console = Console(stderr=True, highlight=False)
    alive = console.is_terminal and not console.is_dumb_terminal and not quiet
    if not alive:
        yield lambda now: None
        return
    with console.status(text) as status:
        yield lambda now: status.update(Text(now))


def progress_for(*, quiet: bool) -> LineProgress | BarProgress | NoProgress:
    """What fits where standard error goes."""
    if quiet:
        return NoProgress()
    console = Console(stderr=True, highlight=False)
    return BarProgress(console) if console.is_terminal and not console.is_dumb_terminal else LineProgress()


def _bar(now: Now, valid: Mapping[str, float]) -> Table:
    line = Table.grid(padding=(0, 2, 0, 0))
    bar = ProgressBar(total=1.0, completed=now.fraction, width=24)
    line.add_row(bar, f"{now.fraction:.0%}", *_figures(now, valid))
    return line


def _figures(now: Now, valid: Mapping[str, float]) -> list[str]:
    """Loss, validation loss, rate, epoch and time left."""
    found = [f"loss {now.loss:.3f}"]
    if "valid_loss" in valid:
        found.append(f"valid {valid['valid_loss']:.3f}")
    found += [f"{_short(now.rate)} {now.unit}/s", f"epoch {now.epoch:.1f}"]
    if math.isfinite(now.seconds_left):
        found.append(f"{duration(now.seconds_left)} left")
    return found


def _beginning(step: int, parameters: int, device: str) -> str:
    where = f"training {parameters:,} parameters on {device}"
    return f"{where}, from step {step:,} on" if step else where


def _ending(summary: TrainingSummary) -> str:
    what = f"{summary.steps:,} steps, {summary.epochs:.1f} epochs in {duration(summary.seconds)}"
    best = {name: value for name, value in summary.best.items() if name != "step"}
    found = f"; best {_metrics(best)} at step {summary.best['step']:,.0f}" if best and "step" in summary.best else ""
    return f"trained {what}; stopped: {summary.stopped_why}{found}"


def _metrics(metrics: Mapping[str, float]) -> str:
    return "  ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in metrics.items())


def _short(rate: float) -> str:
    """``850``, ``12.3k`` or ``1.2M``."""
    if rate >= 1e6:
        return f"{rate / 1e6:.1f}M"
    return f"{rate / 1e3:.1f}k" if rate >= 1e4 else f"{rate:.0f}"
