"""How the frame of a training stands in a model's configuration, so that later frames are read as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rondo.data.series import FrameFormat, SeriesSet
from rondo.errors import ModelError


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
        told = {name: tuple(value) if isinstance(value, list) else value for name, value in own.items()}
        told |= {"time": saved["time"], "target": tuple(saved["targets"]), "frequency": saved["frequency"]}
        return FrameFormat(**{**told, "series": saved["series"] or None, "season": saved["season"]})
    except (KeyError, TypeError) as error:
        raise ModelError(f"config.json is damaged: it does not say how frames are read ({error}).") from None


def kinds_of(config: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The kinds that categorical covariates had."""
    return {name: tuple(kinds) for name, kinds in config.get("kinds", {}).items()}
