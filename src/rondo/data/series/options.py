"""How series stand in a frame, and what becomes of rows that are missing, doubled or out of order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from rondo.data.filling import Impute, Missing, looks_ahead
from rondo.errors import UsageError, nearest

Duplicates = Literal["refuse", "first", "last", "mean"]


@dataclass(frozen=True, kw_only=True)
class FrameFormat:
    """How series stand in a frame or a file. Mostly it is told by the frame."""

    time: str | None = None
    """Column of the time. Left out: one with a usual name, such as ds, date or time, else the only column of times."""
    target: tuple[str, ...] = ()
    """Columns to forecast; each is a series of its own. Left out: y, else every column of numbers not named here."""
    series: str | None = None
    """Column that says which series a row belongs to (a long frame). Left out: unique_id, if there is such a column."""
    past: tuple[str, ...] = ()
    """Covariates that are known up to the forecast's origin only."""
    future: tuple[str, ...] = ()
    """Covariates that are known in advance, such as holidays and planned prices."""
    static: tuple[str, ...] = ()
    """Columns that have one value for a series."""
    categorical: tuple[str, ...] = ()
    """Covariates among these whose numbers are names of kinds. (Text is always a kind.)"""
    frequency: str | None = None
    """Distance of rows: h, 15min, D, B (weekdays), W, MS, Q, Y, 10 (steps); rows: as they come. Left out: inferred."""
    time_format: str | None = None
    """How times are written where they are text, for instance %d.%m.%Y. Left out: found out."""
    missing: Missing = "mask"
    """Missing values: mask (the model is told; they are not scored), impute (from the past only), or refuse."""
    impute: Impute = "last"
    """What takes the place of a missing value: last value, value a season before, mean so far, or zero."""
    gaps: Literal["fill", "refuse"] = "fill"
    """Times without a row: fill (rows with missing values), or refuse."""
    duplicates: Duplicates = "refuse"
    """Two rows of a series at one time: refuse, keep the first, the last, or their mean."""
    season: int | None = None
    """Length of the season in rows. Left out: by the frequency; a day of hours, a week of days, a year of months."""

    def __post_init__(self) -> None:
        if isinstance(self.target, str):
            object.__setattr__(self, "target", (self.target,))
        for name in ("target", "past", "future", "static", "categorical"):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, (getattr(self, name),))
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for word in (self.impute, self.missing):
            if said := looks_ahead(word):
                raise UsageError(said)
        for name, known in (("missing", Missing), ("impute", Impute), ("duplicates", Duplicates)):
            if getattr(self, name) not in get_args(known):
                close = nearest(str(getattr(self, name)), get_args(known))
                raise UsageError(f"'{getattr(self, name)}' is nothing that can be done ({name}){close}")
        if self.gaps not in ("fill", "refuse"):
            raise UsageError(f"gaps are filled or refused, not '{self.gaps}'")
        if self.season is not None and self.season < 1:
            raise UsageError(f"a season has at least 1 row, not {self.season}")
        self._check_roles()

    def _check_roles(self) -> None:
        roles: dict[str, str] = {}
        for role in ("time", "series", "target", "past", "future", "static"):
            value = getattr(self, role)
            for column in (value,) if isinstance(value, str) else value or ():
                if column in roles:
                    raise UsageError(f"column '{column}' is {roles[column]} and {role}; it can be one of them.")
                roles[column] = role
        for column in self.categorical:
            if roles.get(column) not in ("past", "future", "static"):
                close = nearest(column, (*self.past, *self.future, *self.static))
                raise UsageError(f"'{column}' is called categorical, but is no covariate{close}")
