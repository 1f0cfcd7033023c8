"""A forecaster over the folds of a rolling origin, beside the baselines on the same windows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rondo.errors import DataError
from rondo.evaluation.forecasting import automatic
from rondo.evaluation.forecasting.backtest import (
    PLAINLY,
    Outcome,
    ScoredAs,
    pieces,
    scales,
    score_baseline,
    usual_baselines,
)
from rondo.evaluation.forecasting.comparison import DieboldMariano, Skill, equal_accuracy, skill, strongest
from rondo.evaluation.forecasting.folds import Fold, left_out
from rondo.evaluation.forecasting.leaks import Alarm, examine, questions
from rondo.evaluation.forecasting.scores import ASKED, LEVELS, Scorer, WindowScores, at
from rondo.tasks.forecast.evidence import Evidence
from rondo.tasks.forecast.model import Forecast, ForecastModel
from rondo.training.protocols import TrainingSummary


@dataclass(frozen=True)
class Backtest:
    """What came out."""

    scores: WindowScores
    """The model's, on every window."""
    baselines: dict[str, Outcome]
    """Each on the same windows."""
    automatic: dict[str, tuple[WindowScores, WindowScores, str]]
    """AutoETS and AutoTheta on some of the windows, the model on the same ones, and how many those are, in words."""
    without_automatic: str
    """Why those were not run; empty where they were."""
    baseline: str
    """The name of the strongest, by mean absolute error."""
    skill: Skill
    test: DieboldMariano | None
    """Against the strongest; None where there are too few origins to test."""
    alarms: tuple[Alarm, ...]
    """Leaks of the future that were seen in the data."""
    questions: tuple[Alarm, ...]
    """What only the user can tell, such as whether a column is really known in advance."""
    folds: tuple[Fold, ...]
    evidence: Evidence
    model: ForecastModel
    """That of the last fold."""
    seconds: float
    """For fitting and forecasting with the model."""
    scored: ScoredAs = PLAINLY
    trainings: tuple[TrainingSummary, ...] = ()
    """How the model was trained in each fold; empty where it came from elsewhere."""

    def direction(self, step: int) -> dict[str, float] | None:
        """How often forecasts so many steps ahead went the right way, with the interval.

        Those of several series at one moment go up and down together, and those that overlap share changes: what counts
        is how many moments there are that are at least so many steps apart.
        """
        apart: list[int] = []
        for moment in np.unique(np.concatenate([fold.windows.moment for fold in self.folds])):
            if not apart or moment - apart[-1] >= step:
                apart.append(int(moment))
        return self.evidence.direction(step, len(apart))

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it; what is no finite number is None."""
        found: dict[str, Any] = _finite(self._figures())
        return found

    def _figures(self) -> dict[str, Any]:
        lost = left_out(self.folds)
        return {
            "task": "forecast",
            "seconds": self.seconds,
            "horizon": len(self.scores.by_step["mae"]),
            "windows": len(self.scores),
            "folds": len(self.folds),
            "left_out": None if lost is None else {"series": list(lost.names), "about": str(lost)},
            "scaled": self.scored.scaled,
            "scored_step": self.scored.step,
            "metrics": self.scores.summary(),
            "baselines": {name: outcome.scores.summary() for name, outcome in self.baselines.items()},
            "automatic": {
                name: {"metrics": theirs.summary(), "model": ours.summary(), "windows": len(theirs), "about": about}
                for name, (theirs, ours, about) in self.automatic.items()
            },
            "without_automatic": self.without_automatic,
            "baseline": self.baseline,
            "skill": self.skill.value,
            "skill_interval": [self.skill.low, self.skill.high],
            "diebold_mariano": None if self.test is None else self.test.p_value,
            "directional_accuracy": {str(step): self.direction(step) for step in self.evidence.directions},
            "alarms": [str(alarm) for alarm in self.alarms],
            "questions": [str(question) for question in self.questions],
            "trainings": [
                {"steps": one.steps, "schedule_steps": one.schedule_steps, "seconds": one.seconds}
                for one in self.trainings
            ],
        }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def run_backtest(
    folds: Sequence[Fold],
    fitted: Callable[[Fold], ForecastModel],
    *,
    scored: ScoredAs = PLAINLY,
    automatic_seconds: float | None = None,
) -> Backtest:
    """Fit in each fold, score all of its windows; then the baselines on the same: as points, if the model says such."""
    evidence = Evidence()
    started = time.perf_counter()
    scorer = Scorer()
    model: ForecastModel | None = None
    trainings = []
    for fold in folds:
        model = fitted(fold)
        score_model(model, fold, scorer, scored, evidence)
        trainings += [] if model.summary is None else [model.summary]
    if model is None:
        raise DataError("there is no fold to be scored.")
    seconds = time.perf_counter() - started
    scores = scorer.done()
    made = usual_baselines(folds[0].training.season)
    outcomes = [
        score_baseline(
            make, folds, validation=lambda fold: fold.validation, scored=scored, probabilistic=model.has_quantiles
        )
        for make in made
    ]
    baselines = {outcome.name: outcome for outcome in outcomes}
    best = strongest({name: outcome.scores for name, outcome in baselines.items()}, "mae")
    try:
        test = equal_accuracy(scores, baselines[best].scores)
    except DataError:
        test = None
    alarms = {(alarm.kind, alarm.column): alarm for fold in folds for alarm in examine(fold)}
    allowed = seconds if automatic_seconds is None else automatic_seconds
    without = "" if allowed > 0 else "AutoETS and AutoTheta were not run: no time was given to them."
    if not without and not automatic.installed():
        without = "AutoETS and AutoTheta were not run: statsforecast is not installed (pip install statsforecast)."
    return Backtest(
        scores, baselines, {} if without else _automatic(folds, scores, allowed, scored), without, best,
        skill(scores, baselines[best].scores, baseline=best), test, tuple(alarms.values()), tuple(questions(folds[-1])),
        tuple(folds), evidence, model, seconds, scored, tuple(trainings),
    )  # fmt: skip


def score_model(
    model: ForecastModel, fold: Fold, scorer: Scorer, scored: ScoredAs, evidence: Evidence | None = None
) -> None:
    """Add all windows of a fold."""
    add, units = scored.into(scorer, fold), scales(fold.training)
    for piece in pieces(fold.windows, model.has_quantiles):
        said = model.forecast(piece, ASKED if model.has_quantiles else ())
        add(piece, said.points, said.quantiles)
        if evidence is not None:
            usual = None if said.quantiles is None else at(said.quantiles, LEVELS)
            evidence.add(piece, Forecast(said.points, usual), units[piece.which])


def _automatic(
    folds: Sequence[Fold], ours: WindowScores, seconds: float, scored: ScoredAs
) -> dict[str, tuple[WindowScores, WindowScores, str]]:
    """On windows of all folds, within the time, half of it for each.

    ``ours`` are the model's scores of all windows, fold by fold.
    """
    found: dict[str, tuple[WindowScores, WindowScores, str]] = {}
    ends = np.cumsum([len(fold.windows) for fold in folds])
    for name in automatic.NAMES:
        said = automatic.forecast([fold.windows for fold in folds], name, seconds=seconds / len(automatic.NAMES))
        theirs = Scorer()
        of = np.searchsorted(ends, said.taken, side="right")
        for place in np.unique(of):
            own, fold = of == place, folds[place]
            windows = fold.windows.choose(said.taken[own] - ends[place] + len(fold.windows))
            scored.into(theirs, fold)(windows, said.points[own], said.quantiles[own])
        chosen = np.zeros(len(ours), bool)
        chosen[said.taken] = True
        found[name] = theirs.done(), ours.choose(chosen), said.about
    return found
