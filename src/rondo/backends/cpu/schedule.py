"""The order of everything in a step: stages, and the instructions of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rondo.backends.cpu.homes import Homes
from rondo.backends.cpu.program import Program, Reference


@dataclass(frozen=True)
class Job:
    """One instruction: the ``value`` it computes (kind value), reduces, or sums over the rows."""

    kind: str
    value: int


@dataclass
class Products:
    """A group in the making: sums that are added to from the same sources."""

    sources: tuple[int, ...]
    width: str
    sums: dict[int, tuple[Reference, ...]] = field(default_factory=dict)
    """By sum, for each source the matrix."""


@dataclass
class Draft:
    """A stage in the making."""

    level: int
    width: str
    groups: list[Products] = field(default_factory=list)
    code: list[Job] = field(default_factory=list)
    row_code: list[Job] = field(default_factory=list)


@dataclass
class Schedule:
    """All that is done in a step, in order, and before and after many steps."""

    hoisted: list[Products]
    stages: list[Draft]
    after: list[Products]


AFTER = -1
"""In `Schedule.after` the number of the sum, which is none of the step's: dx."""


def schedule(program: Program, homes: Homes) -> Schedule:
    """Put everything in order. Stages of one level do not depend on one another."""
    stages: dict[tuple[int, str], Draft] = {}

    def stage(level: int, width: str) -> Draft:
        return stages.setdefault((level, width), Draft(level, width))

    hoisted: list[Products] = []
    row_jobs: dict[int, list[Job]] = {}
    for index in sorted(program.live()):
        value = program.values[index]
        if value.kind == "sum":
            _divide(program, index, hoisted, stage)
        elif value.kind == "reduce":
            stage(value.level, program.values[value.args[0]].width).code.append(Job("reduce", index))
        elif value.kind == "code" and value.width == "one":
            row_jobs.setdefault(value.level, []).append(Job("value", index))
        elif value.kind == "code":
            stage(value.level, value.width).code.append(Job("value", index))
    for index in program.row_sums:
        width = program.values[index].width
        stage(program.code_level(index), width).code.append(Job("rows", index))
    for level, jobs in row_jobs.items():
        last = max((draft for draft in stages.values() if draft.level == level), key=_place, default=None)
        (last or stage(level, "hidden")).row_code.extend(jobs)
    drafts = sorted(stages.values(), key=_place)
    for draft in drafts:
        draft.code = _ordered(program, homes, draft.code)
    after: list[Products] = []
    _add(program, after, AFTER, "input", [(term.source, term.matrix) for term in program.after])
    return Schedule(hoisted, drafts, after)


def _place(draft: Draft) -> tuple[int, str]:
    return draft.level, draft.width


def _divide(program: Program, index: int, hoisted: list[Products], stage: Callable[[int, str], Draft]) -> None:
    """Put the products of a sum into groups of the stages they belong to."""
    value = program.values[index]
    together: dict[int, list[tuple[int, Reference]]] = {}
    for term, level in zip(value.terms, program.term_levels(value), strict=True):
        product = (term.source, term.matrix)
        if program.is_hoisted(term):
            _add(program, hoisted, index, value.width, [product])
        elif term.transposed:
            together.setdefault(level, []).append(product)
        else:
            _add(program, stage(level, value.width).groups, index, value.width, [product])
    for level, products in together.items():
        _add(program, stage(level, value.width).groups, index, value.width, products)


def _add(
    program: Program, groups: list[Products], index: int, width: str, products: list[tuple[int, Reference]]
) -> None:
    """Add the products of one sum to a group with the same sources, or to new ones."""
    rest = products
    while rest:
        source_width = program.values[rest[0][0]].width
        chosen: dict[int, Reference] = {}
        for source, matrix in rest:
            if program.values[source].width == source_width:
                chosen.setdefault(source, matrix)
        rest = [(source, matrix) for source, matrix in rest if chosen.get(source) != matrix]
        sources = tuple(chosen)
        fitting = [g for g in groups if (g.sources, g.width) == (sources, width) and index not in g.sums]
        if not fitting:
            fitting = [Products(sources, width)]
            groups.extend(fitting)
        fitting[0].sums[index] = tuple(chosen.values())


def _ordered(program: Program, homes: Homes, jobs: list[Job]) -> list[Job]:
    """An order with few temporaries alive at a time; what overwrites a carried gradient comes last."""
    made_by = {job.value: job for job in jobs if job.kind == "value"}
    reads = {job: _reads(program, job) for job in jobs}
    last = {job for job in jobs if job.kind == "value" and _overwrites(program, homes, job.value)}
    waiting = {job: {made_by[v] for v in values if v in made_by} for job, values in reads.items()}
    unread = {value: sum(value in values for values in reads.values()) for value in made_by}
    rank = _depth_first(jobs, {job: sorted(found, key=jobs.index) for job, found in waiting.items()})
    order: list[Job] = []
    todo = list(jobs)
    while todo:
        ready = [job for job in todo if not waiting[job] and (job not in last or last.issuperset(todo))]

        def pressure(job: Job) -> tuple[int, int]:
            closed = sum(v in made_by and unread[v] == 1 and _is_temp(homes, v) for v in reads[job])
            opened = job.kind == "value" and _is_temp(homes, job.value)
            return opened - closed, rank[job]

        chosen = min(ready, key=pressure)
        order.append(chosen)
        todo.remove(chosen)
        for value in reads[chosen]:
            if value in unread:
                unread[value] -= 1
        for job in todo:
            waiting[job].discard(chosen)
    return order


def _depth_first(jobs: list[Job], needs: dict[Job, list[Job]]) -> dict[Job, int]:
    """A rank in which what a job needs stands right before it."""
    rank: dict[Job, int] = {}
    needed = {need for found in needs.values() for need in found}
    todo = [job for job in reversed(jobs) if job not in needed]
    while todo:
        job = todo[-1]
        missing = [need for need in needs[job] if need not in rank]
        if missing:
            todo.extend(reversed(missing))
        else:
            rank.setdefault(job, len(rank))
            todo.pop()
    return rank


def _reads(program: Program, job: Job) -> set[int]:
    if job.kind == "rows":
        return {program.base(job.value)}
    return {program.base(arg) for arg in program.values[job.value].args}


def _is_temp(homes: Homes, value: int) -> bool:
    return value in homes.of and homes.of[value].kind == "temp"


def _overwrites(program: Program, homes: Homes, value: int) -> bool:
    home = homes.of[value]
    return home.kind == "row" and home.operand is not None and program.rows[home.operand.index].role == "carry"
