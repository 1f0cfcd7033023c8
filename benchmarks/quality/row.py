"""What a row of the quality table is."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DATA = Path(os.environ.get("RONDO_DATA", ""))


@dataclass(frozen=True)
class Row:
    """One run. ``options`` are those of ``rondo train``, with underscores."""

    name: str
    task: str
    files: Callable[[Path], list[str]]
    """The files to train on; the folder is for what must be written anew first."""
    options: Mapping[str, Any]
    figure: str
    """The key of the result that is held against ``target``; of several sets, its mean."""
    target: str
    more: Callable[[Path], dict[str, Any]] = field(default=lambda folder: {})
    """Options that need files of the folder."""
    seeds: int = 1
    sets: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Of a row over several data sets: the files below `DATA` to train and to test on, by the set's name. All are
    trained on with the same options."""

    def trainings(self, folder: Path) -> list[tuple[str, list[str], dict[str, Any]]]:
        """Each data set's name (empty if there is but one), its files, and the options that are its own."""
        if not self.sets:
            return [("", self.files(folder), self.more(folder))]
        return [(name, [str(DATA / train)], {"test": str(DATA / test)}) for name, (train, test) in self.sets.items()]


def no_files(folder: Path) -> list[str]:
    """Of a row whose task has its own data, or whose files are in its sets."""
    return []


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for files that are written anew for a row."""
    return tempfile.TemporaryDirectory(prefix="rondo-quality-")
