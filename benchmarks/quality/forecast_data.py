"""The frames that the rows about forecasts read."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import polars as pl
from row import DATA

from rondo.data.series.files import read_frame


def ett(name: str) -> Callable[[], Any]:
    """ETTh1 or ETTh2: hours of six loads and the oil temperature."""
    return lambda: read_frame(DATA / f"ett/{name}.csv.gz")


def exchange_rates() -> pl.DataFrame:
    """Eight currencies by days, of which the dates are not known."""
    with gzip.open(DATA / "exchange_rate/exchange_rate.txt.gz", "rt") as file:
        values = np.loadtxt(file, delimiter=",")
    columns = {f"currency_{column + 1}": values[:, column] for column in range(values.shape[1])}
    return pl.DataFrame({"time": np.arange(len(values)), **columns})


def m4(group: str) -> Callable[[], pl.DataFrame]:
    """Hourly or Weekly: the training part of each series with its test part after it, rows for times."""

    def made() -> pl.DataFrame:
        train, test = _m4_rows(group, "train"), _m4_rows(group, "test")
        whole = [np.concatenate(pair) for pair in zip(train.values(), test.values(), strict=True)]
        return pl.DataFrame(
            {
                "unique_id": np.repeat(list(train), [len(values) for values in whole]),
                "ds": np.concatenate([np.arange(len(values)) for values in whole]),
                "y": np.concatenate(whole),
            }
        )

    return made


def _m4_rows(group: str, part: str) -> dict[str, np.ndarray]:
    with gzip.open(DATA / f"m4/{group}-{part}.csv.gz", "rt", encoding="utf-8") as file:
        lines = list(csv.reader(file))[1:]
    return {line[0]: np.array([float(cell) for cell in line[1:] if cell.strip()]) for line in lines}


def airline() -> Any:
    """Passengers by month, in thousands."""
    return read_frame(DATA / "airline_passengers/airline-passengers.csv")


def sunspots() -> Any:
    """Sunspots by month."""
    return read_frame(DATA / "sunspots/monthly-sunspots.csv")


def seattle() -> Any:
    """Weather by day."""
    return read_frame(DATA / "seattle_weather/seattle-weather.csv.gz")


def index_of_stocks() -> Any:
    """The S&P 500 by trading day."""
    return read_frame(DATA / "stocks/sp500-2000-2020.csv.gz")


def rows_of_last_years(frame: Any, years: int) -> int:
    """How many rows lie within so many years before the last one."""
    days = [day if isinstance(day, date) else date.fromisoformat(str(day)[:10]) for day in frame["date"].to_list()]
    last = max(days)
    return sum(day > last.replace(year=last.year - years) for day in days)


def five_stocks() -> Any:
    """Closing prices of five stocks by trading day."""
    return read_frame(DATA / "stocks/five-stocks-2015-2017.csv.gz")
