"""How the frame of a training stands in a model's configuration, so that later frames are read as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rondo.data.series import FrameFormat, Frequency, SeriesSet
from rondo.errors import DataError, ModelError, RondoError
from rondo.models.forecast_inputs import Features

MOST_SEASON = 10_000_000
"""Rows in the season of a saved forecaster, at most: more are a mistake in its configuration."""


def about_frame(source: SeriesSet) -> dict[str, Any]:
    """What of a frame stands in the model's configuration."""
    wide = source.layout == "wide"
    frame = {
        "time": source.columns.get("time"),
        "series": None if wide else source.columns.get("series"),
        "targets": list(source.names) if wide else [source.columns.get("target")],
        "frequency": f"{source.frequency.count if source.frequency.unit != 'row' else ''}{source.frequency.unit}",
        "season": source.season,
        "clock": asdict(source.clock),
    }
    return {"frame": frame, "kinds": source.kinds}


def reading_of(config: Mapping[str, Any]) -> FrameFormat:
    """How frames are read: as the one that was learned from."""
    try:
        saved, own = config["frame"], config["options"]["reading"]
        told: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in own.items()}
        told |= {"time": saved["time"], "target": tuple(saved["targets"]), "frequency": saved["frequency"]}
        season = int(saved["season"])
        names = [told["time"], *told["target"], *told["past"], *told["future"], *told["static"]]
        if not 1 <= season <= MOST_SEASON or not all(isinstance(name, str) for name in names):
            raise ValueError("its names or its season")
        Frequency.parse(told["frequency"])
        return FrameFormat(**{**told, "series": saved["series"] or None, "season": season})
    except (KeyError, TypeError, ValueError, AttributeError, RondoError) as error:
        raise ModelError(f"config.json is damaged: it does not say how frames are read ({error}).") from None


def kinds_of(config: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The kinds that categorical covariates had."""
    try:
        kinds = {name: tuple(kinds) for name, kinds in config.get("kinds", {}).items()}
    except (TypeError, AttributeError) as error:
        raise ModelError(f"config.json is damaged: it does not say what covariates can be ({error}).") from None
    if not all(isinstance(kind, str) for one in kinds.values() for kind in one):
        raise ModelError("config.json is damaged: it does not say what covariates can be.")
    return kinds


def check_clock(config: Mapping[str, Any], source: SeriesSet) -> None:
    """Raise `DataError` where the times of a frame have a zone and those learned from have none, or the reverse."""
    clock = config["frame"].get("clock")
    zone = clock.get("zone") if isinstance(clock, dict) else None
    if (zone is None) == (source.clock.zone is None):
        return
    told, model = ("no time zone", f"zone {zone}") if zone else (f"zone {source.clock.zone}", "no time zone")
    raise DataError(
        f"the times have {told}, those that the model learned from {model}: which hour is meant is unknown."
    )


def check_framing(config: Mapping[str, Any], features: Features, *, series_embedding: bool) -> None:
    """Raise `ModelError` where the frame in a configuration is not that of the network beside it."""
    reading, kinds = reading_of(config), kinds_of(config)
    for role in ("past", "future", "static"):
        known = tuple(len(kinds[name]) for name in getattr(reading, role) if name in kinds)
        network: tuple[int, ...] = getattr(features, f"{role}_kinds")
        if known != (network[:-1] if series_embedding and role == "static" else network):
            raise ModelError(f"config.json is damaged: the kinds of its {role} covariates are not the network's.")
