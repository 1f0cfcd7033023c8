"""The tasks by name: how each is trained and loaded, for Python and the command line alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rondo.errors import ModelError, RondoError, UsageError, nearest
from rondo.models.folder import read_config
from rondo.tasks.options import from_flat
from rondo.tasks.places import named
from rondo.training.protocols import Progress

_DAMAGE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, AssertionError)
"""What reading a folder may raise whose files say something that no model of Rondo's does."""


@dataclass(frozen=True)
class Task:
    """One application. Its parts are named as MODULE:NAME and imported when they are used: to write with a
    model, nothing of training is loaded.
    """

    name: str
    summary: str
    """A line for people."""
    home_of_options: str
    home_of_train: str
    home_of_model: str
    needs_files: bool = True
    """Whether there is nothing to learn from without files."""
    home_of_reading: str = ""
    """How files are read that a model is used on: a dataclass of options. Only for models that answer item by item."""
    home_of_answering: str = ""
    """How answers are written, where there is a choice: a dataclass of options."""
    home_of_scoring: str = ""
    """What else can be said about files that a model is scored on: a dataclass of options."""

    @property
    def options(self) -> type:
        """Its options: a dataclass of sections, see `rondo.tasks.options`."""
        return named(self.home_of_options)

    @property
    def train(self) -> Callable[..., dict[str, Any]]:
        """``train(paths, out, options, *, resume, overwrite, progress)``."""
        return named(self.home_of_train)

    @property
    def reading(self) -> type:
        """Options of how files are read for the model's ``answers(source, reading, *, at_once)`` and ``evaluate``."""
        return named(self.home_of_reading)

    @property
    def answering(self) -> type:
        """Options of how answers are written, for ``answers(..., answering=, details=)``."""
        return named(self.home_of_answering)

    @property
    def scoring(self) -> type:
        """Options of files that a model is scored on, for ``evaluate(..., scoring=)``."""
        return named(self.home_of_scoring)

    @property
    def load(self) -> Callable[..., Any]:
        """``load(folder, *, device)``: the model."""
        return named(self.home_of_model).load


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "text", "a language model that writes text like yours", "rondo.tasks.text.options:TextOptions",
            "rondo.tasks.text.task:train_text", "rondo.tasks.text.model:TextModel",
        ),
        Task(
            "poetry", "classical Chinese verse: forms, rhyme, tones", "rondo.tasks.poetry.options:PoetryOptions",
            "rondo.tasks.poetry.task:train_poetry", "rondo.tasks.poetry.model:PoetryModel",
        ),
        Task(
            "classify", "classes of texts: sentiment, topic, intent, language",
            "rondo.tasks.classify.options:ClassifyOptions", "rondo.tasks.classify.task:train_classify",
            "rondo.tasks.classify.estimator:TextClassifier", home_of_reading="rondo.data.columns:TextFormat",
            home_of_scoring="rondo.tasks.classify.options:ClassifyScoring",
        ),
        Task(
            "tag", "tags of tokens: names of people and places, parts of speech", "rondo.tasks.tag.options:TagOptions",
            "rondo.tasks.tag.task:train_tag", "rondo.tasks.tag.estimator:Tagger",
            home_of_reading="rondo.data.tagging.options:TokenFormat",
            home_of_answering="rondo.tasks.tag.options:TagAnswering",
            home_of_scoring="rondo.tasks.tag.options:TagScoring",
        ),
        Task(
            "signals", "classes of signals: sensors, movements, any series of numbers",
            "rondo.tasks.signals.options:SignalOptions", "rondo.tasks.signals.task:train_signals",
            "rondo.tasks.signals.estimator:SignalClassifier", home_of_reading="rondo.data.signals:SignalFormat",
        ),
        Task(
            "digits", "classes of images, read by rows, columns or pixels; without files, scikit-learn's digits",
            "rondo.tasks.digits.options:DigitOptions", "rondo.tasks.digits.task:train_digits",
            "rondo.tasks.digits.estimator:DigitClassifier", needs_files=False,
            home_of_reading="rondo.data.images:ImageFormat",
        ),
        Task(
            "forecast", "what comes next in series along time: energy, weather, sales, prices",
            "rondo.tasks.forecast.options:ForecastOptions", "rondo.tasks.forecast.task:train_forecast",
            "rondo.tasks.forecast.estimator:Forecaster",
        ),
    )
}  # fmt: skip


def get_task(name: str) -> Task:
    """A task by name."""
    if name not in TASKS:
        raise UsageError(f"unknown task '{name}'{nearest(name, TASKS)}")
    return TASKS[name]


def train(
    task: str,
    paths: str | Path | Sequence[str | Path] = (),
    *,
    out: str | Path,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Train a model as ``rondo train TASK`` does: ``rondo.train("text", "poems.txt", out="model", minutes=5)``.

    ``options`` are the flags of the command line with underscores. Returns what ``--json`` prints;
    the model is in the folder ``out`` (`rondo.load`).
    """
    found = get_task(task)
    files = [paths] if isinstance(paths, str | Path) else list(paths)
    resolved: Any = from_flat(found.options, options)
    named("rondo.training.processes:chosen_device")(resolved.training)  # before an older model is discarded
    if found.needs_files and not files:
        raise UsageError(f"task '{task}' needs at least one file to learn from")
    return found.train(files, out, resolved, resume=resume, overwrite=overwrite, progress=progress)


def load(folder: str | Path, *, device: str = "cpu") -> Any:
    """The model in a folder that a training wrote. Nothing in the folder is run."""
    config = read_config(folder)
    name = config.get("task")
    if not isinstance(name, str) or name not in TASKS:
        raise ModelError(f"{folder} holds a model for task {name!r}{nearest(str(name), TASKS)}")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device '{device}' cannot be used: {str(error).splitlines()[0]}") from error
    try:
        return TASKS[name].load(folder, device=device)
    except ModelError as error:
        if not str(error).startswith("config.json"):
            raise
        raise ModelError(f"{Path(folder)}/{error}") from error
    except torch.OutOfMemoryError:
        raise
    except (RondoError, *_DAMAGE) as error:
        what = f"{type(error).__name__}: {error}".partition("\n")[0][:300]
        raise ModelError(
            f"{Path(folder)} is damaged: it does not hold a {name} model that can be read ({what})"
        ) from error
