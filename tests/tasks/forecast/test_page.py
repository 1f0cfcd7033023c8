"""The page of a backtest over many series: those that went worst are named, and where there is no skill it says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from rondo.inspect.provenance import collect
from rondo.tasks.forecast.estimator import Forecaster
from rondo.tasks.forecast.evidence import drawn_series, ranking
from rondo.tasks.forecast.report import write_backtest
from rondo.tasks.forecast.sections import SHOWN

NAMES = "abcdef"


def frame() -> pl.DataFrame:
    """Random walks; one of them jumps at its end."""
    rng = np.random.default_rng(2)
    walks = {name: 50 + rng.normal(size=40).cumsum() for name in NAMES}
    walks["d"][36:] += 30
    return pl.concat(pl.DataFrame({"unique_id": name, "ds": np.arange(40), "y": walk}) for name, walk in walks.items())


def test_the_worst_series_are_named(tmp_path: Path) -> None:
    forecaster = Forecaster(horizon=2, context_length=6, hidden=4, steps=2, batch_size=16)
    backtest = forecaster.backtest(frame(), origins=3, refit=2, automatic_seconds=0)
    order = ranking(backtest.scores, backtest.baselines[backtest.baseline].scores)
    assert sorted(which for which, _, _ in order) == list(range(len(NAMES)))
    assert [gain for _, _, gain in order] == sorted(gain for _, _, gain in order)
    worst = backtest.scores.choose(backtest.scores.which == order[0][0]).summary()
    assert order[0][1] == worst["mase"]
    result = {**backtest.to_json(), "model": "m"}
    write_backtest(backtest, result, collect(seed=0, seconds=1.0), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    for said in (
        "The worst series, by skill against",
        "fold 2",
        "Is it more than the last value?",
        "one-step forecasts",
    ):
        assert said in page
    assert page.count('class="drawing"') >= SHOWN + 4
    assert "skill" in page.partition('class="verdict')[2][:400]


def test_what_is_drawn_of_a_series() -> None:
    forecaster = Forecaster(horizon=2, context_length=6, hidden=4, steps=2, batch_size=16)
    backtest = forecaster.backtest(frame(), origins=7, automatic_seconds=0)
    drawn = drawn_series(backtest.model, backtest.folds[-1].windows, 3)
    assert drawn.name == "d"
    assert drawn.times[-1] == 39
    starts = [fan.times[0] for fan in drawn.fans]
    assert starts == sorted(starts)
    assert np.diff(starts).min() >= 2
    assert all(fan.quantiles is not None and fan.quantiles.shape == (2, 7) for fan in drawn.fans)
