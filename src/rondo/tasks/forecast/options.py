"""Every option of forecasting. The text below a field is its help on the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from rondo.data.series import FrameFormat
from rondo.data.series.scaling import Scaling, WindowScaling
from rondo.errors import UsageError, nearest
from rondo.models.forecaster import ForecasterOptions
from rondo.training.options import TrainingOptions


@dataclass(frozen=True, kw_only=True)
class ForecastData:
    """What is forecast from what."""

    horizon: int = 1
    """How many rows are forecast."""
    context_length: int | None = None
    """How many rows before it are read. Left out: three horizons, at least two seasons, no more than there are."""
    carry: bool = False
    """Carry the network's state along the whole of a series: a forecast follows from all rows since the first, and a
    new row costs one step. It learns from stretches of --context-length rows."""
    scaling: Scaling = "standard"
    """How a series is scaled, by its training part: standard, robust, minmax, mean, log, log1p or none."""
    window_scaling: WindowScaling = "last"
    """How a window is, by its context: its last value subtracted (last), the value a season before (seasonal; what is
    learned is how the last season goes on), to mean 0 and deviation 1 (instance), differences of neighbours
    (difference), or none."""
    calendar: Literal["auto", "none"] = "auto"
    """Features of the calendar, as the frequency suggests them: time of day, day of week, of month, of year."""
    series_embedding: bool = False
    """A learned vector for each series, which then must be one of those that were learned from."""
    valid_fraction: float = 0.1
    """Share of the rows, at the end of each series, that training is watched on."""
    split: tuple[int, int, int] | None = None
    """Rows of each series for training, validation and test, counted from its first; later ones are not used. The
    standard split of hourly ETT is 8640 2880 2880."""

    conformal: bool = False
    """Calibrate intervals on the later half of the validation part, which training is then not watched on; points get
    intervals, too."""

    def __post_init__(self) -> None:
        for name in ("horizon", "context_length"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name.replace('_', '-')} is at least 1, not {value}")
        for name, known in (("scaling", Scaling), ("window_scaling", WindowScaling)):
            if getattr(self, name) not in get_args(known):
                close = nearest(str(getattr(self, name)), get_args(known))
                raise UsageError(f"--{name.replace('_', '-')} cannot be '{getattr(self, name)}'{close}")
        if not 0 < self.valid_fraction < 1:
            raise UsageError(f"--valid-fraction is between 0 and 1, not {self.valid_fraction}")
        if self.split is not None:
            object.__setattr__(self, "split", tuple(self.split))
            if min(self.split) < 1:
                raise UsageError(f"--split needs at least a row in each part, not {self.split}")


@dataclass(frozen=True, kw_only=True)
class ForecastTraining(TrainingOptions):
    """How to train. Without a budget in epochs, steps or minutes: 20 epochs."""

    batch_size: int = 128
    """Windows in a batch."""
    learning_rate: float = 1e-3
    """Learning rate at its peak."""


@dataclass(frozen=True, kw_only=True)
class ForecastScoring:
    """What the model is scored on, beside the baselines."""

    test_rows: int | None = None
    """Rows at the end that are held out and scored. Left out: a tenth of a series, at least the horizon."""
    stride: int = 1
    """Rows between the origins of the forecasts that are scored; 1 scores every window."""
    align: Literal["time", "end"] = "time"
    """Where the held-out rows begin: at one moment for all series (time), or so many rows before the end of each (end),
    for series whose times have nothing to do with each other."""
    scaled: bool = False
    """Errors of values that are scaled by the training part of their series (mean 0, deviation 1), as benchmarks of
    many columns state them."""
    scored_step: int | None = None
    """Of the horizon this step alone is scored, from 1 on. Left out: all of them."""
    automatic_seconds: float | None = None
    """Seconds for AutoETS and AutoTheta together, where statsforecast is installed. Left out: as long as the model's
    training took; 0: none."""

    def __post_init__(self) -> None:
        for name in ("test_rows", "stride", "scored_step"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name.replace('_', '-')} is at least 1, not {value}")
        if self.automatic_seconds is not None and self.automatic_seconds < 0:
            raise UsageError(f"--automatic-seconds is at least 0, not {self.automatic_seconds:g}")


@dataclass(frozen=True, kw_only=True)
class ForecastOptions:
    """Options of forecasting."""

    reading: FrameFormat = field(default_factory=FrameFormat)
    data: ForecastData = field(default_factory=ForecastData)
    model: ForecasterOptions = field(default_factory=ForecasterOptions)
    training: ForecastTraining = field(default_factory=ForecastTraining)
    scoring: ForecastScoring = field(default_factory=ForecastScoring)

    def __post_init__(self) -> None:
        counts = self.model.head == "negative_binomial"
        if counts and (self.data.scaling not in ("mean", "none") or self.data.window_scaling != "none"):
            raise UsageError(
                "--head negative_binomial is of counts: it goes with --scaling mean, --window-scaling none"
            )
        if self.data.carry and (self.data.window_scaling != "none" or self.model.strategy == "segments"):
            raise UsageError(
                "--carry needs scales that stay as they are and a step for each row: --window-scaling none and a "
                "--strategy other than segments"
            )
        if self.scoring.scored_step is not None and self.scoring.scored_step > self.data.horizon:
            raise UsageError(
                f"--scored-step is from 1 to the horizon, {self.data.horizon}, not {self.scoring.scored_step}"
            )
        if self.data.window_scaling == "difference" and self.model.head == "quantiles":
            raise UsageError("quantiles of differences do not add up: take another --head, or --window-scaling last")
