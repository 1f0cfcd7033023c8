"""What a forecaster is trained on, for what, and how it is watched meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rondo.data.series import SeriesSet
from rondo.data.series.windows import Windows
from rondo.errors import DataError
from rondo.models.forecast_inputs import ForecastInputs
from rondo.models.forecaster import Forecaster
from rondo.models.forecaster_ensemble import ForecasterEnsemble, make_forecaster
from rondo.tasks.forecast.encoder import ForecastEncoder
from rondo.tasks.forecast.model import ForecastModel
from rondo.tasks.forecast.options import ForecastOptions
from rondo.tasks.options import to_sections
from rondo.tasks.steps import with_budget
from rondo.training.loop import train
from rondo.training.protocols import Evaluator, Progress, Result, TrainingSummary

EPOCHS = 20
WATCHED = 1024
"""Windows that training is watched on, at most."""
RIDGE = 0.1
"""Of a linear path, unless another is given."""
MOST_REGRESSED = 100_000
"""Windows that a linear path is found from, at most."""
BEGUN_WITH = 1024
"""Windows whose spread the first forecast has, at most."""


@dataclass(frozen=True, kw_only=True)
class ForecastBatch(ForecastInputs):
    """Windows with what came after them."""

    target: Tensor
    """(B, horizon) scaled, NaN where missing."""

    @property
    def fresh(self) -> bool:
        """Nothing is carried from window to window."""
        return True


class WindowBatches:
    """Windows of the training part in an order drawn anew each epoch; none is made before it is asked for.

    The order is a walk around all windows with a step that has no divisor in common with their number, so that a
    window's place needs no list of them.
    """

    def __init__(self, training: SeriesSet, encoder: ForecastEncoder, *, batch_size: int, seed: int) -> None:
        self.training, self.encoder, self.seed = training, encoder, seed
        horizon, lengths = encoder.data.horizon, training.lengths
        context = np.minimum(encoder.context_length, np.maximum(lengths - horizon, 1))
        self._first = context
        self._ends = np.cumsum(np.maximum(lengths - horizon - context + 1, 0))
        self.windows = int(self._ends[-1]) if len(self._ends) else 0
        if not self.windows:
            raise DataError(f"no series is longer than the horizon, {horizon} rows: there is nothing to learn from.")
        self.batch_size = min(batch_size, self.windows)

    @property
    def batches_per_epoch(self) -> int:
        return -(-self.windows // self.batch_size)

    def batch(self, epoch: int, index: int) -> ForecastBatch:
        rng = np.random.default_rng((self.seed, epoch))
        step, start = 1, int(rng.integers(self.windows))
        if self.windows > 2:
            step = int(rng.integers(1, self.windows))
            while np.gcd(step, self.windows) != 1:
                step = int(rng.integers(1, self.windows))
        places = index * self.batch_size + np.arange(min(self.batch_size, self.windows - index * self.batch_size))
        # In Python's whole numbers: the product may not fit into 64 bits.
        places = np.array([(start + int(place) * step) % self.windows for place in places], np.int64)
        which = np.searchsorted(self._ends, places, side="right")
        begun = np.where(which > 0, self._ends[which - 1], 0)
        origin = self._first[which] + places - begun
        return make_batch(Windows(self.training, which, origin, self.encoder.data.horizon, origin), self.encoder)


def make_batch(windows: Windows, encoder: ForecastEncoder) -> ForecastBatch:
    """Windows as the network and its loss read them."""
    inputs, units = encoder.encode(windows)
    target = torch.from_numpy(encoder.target(windows, units).astype(np.float32))
    return ForecastBatch(**vars(inputs), target=target)


class ForecastLoss:
    """The head's loss of every value that is there."""

    unit = "values"

    def __call__(self, model: nn.Module, batch: ForecastBatch, carried: Any) -> Result:
        loss, count = loss_of(model, batch)
        return Result(loss_sum=loss, count=count)

    def restore(self, tensors: dict[str, Tensor]) -> Any:
        """Nothing is carried."""
        return None


def loss_of(model: Any, batch: ForecastBatch) -> tuple[Tensor, int]:
    """The sum of the losses, and how many there are."""
    known = ~torch.isnan(batch.target)
    target = torch.where(known, batch.target, 0.0)
    said = model(batch, batch.target)
    if said.dim() == 4:  # an ensemble: each member learns from its own errors
        wide = said.shape[:3]
        losses = model.head.loss(said, target.expand(wide), batch.unit[:, None].expand(wide)).mean(0)
    else:
        losses = model.head.loss(said, target, batch.unit[:, None])
    return torch.where(known, losses, 0.0).sum(), int(known.sum())


def watcher(windows: Windows, encoder: ForecastEncoder) -> Evaluator:
    """The loss on windows of the validation part, evenly spaced."""
    batches = [make_batch(piece, encoder) for piece in windows.spread_out(WATCHED).pieces(256)]

    def evaluate(model: nn.Module) -> dict[str, float]:
        device = next(model.parameters()).device
        total, count = 0.0, 0
        for batch in batches:
            moved = ForecastBatch(**{name: value.to(device) for name, value in vars(batch).items()})
            loss, number = loss_of(model, moved)
            total, count = total + float(loss), count + number
        return {"valid_loss": total / max(1, count)}

    return evaluate


Prepared = tuple[ForecastEncoder, Forecaster | ForecasterEnsemble]


def prepare(training: SeriesSet, options: ForecastOptions) -> Prepared:
    """Scales of the training part, and a network that has learned nothing."""
    encoder = ForecastEncoder.fit(training, options.data)
    torch.manual_seed(options.training.seed)
    network = make_forecaster(
        options.data.horizon, encoder.features, options.model, season=training.season,
        context_length=encoder.context_length,
    )  # fmt: skip
    some = WindowBatches(training, encoder, batch_size=BEGUN_WITH, seed=options.training.seed)
    paths = [member.linear for member in network.members if member.linear is not None]
    if paths:
        ridge = options.model.linear_ridge
        paths[0].fit(_pairs(some), RIDGE if ridge is None else ridge)
        for path in paths[1:]:
            path.load_state_dict(paths[0].state_dict())
    first = some.batch(0, 0)
    network.begin(first.target, first.unit, first.context)
    return encoder, network


def _pairs(source: WindowBatches) -> Iterator[tuple[Tensor, Tensor]]:
    """Contexts and targets of all windows; of very many, of some."""
    for index in range(min(source.batches_per_epoch, MOST_REGRESSED // source.batch_size)):
        batch = source.batch(0, index)
        yield batch.context, batch.target


def learn_forecast(
    training: SeriesSet,
    validation: Windows,
    options: ForecastOptions,
    folder: Path,
    *,
    prepared: Prepared | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> tuple[ForecastModel, TrainingSummary]:
    """Fit the network on ``training``, watched on the windows of ``validation``.

    ``prepared`` is what `prepare` makes of ``training``, where that was needed before.
    """
    budget = with_budget(options.training, epochs=EPOCHS)
    encoder, network = prepared or prepare(training, options)
    source = WindowBatches(training, encoder, batch_size=options.training.batch_size, seed=budget.seed)
    watched, apart = validation, validation
    if options.data.conformal:
        watched, apart = _halves(validation)
    evaluator = watcher(watched, encoder) if len(watched) else None
    summary = train(
        network, source, ForecastLoss(), evaluator, budget, folder, resume=resume, progress=progress,
        begins_able=any(member.linear is not None for member in network.members),
    )  # fmt: skip
    config = {"task": "forecast", "season": training.season, "options": to_sections(options)}
    model = ForecastModel(network, encoder, config, options.model)
    model.summary = summary
    if options.data.conformal and summary.is_main_process:
        model.calibrate(apart)
    return model, summary


def _halves(validation: Windows) -> tuple[Windows, Windows]:
    """The earlier windows and the later ones; where all are of one moment, the same for both."""
    if not len(validation):
        raise DataError("there is no validation part to calibrate intervals on: the series are too short.")
    middle = float(np.median(validation.moment))
    first, second = validation.moment < middle, validation.moment >= middle
    if not first.any():
        return validation, validation
    return validation.choose(first), validation.choose(second)
