"""The page and the card of a forecaster: of a training, or of a backtest alone."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rondo.data.series import SeriesSet
from rondo.evaluation.forecasting.comparison import Skill, skill
from rondo.inspect import Card, Column, Interval, Metric, Provenance, Report, Score, write_card
from rondo.inspect.card import DataPart
from rondo.inspect.plots import learning_curves
from rondo.ir.printing import to_latex
from rondo.models.folder import REPORT
from rondo.tasks.classification.report import kept_metrics
from rondo.tasks.forecast.backtest import Backtest
from rondo.tasks.forecast.model import ForecastModel
from rondo.tasks.forecast.sections import add_coverage, add_folds, add_last_value, add_residuals, add_series, add_steps
from rondo.tasks.forecast.words import sentence
from rondo.training.protocols import TrainingSummary

MAE = "mean absolute error"


@dataclass(frozen=True)
class ForecastRun:
    """A finished training with everything that a page about it shows."""

    folder: Path
    source: SeriesSet
    training: SeriesSet
    backtest: Backtest
    summary: TrainingSummary
    result: dict[str, Any]
    provenance: Provenance


def write_report(run: ForecastRun) -> None:
    """``report.html`` and ``README.md`` of the model folder."""
    report = _page("A forecaster", run.backtest, run.result)
    _add_curves(report, run)
    _add_data(report, run)
    commands = _commands(run)
    report.next_commands(commands)
    report.provenance(run.provenance)
    report.save(run.folder / REPORT)
    model = run.backtest.model
    recurrent = model.network.recurrent
    text, _ = sentence(run.result)
    write_card(
        Card(
            title=f"Forecaster ({network_of(model)})",
            task="forecast",
            cell=recurrent.cell.name,
            parameters=run.result["parameters"],
            summary=f"Forecasts {_target(run.source)}, {run.result['horizon']} rows ahead. {text}",
            data=[
                DataPart("series", len(run.source), "series"),
                DataPart("learned from", int(run.training.lengths.sum()), "rows"),
                DataPart("scored", run.result["windows"], "forecasts"),
            ],
            metric=error_of(run.backtest),
            scores=scores_of(run.backtest),
            shell=[command for command, _ in commands],
            python=(
                f"import rondo\n\nforecaster = rondo.load({str(run.folder)!r})\n"
                "print(forecaster.predict())  # after the rows that it knows; update(frame) adds new ones"
            ),
            equations=to_latex(recurrent.cell.graph),
            limits=(
                "It goes on as the series went while it learned: of what has never happened it knows nothing, and its "
                "intervals neither. It is no advice to buy or sell anything."
            ),
            provenance=run.provenance,
        ),
        run.folder,
    )


def write_backtest(backtest: Backtest, result: dict[str, Any], provenance: Provenance, path: str | Path) -> None:
    """The page of a backtest without a model folder."""
    report = _page("A backtest", backtest, result)
    report.provenance(provenance)
    report.save(Path(path))


def network_of(model: ForecastModel) -> str:
    """The network in a few words."""
    recurrent, options = model.network.recurrent, model.options
    several = f"{options.ensemble} networks of " if options.ensemble > 1 else ""
    stack = f"{recurrent.layers} x {recurrent.hidden_size} {recurrent.cell.name}"
    return f"{several}{stack}, {options.strategy}, {options.head}"


def error_of(backtest: Backtest) -> Metric:
    """The error that a page is about, and what its unit is."""
    scored = backtest.scored
    unit = "scaled by the training part" if scored.scaled else "in the data's unit"
    return Metric(MAE, "lower", unit if scored.step is None else f"{unit}, of step {scored.step} alone", digits=4)


def scores_of(backtest: Backtest) -> list[Score]:
    """Mean absolute errors: the model's with the interval that its skill has against the strongest baseline."""
    theirs = backtest.baselines[backtest.baseline].scores.summary()["mae"]
    gain = backtest.skill
    ours = backtest.scores.summary()["mae"]
    low, high = theirs * (1 - gain.high), theirs * (1 - gain.low)
    known = math.isfinite(low) and math.isfinite(high)
    found = [Score("this model", ours, low if known else None, high if known else None, role="ours")]
    return [*found, *(Score(name, one.scores.summary()["mae"]) for name, one in backtest.baselines.items())]


def _page(title: str, backtest: Backtest, result: dict[str, Any]) -> Report:
    model, source = backtest.model, backtest.folds[-1].windows.source
    report = Report(title, subtitle=f"{_target(source)}, {result['horizon']} rows ahead; {network_of(model)}")
    said, tone = sentence(result)
    report.verdict(said, tone=tone)
    own = result["metrics"]
    report.key_figure(MAE, error_of(backtest).format(own["mae"]), f"{result['windows']:,} forecasts")
    gain = "–" if result["skill"] is None else f"{result['skill']:+.1%}".replace("-", "−")
    report.key_figure("skill", gain, f"against {result['baseline']}")
    if "coverage_80" in own:
        report.key_figure("80 % intervals", f"{own['coverage_80']:.1%}", "of the values lay within")
    if backtest.alarms:
        report.section("Something of the future may be in the data").text(
            "\n".join(f"- **{alarm.kind}.** {alarm}" for alarm in backtest.alarms)
        )
    if backtest.questions:
        report.section("What the data cannot tell").text("\n".join(f"- {asked}" for asked in backtest.questions))
    if result["left_out"] is not None:
        report.section("Series that are not scored").text(result["left_out"]["about"])
    add_series(report, backtest)
    _add_baselines(report, backtest)
    add_last_value(report, backtest, result)
    add_steps(report, backtest)
    add_coverage(report, backtest)
    add_residuals(report, backtest)
    add_folds(report, backtest)
    return report


def _add_baselines(report: Report, backtest: Backtest) -> None:
    section = report.section("Beside the baselines")
    columns: list[str | Column] = ["", Column("MAE", 4), Column("RMSE", 4), Column("sMAPE", 2), Column("MASE", 3)]
    columns += [Column("CRPS", 4), Column("80 % covers", 1, percent=True), Column("model's skill", 1, percent=True)]
    ours = backtest.scores.summary()
    names = ("mae", "rmse", "smape", "mase", "crps", "coverage_80")
    rows: list[list[Any]] = [["this model", *(ours.get(name) for name in names), None]]
    by_error = sorted(backtest.baselines.items(), key=lambda pair: pair[1].scores.summary()["mae"])
    for name, outcome in by_error:
        theirs = outcome.scores.summary()
        gain = skill(backtest.scores, outcome.scores, baseline=name)
        ends = (gain.low, gain.high) if math.isfinite(gain.low) and math.isfinite(gain.high) else (None, None)
        rows.append([name, *(theirs.get(one) for one in names), Interval(gain.value, *ends)])
    section.text(
        f"All {len(backtest.scores):,} forecasts count, and every baseline was fitted on the same rows as the model. "
        f"Errors are {error_of(backtest).unit}. Skill is 1 − error / the baseline's error (MAE); "
        f"{_about_interval(backtest.skill)}."
        + (
            ""
            if backtest.test is None
            else f" Test of Diebold and Mariano against {backtest.baseline}: p {_probability(backtest.test.p_value)}."
        )
    )
    section.table(columns, rows, marks={0: "ours", 1: "baseline"}, caption="Smaller is better but for skill.")
    section.text("\n".join(f"- {name}: {outcome.about}" for name, outcome in by_error))
    if backtest.without_automatic:
        section.text(backtest.without_automatic)
    if backtest.automatic:
        others = [
            [name, theirs.summary()["mae"], mine.summary()["mae"], len(theirs), about]
            for name, (theirs, mine, about) in backtest.automatic.items()
        ]
        section.table(
            ["", Column("its MAE", 4), Column("the model's", 4), "forecasts", ""], others,
            caption="Statistical models that are fitted anew at each origin, on as many as the time allowed.",
        )  # fmt: skip


def _about_interval(gain: Skill) -> str:
    if math.isfinite(gain.low):
        return f"its interval (95 %) is a bootstrap over {gain.units}"
    return f"its interval cannot be told from {gain.number} {gain.units}"


def _add_curves(report: Report, run: ForecastRun) -> None:
    keep = run.backtest.model.config["options"]["training"]["keep"]
    kept = int(kept_metrics(run.summary, keep).get("step", run.summary.steps))
    report.section("Learning curves").plot(
        learning_curves(
            run.summary.history,
            {"loss": "training", "valid_loss": "validation"},
            metric=Metric("loss", "lower", "of scaled values", digits=3),
            mark_best="valid_loss",
            kept=kept,
        ),
        "Loss over training. The weights that were kept are the best on the validation part, which lies between what "
        "was learned from and what was scored.",
    )


def _add_data(report: Report, run: ForecastRun) -> None:
    source, model = run.source, run.backtest.model
    lengths = source.lengths
    rows = f"{lengths.min():,}" if lengths.min() == lengths.max() else f"{lengths.min():,} to {lengths.max():,}"
    facts = {
        "series": f"{len(source):,} of {rows} rows",
        "rows apart": str(source.frequency),
        "season": f"{source.season} rows",
        "missing": f"{int(sum(np.isnan(source.series(s)).sum() for s in range(len(source)))):,} values",
        "read for a forecast": f"the last {model.encoder.context_length:,} rows",
        "scaled": f"{model.encoder.data.scaling} by series, {model.encoder.data.window_scaling} by window",
    }
    section = report.section("Data").facts(facts)
    if source.notes:
        section.text("\n".join(f"- {note}" for note in source.notes))


def _probability(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _target(source: SeriesSet) -> str:
    if source.layout == "long":
        return f"{source.columns.get('target', 'y')} of {len(source):,} series"
    shown = ", ".join(source.names[:5])
    return shown + (f" and {len(source) - 5} more" if len(source) > 5 else "")


def _commands(run: ForecastRun) -> list[tuple[str, str]]:
    model = shlex.quote(str(run.folder))
    return [
        (f"rondo predict {model} --out forecast.csv", "the rows that come next"),
        (f"rondo predict {model} OTHER.csv --out forecast.csv", "those after another table"),
        (f"rondo update {model} NEW.csv", "take new rows into account, without learning anew"),
        (f"rondo backtest {model} DATA.csv --origins 10 --refit every", "score it again, fitted anew at each origin"),
        (f"rondo info {model}", "the model's card"),
    ]
