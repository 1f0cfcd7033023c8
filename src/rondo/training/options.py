"""Every option of training. The text below a field is its help on the command line."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal, get_args, get_type_hints

from rondo.errors import UsageError, nearest


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How to train: for how long, with what steps, and what to keep."""

    epochs: int | None = None
    """Stop after this many passes over the training data."""
    steps: int | None = None
    """Stop after this many updates of the weights."""
    minutes: float | None = None
    """Stop after about this many minutes, evaluations included. The number of steps that fits is estimated
    once, early on, and recorded: a rerun with that many steps gives the same weights."""
    schedule_steps: int | None = None
    """Length of the learning rate's schedule in steps; default: the whole budget. To repeat a run that was
    limited by minutes, give --steps and --schedule-steps as its summary states them."""

    optimiser: Literal["adam", "adamw", "sgd", "rmsprop", "asgd"] = "adamw"
    """Rule that updates the weights. asgd: sgd whose weights are averaged over the last part (--average-start)."""
    learning_rate: float = 2e-3
    """Learning rate at its peak."""
    momentum: float | None = None
    """Momentum of sgd, asgd and rmsprop; default 0."""
    betas: tuple[float, float] | None = None
    """Decay rates of the moments of adam and adamw; default 0.9 0.999."""
    smoothing: float | None = None
    """Decay rate of rmsprop's mean square; default 0.99."""
    epsilon: float | None = None
    """Added to the denominator by adam, adamw and rmsprop; default 1e-8."""

    schedule: Literal["cosine", "linear", "constant", "plateau"] = "cosine"
    """Learning rate over time: cosine and linear fall after --hold; plateau falls when the metric stalls."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises from zero to its peak."""
    hold: float = 0.1
    """Share of the schedule during which the learning rate stays at its peak before it falls."""
    final_lr: float = 0.0
    """Learning rate at the end of a cosine or linear schedule, as a share of the peak."""
    plateau_factor: float = 0.5
    """What the learning rate is multiplied by at a plateau."""
    plateau_patience: int = 1
    """Evaluations without improvement that a plateau schedule forgives."""

    clip_norm: float = 1.0
    """Scale gradients down to this norm, all weights together; 0: off."""
    clip_value: float = 0.0
    """Limit each gradient to plus and minus this value; 0: off."""
    weight_decay: float = 0.0
    """L2 penalty on matrices (not on biases); adamw subtracts it from the weights directly."""
    l1: float = 0.0
    """L1 penalty on matrices: weight of the sum of their absolute values."""
    activation_reg: float = 0.0
    """Penalty on the mean square of the last layer's output, after dropout (AR; Merity et al. 2017)."""
    temporal_activation_reg: float = 0.0
    """Penalty on the mean square change of the last layer's output from step to step (TAR)."""

    averaging: Literal["none", "tail", "ema"] = "none"
    """Average weights over steps, and evaluate and keep the average. tail: equal weights; ema: exponential."""
    average_start: float = 0.5
    """Share of the schedule after which averaging starts."""
    ema_decay: float = 0.999
    """Share of the old average that each step of an exponential average keeps."""

    evaluations: int = 20
    """Evaluations, evenly spread over the schedule (none while the learning rate is held at first). With a
    budget in epochs there is one after each epoch instead."""
    eval_every: int | None = None
    """Evaluate every so many steps instead."""
    metric: str = "valid_loss"
    """Metric that decides which weights are best, for --keep, --patience and the plateau schedule; an accuracy
    or an F1 is better when it is large, anything else when it is small."""
    patience: int | None = None
    """Stop early after this many evaluations without a better metric; default: never."""
    keep: Literal["best", "last"] = "best"
    """Which weights the model ends with: those with the best metric, or the last."""

    checkpoint_minutes: float = 5.0
    """Minutes between checkpoints, from which --resume continues; 0: only at the end."""
    checkpoint_steps: int | None = None
    """Steps between checkpoints, besides those by the clock."""
    log_every: int = 50
    """Steps between lines in log.jsonl."""
    tensorboard: bool = False
    """Also write TensorBoard files (needs rondo[tensorboard])."""

    precision: Literal["32", "64", "bf16-mixed"] = "32"
    """Number format: 32 or 64 bit floats, or bfloat16 where it is safe, on devices that have it."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto: a GPU if there is one."""
    devices: int = 1
    """Processes on this machine (one per GPU; on a CPU they share its cores). torchrun sets it by itself."""
    threads: int | None = None
    """Threads for computations on the CPU; default: as torch chooses."""
    seed: int = 0
    """Seed of all random numbers; the same seed gives the same run."""

    def __post_init__(self) -> None:
        _check_types(self)
        _check_ranges(self)
        _check_optimiser(self)
        if self.minutes is not None and self.schedule_steps is None and not self.hold > 0:
            raise UsageError("--minutes needs --hold above 0: the length of the schedule is estimated while it holds")

    def to_json(self) -> dict[str, Any]:
        """As a plain dictionary."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in dataclasses.asdict(self).items()
        }


def _check_types(options: TrainingOptions) -> None:
    for name, hint in get_type_hints(TrainingOptions).items():
        choices = get_args(hint) or (hint,)
        value = getattr(options, name)
        if int in choices or float in choices:
            number = isinstance(value, Integral if float not in choices else Real)
            if isinstance(value, bool) or not (number or (value is None and type(None) in choices)):
                raise UsageError(f"{_flag(name)} must be a {'whole ' if int in choices else ''}number, not {value!r}")
        elif all(isinstance(choice, str) for choice in choices) and value not in choices:
            raise UsageError(f"{_flag(name)} cannot be '{value}'{nearest(str(value), choices)}")


_AT_LEAST_ONE = (
    "epochs",
    "steps",
    "schedule_steps",
    "evaluations",
    "eval_every",
    "patience",
    "checkpoint_steps",
    "log_every",
    "devices",
    "threads",
)
_AT_LEAST_ZERO = (
    "warmup_steps",
    "plateau_patience",
    "clip_norm",
    "clip_value",
    "weight_decay",
    "l1",
    "activation_reg",
    "temporal_activation_reg",
    "checkpoint_minutes",
    "seed",
)
_POSITIVE = ("minutes", "learning_rate", "epsilon")
_SHARES = ("hold", "final_lr", "average_start", "plateau_factor", "ema_decay")
_BELOW_ONE = ("momentum", "smoothing")


def _check_ranges(options: TrainingOptions) -> None:
    rules = [
        (_AT_LEAST_ONE, lambda value: value >= 1, "at least 1"),
        (_AT_LEAST_ZERO, lambda value: value >= 0, "at least 0"),
        (_POSITIVE, lambda value: value > 0, "above 0"),
        (_SHARES, lambda value: 0 <= value <= 1, "from 0 to 1"),
        (_BELOW_ONE, lambda value: 0 <= value < 1, "at least 0 and below 1"),
    ]
    for names, holds, words in rules:
        for name in names:
            value = getattr(options, name)
            if value is not None and not (_is_finite(value) and holds(value)):
                raise UsageError(f"{_flag(name)} must be {words}, not {value}")
    if options.seed >= 2**63:
        raise UsageError(f"--seed must be from 0 to {2**63 - 1}, not {options.seed}")
    if options.betas is not None and not all(0 <= beta < 1 for beta in options.betas):
        raise UsageError(f"--betas must be at least 0 and below 1, not {options.betas}")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return True


_BELONGS_TO = {
    "momentum": ("sgd", "asgd", "rmsprop"),
    "betas": ("adam", "adamw"),
    "smoothing": ("rmsprop",),
    "epsilon": ("adam", "adamw", "rmsprop"),
}


def _check_optimiser(options: TrainingOptions) -> None:
    for name, optimisers in _BELONGS_TO.items():
        if getattr(options, name) is not None and options.optimiser not in optimisers:
            raise UsageError(
                f"{_flag(name)} has no meaning for --optimiser {options.optimiser}; it belongs to "
                f"{' and '.join(optimisers)}"
            )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
