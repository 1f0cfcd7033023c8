"""Forecasts as frames: of the library that was given, with the frame's own names of columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt

from rondo.data.series import SeriesSet
from rondo.data.series.windows import Windows

Floats = npt.NDArray[np.float64]


def answer_frame(windows: Windows, columns: Mapping[str, Floats], backend: Any = None, *, written: bool = False) -> Any:
    """A frame of what is said of the rows after each origin.

    ``columns`` are (N, horizon) by what is added to the target's name. A long frame has a row for each series and
    time, a wide one a row for each time. With ``written`` times are text, which says the zone.
    """
    source = windows.source
    horizon = next(iter(columns.values())).shape[1]
    ticks = source.times(windows.which[:, None], windows.origin[:, None] + np.arange(horizon))
    time, target = source.columns.get("time", "ds"), source.columns.get("target", "y")
    if source.layout == "long":
        table: dict[str, Any] = {
            source.columns.get("series") or "unique_id": [source.ids[s] for s in np.repeat(windows.which, horizon)],
            time: source.clock.to_python(ticks.ravel()),
        }
        table |= {f"{target}{name}": said.ravel() for name, said in columns.items()}
    else:
        line, place = np.unique(ticks, return_inverse=True)
        place = place.reshape(ticks.shape)
        table = {time: source.clock.to_python(line)}
        for name, said in columns.items():
            for row, which in enumerate(windows.which):
                column = np.full(len(line), np.nan)
                column[place[row]] = said[row]
                table[f"{source.names[which]}{name}"] = column
    if written:
        table[time] = [moment if isinstance(moment, int) else str(moment) for moment in table[time]]
    made = nw.from_dict(table, backend=backend or "polars")
    if written:
        return made.to_native()
    return _with_zone(made, time, source).to_native()


def _with_zone(made: nw.DataFrame[Any], time: str, source: SeriesSet) -> nw.DataFrame[Any]:
    """Points in time in the zone they were given in; dates where pandas would have objects."""
    if source.clock.kind == "date" and made.schema[time] == nw.Object:
        values = [dt.datetime.combine(day, dt.time()) for day in made[time].to_list()]
        return made.with_columns(nw.new_series(time, values, nw.Datetime("us"), backend=made.implementation))
    kind = made.schema[time]
    if source.clock.zone is None or not isinstance(kind, nw.Datetime) or source.clock.zone[:1] in "+-":
        return made
    return made.with_columns(nw.col(time).dt.convert_time_zone(source.clock.zone))
