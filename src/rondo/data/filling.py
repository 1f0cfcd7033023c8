"""What becomes of missing values: from the past only. Words alone, so that options can be read without the data."""

from __future__ import annotations

from typing import Literal, get_args

Missing = Literal["mask", "impute", "refuse"]
Impute = Literal["last", "seasonal", "mean", "zero"]

_FROM_LATER_ROWS = ("interpolate", "linear", "backfill", "bfill", "next", "nearest", "spline", "future")


def looks_ahead(word: str) -> str:
    """Why missing values are not filled in this way that other programs know; empty for words that are not one."""
    if word not in _FROM_LATER_ROWS:
        return ""
    return (
        f"'{word}' fills a value from rows that come later: at the time, nobody knew them. "
        f"What looks back only: {', '.join(get_args(Impute))}."
    )
