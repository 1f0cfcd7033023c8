"""Errors whose message is meant for the person at the keyboard.

Every failure that a user can cause is one of these classes. The message names what was given,
what was expected and what to do; the command line prints it without a traceback and ends with
``exit_code``. What Python and its libraries raise a ValueError for is a ValueError here, too.
"""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Iterable


class RondoError(Exception):
    """Base class of all errors that Rondo raises on purpose."""

    exit_code = 1


class UsageError(RondoError, ValueError):
    """What was asked makes no sense: an unknown name, options that exclude each other."""

    exit_code = 2


class DataError(RondoError, ValueError):
    """Data of the user's cannot be used: a file that is missing, damaged or wrongly encoded, an array of no use."""


class ModelError(RondoError):
    """A model folder cannot be used: incomplete, damaged, made by a newer version, unsafe."""


class CellError(RondoError):
    """A cell's equations use something that the cell language does not have."""


class TrainingError(RondoError):
    """Training cannot go on, for instance because the loss is no longer finite."""


def is_whole(value: object) -> bool:
    """Whether it is a whole number, Python's or NumPy's; truth values are none."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.5) -> str:
    """The end of an error message: a known name like ``word``, or all of them if none is as near as ``cutoff``."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=3, cutoff=cutoff)
    if close:

        def likeness(name: str) -> tuple[float, bool, bool]:
            ratio = difflib.SequenceMatcher(None, name, word).ratio()
            return ratio, sorted(name) == sorted(word), name[0] == word[:1]

        return f"; did you mean '{max(close, key=likeness)}'?"
    return f"; known: {', '.join(names)}" if names else ""
