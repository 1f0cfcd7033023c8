"""What the tasks share whose model is a language model: its baseline, its figures, its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from rondo.errors import ModelError
from rondo.evaluation.ngram import KneserNey, choose_order
from rondo.inspect import Metric, Report, Score
from rondo.inspect.plots import learning_curves
from rondo.models import weights
from rondo.models.folder import check_parts, part_of, save_model
from rondo.models.language_model import LanguageModel, rebuild
from rondo.storage import gathering, is_main_process
from rondo.training.protocols import Progress, TrainingSummary

BASELINE = "baseline.npz"
BASELINE_TOKENS = 20_000_000
"""The baseline learns from at most so many tokens, the last ones: about a minute and 3 GB."""


class Loss(Protocol):
    """How well a part is predicted."""

    @property
    def nats(self) -> float: ...

    @property
    def baseline_nats(self) -> float | None: ...

    def to_dict(self) -> dict[str, Any]: ...


def fit_baseline(
    train: np.ndarray[Any, Any],
    valid: np.ndarray[Any, Any],
    *,
    max_order: int,
    vocabulary_size: int,
    progress: Progress,
) -> KneserNey | None:
    """The Kneser-Ney model of the order that is best on ``valid``; None if there is to be none, or it is not
    for this process to make one.
    """
    if max_order == 0 or not is_main_process():
        return None
    choice = choose_order(train[-BASELINE_TOKENS:], valid, max_order=max_order, vocabulary_size=vocabulary_size)
    order = choice.model.order
    progress.message(f"Kneser-Ney baseline: of the orders up to {max_order}, {order} is best on the validation part")
    return choice.model


def loss_result(
    valid: Loss, test: Loss | None, baseline: KneserNey | None, *, unit: str, train_tokens: int
) -> dict[str, Any]:
    """The part of a training's result that is about its losses; ``unit`` is what a token is called."""
    figures = valid.to_dict()
    name = None if baseline is None else f"Kneser-Ney, order {baseline.order}"
    if name and train_tokens > BASELINE_TOKENS:
        name += f", of the last {BASELINE_TOKENS:,} of {train_tokens:,} tokens"
    result: dict[str, Any] = {
        "valid_loss": valid.nats,
        "baseline_loss": valid.baseline_nats,
        "baseline": name,
        "unit": unit,
        **{name: figures[name] for name in ("perplexity", "bits_per_character") if name in figures},
        "valid": figures,
    }
    if test is not None:
        result |= {"test_loss": test.nats, "test_baseline_loss": test.baseline_nats, "test": test.to_dict()}
    return result


def sound(nats: float) -> float:
    """A loss that can be: that of weights which are damaged overflows."""
    if not abs(nats) < 700:  # not a number, or beyond what exp can take
        raise ModelError(f"the model cannot be scored: its loss is {nats} nats a token; its weights are not sound")
    return nats


def loss_metric(unit: str) -> Metric:
    """Validation loss, in nats a token."""
    return Metric("validation loss", "lower", f"nats per {unit}", digits=4)


def scores(result: Mapping[str, Any]) -> list[Score]:
    """The network beside its baseline, on the same tokens."""
    found = [Score("this model", result["valid_loss"], role="ours")]
    if result["baseline_loss"] is not None:
        found.append(Score(result["baseline"], result["baseline_loss"], note="same training part"))
    return found


def add_head(report: Report, result: Mapping[str, Any], summary: TrainingSummary) -> None:
    """Verdict and key figures at the top of a page."""
    unit = result["unit"]
    if result["baseline_loss"] is not None:
        report.compare(scores(result), loss_metric(unit))
    report.key_figure("validation loss", f"{result['valid_loss']:.4f}", f"nats per {unit}")
    report.key_figure("perplexity", f"{result['perplexity']:.2f}", f"per {unit}")
    report.key_figure("training", f"{summary.epochs:.1f} epochs", f"{summary.steps:,} steps")


def add_curves(report: Report, title: str, summary: TrainingSummary, result: Mapping[str, Any], caption: str) -> None:
    """The losses over training, beside the baseline."""
    figure = learning_curves(
        summary.history,
        {"loss": "training (with dropout)", "valid_loss": "validation (while training)"},
        metric=loss_metric(result["unit"]),
        baselines=[score for score in scores(result) if score.role == "baseline"],
        mark_best="valid_loss",
    )
    report.section(title).plot(figure, caption)


def save_network(
    folder: Path,
    config: Mapping[str, Any],
    network: LanguageModel,
    baseline: KneserNey | None,
    parts: Mapping[Path, bytes],
) -> None:
    """Write configuration, weights, baseline and the model's further files, all or none."""
    with gathering() as files:
        if baseline is not None:
            baseline.save(folder / BASELINE)
    save_model(folder, config, network.state_dict(), {**parts, **files})
    if baseline is None:
        (folder / BASELINE).unlink(missing_ok=True)  # of an earlier training in this folder


def load_network(
    folder: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    vocabulary_size: int,
    device: str | torch.device,
) -> tuple[LanguageModel, KneserNey | None]:
    """The network and the baseline that `save_network` wrote."""
    network = weights.load_network(lambda at_most: rebuild(config, vocabulary_size, at_most), tensors, folder)
    result = config.get("result")
    expected = isinstance(result, Mapping) and result.get("baseline") is not None
    there = expected or (folder / BASELINE).exists()
    baseline = KneserNey.load(part_of(folder, BASELINE)) if there else None
    if baseline is not None and baseline.vocabulary_size != vocabulary_size:
        raise ModelError(f"{folder / BASELINE} is of another model: its vocabulary is not this one's")
    check_parts(folder, config)
    return network.to(device), baseline
