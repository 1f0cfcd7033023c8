"""Many series of any lengths in flat arrays: `SeriesSet`, which can be cut and chosen from without copying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rondo.data.series.clock import Clock
from rondo.data.series.frequency import Frequency, Ticks
from rondo.errors import UsageError, nearest

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Columns:
    """Covariates of one role: numbers, and kinds as codes."""

    numbers: npt.NDArray[np.float32]
    """(rows, columns); NaN where missing."""
    codes: npt.NDArray[np.int32]
    """(rows, columns); 0 is a kind that is missing or was never met, kind k of ``kinds`` has the code k + 1."""
    number_names: tuple[str, ...] = ()
    code_names: tuple[str, ...] = ()

    @classmethod
    def none(cls, rows: int) -> Columns:
        return cls(np.zeros((rows, 0), np.float32), np.zeros((rows, 0), np.int32))

    @property
    def names(self) -> tuple[str, ...]:
        return self.number_names + self.code_names


@dataclass(frozen=True)
class SeriesSet:
    """Series of one frequency.

    The values of series s are ``values[begin[s]:end[s]]``, its covariates begin at ``covariate_begin[s]`` and may go
    on beyond its end, to ``covariate_end[s]``: that is where what is known in advance stands. Several series may
    share their covariates.
    """

    names: tuple[str, ...]
    """What messages and reports call the series: its id, or its column."""
    ids: tuple[Any, ...]
    """The id of each series as the frame has it; of a wide frame, the column."""
    values: Floats
    """All values, one series after another; NaN where missing."""
    begin: Integers
    end: Integers
    start: Ticks
    """The time of the first row of each series."""
    frequency: Frequency
    clock: Clock
    season: int
    past: Columns
    future: Columns
    static: Columns
    """A row for each series."""
    covariate_begin: Integers
    covariate_end: Integers
    kinds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The kinds that each categorical covariate can be."""
    row_times: Ticks | None = None
    """Times of all rows (aligned with covariate rows), where the frequency is `rows`."""
    layout: str = "long"
    """Whether the frame was wide or long."""
    columns: dict[str, str] = field(default_factory=dict)
    """The frame's names of time, series and target."""
    notes: tuple[str, ...] = ()
    """What was found in the frame and what was done about it, a sentence each."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def lengths(self) -> Integers:
        return self.end - self.begin

    def series(self, which: int) -> Floats:
        """The values of one series."""
        return self.values[self.begin[which] : self.end[which]]

    def times(self, which: Any, position: Any) -> Ticks:
        """The time at ``position`` rows after the start of series ``which``, also beyond its end."""
        which, position = np.asarray(which), np.asarray(position)
        if self.row_times is None:
            return self.frequency.advance(self.start[which], position)
        rows, last = self.covariate_begin[which] + position, self.covariate_end[which] - 1
        beyond = np.maximum(rows - last, 0)
        return self.frequency.advance(self.row_times[np.minimum(rows, last)], beyond)

    def cut(self, lengths: Any) -> SeriesSet:
        """Only the first ``lengths`` rows of each series: the past, as of some day. Covariates are not cut."""
        kept = np.clip(np.broadcast_to(lengths, self.begin.shape), 0, self.lengths)
        return replace(self, end=self.begin + kept)

    def occurring(self) -> dict[str, tuple[str, ...]]:
        """The kinds that categorical covariates have in the rows of the series, whatever comes after them."""
        if not self.kinds:
            return {}
        rows = np.zeros(len(self.past.codes), np.bool_)
        for begin, length in zip(self.covariate_begin, self.lengths, strict=True):
            rows[begin : begin + length] = True
        found: dict[str, tuple[str, ...]] = dict.fromkeys(self.kinds, ())
        for columns, known in ((self.past, rows), (self.future, rows), (self.static, self.lengths > 0)):
            for place, name in enumerate(columns.code_names):
                codes = np.unique(columns.codes[known, place])
                found[name] = tuple(self.kinds[name][code - 1] for code in codes[codes > 0])
        return found

    def with_kinds(self, kinds: Mapping[str, tuple[str, ...]]) -> SeriesSet:
        """As if categorical covariates could be of these kinds alone: others are unknown."""
        if dict(kinds) == self.kinds:
            return self

        def renumbered(columns: Columns) -> Columns:
            codes = columns.codes.copy()
            for place, name in enumerate(columns.code_names):
                number = {kind: code for code, kind in enumerate(kinds[name], 1)}
                table = np.array([0, *(number.get(kind, 0) for kind in self.kinds[name])], np.int32)
                codes[:, place] = table[columns.codes[:, place]]
            return replace(columns, codes=codes)

        return replace(
            self, past=renumbered(self.past), future=renumbered(self.future), static=renumbered(self.static),
            kinds=dict(kinds),
        )  # fmt: skip

    def column(self, which: int) -> str:
        """The frame's column that the values of a series stand in."""
        return self.names[which] if self.layout == "wide" else self.columns.get("target", "y")

    def choose(self, which: Sequence[int] | Integers) -> SeriesSet:
        """Some of the series."""
        at = np.asarray(which, np.int64)
        return replace(
            self,
            names=tuple(self.names[s] for s in at),
            ids=tuple(self.ids[s] for s in at),
            begin=self.begin[at],
            end=self.end[at],
            start=self.start[at],
            static=replace(self.static, numbers=self.static.numbers[at], codes=self.static.codes[at]),
            covariate_begin=self.covariate_begin[at],
            covariate_end=self.covariate_end[at],
        )

    def named(self, name: str) -> int:
        """Where a series stands."""
        if name not in self.names:
            raise UsageError(f"there is no series '{name}'{nearest(name, self.names)}")
        return self.names.index(name)

    def place(self, which: int, position: int) -> str:
        """A row of a series as messages name it."""
        time = self.clock.say(int(self.times(which, position)))
        return f"series '{self.names[which]}', {time} (row {position + 1} of the series)"

    @classmethod
    def from_arrays(
        cls,
        series: Sequence[npt.ArrayLike],
        *,
        names: Sequence[str] | None = None,
        frequency: str = "step",
        season: int | None = None,
        start: int = 0,
    ) -> SeriesSet:
        """Series that are in memory, with steps for times unless told otherwise; NaN is a missing value."""
        arrays = [np.asarray(one, np.float64).reshape(-1) for one in series]
        unit = Frequency.parse(frequency)
        called = tuple(names) if names is not None else tuple(str(number) for number in range(1, len(arrays) + 1))
        if len(called) != len(arrays):
            raise UsageError(f"{len(arrays)} series have {len(called)} names.")
        ends = np.cumsum([len(array) for array in arrays], dtype=np.int64)
        begin = ends - np.array([len(array) for array in arrays], np.int64)
        rows = int(ends[-1]) if len(ends) else 0
        none = Columns.none(rows)
        return cls(
            called, called, np.concatenate([np.zeros(0), *arrays]), begin, ends, np.full(len(arrays), start, np.int64),
            unit, Clock("integer" if unit.unit == "step" else "datetime"), season or unit.season, none, none,
            Columns.none(len(arrays)), begin, ends,
        )  # fmt: skip
