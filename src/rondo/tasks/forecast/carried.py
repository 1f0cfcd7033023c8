"""States carried along whole series: up to each origin, and from the rows that are known to those that come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from rondo.data.series import SeriesSet
from rondo.data.series.windows import Windows
from rondo.errors import ModelError, UsageError
from rondo.layers import RecurrentOutput, StackState
from rondo.models.forecaster import Forecaster
from rondo.tasks.forecast.encoder import ForecastEncoder

STRETCH = 4096
"""Rows that are laid out at a time."""

States = tuple[StackState, ...]
"""For each member of a forecaster, with a row for each series: after all rows before those that are kept."""


def followed(
    members: Sequence[Forecaster], encoder: ForecastEncoder, windows: Windows, begin: States | None = None
) -> list[RecurrentOutput]:
    """What each member makes of all rows before each origin; each row of a series is read once.

    ``begin`` are the states before the first rows of the source, where they are not the initial ones.
    """
    found: list[list[RecurrentOutput | None]] = [[None] * len(windows) for _ in members]
    for which in np.unique(windows.which):
        own = np.flatnonzero(windows.which == which)
        states = [_first(member, begin, number, int(which)) for number, member in enumerate(members)]
        done = 0
        reads: list[RecurrentOutput] = []
        for place in own[np.argsort(windows.origin[own], kind="stable")]:
            while done < windows.origin[place]:
                rows = min(STRETCH, int(windows.origin[place]) - done)
                done += rows
                inputs = encoder.encode(_stretch(windows, int(which), done), rows)[0].to(members[0].leave.weight.device)
                reads = [member.follow(inputs, state) for member, state in zip(members, states, strict=True)]
                states = [read.state for read in reads]
            for number, read in enumerate(reads):
                found[number][place] = read
    return [_together([read for read in reads if read is not None]) for reads in found]


def advanced(
    members: Sequence[Forecaster],
    encoder: ForecastEncoder,
    source: SeriesSet,
    rows: npt.NDArray[np.int64],
    begin: States | None = None,
) -> States:
    """The states after the first ``rows`` of each series."""
    states = begin or tuple(member.recurrent.initial_state(len(source)) for member in members)
    moving = np.flatnonzero(rows > 0)
    if not len(moving):
        return states
    reads = followed(members, encoder, Windows(source, moving, rows[moving], encoder.data.horizon, rows[moving]), begin)
    return tuple(
        StackState({name: _with(state[name], moving, read.state[name]) for name in state})
        for state, read in zip(states, reads, strict=True)
    )


def more_series(members: Sequence[Forecaster], states: States, number: int) -> States:
    """The states with initial ones for further series at the end."""
    if not number:
        return states
    fresh = [member.recurrent.initial_state(number) for member in members]
    return tuple(
        StackState({name: torch.cat([state[name], own[name]]) for name in state})
        for state, own in zip(states, fresh, strict=True)
    )


def checked_states(
    members: Sequence[Forecaster], states: Sequence[Mapping[str, torch.Tensor]], number: int, path: Path
) -> States:
    """States of so many series that were read from a file; `ModelError` for what cannot be."""
    try:
        made = tuple(
            StackState(state).checked(
                {name: part.shape[1] for name, part in member.recurrent.initial_state(1).parts().items()}, number,
                dtype=member.leave.weight.dtype, device=torch.device("cpu"),
            )
            for member, state in zip(members, states, strict=True)
        )  # fmt: skip
    except (UsageError, ValueError) as error:
        raise ModelError(f"{path} is damaged: it does not hold the state of each series ({error})") from None
    if not all(bool(torch.isfinite(state[name]).all()) for state in made for name in state):
        raise ModelError(f"{path} is damaged: the state of a series is not finite")
    return tuple(state.to(member.leave.weight.device) for member, state in zip(members, made, strict=True))


def _first(member: Forecaster, begin: States | None, number: int, which: int) -> StackState:
    return member.recurrent.initial_state(1) if begin is None else begin[number].select([which])


def _stretch(windows: Windows, which: int, end: int) -> Windows:
    at = np.array([end], np.int64)
    return Windows(windows.source, np.array([which], np.int64), at, windows.horizon, at)


def _together(reads: Sequence[RecurrentOutput]) -> RecurrentOutput:
    state = StackState({name: torch.cat([read.state[name] for read in reads]) for name in reads[0].state})
    return RecurrentOutput(None, torch.cat([read.last for read in reads]), state)


def _with(values: torch.Tensor, rows: npt.NDArray[np.int64], others: torch.Tensor) -> torch.Tensor:
    changed = values.clone()
    changed[torch.from_numpy(rows)] = others
    return changed
