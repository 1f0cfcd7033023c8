"""The sections of a page about forecasts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rondo.evaluation.forecasting.scores import COVERAGES, WindowScores
from rondo.inspect import Column, Report, forecast_plots
from rondo.tasks.forecast.backtest import Backtest
from rondo.tasks.forecast.evidence import drawn_series, one_step, ranking

Floats = npt.NDArray[np.float64]

SHOWN = 4
"""Series that are drawn."""
RANKED = 20
"""Series that are listed as the worst."""
LAGS = 24
MOST_ERRORS = 20_000


def add_series(report: Report, backtest: Backtest) -> None:
    """History and forecasts of a few series, and the list of those that went worst."""
    windows = backtest.folds[-1].windows
    there = np.unique(windows.which)
    order = ranking(backtest.scores, backtest.baselines[backtest.baseline].scores)
    chosen = there.tolist() if len(there) <= SHOWN else _spread([one for one, _, _ in order if one in set(there)])
    section = report.section("History and forecasts")
    rings = "the shades hold 50, 80 and 95 % of what may come" if backtest.model.has_quantiles else "points only"
    section.text(
        f"Forecasts of the held-out part, each made from the rows before it; {rings}."
        + ("" if len(there) <= SHOWN else " Drawn are the worst, the best and two in between, by skill.")
    )
    for which in chosen:
        one = drawn_series(backtest.model, windows, which)
        section.plot(
            forecast_plots.history_with_fans(
                one.times, one.values, [(fan.times, fan.points, fan.quantiles) for fan in one.fans]
            ),
            f"{one.name}.",
        )
    if len(order) > 1:
        names = windows.source.names
        section.table(
            ["series", Column("MASE", 3), Column("skill", 1, percent=True)],
            [[names[which], mase, gain if np.isfinite(gain) else None] for which, mase, gain in order[:RANKED]],
            caption=f"The worst {'series' if len(order) <= RANKED else f'{RANKED} of {len(order):,} series'}, by skill "
            f"against {backtest.baseline}.",
        )


def add_last_value(report: Report, backtest: Backtest, result: dict[str, Any]) -> None:
    """Whether forecasts are more than the value before, drawn one step late."""
    windows = backtest.folds[-1].windows
    which = int(windows.which[np.argmax(np.bincount(windows.which)[windows.which])])
    times, said, both = one_step(backtest.model, windows, which)
    section = report.section("Is it more than the last value?")
    lines = []
    for step in sorted(backtest.evidence.directions):
        found = backtest.direction(step)
        if found is not None:
            lines.append(
                f"- Direction after {step} row{'s' * (step > 1)}: right in {100 * found['accuracy']:.1f} % of "
                f"{found['moves']:,.0f} moves, 95 % interval {100 * found['low']:.1f} to {100 * found['high']:.1f} %"
                + (" (50 % is a coin)." if found["low"] <= 0.5 <= found["high"] else ".")
            )
    naive = next((name for name in backtest.baselines if name == "last value"), None)
    if naive is not None:
        ours, theirs = result["metrics"]["mae"], result["baselines"][naive]["mae"]
        worse = "no better than" if ours >= theirs else "better than"
        lines.append(f"- Mean absolute error {ours:.4g}, the last value's {theirs:.4g}: {worse} the last value.")
    section.text(
        "A curve of one-step forecasts always lies near that of what came, because the value before does, too. Look "
        "whether the forecast goes with what came, or with the value before it.\n\n" + "\n".join(lines)
    )
    section.plot(
        forecast_plots.shifted(times, both[0], said, both[1]),
        f"{windows.source.names[which]}: forecasts one step ahead beside the value before.",
    )


def add_steps(report: Report, backtest: Backtest) -> None:
    """Errors at each step of the horizon."""
    if len(backtest.scores.by_step["mae"]) < 2:
        return
    series = {"this model": backtest.scores.by_step["mae"]}
    series |= {name: one.scores.by_step["mae"] for name, one in backtest.baselines.items()}
    worst = 3 * float(np.nanmax(series["this model"]))
    shown = {name: values for name, values in series.items() if float(np.nanmax(values)) <= worst}
    left = [name for name in series if name not in shown]
    report.section("How errors grow with the horizon").plot(
        forecast_plots.by_step(shown, title="mean absolute error"),
        "Mean absolute error at each step." + (f" Too large to be drawn: {', '.join(left)}." if left else ""),
    )


def add_coverage(report: Report, backtest: Backtest) -> None:
    """Whether intervals hold what they promise."""
    if backtest.scores.hits is None:
        report.section("Intervals").text("This model says points; heads such as quantiles or student_t say intervals.")
        return
    strongest = backtest.baselines[backtest.baseline].scores
    found = {"this model": _shares(backtest.scores)}
    if strongest.hits is not None:
        found[backtest.baseline] = _shares(strongest)
    section = report.section("Do the intervals hold what they promise?")
    section.plot(
        forecast_plots.coverage(COVERAGES, found),
        "How many values lay within the central intervals. Below the dashed line they are too narrow. The bars are "
        "binomial intervals as if values were independent of each other, which those of one forecast are not.",
    )
    evidence = backtest.evidence
    if evidence.hits is not None and evidence.counted is not None and len(evidence.counted) > 1:
        middle = evidence.hits[:, COVERAGES.index(0.8)] / np.maximum(evidence.counted, 1)
        steps = sorted({0, len(middle) // 2, len(middle) - 1})
        section.table(
            ["step", Column("80 % covers", 1, percent=True)], [[step + 1, float(middle[step])] for step in steps]
        )


def add_residuals(report: Report, backtest: Backtest) -> None:
    """What is left in first-step errors: a bias, a memory, long tails."""
    errors = np.concatenate(backtest.evidence.errors)
    series = np.concatenate(backtest.evidence.series)
    known = np.isfinite(errors)
    errors, series = errors[known][:MOST_ERRORS], series[known][:MOST_ERRORS]
    if len(errors) < 10 or not errors.std():
        return
    lags = min(LAGS, max(2, len(errors) // 4))
    found, number = _autocorrelation(errors, series, lags)
    bound = 1.96 / np.sqrt(max(1, number))
    beyond = [int(lag) + 1 for lag in np.flatnonzero(np.abs(found) > bound)]
    mean, error = errors.mean(), errors.std() / np.sqrt(len(errors))
    biased = abs(mean) > 1.96 * error
    said = [
        f"- {'They lean to one side' if biased else 'They lean to no side'}: mean {mean:+.3f} ± {1.96 * error:.3f} in "
        "units of MASE (what came minus what was said).",
        f"- {'They remember' if len(beyond) > 0.05 * lags + 1 else 'They do not remember'} earlier ones: "
        f"{len(beyond)} of {lags} correlations are beyond what chance allows"
        + (f" (rows apart: {', '.join(map(str, beyond[:6]))})." if beyond else "."),
    ]
    section = report.section("What is left in the errors")
    section.text("Errors of the first step. Those of a perfect model have no bias and no memory.\n\n" + "\n".join(said))
    section.plot(forecast_plots.histogram(errors, title="error, in units of MASE"), "How the errors are spread.")
    section.plot(forecast_plots.autocorrelation(found, bound), "Correlation of errors so many forecasts apart.")


def add_folds(report: Report, backtest: Backtest) -> None:
    """What was learned from and scored in each fold."""
    rows: list[list[Any]] = []
    bars, start = [], 0
    strongest = backtest.baselines[backtest.baseline].scores
    for number, fold in enumerate(backtest.folds, 1):
        part = np.zeros(len(backtest.scores), np.bool_)
        part[start : start + len(fold.windows)] = True
        start += len(fold.windows)
        ours, theirs = (scores.choose(part).summary()["mae"] for scores in (backtest.scores, strongest))
        source, windows = fold.windows.source, fold.windows
        first = int(np.argmin(windows.origin))
        when = source.clock.say(int(source.times(windows.which[first], windows.origin[first])))
        rows.append([f"fold {number}", when, len(windows), ours, theirs])
        longest = int(fold.training.lengths.max())
        bars.append((0, longest, int(windows.origin.min()), int(windows.origin.max()) + windows.horizon))
    section = report.section("The folds of the backtest")
    columns: list[str | Column] = ["", "scored from", "forecasts", Column("MAE", 4), Column(backtest.baseline, 4)]
    section.table(columns, rows)
    if len(backtest.folds) > 1:
        section.plot(forecast_plots.folds(bars[:40]), "Rows that were learned from, and rows that were scored.")


def _shares(scores: WindowScores) -> list[tuple[float, float, float]]:
    summary = scores.summary()
    return [(summary[f"coverage_{round(100 * c)}"], *scores.coverage_interval(c)) for c in COVERAGES]


def _spread(order: list[int]) -> list[int]:
    """The first, the last, and what lies evenly in between."""
    return [order[place] for place in np.linspace(0, len(order) - 1, SHOWN).round().astype(int)]


def _autocorrelation(errors: Floats, series: Any, lags: int) -> tuple[Floats, int]:
    """Of neighbours within each series; and how many there are."""
    centred = errors - errors.mean()
    order = np.argsort(series, kind="stable")
    centred, own = centred[order], series[order]
    total = float(centred @ centred) / len(centred)
    found = np.zeros(lags)
    for lag in range(1, lags + 1):
        same = own[lag:] == own[:-lag]
        pairs = int(same.sum())
        found[lag - 1] = float((centred[lag:] * centred[:-lag])[same].sum()) / max(1, pairs) / total
    return found, len(centred)
