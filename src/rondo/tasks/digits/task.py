"""Train a classifier of handwritten digits read row by row: many to one."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rondo.evaluation.baselines import logistic_regression, majority
from rondo.evaluation.metrics import bootstrap_interval
from rondo.models.folder import check_output_folder
from rondo.tasks.digits.data import DigitBatch, Digits, DigitSplit, ShuffledDigits, read_digits
from rondo.tasks.digits.model import DigitModel, build_network
from rondo.tasks.digits.options import DigitOptions
from rondo.tasks.digits.report import DigitRun, write_report
from rondo.tasks.options import to_sections
from rondo.tasks.steps import begin_folder, save_with_result, training_result, with_budget
from rondo.training.loop import train
from rondo.training.protocols import Progress, Result, SilentProgress

DEFAULT_EPOCHS = 60


class DigitLoss:
    """Cross-entropy of the class."""

    unit = "images"

    def __call__(self, model: nn.Module, batch: DigitBatch, carried: None) -> Result:
        rows = batch.rows.to(next(model.parameters()).dtype)
        loss = F.cross_entropy(model(rows), batch.digit, reduction="sum")
        return Result(loss_sum=loss, count=len(batch.digit))

    def restore(self, tensors: dict[str, Tensor]) -> None:
        return None


def train_digits(
    out: str | Path,
    options: DigitOptions,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train and write the model folder ``out``. Returns what `rondo train --json` prints."""
    run = run_digits(out, options, resume=resume, overwrite=overwrite, progress=progress)
    return run.result if run is not None else {}


def run_digits(
    out: str | Path,
    options: DigitOptions,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> DigitRun | None:
    """`train_digits` with everything that it made; None in processes other than the main one."""
    started = time.perf_counter()
    progress = progress or SilentProgress()
    check_output_folder(out, resume=resume, overwrite=overwrite)
    training = with_budget(options.training, epochs=DEFAULT_EPOCHS)
    split = read_digits(options.data, seed=training.seed)
    source = ShuffledDigits(split.train, batch_size=training.batch_size, seed=training.seed)
    torch.manual_seed(training.seed)
    network, shape = build_network(options.model)
    folder = begin_folder(out, options, network.recurrent.cell, resume=resume, overwrite=overwrite, progress=progress)
    summary = train(
        network, source, DigitLoss(), lambda model: _watch(model, split.valid), training, folder, resume=resume,
        progress=progress,
    )  # fmt: skip
    if not summary.is_main_process:
        return None
    config = {"task": "digits", "network": shape, "options": to_sections(replace(options, training=training))}
    model = DigitModel(network, config)
    result = training_result(model, folder, summary, seed=training.seed) | _result(model, split, seed=training.seed)
    provenance = save_with_result(model, folder, result, started=started)
    run = DigitRun(folder, model, split, summary, result, provenance)
    write_report(run)
    return run


@torch.no_grad()
def _watch(model: nn.Module, digits: Digits) -> dict[str, float]:
    parameter = next(model.parameters())
    logits = model(digits.rows.to(parameter)).cpu()
    return {
        "valid_loss": F.cross_entropy(logits, digits.digit).item(),
        "valid_accuracy": (logits.argmax(1) == digits.digit).double().mean().item(),
    }


def _result(model: DigitModel, split: DigitSplit, *, seed: int) -> dict[str, Any]:
    """Accuracy on the test part beside the baselines'."""
    right = (model.predict(split.test.rows) == split.test.digit).double().numpy()
    low, high = bootstrap_interval(right, seed=seed)
    learned = [(part.rows.flatten(1).numpy(), part.digit.numpy()) for part in (split.train, split.valid, split.test)]
    baselines = {
        "majority class": majority(learned[0][1], learned[2][1]),
        "logistic regression": logistic_regression(*learned),
    }
    strongest = max(baselines, key=lambda name: baselines[name])
    return {
        "metric": "accuracy",
        "score": float(right.mean()),
        "score_interval": [low, high],
        "baselines": baselines,
        "baseline": strongest,
        "baseline_score": baselines[strongest],
        **_watch(model.network, split.valid),
    }
