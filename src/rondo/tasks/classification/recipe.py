"""From files to a folder with a trained classifier: the way that all tasks of classes go, top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rondo.data.labelled import Label, Labelled, visible_files
from rondo.data.splits import Parts, make_parts
from rondo.evaluation.rivals import Rival
from rondo.evaluation.rivals_file import rival_bytes
from rondo.models.folder import check_output_folder
from rondo.tasks.classification.judging import Judgement, judge_held_out
from rondo.tasks.classification.learning import Learner, learn
from rondo.tasks.classification.model import ClassifierModel
from rondo.tasks.classification.report import ClassRun, kept_metrics
from rondo.tasks.options import to_sections
from rondo.tasks.steps import begin_folder, save_with_result, training_result, with_budget
from rondo.training.protocols import Progress, SilentProgress, TrainingSummary

Paths = Sequence[str | Path]

NAME_FILES = ("labels", "valid", "valid_labels", "test", "test_labels", "vectors")
"""Options that name files to be read."""


@dataclass(frozen=True)
class Recipe:
    """What a task of classes has of its own. ``options`` are always those of the task."""

    unit: str
    """What its items are called, in the plural."""
    epochs: int
    """How often they are gone through where no budget is given."""
    read: Callable[[Paths, Any], Parts]
    """The parts of what is in files, from their paths and the options."""
    prepare: Callable[[Parts, Any, Progress], Learner]
    """What turns items into sequences, and a new network."""
    rivals: Callable[[Parts], Sequence[Rival]]
    """The baselines to hold the network against."""
    write: Callable[[ClassRun], None]
    """Writes the page and the card of what was trained."""
    before: Callable[..., None] | None = None
    """What the network learns before the classes: ``(learner, parts, options, folder, *, resume, progress)``."""

    def learn(
        self,
        parts: Parts,
        options: Any,
        folder: str | Path,
        *,
        class_weights: Mapping[Label, float] | None = None,
        baselines: bool = False,
        progress: Progress | None = None,
    ) -> tuple[ClassifierModel, TrainingSummary]:
        """From parts of data to a model, in one go: what an estimator's `fit` does.

        With ``baselines`` these are fitted, too, and the model is held against them as by a training on files.
        """
        progress = progress or SilentProgress()
        options = replace(options, training=with_budget(options.training, epochs=self.epochs))
        learner = self.prepare(parts, options, progress)
        if self.before is not None:
            self.before(learner, parts, options, Path(folder), resume=False, progress=progress)
        model, summary = learn(learner, parts, options.training, folder, class_weights=class_weights, progress=progress)
        result = training_result(model, Path(folder), summary, seed=options.training.seed)
        del result["model"]  # the folder vanishes
        if baselines and summary.stopped_why != "interrupted":
            result |= self._held_against(model, parts, options, progress).result()
        model.config |= {"result": result | _watched(summary, options), "parts": _sizes(parts)}
        return model, summary

    def run(
        self,
        paths: Paths,
        out: str | Path,
        options: Any,
        *,
        resume: bool = False,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> ClassRun | None:
        """From files to a model folder, and all that was made on the way; None in processes other than the main one."""
        started = time.perf_counter()
        progress = progress or SilentProgress()
        check_output_folder(out, resume=resume, overwrite=overwrite)
        parts = self.read(paths, options)
        options = replace(options, training=with_budget(options.training, epochs=self.epochs))
        learner = self.prepare(parts, options, progress)
        cell = learner.network.first.recurrent.cell
        folder = begin_folder(out, options, cell, resume=resume, overwrite=overwrite, progress=progress)
        if self.before is not None:
            self.before(learner, parts, options, folder, resume=resume, progress=progress)
        model, summary = learn(learner, parts, options.training, folder, resume=resume, progress=progress)
        if not summary.is_main_process:
            return None

        judgement = self._held_against(model, parts, options, progress, baselines=options.reading.baselines)
        result = training_result(model, folder, summary, seed=options.training.seed) | judgement.result()
        result |= _watched(summary, options) | {"overlaps": [str(overlap) for overlap in parts.overlaps]}
        model.config["parts"] = _sizes(parts)
        provenance = save_with_result(model, folder, result, started=started, data=_files(paths, options))
        run = ClassRun(folder, model, parts, summary, judgement, result, provenance, self.unit)
        self.write(run)
        return run

    def _held_against(
        self, model: ClassifierModel, parts: Parts, options: Any, progress: Progress, *, baselines: bool = True
    ) -> Judgement:
        """The model beside baselines on the same items; they are kept with it."""
        rivals = self.rivals(parts) if baselines else []
        judgement = judge_held_out(model, parts, rivals, seed=options.training.seed, progress=progress)
        model.baselines = rival_bytes(rivals) if rivals else None
        return judgement

    def train(
        self,
        paths: Paths,
        out: str | Path,
        options: Any,
        *,
        resume: bool = False,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Train on files and write the model folder ``out``. Returns what `rondo train --json` prints."""
        run = self.run(paths, out, options, resume=resume, overwrite=overwrite, progress=progress)
        return run.result if run is not None else {}


def parts_of(data: Labelled, options: Any, read: Callable[[str], Labelled]) -> Parts:
    """The parts that the options name, as ``read`` reads them, and shares of ``data`` for the others."""
    reading = options.reading
    return make_parts(
        data,
        valid=None if reading.valid is None else read(reading.valid),
        test=None if reading.test is None else read(reading.test),
        valid_fraction=options.data.valid_fraction,
        test_fraction=reading.test_fraction or None,
        seed=options.training.seed,
    )


def _watched(summary: TrainingSummary, options: Any) -> dict[str, float | None]:
    """The figures of the validation part, of the weights that were kept."""
    kept = kept_metrics(summary, options.training.keep)
    also = ("valid_f1",) if "valid_f1" in kept else ()
    return {name: kept.get(name) for name in ("valid_loss", "valid_accuracy", *also)}


def _sizes(parts: Parts) -> dict[str, int]:
    named = {"training": parts.train, "validation": parts.valid, "test": parts.test}
    return {name: len(part) for name, part in named.items() if part is not None}


def _files(paths: Paths, options: Any) -> list[Path]:
    """All files that were read."""
    flat = {name: value for section in to_sections(options).values() for name, value in section.items()}
    named = [Path(path) for path in (*paths, *(flat[name] for name in NAME_FILES if flat.get(name) is not None))]
    return [file for path in named for file in (visible_files(path) if path.is_dir() else [path])]
