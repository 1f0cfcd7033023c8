"""The class of the most similar signal in training: the baseline that a reader of signals must beat.

Bagnall et al. 2017, "The great time series classification bake off", show how hard that is. Distances are by
dynamic time warping, or Euclidean: then signals of other lengths are first stretched to the median length of the
training part. Signals are scaled each by itself (mean 0 and deviation 1 in each channel), or all alike by the
training part, where the level tells something; which of the two, and how wide the window of the warping is, is
chosen on the validation part.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from rondo.data.labelled import Label, Labelled
from rondo.data.signals import fill_missing
from rondo.errors import DataError
from rondo.evaluation.classification import Predictions
from rondo.evaluation.rivals import Majority, Rival, both_parts, labels_of, main_measure
from rondo.evaluation.time_warping import cells, euclidean, time_warping

Floats = npt.NDArray[np.float64]
Signals = list[Floats]

WINDOWS = (0.0, 0.03, 0.06, 0.1, 0.2)
"""Windows that are tried, as shares of the longer signal."""
BLOCK = 1 << 24
"""How many distances are in memory at a time."""
MOST_KEPT = 1 << 22
"""So many values of training signals are saved with a model at most."""

LIMIT = 3e10
"""Time warping is not among the baselines where it would look at more pairs of steps; this many take minutes."""


def baselines_for_signals(train: Labelled, valid: Labelled, test: Labelled) -> list[Rival]:
    """What a classifier of signals is held against."""
    warping = NearestNeighbour("warping")
    rivals: list[Rival] = [Majority(), NearestNeighbour("euclidean")]
    return [*rivals, warping] if warping.work(train, valid, test) <= LIMIT else rivals


class NearestNeighbour:
    """One nearest neighbour, ``euclidean`` or by ``warping``. ``windows`` are what is tried of the latter."""

    name = "nearest neighbour"

    def __init__(self, distance: Literal["euclidean", "warping"], *, windows: Sequence[float] = WINDOWS) -> None:
        self.distance = distance
        self.windows = tuple(windows) if distance == "warping" else (0.0,)
        self.name = f"nearest neighbour, {'Euclidean' if distance == 'euclidean' else 'time warping'}"
        self.classes: tuple[Label, ...] = ()
        self.about = ""

    def fit(self, train: Labelled, valid: Labelled) -> Self:
        both = both_parts(train, valid)
        if both.labels is None:
            raise DataError("neighbours need labels to lend.")
        self.classes = both.classes
        known = _filled(both.items)
        self._length = round(float(np.median([len(item) for item in known]))) if self.distance == "euclidean" else None
        stretched = self._length is not None and any(len(item) != self._length for item in known)
        known = self._stretched(known)
        learned, asked = known[: len(train)], known[len(train) :]
        labels = both.labels[: len(train)]
        best = -np.inf
        for alike in (False, True):
            # The first window decides how to scale; the others are tried with that.
            scale = _scaling(_common(learned), alike=alike)
            score = self._score(scale, learned, labels, asked, valid, self.windows[len(self.windows) // 2])
            if score > best:
                best, self._alike = score, alike
        scale, self.window = _scaling(_common(learned), alike=self._alike), self.windows[0]
        if len(self.windows) > 1:
            scores = [self._score(scale, learned, labels, asked, valid, window) for window in self.windows]
            self.window = self.windows[int(np.argmax(scores))]
        self._common = _common(known)
        self._scale = _scaling(self._common, alike=self._alike)
        self._known, self._labels, self._codes = self._scale(known), both.labels, both.codes()
        how = "all alike by the training part" if self._alike else "each to mean 0 and deviation 1"
        window = f", window {self.window:.0%} of the length" if self.distance == "warping" else ""
        length = f" Signals were stretched to {self._length} steps." if stretched else ""
        self.about = f"Signals scaled {how}{window}, chosen on the validation part.{length}"
        return self

    def predict(self, items: Sequence[Any]) -> tuple[list[Label], Floats | None]:
        asked = self._scale(self._stretched(_filled(items)))
        return self._nearest(self._known, self._labels, asked, self.window), None

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What `from_arrays` makes the fitted baseline of again; nothing if there is too much of it."""
        known = np.concatenate(self._known)
        if known.size > MOST_KEPT:
            return {}
        header = {
            "distance": self.distance, "window": self.window, "alike": bool(self._alike), "length": self._length,
            "classes": self.classes, "about": self.about,
        }  # fmt: skip
        return {
            "header": np.frombuffer(json.dumps(header).encode(), np.uint8),
            "known": known.astype(np.float32),
            "lengths": np.array([len(item) for item in self._known]),
            "codes": self._codes,
            "common": self._common,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """From arrays in which anything may stand: ValueError, TypeError or KeyError for what is no baseline."""
        header = json.loads(arrays["header"].tobytes())
        if header["distance"] not in ("euclidean", "warping"):
            raise ValueError("its distance is none")
        made = cls(header["distance"])
        made.window, made.classes, made.about = float(header["window"]), tuple(header["classes"]), str(header["about"])
        made._length, made._alike = header["length"], header["alike"]
        lengths, made._codes, made._common = arrays["lengths"], arrays["codes"], arrays["common"]
        known = arrays["known"].astype(np.float64)
        if lengths.ndim != 1 or len(lengths) != len(made._codes) or lengths.min() < 1 or lengths.sum() != len(known):
            raise ValueError("its signals do not fit their classes")
        if made._common.shape != (2, *known.shape[1:]):
            raise ValueError("its signals have other channels")
        made._known = np.split(known, np.cumsum(lengths)[:-1])
        made._labels = labels_of(made._codes, made.classes)
        made._scale = _scaling(made._common, alike=made._alike)
        return made

    def work(self, train: Labelled, valid: Labelled, test: Labelled) -> int:
        """About how many pairs of steps have to be looked at for all of it."""
        if self.distance == "euclidean":
            return 0
        tried = sum(cells(valid.items, train.items, window=window) for window in self.windows)
        tried += 2 * cells(valid.items, train.items, window=self.windows[len(self.windows) // 2])
        known = [*train.items, *valid.items]
        return tried + cells(test.items, known, window=max(self.windows))

    def _stretched(self, signals: Signals) -> Signals:
        """Each at the median length, along straight lines between its steps."""
        if self._length is None:
            return signals
        return [item if len(item) == self._length else _resampled(item, self._length) for item in signals]

    def _score(
        self,
        scale: Callable[[Signals], Signals],
        learned: Signals,
        labels: Sequence[Label],
        asked: Signals,
        valid: Labelled,
        window: float,
    ) -> float:
        said = self._nearest(scale(learned), labels, scale(asked), window)
        return main_measure(valid)(Predictions.of(valid, said, classes=self.classes))

    def _nearest(self, known: Signals, labels: Sequence[Label], asked: Signals, window: float) -> list[Label]:
        step = max(1, BLOCK // len(known))
        found: list[int] = []
        for start in range(0, len(asked), step):
            block = asked[start : start + step]
            if self.distance == "euclidean":
                distances = euclidean(block, known)
            else:
                distances = time_warping(block, known, window=window)
            found.extend(distances.argmin(axis=1).tolist())
        return [labels[place] for place in found]


def _filled(items: Sequence[Any]) -> Signals:
    signals = [np.asarray(item, np.float32) for item in items]
    return [fill_missing(item.reshape(len(item), -1)).astype(np.float64) for item in signals]


def _resampled(signal: Floats, length: int) -> Floats:
    steps, places = np.arange(len(signal)), np.linspace(0, len(signal) - 1, length)
    return np.stack([np.interp(places, steps, channel) for channel in signal.T], axis=1)


def _common(learned: Signals) -> Floats:
    """Means and deviations of the channels over all steps, (2, channels)."""
    steps = np.concatenate(learned)
    return np.stack([steps.mean(axis=0), steps.std(axis=0)])


def _scaling(common: Floats, *, alike: bool) -> Callable[[Signals], Signals]:
    """Scales signals by themselves, or by what the training part has in all. What does not change becomes 0."""

    def scale(signals: Signals) -> Signals:
        scaled = []
        for item in signals:
            mean, deviation = common if alike else np.stack([item.mean(axis=0), item.std(axis=0)])
            scaled.append((item - mean) / np.where(deviation > 1e-8, deviation, 1.0))
        return scaled

    return scale
