"""Parts to train on, to choose by and to test on, drawn so that none has learned what another asks.

Classes keep their shares (stratification); of items in groups, such as the recordings of one speaker, a
whole group lies on one side. What is drawn depends on the seed and on the items' order alone. Items that are
the same in two parts are found and reported; they stay where they are.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from rondo.data.labelled import Labelled
from rondo.errors import DataError, UsageError

Indices = npt.NDArray[np.int64]

PASSES = 8
"""How often the groups are gone through at most, each to be held out or given back."""


@dataclass(frozen=True)
class Overlap:
    """Items of one part that another part has as well."""

    part: str
    """The part that is asked about, for instance ``test``."""
    other: str
    """The part that has them too, for instance ``training``."""
    pairs: tuple[tuple[int, int], ...]
    """For each such item of ``part`` its number there, and that of the first one like it in ``other``."""
    size: int
    """How many items ``part`` has."""
    differing: int
    """How many of the pairs do not even have the same label."""

    @property
    def share(self) -> float:
        return len(self.pairs) / self.size

    def __str__(self) -> str:
        verb = "is" if len(self.pairs) == 1 else "are"
        text = (
            f"{len(self.pairs)} of {self.size} {self.part} items {verb} in the {self.other} part too ({self.share:.1%})"
        )
        return text + (f", {self.differing} with another label" if self.differing else "")


@dataclass(frozen=True)
class Parts:
    """The parts of a data set, and how they came about."""

    train: Labelled
    valid: Labelled
    test: Labelled | None
    overlaps: tuple[Overlap, ...]
    """Where parts share items; none is listed that shares nothing."""
    drawn: tuple[str, ...]
    """A sentence for each part that was drawn rather than given, for the report."""


def make_parts(
    data: Labelled,
    *,
    valid: Labelled | None = None,
    test: Labelled | None = None,
    valid_fraction: float = 0.1,
    test_fraction: float | None = None,
    seed: int = 0,
) -> Parts:
    """The given parts, and in place of missing ones a share of ``data``: first the test part, then of the rest.

    Without ``test_fraction`` and ``test`` there is no test part. Groups stay whole where the data have them.
    """
    rest, drawn = data, list[str]()
    tested = test is None and test_fraction is not None
    if len(data) < (least := 1 + (valid is None) + tested):
        without = "; --test-fraction 0 leaves the test part out" if tested else ""
        raise DataError(
            f"{len(data)} item{'s' * (len(data) != 1)} cannot be parted: at least {least} are needed, some to learn "
            f"from, others held out{without}."
        )
    if test is None and test_fraction is not None:
        rest, test = _held_out(rest, test_fraction, seed, "test", drawn)
    if valid is None:
        rest, valid = _held_out(rest, valid_fraction, seed, "validation", drawn)
    _refuse_one_class(data, rest, test if test_fraction is not None else None)
    named = {"training": rest, "validation": valid} | ({} if test is None else {"test": test})
    found = []
    for (before, first), (after, second) in combinations(named.items(), 2):
        _refuse_shared_groups(first, second, before, after)
        found.append(overlap(second, first, name=after, other_name=before))
    return Parts(rest, valid, test, tuple(each for each in found if each.pairs), tuple(drawn))


def draw(data: Labelled, fraction: float, *, seed: int = 0) -> tuple[Indices, Indices]:
    """The items that stay and those held out, about ``fraction`` of them, each in their order in ``data``.

    Without groups each class gives its share, rounded so that the whole comes out right, and keeps at least one
    item in the part that stays. With groups, or with several labels an item, groups come in random order and are
    held out, or given back, as long as that brings the counts of the classes nearer to their shares.
    """
    if not 0 < fraction < 1:
        raise UsageError(f"the share that is held out is between 0 and 1, not {fraction}.")
    if len(data) < 2:
        raise DataError(
            f"{len(data)} item{'s' * (len(data) != 1)} cannot be parted: some are to learn from, others are held out."
        )
    rng = np.random.default_rng(seed % 2**63)
    if data.groups is not None or data.several:
        held = _whole_groups(data, fraction, rng)
    else:
        held = _by_class(data.codes() if data.labels is not None else np.zeros(len(data), np.int64), fraction, rng)
    return np.flatnonzero(~held), np.flatnonzero(held)


def overlap(part: Labelled, other: Labelled, *, name: str = "test", other_name: str = "training") -> Overlap:
    """Which items of ``part`` are in ``other`` too: texts and lists of tokens but for case, width and blanks,
    arrays byte by byte.
    """
    first = dict[Any, int]()
    for index, item in enumerate(other.items):
        first.setdefault(_key(item), index)
    pairs = [(i, first[key]) for i, key in enumerate(map(_key, part.items)) if key in first]
    ours, theirs = part.labels, other.labels
    differing = sum(ours[i] != theirs[j] for i, j in pairs) if ours is not None and theirs is not None else 0
    return Overlap(name, other_name, tuple(pairs), len(part), differing)


def normalised(text: str) -> str:
    """A text as it is compared: compatible forms of characters as one, without case, single blanks."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _key(item: Any) -> Any:
    if isinstance(item, str):
        return normalised(item)
    if isinstance(item, tuple):
        return tuple(map(normalised, item))
    array = np.ascontiguousarray(item)
    return array.shape, array.dtype.str, hashlib.blake2b(array.tobytes(), digest_size=16).digest()


def _held_out(data: Labelled, fraction: float, seed: int, name: str, drawn: list[str]) -> tuple[Labelled, Labelled]:
    kept, held = draw(data, fraction, seed=seed)
    tags = bool(data.labels) and isinstance(data.items[0], tuple)  # sentences: their labels are no classes
    how = ["by class"] if data.labels is not None and not tags else []
    if data.groups is not None:
        number = len(dict.fromkeys(data.select(held).groups or []))
        how.append("as one whole group" if number == 1 else f"in {number} whole groups")
    drawn.append(
        f"The {name} part is {len(held)} of {len(data)} items, drawn {', '.join([*how, f'with seed {seed}'])}."
    )
    return data.select(kept), data.select(held)


def _refuse_one_class(data: Labelled, rest: Labelled, test: Labelled | None) -> None:
    """Where so few items are left to learn from that the others have taken their classes with them."""
    if data.labels is None or isinstance(data.items[0], tuple) or data.several:
        return
    if len(data.classes) > 1 and len(set(rest.labels or ())) < 2:
        spare = " (--test-fraction 0 holds none out for a test)" if test is not None else ""
        raise DataError(
            f"the {len(data)} items have {len(data.classes)} classes; with {len(data) - len(rest)} items held out, the "
            f"{len(rest)} left to learn from have but one: more items are needed{spare}."
        )


def _refuse_shared_groups(other: Labelled, part: Labelled, other_name: str, name: str) -> None:
    if other.groups is None or part.groups is None:
        return
    known = set(other.groups)
    for place, group in enumerate(part.groups):
        if group in known:
            raise DataError(
                f"{part.where(place)}: the group '{group}' of the {name} part is in the {other_name} part as well; "
                "a group lies on one side."
            )


def _by_class(codes: Indices, fraction: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Largest remainders: each class its share rounded down, and one more where most is missing."""
    counts = np.bincount(codes)
    room = np.maximum(counts - 1, 0)
    exact = counts * fraction
    take = np.minimum(np.floor(exact).astype(np.int64), room)
    wanted = min(max(round(len(codes) * fraction), 1), len(codes) - 1)
    # Equal remainders are frequent (classes of equal size): chance decides between them, not the order.
    for code in np.lexsort((rng.random(len(counts)), take - exact)):
        if take.sum() < wanted and take[code] < room[code]:
            take[code] += 1
    for code in rng.permutation(len(counts)):  # each class has but one item
        if not take.any() and counts[code]:
            take[code] = 1
    held = np.zeros(len(codes), bool)
    for code, number in enumerate(take):
        held[rng.permutation(np.flatnonzero(codes == code))[:number]] = True
    return held


def _whole_groups(data: Labelled, fraction: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    groups: Sequence[Any] = range(len(data)) if data.groups is None else data.groups
    number = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    if len(number) < 2:
        raise DataError(f"all {len(data)} items are of the same group, which cannot be parted.")
    member = np.array([number[group] for group in groups])
    counts = np.zeros((len(number), 1 + len(data.classes)))
    np.add.at(counts[:, 0], member, 1)
    if data.labels is not None:
        codes = data.codes()
        np.add.at(counts[:, 1:], member, codes if data.several else np.eye(len(data.classes))[codes])
    # A rare class weighs as much as a frequent one, and the number of items as much as all classes together.
    counts /= np.maximum(counts.sum(axis=0), 1)
    counts[:, 1:] /= max(len(data.classes), 1)
    target = fraction * counts.sum(axis=0)
    held, missing = np.zeros(len(number), bool), target.copy()
    order = rng.permutation(len(number))
    for _ in range(PASSES):
        before = held.copy()
        for group in order:
            change = -counts[group] if held[group] else counts[group]
            if np.square(missing - change).sum() < np.square(missing).sum() * (1 - 1e-9):
                held[group] = not held[group]
                missing -= change
        if (held == before).all():
            break
    if held.all():
        held[order[0]] = False
    if not held.any():
        held[order[np.argmin(np.square(target - counts[order]).sum(axis=1))]] = True
    return held[member]
