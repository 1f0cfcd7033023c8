"""The training loop: every task trains through ``train``.

It knows batches, a model, an objective that gives a sum of losses, and an evaluator; what a token or a
picture is, it does not know. Killed at any moment and resumed, it ends with the same weights.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from rondo.errors import UsageError
from rondo.models import folder as model_folder
from rondo.training import checkpoint as checkpoints
from rondo.training.checkpoint import Checkpoint
from rondo.training.interruption import Interruption
from rondo.training.log import Log, NoLog
from rondo.training.optimisers import clip_gradients
from rondo.training.options import TrainingOptions
from rondo.training.penalties import ActivationPenalty, activation_penalty, add_l1_gradient
from rondo.training.processes import Processes
from rondo.training.protocols import (
    Evaluator,
    Objective,
    Progress,
    Result,
    Source,
    TrainingSummary,
    rows_of,
    to_device,
)
from rondo.training.run import Run


def train(
    model: nn.Module,
    source: Source,
    objective: Objective,
    evaluator: Evaluator | None,
    options: TrainingOptions,
    folder: Path | str,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    begins_able: bool = False,
) -> TrainingSummary:
    """Train ``model`` in place; ``folder`` receives the log and the checkpoint.

    At the end the model has the best weights by ``options.metric`` (or the last, as ``options.keep`` says).
    With ``resume`` it goes on from the folder's checkpoint, or begins if there is none. With ``begins_able`` the
    weights that it begins with may be the best: they are of use before anything is learned here.
    """
    processes = Processes(options)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    folder = Path(folder)
    before = processes.from_main(lambda: _checkpoint_to_resume(folder, resume))
    with _open_log(folder, options, processes) as log, Interruption() as interruption:
        run = Run(
            model, source, objective, evaluator, options, folder, processes, log, progress, begins_able=begins_able
        )
        run.begin(before)
        carried = run.restore_carried(before)
        standing, timetable, parameters = run.standing, run.timetable, run.parameters
        interrupted = False

        while not (why := run.stop_reason(interrupted)):
            # The batch: this process's rows of it, without state where a pass begins.
            whole = source.batch(*divmod(standing.step, source.batches_per_epoch))
            if whole.fresh:
                carried = None
            part = rows_of(whole, processes.rank, processes.world)

            # Forward. Losses are divided by their count in all processes, so that ragged batches are right.
            result, penalty = None, ActivationPenalty()
            if part is not None:
                with processes.autocast():
                    result = objective(model, to_device(part, processes.device), carried)
                    penalty = activation_penalty(result, options)
                carried = None if result.carried is None else result.carried.detach()
            totals = run.totals(result, penalty, interruption.requested)
            interrupted = totals["interrupted"] > 0

            # Backward, and the gradient of all processes together.
            if result is not None:
                loss = result.loss_sum.detach()
                _total_loss(result, penalty, options, totals).backward()
            else:
                loss = torch.zeros((), device=processes.device)
            loss = processes.add_up(parameters, loss) / max(totals["count"], 1)
            if options.l1:
                add_l1_gradient(parameters, options.l1)
            norm = clip_gradients(parameters, options)

            # The update.
            rate = timetable.learning_rate(standing.step) * standing.plateau_scale
            run.guard.watch(standing.step, loss, norm, rate)
            for group in run.optimiser.param_groups:
                group["lr"] = rate
            run.optimiser.step()
            run.optimiser.zero_grad()
            standing.step += 1
            standing.seconds = totals["seconds"]

            # What follows from having done it.
            run.note(loss, norm, totals["count"], rate)
            if timetable.estimate(standing.step, standing.seconds, standing.evaluation_seconds):
                standing.estimated_steps = timetable.length
            if timetable.averages_after(standing.step):
                run.average.add()
            if timetable.evaluates_after(standing.step):
                run.evaluate()
            if run.checkpoint_due():
                run.save(carried)

        return run.finish(why, carried)


def _total_loss(
    result: Result, penalty: ActivationPenalty, options: TrainingOptions, totals: dict[str, float]
) -> Tensor:
    """The loss whose gradient is taken: a mean over all processes, of which this one has a part."""
    loss = result.loss_sum / max(totals["count"], 1)
    if penalty.square_sum is not None:
        loss = loss + options.activation_reg * penalty.square_sum / max(totals["positions"], 1)
    if penalty.change_sum is not None:
        loss = loss + options.temporal_activation_reg * penalty.change_sum / max(totals["changes"], 1)
    return loss


def _checkpoint_to_resume(folder: Path, resume: bool) -> Checkpoint | None:
    if resume:
        return checkpoints.read(folder)
    if (folder / model_folder.CHECKPOINT).exists():
        raise UsageError(f"{folder} holds a checkpoint: resume it with --resume, discard it with --overwrite")
    return None


def _open_log(folder: Path, options: TrainingOptions, processes: Processes) -> Log:
    return Log(folder, tensorboard=options.tensorboard) if processes.is_main else NoLog()
