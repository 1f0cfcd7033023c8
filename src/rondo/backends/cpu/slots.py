"""Numbers of slots and temporaries, by when each is written first and read last.

What a step keeps for the backward plan has a slot of the kept block for good, but only from the moment
it is computed: until then the slot serves something that dies by then, best the very pre-activation it
is computed from. So the pre-activations of a gate need no memory of their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from rondo.backends.cpu.homes import Home, Homes
from rondo.backends.cpu.plan import Operand, Place
from rondo.backends.cpu.program import Program
from rondo.backends.cpu.schedule import Job, Schedule

_BEFORE_THE_STEPS = -1.0


@dataclass
class _Life:
    """From the first writing to the last reading, on a clock that counts stages and, as fractions, within them."""

    start: float = math.inf
    end: float = _BEFORE_THE_STEPS

    def written(self, at: float) -> None:
        self.start = min(self.start, at)
        self.end = max(self.end, at)

    def read(self, at: float) -> None:
        self.end = max(self.end, at)

    def overlaps(self, other: _Life) -> bool:
        """A slot may be written by the very instruction that reads it for the last time."""
        return self.start < other.end and other.start < self.end


@dataclass
class Counts:
    """How many slots by width, and temporaries, there are."""

    kept: dict[str, int]
    work: dict[str, int]
    temporaries: int


def number(program: Program, homes: Homes, order: Schedule) -> Counts:
    """Give all homes their operands."""
    lives = _lives(program, homes, order)
    kept: dict[str, int] = {}
    work: dict[str, int] = {}
    tenants: dict[tuple[Place, str, int], list[_Life]] = {}

    def lodge(home: Home, place: Place, index: int) -> None:
        home.operand = Operand(place, home.width, index)
        tenants.setdefault((place, home.width, index), []).append(lives[home])

    def new(home: Home, place: Place, count: dict[str, int]) -> None:
        lodge(home, place, count.get(home.width, 0))
        count[home.width] = count.get(home.width, 0) + 1

    by_start = sorted(lives, key=lambda home: lives[home].start)
    for home in dict.fromkeys(homes.of[value] for value in sorted(homes.of)):
        if home.kind == "kept":
            new(home, Place.KEPT, kept)
        elif home.kind == "work":
            new(home, Place.WORK, work)
    waiting = [home for home in by_start if home.kind == "slot"]
    for home in list(waiting):
        heirs = [other for other in by_start if other.kind == "kept" and other.width == home.width]
        heir = next((other for other in heirs if lives[other].start == lives[home].end), None)
        at = heir.operand if heir is not None else None
        if at is not None and not any(life.overlaps(lives[home]) for life in tenants[at.place, at.width, at.index]):
            lodge(home, at.place, at.index)
            waiting.remove(home)
    for home in waiting:
        free = (
            (place, index)
            for place, count in ((Place.KEPT, kept), (Place.WORK, work))
            for index in range(count.get(home.width, 0))
            if not any(life.overlaps(lives[home]) for life in tenants[place, home.width, index])
        )
        found = next(free, None)
        if found is None:
            new(home, Place.WORK, work)
        else:
            lodge(home, *found)
    temporaries = 0
    for draft in order.stages:
        for jobs in (draft.code, draft.row_code):
            temporaries = max(temporaries, _temporaries(program, homes, jobs))
    return Counts(kept, work, temporaries)


def _lives(program: Program, homes: Homes, order: Schedule) -> dict[Home, _Life]:
    lives = {home: _Life() for home in homes.of.values() if home.kind in ("kept", "work", "slot")}

    def life(value: int) -> _Life | None:
        home = homes.of.get(program.base(value))
        return lives.get(home) if home is not None else None

    for home, lived in lives.items():
        if home.kind != "slot":
            lived.end = math.inf
    for group in order.hoisted:
        for index in group.sums:
            _touch(life(index), written=_BEFORE_THE_STEPS)
    for number, draft in enumerate(order.stages):
        begin, end = float(number), number + 0.5
        for group in draft.groups:
            for index in group.sums:
                _touch(life(index), written=begin)
            for source in group.sources:
                _touch(life(source), read=end)  # other tiles read it still
        for position, job in enumerate(draft.code):
            at = begin + 0.5 * (position + 1) / (len(draft.code) + 1)
            for arg in program.values[job.value].args if job.kind != "rows" else (job.value,):
                # What is of width one is the same for all tiles of a row.
                is_one = program.values[program.base(arg)].width == "one"
                _touch(life(arg), read=end if is_one else at)
            if job.kind != "rows":
                _touch(life(job.value), written=at if job.kind == "value" else begin)
        for position, job in enumerate(draft.row_code):
            at = end + 0.5 * (position + 1) / (len(draft.row_code) + 1)
            for arg in program.values[job.value].args:
                _touch(life(arg), read=at)
            _touch(life(job.value), written=at)
    return lives


def _touch(life: _Life | None, *, written: float | None = None, read: float | None = None) -> None:
    if life is None:
        return
    if written is not None:
        life.written(written)
    if read is not None:
        life.read(read)


def _temporaries(program: Program, homes: Homes, jobs: list[Job]) -> int:
    """Number the temporaries of one run of instructions; returns how many there are at most."""
    last: dict[int, int] = {}
    for position, job in enumerate(jobs):
        for value in program.values[job.value].args if job.kind != "rows" else (job.value,):
            last[program.base(value)] = position
    free: list[int] = []
    count = 0
    for position, job in enumerate(jobs):
        read = program.values[job.value].args if job.kind != "rows" else (job.value,)
        for value in {program.base(arg) for arg in read}:
            home = homes.of.get(value)
            if home is not None and home.kind == "temp" and last[value] == position and home.operand is not None:
                free.append(home.operand.index)
        home = homes.of[job.value] if job.kind == "value" else None
        if home is not None and home.kind == "temp":
            if not free:
                free.append(count)
                count += 1
            home.operand = Operand(Place.TEMP, home.width, free.pop())
    return count
