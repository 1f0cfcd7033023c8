"""`Forecaster`: forecasts of series in frames, as an estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import narwhals as nw
import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from rondo.data.series import FrameFormat, SeriesSet, from_frame
from rondo.data.series.windows import Windows, moments
from rondo.errors import DataError, UsageError, is_whole
from rondo.evaluation.forecasting.backtest import ScoredAs
from rondo.evaluation.forecasting.folds import Fold, Refit
from rondo.models.forecast_heads import LEVELS, make_head
from rondo.tasks.estimator import Estimator, finished, seed_from
from rondo.tasks.forecast.ahead import check_ahead
from rondo.tasks.forecast.answers import answer_frame
from rondo.tasks.forecast.backtest import Backtest, run_backtest
from rondo.tasks.forecast.carried import States, more_series
from rondo.tasks.forecast.framing import about_frame, check_clock, kinds_of, reading_of
from rondo.tasks.forecast.history import joined, recent
from rondo.tasks.forecast.learning import learn_forecast
from rondo.tasks.forecast.model import PATHS, ForecastModel
from rondo.tasks.forecast.options import ForecastOptions
from rondo.tasks.forecast.parts import folds_of, held_out
from rondo.tasks.forecast.values import check_values
from rondo.tasks.options import checked
from rondo.tasks.parameters import with_parameters
from rondo.training.protocols import Progress

USUAL_LEVELS = (0.1, 0.9)


@with_parameters(ForecastOptions, sections=("reading", "data", "model", "training"))
class Forecaster(Estimator):
    """Forecasts series with a recurrent network: one series or many, with covariates, with intervals.

    A frame of pandas or polars is wide (a column of times, columns of values: each is a series) or long (columns
    unique_id, ds and y, or others that are named). One network learns from all series, each scaled by its own training
    part. What comes back is a frame of the same library with the same names.

    >>> forecaster = rondo.Forecaster(horizon=12, epochs=20).fit(frame)
    >>> forecaster.predict(), forecaster.predict_quantiles([0.1, 0.9]), forecaster.sample_paths(100)
    >>> forecaster.backtest(frame, origins=10)  # beside the baselines, with the skill's interval
    >>> forecaster.save("my-model")

    The last rows of each series (``valid_fraction``) are not learned from: training is watched on them, and the weights
    with the best loss are kept.

    After `fit`: ``series_`` (what was read), ``history_`` (losses over the training), ``model_``.
    """

    model_: ForecastModel
    series_: SeriesSet
    """The series that forecasts go on from, unless a frame is given."""
    begin_: States | None
    """The network's states before their first rows, where ``carry`` has it read on from rows that are gone."""

    def fit(self, frame: Any, y: Any = None, *, progress: Progress | None = None) -> Self:
        """Learn from all series of a frame. ``y`` is not used: the target is a column."""
        options = self._resolved(self._seed())
        source = from_frame(frame, options.reading)
        self._backend = _backend_of(frame)
        return self._fit(source, progress)

    def predict(self, frame: Any = None, *, horizon: int | None = None) -> Any:
        """The next rows of each series: a frame with the columns' own names.

        They follow on ``frame``, or on the frame of `fit`. ``horizon`` is at most the one that was learned.
        """
        windows = self._ends(frame, horizon)
        points = self.model_.forecast(windows, begin=self._begin(frame)).points
        return self._framed(windows, {"": points}, horizon, frame)

    def predict_quantiles(
        self, levels: Sequence[float] = LEVELS, frame: Any = None, *, horizon: int | None = None
    ) -> Any:
        """The same with a column for each level: ``y_q0.1`` is what the value stays below with probability 0.1."""
        if levels is None or isinstance(levels, (int, float, str)):
            raise UsageError(
                f"levels are a list, for instance [0.1, 0.5, 0.9], not {levels}; steps are horizon={levels}."
            )
        windows = self._ends(frame, horizon)
        found = self.model_.forecast(windows, tuple(levels), begin=self._begin(frame)).quantiles
        if found is None:
            raise UsageError("quantiles need levels, for instance [0.1, 0.5, 0.9].")
        return self._framed(windows, {f"_q{level:g}": found[..., k] for k, level in enumerate(levels)}, horizon, frame)

    def sample_paths(
        self, paths: int = PATHS, frame: Any = None, *, horizon: int | None = None, random_state: Any = 0
    ) -> Any:
        """Sampled futures, a column for each path (``y_path1``, ...).

        With strategy recursive each value follows on those before it; otherwise each step is drawn by itself.
        ``random_state`` is as in scikit-learn; with None other paths are drawn each time.
        """
        windows = self._ends(frame, horizon)
        drawn = self.model_.sample(windows, paths, seed=seed_from(random_state), begin=self._begin(frame))
        return self._framed(windows, {f"_path{k + 1}": drawn[..., k] for k in range(paths)}, horizon, frame)

    def forecast_frame(
        self,
        frame: Any = None,
        *,
        horizon: int | None = None,
        levels: Sequence[float] | None = None,
        paths: int | None = None,
        seed: int = 0,
        written: bool = False,
    ) -> Any:
        """What `rondo predict` writes: the forecast and its quantiles side by side, or sampled paths.

        Without ``levels``: 0.1 and 0.9, where the model has quantiles. With ``written`` times are text.
        """
        windows = self._ends(frame, horizon)
        if paths is not None:
            drawn = self.model_.sample(windows, paths, seed=seed, begin=self._begin(frame))
            columns = {f"_path{k + 1}": drawn[..., k] for k in range(paths)}
            return self._framed(windows, columns, horizon, frame, written=written)
        chosen = tuple((USUAL_LEVELS if self.model_.has_quantiles else ()) if levels is None else levels)
        said = self.model_.forecast(windows, chosen, begin=self._begin(frame))
        columns = {"": said.points}
        if said.quantiles is not None:
            columns |= {f"_q{level:g}": said.quantiles[..., k] for k, level in enumerate(chosen)}
        return self._framed(windows, columns, horizon, frame, written=written)

    def update(self, frame: Any) -> Self:
        """Take note of new rows, from which forecasts go on; nothing is learned anew.

        Kept are the last ``context_length`` rows of each series, with ``carry`` the network's state and the last row,
        so that a row costs the same however many came before.
        The forecast is that of this model given the whole history. With ``impute="mean"`` it need not be: what is
        missing in new rows is filled with the mean of the rows that are kept, for those before them are gone.
        """
        check_is_fitted(self, "model_")
        reading, begin = reading_of(self.model_.config), getattr(self, "begin_", None)
        if not hasattr(self, "series_"):
            known = self._read(frame)
        else:
            # What is missing at their beginning is filled from rows that are known, not from their own.
            filled = reading.missing == "impute"
            new = self._read(frame, replace(reading, missing="mask") if filled else reading, goes_on=True)
            known = joined(self.series_, new, reading)
            if begin is not None:
                begin = more_series(self.model_.network.members, begin, len(known) - len(self.series_))
        self.model_.check(known if self.model_.encoder.data.carry else recent(known, self.model_.rows_kept))
        self.series_, self.begin_ = self.model_.kept(known, begin)
        self._backend = _backend_of(frame)
        return self

    def backtest(
        self,
        frame: Any,
        *,
        origins: int | None = None,
        test_rows: int | None = None,
        stride: int = 1,
        refit: Refit = "never",
        embargo: int = 0,
        align: str = "time",
        scaled: bool = False,
        scored_step: int | None = None,
        automatic_seconds: float | None = None,
        progress: Progress | None = None,
    ) -> Backtest:
        """Fitted on what was known, scored on what came, beside the baselines; see `rolling_origin` for the folds.

        With the parameter ``split`` there is one fold, that of its rows. Errors are in the data's unit, or, with
        ``scaled``, of values scaled by the training part of their series; with ``scored_step`` of that step alone.
        This estimator's own fit is left as it is. ``automatic_seconds`` is the time for AutoETS and AutoTheta
        together, where statsforecast is installed; left out, as long as the model's own training took.
        """
        options: ForecastOptions = self._resolved(self._seed())
        scored = ScoredAs(scaled=scaled, step=scored_step)
        scored.check(options.data.horizon)
        if automatic_seconds is not None and not (
            isinstance(automatic_seconds, (int, float)) and automatic_seconds >= 0
        ):
            raise UsageError(f"automatic_seconds is a number of at least 0, not {automatic_seconds!r}.")
        source = from_frame(frame, options.reading)
        folds = folds_of(
            source, options.data, origins=origins, test_rows=test_rows, stride=stride, refit=refit, embargo=embargo,
            align=align,
        )  # fmt: skip

        def fitted(fold: Fold) -> ForecastModel:
            made = type(self)(**self.get_params(deep=False))
            return made._fit(fold.training, progress, validation=fold.validation).model_

        return run_backtest(folds, fitted, scored=scored, automatic_seconds=automatic_seconds)

    @classmethod
    def with_options(cls, given: Mapping[str, Any], *, source: str = "") -> Self:
        """A forecaster with the options of a recipe, named as the flags of the command line are."""
        values = checked(ForecastOptions, given, source=source)
        names = cls._get_param_names()
        state = {"random_state": values["seed"]} if "seed" in values else {}
        return cls(**{name: value for name, value in values.items() if name in names}, **state)

    def rows_of(self, frame: Any) -> int:
        """How many rows the series of a frame have, in the middle."""
        return int(np.median(from_frame(frame, self._resolved(self._seed()).reading).lengths))

    def _fit(self, source: SeriesSet, progress: Progress | None, validation: Windows | None = None) -> Self:
        seed = self._seed()
        with self._training() as folder:
            options: ForecastOptions = self._resolved(seed)
            training = source
            if validation is None:
                training, validation = held_out(source, options.data)
            check_values(source, options.data.scaling, counts=make_head(options.model.head).counts)
            model, summary = learn_forecast(training, validation, options, folder, progress=progress)
        model.config |= about_frame(source)
        self._take(model, finished(summary).history)
        self.series_, self.begin_ = source, None
        return self

    def save(self, folder: str | Path) -> None:
        """Write the model to a folder, with the rows from which its forecasts go on."""
        check_is_fitted(self, "model_")
        self.model_.history, self.model_.begin = getattr(self, "series_", None), getattr(self, "begin_", None)
        super().save(folder)

    def _take(self, model: ForecastModel, history: list[dict[str, Any]]) -> None:
        super()._take(model, history)
        if model.history is not None:
            self.series_, self.begin_ = model.history, model.begin

    def _ends(self, frame: Any, horizon: int | None) -> Windows:
        """One window for each series, at its end; what is known in advance reaches ``horizon`` rows beyond."""
        check_is_fitted(self, "model_")
        if isinstance(frame, (int, np.integer)):
            raise UsageError(f"expected a frame of pandas or polars, not {frame}; steps are horizon={frame}.")
        network, most = self.model_.network, self.model_.encoder.data.horizon
        if horizon is not None and not (is_whole(horizon) and 1 <= horizon <= most):
            raise UsageError(
                f"this model forecasts from 1 to {most} rows, not {horizon!r}; train one with that horizon."
            )
        if frame is not None:
            source = self._read(frame)
        elif hasattr(self, "series_"):
            source = self.series_
        else:
            raise UsageError("this model has no series of its own; give the frame whose rows are known.")
        which = np.arange(len(source))
        origin = source.lengths
        windows = Windows(source, which, origin, most, moments(source, which, origin))
        segment = network.members[0].segment  # each of its rows says something of the others
        check_ahead(windows, min(most, -(-(horizon or most) // segment) * segment))
        return windows

    def _begin(self, frame: Any) -> States | None:
        """The states before the first rows that forecasts go on from."""
        return getattr(self, "begin_", None) if frame is None else None

    def _framed(
        self, windows: Windows, columns: dict[str, Any], horizon: int | None, frame: Any, *, written: bool = False
    ) -> Any:
        backend = _backend_of(frame) if frame is not None else getattr(self, "_backend", None)
        shown = {name: said[:, :horizon] for name, said in columns.items()}
        return answer_frame(windows, shown, backend, written=written)

    def _read(self, frame: Any, reading: FrameFormat | None = None, *, goes_on: bool = False) -> SeriesSet:
        """A frame as the one of `fit` was read, or as ``reading`` says."""
        config = self.model_.config
        source = from_frame(frame, reading or reading_of(config), kinds=kinds_of(config), goes_on=goes_on)
        check_clock(config, source)
        strangers = [name for name in source.names if name not in self.model_.encoder.series]
        data = self.model_.encoder.data
        if strangers and data.series_embedding:
            raise DataError(f"series '{strangers[0]}' was not learned from, and this model knows series by name.")
        if strangers and data.carry and data.scaling != "none":
            raise DataError(f"series '{strangers[0]}' was not learned from: it has no scale that stays as it is.")
        return source

    @classmethod
    def _load(cls, folder: str | Path, device: str | torch.device) -> ForecastModel:
        return ForecastModel.load(folder, device=device)


def _backend_of(frame: Any) -> Any:
    return nw.from_native(frame, eager_only=True).implementation
