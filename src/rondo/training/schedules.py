"""When things happen: the learning rate of each step, evaluations, averaging, and the end.

Everything is a function of the step and of two numbers: how many steps to do, and the length N of the
schedule. Both are known from the start for budgets in steps and epochs. With a budget in minutes, N is
estimated once, while the learning rate is still held at its peak, so that nothing that was done before
would have been different had N been known: that is why a rerun with the same numbers repeats the run.
"""

from __future__ import annotations

import math

from rondo.errors import UsageError
from rondo.training.options import TrainingOptions

OVERTIME = 1.03
"""A budget in minutes may be exceeded by this factor, if the estimate was too high."""


class Timetable:
    """The budget and the schedule of one run."""

    def __init__(self, options: TrainingOptions, batches_per_epoch: int, *, estimated_steps: int | None = None) -> None:
        budgets = {"epochs": options.epochs and options.epochs * batches_per_epoch, "steps": options.steps}
        known = {name: steps for name, steps in budgets.items() if steps}
        if not known and options.minutes is None:
            raise UsageError("training needs a budget: --epochs, --steps or --minutes")
        self._options = options
        self._batches_per_epoch = batches_per_epoch
        self._why = min(known, key=lambda name: known[name]) if known else "minutes"
        self.steps: int | None = known.get(self._why)
        """How many steps to do; None as long as only the clock limits them."""
        self.length: int | None = options.schedule_steps or (self.steps if options.minutes is None else None)
        """Length of the schedule, N."""
        if options.minutes is not None and (estimated_steps or self.length):
            self._fix(estimated_steps or self.length or 0)

    # ------------------------------------------------------------------------------------- the end

    def estimate(self, step: int, seconds: float, evaluation_seconds: float) -> bool:
        """With a budget in minutes: fix N as soon as the share ``hold`` of it has been done. Whether it was.

        ``seconds`` includes one evaluation, made before the first step, which took ``evaluation_seconds``.
        """
        options = self._options
        if options.minutes is None or self.length is not None or step == 0:
            return False
        step_seconds = max(seconds - evaluation_seconds, 1e-9) / step
        left = 60 * options.minutes - 2 * evaluation_seconds
        if options.eval_every is not None:
            step_seconds += evaluation_seconds / options.eval_every
        elif options.epochs is not None:
            step_seconds += evaluation_seconds / self._batches_per_epoch
        else:
            left -= options.evaluations * (1 - options.hold) * evaluation_seconds
        if step < options.hold * left / step_seconds:
            return False
        self._fix(max(step + 1, math.floor(step / options.hold)))
        return True

    def _fix(self, length: int) -> None:
        if self.steps is None or length < self.steps:
            self.steps, self._why = length, "minutes"
        self.length = self._options.schedule_steps or self.steps

    def length_to_record(self, step: int) -> int:
        """The N with which a run of ``step`` steps is repeated, also if time ran out before it was estimated."""
        return self.length or math.ceil(step / self._options.hold) + 1

    def stop_reason(self, step: int, seconds: float, evaluations_since_best: int) -> str | None:
        """Why training ends now, if it does."""
        options = self._options
        if options.patience is not None and evaluations_since_best >= options.patience:
            return "patience"
        if self.steps is not None and step >= self.steps:
            return self._why
        if options.minutes is not None and seconds >= OVERTIME * 60 * options.minutes:
            return "minutes"
        return None

    def fraction(self, step: int, seconds: float) -> float:
        """Share of the budget that is used up."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        return min(1.0, seconds / (60 * (self._options.minutes or math.inf)))

    def seconds_left(self, step: int, seconds: float, before_steps: float) -> float:
        """An estimate; ``before_steps`` of the ``seconds`` had passed before the first step."""
        done = self.fraction(step, seconds)
        if self.steps is None:
            before_steps = 0.0
        return (seconds - before_steps) * (1 - done) / done if done else math.inf

    # -------------------------------------------------------------------------------- within the run

    def learning_rate(self, step: int) -> float:
        """Learning rate of the update that follows ``step`` updates, but for what a plateau does to it."""
        options = self._options
        rate = options.learning_rate
        if step < options.warmup_steps:
            rate *= (step + 1) / options.warmup_steps
        if self.length is None or options.schedule in ("constant", "plateau"):
            return rate
        start = self._hold_end()
        done = min(1.0, max(0.0, (step - start) / max(1, self.length - start)))
        shape = 0.5 * (1 + math.cos(math.pi * done)) if options.schedule == "cosine" else 1 - done
        return rate * (options.final_lr + (1 - options.final_lr) * shape)

    def evaluates_after(self, step: int) -> bool:
        """Whether the model is evaluated when ``step`` updates have been done."""
        options = self._options
        if options.eval_every is not None:
            return step % options.eval_every == 0
        if options.epochs is not None:
            return step % self._batches_per_epoch == 0
        if self.length is None or step <= self._hold_end():
            return False
        return step * options.evaluations // self.length > (step - 1) * options.evaluations // self.length

    def averages_after(self, step: int) -> bool:
        """Whether the weights after ``step`` updates go into the average."""
        return self.length is not None and step >= max(
            self._hold_end(), math.ceil(self._options.average_start * self.length)
        )

    def _hold_end(self) -> int:
        return math.ceil(self._options.hold * (self.length or 0))
