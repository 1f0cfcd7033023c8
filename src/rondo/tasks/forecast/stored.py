"""The last rows of series as a file beside a model: numbers as tensors, what they are as JSON in the file's head."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rondo.data.series import Clock, Columns, Frequency, SeriesSet
from rondo.errors import ModelError
from rondo.layers import StackState
from rondo.storage import parse_tensors, read_bytes, read_metadata, tensor_bytes

FILE = "history.safetensors"
_ARRAYS = ("values", "begin", "end", "start", "covariate_begin", "covariate_end")
_ROLES = ("past", "future", "static")
_STATE = "state."
_TYPES = {"values": np.float64, "numbers": np.float32, "codes": np.int32}
"""Of the arrays by the last part of their names; all others are int64."""


def stored(series: SeriesSet, states: Sequence[StackState] | None = None) -> bytes:
    """The file's bytes. ``states`` are those of a forecaster's members before the first row of each series."""
    arrays = {name: getattr(series, name) for name in _ARRAYS}
    if series.row_times is not None:
        arrays["row_times"] = series.row_times
    for role in _ROLES:
        columns: Columns = getattr(series, role)
        arrays |= {f"{role}.numbers": columns.numbers, f"{role}.codes": columns.codes}
    about = {
        "names": series.names,
        "ids": [one if isinstance(one, int | str) else str(one) for one in series.ids],
        "frequency": asdict(series.frequency),
        "clock": asdict(series.clock),
        "season": series.season,
        "kinds": series.kinds,
        "layout": series.layout,
        "columns": series.columns,
        "covariates": {role: [getattr(series, role).number_names, getattr(series, role).code_names] for role in _ROLES},
    }
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    for member, state in enumerate(states or ()):
        tensors |= {f"{_STATE}{member}.{name}": part for name, part in state.state_dict().items()}
    return tensor_bytes(tensors, {"series": json.dumps(about, ensure_ascii=False)})


def read_stored(path: Path) -> tuple[SeriesSet, list[dict[str, torch.Tensor]]]:
    """The series in a file, and the states; `ModelError` for what cannot be."""
    tensors = parse_tensors(path, read_bytes(path))
    states = _states({name: tensors.pop(name) for name in list(tensors) if name.startswith(_STATE)})
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    try:
        _check_types(arrays)
        made = _series(arrays, json.loads(read_metadata(path)["series"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path} is damaged: it does not hold series ({error})") from None
    if not _sound(made):
        raise ModelError(f"{path} is damaged: the rows of its series lie outside the file")
    if not _known(made):
        raise ModelError(f"{path} is damaged: it holds infinite values, or kinds that there are not")
    return made, states


def _states(tensors: Mapping[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    """Parts by name of each member; names that are others are left to whoever knows the network."""
    found: dict[str, dict[str, torch.Tensor]] = {}
    for name, part in tensors.items():
        member, _, own = name.removeprefix(_STATE).partition(".")
        found.setdefault(member, {})[own] = part
    return [found[str(member)] for member in range(len(found)) if str(member) in found]


def _check_types(arrays: Mapping[str, Any]) -> None:
    for name, array in arrays.items():
        last = name.rsplit(".", 1)[-1]
        wanted = np.dtype(_TYPES.get(last, np.int64))
        if array.dtype != wanted or array.ndim != (2 if last in ("numbers", "codes") else 1):
            raise ValueError(f"{name[:40]} is {array.dtype} of {array.ndim} dimensions")


def _series(arrays: Mapping[str, Any], about: Mapping[str, Any]) -> SeriesSet:
    def columns(role: str) -> Columns:
        numbers, codes = about["covariates"][role]
        found = Columns(arrays[f"{role}.numbers"], arrays[f"{role}.codes"], tuple(numbers), tuple(codes))
        if found.numbers.shape[1:] != (len(numbers),) or found.codes.shape[1:] != (len(codes),):
            raise ValueError(f"{role} covariates do not have their names")
        return found

    past, future, static = map(columns, _ROLES)
    kinds = {name: tuple(about["kinds"][name]) for name in about["kinds"]}
    if not kinds.keys() >= {*past.code_names, *future.code_names, *static.code_names}:
        raise ValueError("kinds are missing")
    return SeriesSet(
        names=tuple(about["names"]), ids=tuple(about["ids"]), **{name: arrays[name] for name in _ARRAYS},
        frequency=Frequency(**about["frequency"]), clock=Clock(**about["clock"]), season=int(about["season"]),
        past=past, future=future, static=static,
        kinds=kinds, row_times=arrays.get("row_times"), layout=str(about["layout"]), columns=dict(about["columns"]),
    )  # fmt: skip


def _sound(made: SeriesSet) -> bool:
    number = len(made.names)
    each = [*(getattr(made, name) for name in ("ids", *_ARRAYS[1:])), made.static.numbers, made.static.codes]
    if any(len(one) != number for one in each):
        return False
    rows = min(len(array) for role in (made.past, made.future) for array in (role.numbers, role.codes))
    rows = rows if made.row_times is None else min(rows, len(made.row_times))
    ends = [(made.begin, made.end, len(made.values)), (made.covariate_begin, made.covariate_end, rows)]
    return all(
        bool((first >= 0).all() and (first <= last).all() and (last <= most).all()) for first, last, most in ends
    )


def _known(made: SeriesSet) -> bool:
    roles = (made.past, made.future, made.static)
    most = [np.array([len(made.kinds[name]) for name in role.code_names], np.int64) for role in roles]
    return not np.isinf(made.values).any() and all(
        not np.isinf(role.numbers).any() and bool(((role.codes >= 0) & (role.codes <= known)).all())
        for role, known in zip(roles, most, strict=True)
    )
