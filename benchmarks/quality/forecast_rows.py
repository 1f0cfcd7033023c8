"""Rows of the quality table about forecasts. Options were chosen on validation parts, or on rows before all tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import forecast_data as data
import numpy as np
from forecast_row import ForecastRow, Part, Run

from rondo.evaluation.forecasting.comparison import skill
from rondo.evaluation.forecasting.metrics import M4_NAIVE2, owa
from rondo.evaluation.forecasting.scores import COVERAGES
from rondo.evaluation.metrics import proportion_interval
from rondo.tasks.forecast.backtest import Backtest

HORIZONS = (96, 192, 336, 720)
ETT_SPLIT = (8640, 2880, 2880)
LOOKBACKS = (336, 512, 720)
EXCHANGE = {3: 0.0171, 6: 0.0238, 12: 0.0329, 24: 0.0434}
"""Horizons, and the relative squared error of the last value."""
SEASONAL = "seasonal last value"

ETT_OPTIONS: dict[str, Any] = {
    "split": ETT_SPLIT, "calendar": "none", "head": "huber", "segment": 48, "linear_path": True, "ensemble": 3,
    "output_dropout": 0.5, "hidden": 128, "batch_size": 512, "learning_rate": 1e-3, "steps": 400, "evaluations": 10,
}  # fmt: skip


def _figure(runs: Sequence[Run], model: Callable[[Run], float]) -> float:
    return float(np.mean([model(run) for run in runs]))


def _beside_linear(runs: Sequence[Run]) -> dict[str, Any]:
    ratios = [run["metrics"]["mse"] / run["baselines"]["linear"]["mse"] for run in runs]
    return {
        "mse": _figure(runs, lambda run: run["metrics"]["mse"]),
        "mae": _figure(runs, lambda run: run["metrics"]["mae"]),
        "linear_mse": _figure(runs, lambda run: run["baselines"]["linear"]["mse"]),
        "linear_mae": _figure(runs, lambda run: run["baselines"]["linear"]["mae"]),
        "better": sum(ratio < 1 for ratio in ratios),
        "worst_ratio": max(ratios),
    }


def _said_etth1(result: Mapping[str, Any]) -> tuple[str, str]:
    return (
        f"MSE {result['mse']:.4f}, MAE {result['mae']:.4f}",
        f"linear: {result['linear_mse']:.4f}, {result['linear_mae']:.4f}",
    )


def _said_ett(result: Mapping[str, Any]) -> tuple[str, str]:
    worst = 100 * (result["worst_ratio"] - 1)
    return f"MSE better on {result['better']} of {len(result['runs'])}, at worst {worst:+.1f} %", "linear"


def _beside_last_value(runs: Sequence[Run]) -> dict[str, Any]:
    return {
        "worst_ratio": max(run["metrics"]["rse"] / run["baselines"]["last value"]["rse"] for run in runs),
        "rse": {
            part: _figure([run for run in runs if run["set"] == part], lambda run: run["metrics"]["rse"])
            for part in dict.fromkeys(run["set"] for run in runs)
        },
    }


def _said_exchange(result: Mapping[str, Any]) -> tuple[str, str]:
    figures = " / ".join(f"{value:.4f}" for value in result["rse"].values())
    theirs = {run["set"]: run["baselines"]["last value"]["rse"] for run in result["runs"]}
    worst = 100 * (result["worst_ratio"] - 1)
    baseline = " / ".join(f"{value:.4f}" for value in theirs.values())
    return f"{figures}, at worst {worst:+.1f} %", f"last value: {baseline}"


def _owa(group: str) -> Callable[[Sequence[Run]], dict[str, Any]]:
    def summary(runs: Sequence[Run]) -> dict[str, Any]:
        found = {name: _figure(runs, lambda run, name=name: run["metrics"][name]) for name in ("smape", "mase")}  # type: ignore[misc]
        naive = [
            owa(metrics["smape"], metrics["mase"], M4_NAIVE2[group])
            for name, metrics in runs[0]["baselines"].items()
            if name in (SEASONAL, "last value", "linear")
        ]
        return {"owa": owa(found["smape"], found["mase"], M4_NAIVE2[group]), **found, "baseline_owa": min(naive)}

    return summary


def _said_m4(result: Mapping[str, Any]) -> tuple[str, str]:
    reached = f"OWA {result['owa']:.3f}, sMAPE {result['smape']:.2f}, MASE {result['mase']:.3f}"
    return reached, f"strongest baseline: OWA {result['baseline_owa']:.3f}"


def _hits(backtest: Backtest) -> Run:
    hits = backtest.scores.hits
    return {} if hits is None else {"hits_80": float(hits[:, COVERAGES.index(0.8)].sum())}


def _small(runs: Sequence[Run]) -> dict[str, Any]:
    """Of several seeds, the mean; rain has many zeros, which lie at the end of every interval, so it is apart."""
    pooled = {}
    for name, kept in (("coverage_80", lambda run: run["set"] != "rain"), ("coverage_80_with_rain", lambda run: True)):
        chosen = [run for run in runs if kept(run) and run["seed"] == 0]
        counted = sum(run["windows"] * run["horizon"] for run in chosen)
        hits = sum(run["hits_80"] for run in chosen)
        pooled |= {name: hits / counted, f"{name}_interval": list(proportion_interval(round(hits), counted))}
    wanted = [(run, ("crps",) if run["set"] == "rain" else ("crps", "mase")) for run in runs]
    better = [all(run["metrics"][one] < run["baselines"][SEASONAL][one] for one in names) for run, names in wanted]
    return {"better": sum(better), "of": len(better), **pooled}


def _said_small(result: Mapping[str, Any]) -> tuple[str, str]:
    low, high = result["coverage_80_interval"]
    return (
        f"better on {result['better']} of {result['of']}; 80 % intervals hold {result['coverage_80']:.1%} "
        f"[{low:.1%}, {high:.1%}]"
    ), SEASONAL


def _against_last_value(backtest: Backtest) -> Run:
    gain = skill(backtest.scores, backtest.baselines["last value"].scores, error="rmse", baseline="last value")
    told = not np.isnan(gain.low)
    return {"rmse_skill": gain.value, "rmse_skill_interval": [gain.low, gain.high] if told else None}


def _stocks(runs: Sequence[Run]) -> dict[str, Any]:
    return {"rmse_skill": _figure(runs, lambda run: run["rmse_skill"])}


def _said_stocks(result: Mapping[str, Any]) -> tuple[str, str]:
    runs = [run for run in result["runs"] if run["seed"] == 0]
    clear = [run for run in runs if run["rmse_skill_interval"] and run["rmse_skill_interval"][0] > 0]
    return (
        f"mean RMSE skill {100 * result['rmse_skill']:+.1f} %; "
        + (f"skill is shown on {len(clear)} of {len(runs)}" if clear else "no skill is shown")
    ), "last value"


def _direction(run: Run) -> str:
    found = run["directional_accuracy"][str(run["scored_step"])]
    return f"{found['accuracy']:.1%} [{found['low']:.1%}, {found['high']:.1%}]"


def _skill_said(run: Run) -> str:
    interval = run["rmse_skill_interval"]
    told = f"[{_percent(interval[0])}, {_percent(interval[1])}]" if interval else "(too few forecasts for an interval)"
    return f"{_percent(run['rmse_skill'])} {told}"


def _percent(value: float) -> str:
    return f"{100 * value:+.1f} %"


LINEAR_COLUMNS: dict[str, Callable[[Run], str]] = {
    "MSE": lambda run: f"{run['metrics']['mse']:.4f}",
    "linear MSE": lambda run: f"{run['baselines']['linear']['mse']:.4f}",
    "MAE": lambda run: f"{run['metrics']['mae']:.4f}",
    "linear MAE": lambda run: f"{run['baselines']['linear']['mae']:.4f}",
    "look-back": lambda run: str(run["context_length"]),
}
SMALL_COLUMNS: dict[str, Callable[[Run], str]] = {
    "MASE": lambda run: f"{run['metrics']['mase']:.3f}",
    "its": lambda run: f"{run['baselines'][SEASONAL]['mase']:.3f}",
    "CRPS": lambda run: f"{run['metrics']['crps']:.4g}",
    "its CRPS": lambda run: f"{run['baselines'][SEASONAL]['crps']:.4g}",
    "80 % intervals hold": lambda run: f"{run['metrics']['coverage_80']:.1%}",
    "forecasts": lambda run: str(run["windows"]),
}
STOCK_COLUMNS: dict[str, Callable[[Run], str]] = {
    "RMSE skill against the last value": _skill_said,
    "direction right": _direction,
    "forecasts": lambda run: str(run["windows"]),
}


def _ett_part(name: str, horizon: int) -> Part:
    return Part(f"{name}, {horizon}", data.ett(name), {"horizon": horizon}, {"scaled": True}, lookbacks=LOOKBACKS)


def _exchange_part(horizon: int) -> Part:
    # The first forecast is of the first row of the test part, so it is made from rows of the validation part.
    early = horizon - 1
    return Part(
        f"horizon {horizon}", data.exchange_rates,
        {"horizon": horizon, "split": (4552, 1518 - early, 1518 + early)}, {"scored_step": horizon},
    )  # fmt: skip


def _stock_parts() -> tuple[Part, ...]:
    index: dict[str, Any] = {"target": ("close",)}
    five: dict[str, Any] = {"time": "Date", "series": "Stock", "target": ("Close",)}
    years = data.rows_of_last_years
    return tuple(
        Part(
            f"{name}, {horizon} days" if horizon > 1 else f"{name}, 1 day", frame, {**options, "horizon": horizon},
            {"test_rows": rows, "refit": 60, "scored_step": horizon},
        )
        for horizon in (1, 5)
        for name, frame, options, rows in (
            ("S&P 500", data.index_of_stocks, index, lambda frame: years(frame, 3)),
            ("five stocks", data.five_stocks, five, 250),
        )
    )  # fmt: skip


FORECAST_ROWS = (
    ForecastRow(
        "etth1-96", "ETTh1, 96 hours, all windows, scaled: MSE 0.365, MAE 0.390, and below the linear baseline",
        (_ett_part("ETTh1", 96),), ETT_OPTIONS, "mse", _beside_linear, _said_etth1,
    ),
    ForecastRow(
        "ett", "MSE better than the linear baseline's on at least 4 of 8, nowhere more than 2 % worse",
        tuple(_ett_part(name, horizon) for name in ("ETTh1", "ETTh2") for horizon in HORIZONS),
        ETT_OPTIONS, "better", _beside_linear, _said_ett, LINEAR_COLUMNS,
    ),
    ForecastRow(
        "exchange", "relative squared error at most 2 % above the last value's (0.0171 / 0.0238 / 0.0329 / 0.0434)",
        tuple(_exchange_part(horizon) for horizon in EXCHANGE),
        {
            "calendar": "none", "season": 5, "head": "mse", "context_length": 48, "strategy": "direct", "hidden": 32,
            "output_dropout": 0.3, "learning_rate": 2e-4, "steps": 300, "evaluations": 10,
        },
        "worst_ratio", _beside_last_value, _said_exchange, seeds=3,
    ),
    ForecastRow(
        "m4-hourly", "OWA at most 0.60",
        (Part("hourly", data.m4("Hourly"), {"horizon": 48}, {"test_rows": 48, "align": "end"}),),
        {
            "season": 24, "calendar": "none", "scaling": "mean", "window_scaling": "instance",
            "head": "mae", "context_length": 336, "segment": 24, "hidden": 128, "output_dropout": 0.2,
            "linear_path": True, "batch_size": 512, "steps": 300, "evaluations": 10,
        },
        "owa", _owa("hourly"), _said_m4,
    ),
    ForecastRow(
        "m4-weekly", "OWA at most 0.90",
        (Part("weekly", data.m4("Weekly"), {"horizon": 13}, {"test_rows": 13, "align": "end"}),),
        {
            "season": 1, "calendar": "none", "scaling": "log", "window_scaling": "instance", "head": "mae",
            "context_length": 104, "segment": 13, "hidden": 64, "output_dropout": 0.3, "linear_path": True,
            "ensemble": 3, "batch_size": 512, "steps": 300, "evaluations": 10, "valid_fraction": 0.05,
        },
        "owa", _owa("weekly"), _said_m4,
    ),
    ForecastRow(
        "small", f"each better than the {SEASONAL} (MASE and CRPS; rain: CRPS); the pooled 80 % interval includes 80 %",
        (
            Part(
                "airline", data.airline,
                {"horizon": 12, "season": 12, "scaling": "log", "window_scaling": "seasonal", "context_length": 36,
                 "linear_path": True, "linear_ridge": 5.0, "steps": 100, "strategy": "direct", "valid_fraction": 0.1,
                 "head": "gaussian", "hidden": 32, "output_dropout": 0.3, "ensemble": 3},
                {"origins": 12},
            ),
            Part(
                "sunspots", data.sunspots,
                {"horizon": 12, "season": 132, "window_scaling": "instance", "context_length": 264, "segment": 12,
                 "steps": 300, "conformal": True},
                {"origins": 24, "stride": 12},
            ),
            Part(
                "temperature", data.seattle,
                {"horizon": 7, "target": ("temp_max",), "season": 365, "context_length": 28, "steps": 400,
                 "strategy": "direct"},
                {"origins": 52, "stride": 7},
            ),
            Part(
                "rain", data.seattle,
                {"horizon": 7, "target": ("precipitation",), "season": 365, "context_length": 28, "steps": 400,
                 "strategy": "direct", "window_scaling": "none", "scaling": "mean"},
                {"origins": 52, "stride": 7},
            ),
        ),
        {"hidden": 32, "ensemble": 5, "batch_size": 64, "learning_rate": 2e-3},
        "better", _small, _said_small, SMALL_COLUMNS, more=_hits, seeds=3,
    ),
    ForecastRow(
        "stocks", "the honest figure, whatever it is: RMSE skill against the last value, directional accuracy",
        _stock_parts(),
        {
            "frequency": "rows", "scaling": "log", "calendar": "none", "head": "mse", "strategy": "direct",
            "context_length": 30, "hidden": 16, "output_dropout": 0.2, "learning_rate": 5e-4, "steps": 300,
        },
        "rmse_skill", _stocks, _said_stocks, STOCK_COLUMNS, more=_against_last_value, seeds=3,
    ),
)  # fmt: skip
