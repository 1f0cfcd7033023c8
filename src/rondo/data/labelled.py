"""Labelled sequences: what every reader of texts, signals and images gives, wherever they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from rondo.errors import DataError, nearest

Label = Any
"""A text from a file; from Python, any value that can be a key. Several labels an item are a tuple of them."""


class Origin(NamedTuple):
    """Where an item stands, for messages."""

    source: str
    """The file; empty for what came from Python."""
    number: int = 0
    """Which line or item, from 1; 0 if the item is the whole file."""
    noun: str = "line"

    def __str__(self) -> str:
        return ", ".join(
            [*([self.source] if self.source else []), *([f"{self.noun} {self.number}"] * (self.number > 0))]
        )


class Row(NamedTuple):
    """One item as it is read. Readers give rows one by one, so that a file of any size can be gone through."""

    item: Any
    label: Label | None
    group: Any | None
    origin: Origin


@dataclass(frozen=True, eq=False)
class Labelled:
    """Sequences with what is known about each."""

    items: Sequence[Any]
    """Texts, or signals as arrays (T, channels), or images as one array (N, height, width)."""
    labels: list[Label] | None
    """The class of each item, or a tuple of classes; None if they are not known."""
    groups: list[Any] | None
    """Who or what each item is from (a speaker, a document): a group is never parted. None if that is not known."""
    origins: list[Origin]
    """Where each item stands."""
    declared: tuple[str, ...] = ()
    """The classes that the file itself lists, if it does: some of them may have no item."""

    def __post_init__(self) -> None:
        for name, values in (("labels", self.labels), ("groups", self.groups)):
            if values is not None and len(values) != len(self.items):
                raise DataError(f"{len(self.items)} items have {len(values)} {name}.")
        if self.labels:
            several = isinstance(self.labels[0], tuple)
            odd = next((i for i, label in enumerate(self.labels) if isinstance(label, tuple) != several), None)
            if odd is not None:
                has, before = ("one label", "lists of them") if several else ("a list of labels", "one label each")
                raise DataError(f"{self.where(odd)}: this item has {has}, those before it {before}.")

    def __len__(self) -> int:
        return len(self.items)

    @property
    def several(self) -> bool:
        """Whether an item can have several labels, or none."""
        return bool(self.labels) and isinstance(self.labels[0], tuple) if self.labels else False

    @cached_property
    def classes(self) -> tuple[Label, ...]:
        """All classes in order: numbers by their value, names by their characters."""
        labels = self.labels or []
        each = (label for item in labels for label in item) if self.several else iter(labels)
        return in_order([*self.declared, *each])

    def where(self, index: int) -> str:
        """The place of an item, as it begins an error message."""
        return str(self.origins[index])

    def select(self, indices: Iterable[int]) -> Self:
        """Some of the items, in the order of ``indices``."""
        chosen = np.fromiter(indices, np.int64).tolist()
        items: Any = self.items[chosen] if isinstance(self.items, np.ndarray) else [self.items[i] for i in chosen]
        return type(self)(
            items,
            None if self.labels is None else [self.labels[i] for i in chosen],
            None if self.groups is None else [self.groups[i] for i in chosen],
            [self.origins[i] for i in chosen],
            self.declared,
        )

    def unseen(self, classes: Sequence[Label]) -> dict[Label, list[int]]:
        """The labels that are not among ``classes``, with the items that have them."""
        known, found = set(classes), dict[Label, list[int]]()
        for index, label in enumerate(self.labels or []):
            for one in label if self.several else (label,):
                if one not in known:
                    found.setdefault(one, []).append(index)
        return found

    def codes(self, classes: Sequence[Label] | None = None) -> npt.NDArray[Any]:
        """Each item's class as its number (N,), or, with several labels an item, yes or no for each class (N, K)."""
        if self.labels is None:
            raise DataError("these items have no labels.")
        known = self.classes if classes is None else classes
        for label, items in self.unseen(known).items():
            more = f" ({len(items)} items have it)" if len(items) > 1 else ""
            raise DataError(
                f"{self.where(items[0])}: the label '{label}' was not seen in training{more}"
                f"{nearest(str(label), [str(name) for name in known])}"
            )
        number = {name: code for code, name in enumerate(known)}
        if not self.several:
            return np.array([number[label] for label in self.labels], np.int64)
        table = np.zeros((len(self), len(known)), bool)
        for row, label in zip(table, self.labels, strict=True):
            row[[number[one] for one in label]] = True
        return table

    @classmethod
    def collect(cls, rows: Iterable[Row], *, declared: Callable[[], Iterable[str]] = tuple) -> Self:
        """All rows at once. ``declared`` is asked at the end, when the file has been read.

        Labels and groups are there for all items or, where one has none, for none of them.
        """
        items, labels, groups, origins = [], [], [], []
        for item, label, group, origin in rows:
            items.append(item)
            labels.append(label)
            groups.append(group)
            origins.append(origin)
        return cls(
            items,
            None if not labels or any(label is None for label in labels) else labels,
            None if not groups or any(group is None for group in groups) else groups,
            origins,
            tuple(declared()),
        )

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Several files as one set. They must agree on whether there are labels and groups."""
        if len(parts) == 1:
            return parts[0]
        for name in ("labels", "groups"):
            has = [getattr(part, name) is not None for part in parts]
            if any(has) and not all(has):
                lacking = parts[has.index(False)]
                raise DataError(
                    f"{lacking.origins[0].source} has no {name}, {parts[has.index(True)].origins[0].source} has."
                )
        items: Any = [item for part in parts for item in part.items]
        if all(isinstance(part.items, np.ndarray) for part in parts):
            items = np.concatenate([part.items for part in parts])
        return cls(
            items,
            None if parts[0].labels is None else [label for part in parts for label in part.labels or []],
            None if parts[0].groups is None else [group for part in parts for group in part.groups or []],
            [origin for part in parts for origin in part.origins],
            in_order(name for part in parts for name in part.declared),
        )


def from_python(items: Sequence[Any], labels: Any = None, groups: Any = None) -> Labelled:
    """Items that are in memory, with labels as a list, an array, a column of a data frame, or rows of 0 and 1."""
    return Labelled(
        items,
        None if labels is None else _labels(labels),
        None if groups is None else as_list(groups),
        [Origin("", number, "item") for number in range(1, len(items) + 1)],
    )


def as_list(values: Any) -> list[Any]:
    """A list of plain Python values from a list, an array, or a column of pandas or polars."""
    for name in ("to_list", "tolist"):
        if hasattr(values, name):
            found = getattr(values, name)()
            return found if isinstance(found, list) else [found]
    return list(values)


def is_missing(value: Any) -> bool:
    """Whether a cell of a data frame is empty: None, not a number, or pandas' NA."""
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )


def in_order(labels: Iterable[Label]) -> tuple[Label, ...]:
    """The different labels: numbers by their value, also where they are texts, and names by their characters."""
    distinct = list(dict.fromkeys(labels))
    try:
        return tuple(sorted(distinct, key=lambda label: (float(label), str(label))))
    except (TypeError, ValueError):
        return tuple(sorted(distinct, key=str))


def class_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """The files in a folder that has one folder for each class, in order, with their classes. Hidden ones are left."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not classes:
        raise DataError(f"{folder} has no folders in it; expected one for each class, with its files.")
    for path in classes:
        files = visible_files(path)
        if not files:
            raise DataError(f"{path}, the folder of the class '{path.name}', has no files in it.")
        yield from ((file, path.name) for file in files)


def visible_files(folder: Path) -> list[Path]:
    """All files in a folder and below it, in order, but for hidden ones."""
    return [file for file in sorted(folder.rglob("*")) if file.is_file() and not file.name.startswith(".")]


def _labels(labels: Any) -> list[Label]:
    if getattr(labels, "ndim", 1) == 2:
        table = np.asarray(labels)
        if not np.isin(table, (0, 1)).all():
            raise DataError("labels in rows say 0 or 1 for each class; these have other values.")
        return [tuple(np.flatnonzero(row).tolist()) for row in table]
    found = []
    for number, label in enumerate(as_list(labels), 1):
        if is_missing(label):
            raise DataError(f"item {number} has no label.")
        found.append(tuple(dict.fromkeys(label)) if isinstance(label, list | tuple | set | frozenset) else label)
    return found
