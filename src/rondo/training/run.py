"""What the training loop works with, and the things it does now and then: evaluate, save, log, finish."""

from __future__ import annotations

import math
import platform
import time
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import rondo
from rondo.errors import UsageError, nearest
from rondo.training import checkpoint as checkpoints
from rondo.training.checkpoint import Checkpoint, Standing
from rondo.training.guard import FiniteGuard
from rondo.training.log import Log
from rondo.training.optimisers import WeightAverage, make_optimiser
from rondo.training.options import TrainingOptions
from rondo.training.penalties import ActivationPenalty
from rondo.training.processes import Processes
from rondo.training.protocols import (
    Evaluator,
    Now,
    Objective,
    Progress,
    Result,
    SilentProgress,
    Source,
    TrainingSummary,
    tensors_of,
)
from rondo.training.randomness import random_state, random_state_kept, seed_everything, set_random_state
from rondo.training.schedules import Timetable

_UPDATE_SECONDS = 0.2


class Run:
    """One training: its parts, and where it stands."""

    def __init__(
        self,
        model: nn.Module,
        source: Source,
        objective: Objective,
        evaluator: Evaluator | None,
        options: TrainingOptions,
        folder: Path,
        processes: Processes,
        log: Log,
        progress: Progress | None,
        *,
        begins_able: bool = False,
    ) -> None:
        self.begins_able = begins_able
        self.model, self.source, self.objective, self.evaluator = model, source, objective, evaluator
        self.options, self.folder, self.processes, self.log = options, folder, processes, log
        self.progress: Progress = progress if progress is not None and processes.is_main else SilentProgress()
        processes.place(model, options)
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimiser = make_optimiser(model, options)
        self.average = WeightAverage(model, options)
        self.guard = FiniteGuard(
            folder,
            lambda step: source.batch(*divmod(step, source.batches_per_epoch)),
            is_main=processes.is_main,
        )
        self.identity = _identity(source, processes)
        self.standing = Standing()
        self.timetable = Timetable(options, source.batches_per_epoch)
        self.best: dict[str, Tensor] = {}
        self._loss_sum = torch.zeros((), device=processes.device)
        self._norm_sum = torch.zeros((), device=processes.device)
        self._started = self._updated = time.perf_counter()
        self._saved_step, self._saved_seconds = -1, 0.0
        self._count = 0.0
        self._before_steps = 0.0
        self._rate: float | None = None

    # ------------------------------------------------------------------------------ begin and resume

    def begin(self, before: Checkpoint | None) -> None:
        """Start from the beginning or from a checkpoint; evaluate once, so that what fails does so now."""
        seed_everything(self.options.seed + self.processes.rank)
        if before is not None:
            self._restore(before)
        self.log.cut(None if before is None else self.standing.log_length)
        size = sum(parameter.numel() for parameter in self.model.parameters())
        self.log.write(
            {
                "event": "start" if before is None else "resume",
                "step": self.standing.step,
                "parameters": size,
                "processes": self.processes.world,
                "device": str(self.processes.device),
                "threads": torch.get_num_threads(),
                "versions": {
                    "rondo": rondo.__version__,
                    "torch": torch.__version__,
                    "python": platform.python_version(),
                },
                "options": self.options.to_json(),
            }
        )
        self.progress.start(step=self.standing.step, parameters=size, device=str(self.processes.device))
        self._started = time.perf_counter() - self.standing.seconds
        self._saved_seconds = self.standing.seconds
        self.model.train()
        if before is None:
            self.evaluate()
            self._before_steps = time.perf_counter() - self._started
        self._updated = time.perf_counter()
        self.log.flush()

    def _restore(self, before: Checkpoint) -> None:
        checkpoints.check_identity(before, self.identity, self.options)
        checkpoints.restore(before, model=self.model, optimiser=self.optimiser, average=self.average)
        self.standing = standing = before.standing
        self._saved_step = standing.step
        self.best = before.group("best")
        own = before.group(f"process/{self.processes.rank}")
        set_random_state(_group(own, "random"), self.processes.device)
        self._loss_sum.fill_(standing.loss_sum)
        self._norm_sum.fill_(standing.norm_sum)
        minutes = before.options.get("minutes")
        if standing.estimated_steps and minutes and self.options.minutes:
            ratio = self.options.minutes / minutes
            standing.estimated_steps = round(standing.estimated_steps * ratio)
        self.timetable = Timetable(
            self.options, self.source.batches_per_epoch, estimated_steps=standing.estimated_steps
        )
        for change in checkpoints.changed_options(before, self.options):
            self.progress.message(f"resumed with another option: {change}")
        if before.threads != torch.get_num_threads():
            self.progress.message(
                f"resumed with {torch.get_num_threads()} threads instead of {before.threads}: "
                "the result will not be the same bit for bit"
            )

    def restore_carried(self, before: Checkpoint | None) -> Any:
        """The recurrent state with which the next batch begins."""
        if before is None:
            return None
        own = _group(before.group(f"process/{self.processes.rank}"), "carried")
        device = self.processes.device
        return self.objective.restore({name: t.to(device) for name, t in own.items()}) if own else None

    # ------------------------------------------------------------------------------------ every step

    def stop_reason(self, interrupted: bool) -> str | None:
        standing = self.standing
        why = self.timetable.stop_reason(standing.step, standing.seconds, standing.evaluations_since_best)
        return why or ("interrupted" if interrupted else None)

    def totals(self, result: Result | None, penalty: ActivationPenalty, interrupted: bool) -> dict[str, float]:
        """Counts of all processes together, and what they must agree on: the time, and whether to stop."""
        seconds = time.perf_counter() - self._started if self.processes.is_main else 0.0
        values = {
            "count": result.count if result is not None else 0,
            "positions": penalty.positions,
            "changes": penalty.changes,
            "interrupted": float(interrupted),
            "seconds": seconds,
        }
        return dict(zip(values, self.processes.totals(list(values.values())), strict=True))

    def note(self, loss: Tensor, norm: Tensor, count: float, rate: float) -> None:
        """Add a step to the record; a line of the log, and news for who watches, when it is time."""
        standing, options = self.standing, self.options
        self._loss_sum += loss * count
        self._norm_sum += norm
        standing.loss_count += int(count)
        self._count += count
        epoch = standing.step / self.source.batches_per_epoch
        self._rate = rate
        if standing.step % options.log_every == 0:
            self._log_losses()
        now = time.perf_counter()
        if now - self._updated >= _UPDATE_SECONDS and self.processes.is_main:
            self.progress.update(
                Now(
                    step=standing.step,
                    epoch=epoch,
                    loss=loss.item(),
                    learning_rate=rate,
                    rate=self._count / (now - self._updated),
                    unit=getattr(self.objective, "unit", "losses"),
                    fraction=self.timetable.fraction(standing.step, standing.seconds),
                    seconds=standing.seconds,
                    seconds_left=self.timetable.seconds_left(standing.step, standing.seconds, self._before_steps),
                )
            )
            self._updated, self._count = now, 0.0

    def _log_losses(self) -> None:
        """A line about the steps since the last one."""
        standing = self.standing
        self.log.write(
            {
                "event": "train",
                "step": standing.step,
                "epoch": round(standing.step / self.source.batches_per_epoch, 4),
                "loss": self._loss_sum.item() / max(1, standing.loss_count),
                "learning_rate": self._rate,
                "gradient_norm": self._norm_sum.item() / (standing.step - standing.logged_step),
                "seconds": round(standing.seconds, 3),
            }
        )
        self._loss_sum.zero_()
        self._norm_sum.zero_()
        standing.loss_count, standing.logged_step = 0, standing.step

    # -------------------------------------------------------------------------------- now and then

    def evaluate(self) -> None:
        """Score the model (the average, if there is one); keep its weights if they are the best."""
        standing, options = self.standing, self.options
        self.guard.check()
        if self.evaluator is None or standing.evaluated_step == standing.step:
            return
        if standing.logged_step <= max(standing.evaluated_step, 0) < standing.step and self._rate is not None:
            self._log_losses()  # so that a short training has its losses beside what the evaluations say
        with self.average.applied(), random_state_kept(self.processes.device), torch.no_grad():
            self.model.eval()
            metrics, seconds = self.processes.from_main(self._metrics)
            self.model.train()
            first, better = standing.step == 0 and not self.begins_able, self._is_better(metrics)
            if better and not first and options.keep == "best":
                self.best = {name: t.detach().clone() for name, t in self.model.state_dict().items()}
        standing.metrics, standing.evaluated_step = metrics, standing.step
        standing.evaluation_seconds = seconds
        self._updated += seconds  # the rate is that of training
        if not first:
            self._judge(better, metrics)
        self.log.write(
            {
                "event": "evaluation",
                "step": standing.step,
                "epoch": round(standing.step / self.source.batches_per_epoch, 4),
                **metrics,
                "best": better and not first,
                "seconds": round(time.perf_counter() - self._started, 3),
            }
        )
        self.log.flush()
        self.progress.evaluation(step=standing.step, metrics=metrics, best=better and not first)

    def _metrics(self) -> tuple[dict[str, float], float]:
        """The metrics, and how long they took."""
        begun = time.perf_counter()
        scores = self.evaluator(self.model) if self.evaluator is not None else {}
        metrics = {name: float(value) for name, value in scores.items()}
        if self.options.metric not in metrics:
            raise UsageError(
                f"--metric: there is no metric '{self.options.metric}'{nearest(self.options.metric, metrics)}"
            )
        return metrics, time.perf_counter() - begun

    def _is_better(self, metrics: dict[str, float]) -> bool:
        value, name = metrics[self.options.metric], self.options.metric
        if not math.isfinite(value):
            return False
        sign = -1 if name.endswith(("accuracy", "f1")) else 1
        return name not in self.standing.best or sign * value < sign * self.standing.best[name]

    def _judge(self, better: bool, metrics: dict[str, float]) -> None:
        """What an evaluation means for early stopping and for the plateau schedule."""
        standing, options = self.standing, self.options
        if better:
            standing.best = {**metrics, "step": standing.step}
            standing.evaluations_since_best = standing.evaluations_on_plateau = 0
            return
        standing.evaluations_since_best += 1
        standing.evaluations_on_plateau += 1
        if options.schedule == "plateau" and standing.evaluations_on_plateau > options.plateau_patience:
            standing.plateau_scale *= options.plateau_factor
            standing.evaluations_on_plateau = 0

    def checkpoint_due(self) -> bool:
        options, standing = self.options, self.standing
        if options.checkpoint_steps is not None and standing.step % options.checkpoint_steps == 0:
            return True
        if not options.checkpoint_minutes:
            return False
        # By the time that all processes agree on.
        return standing.seconds - self._saved_seconds >= 60 * options.checkpoint_minutes

    def save(self, carried: Any) -> None:
        """Write the checkpoint."""
        self.guard.check()
        standing, processes = self.standing, self.processes
        own = {f"random/{name}": t for name, t in random_state(processes.device).items()}
        if carried is not None:
            own |= {f"carried/{name}": t.detach().cpu() for name, t in carried.state_dict().items()}
        everyone = processes.gather(own)
        standing.loss_sum, standing.norm_sum = self._loss_sum.item(), self._norm_sum.item()
        standing.averaged = self.average.count
        standing.log_length = self.log.flush()
        processes.from_main(
            lambda: checkpoints.save(
                self.folder,
                standing=standing,
                options=self.options,
                identity=self.identity,
                model=self.model,
                optimiser=self.optimiser,
                average=self.average,
                best=self.best,
                processes=everyone,
            )
        )
        self._saved_seconds, self._saved_step = standing.seconds, standing.step

    def finish(self, why: str, carried: Any) -> TrainingSummary:
        """The last evaluation and checkpoint, and the weights that the model keeps."""
        standing, log = self.standing, self.log
        self.guard.check()
        # Saved first: an evaluation that the timetable does not know must not be part of what is resumed.
        if self._saved_step != standing.step:
            self.save(carried)
        if why != "interrupted" or not self.best:
            self.evaluate()
        log.write({"event": "end", "step": standing.step, "why": why, "seconds": round(standing.seconds, 3)})
        if self.best:
            self.model.load_state_dict(self.best)
        else:
            self.average.apply()
        self.model.eval()
        summary = TrainingSummary(
            steps=standing.step,
            schedule_steps=self.timetable.length_to_record(standing.step),
            epochs=standing.step / self.source.batches_per_epoch,
            seconds=time.perf_counter() - self._started,
            parameters=sum(parameter.numel() for parameter in self.model.parameters()),
            stopped_why=why,
            best=standing.best,
            final=standing.metrics,
            history=log.events(),
            is_main_process=self.processes.is_main,
        )
        self.progress.finish(summary)
        return summary


def _identity(source: Source, processes: Processes) -> dict[str, Any]:
    """What tells one training's data from another's: its size, and its first batch."""
    checksum = 0
    for name, tensor in sorted(tensors_of(source.batch(0, 0)).items()):
        checksum = zlib.crc32(name.encode() + tensor.cpu().contiguous().numpy().tobytes(), checksum)
    return {
        "processes": processes.world,
        "batches_per_epoch": source.batches_per_epoch,
        "first_batch": checksum,
    }


def _group(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = prefix + "/"
    return {name[len(start) :]: tensor for name, tensor in tensors.items() if name.startswith(start)}
