"""Baselines for images: what their pixels say without any order.

Logistic regression over the pixels, its regularisation chosen on the validation part; and the class of the most
similar image in training, by the Euclidean distance.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances_argmin

from rondo.data.labelled import Label, Labelled
from rondo.errors import DataError
from rondo.evaluation.calibration import scaled
from rondo.evaluation.classification import MEASURES, Predictions
from rondo.evaluation.rivals import Majority, Rival, both_parts, labels_of

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.float32]

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
"""What is tried as the inverse of the regularisation."""
CHOOSE_FROM = 6_000
"""Of more images in training, so many are taken to choose the regularisation by."""
ITERATIONS = 200
MOST_KEPT = 1 << 22
"""So many pixels of training images are saved with a model at most."""


def baselines_for_images(*, several: bool = False) -> list[Rival]:
    """What a classifier of images is held against; ``several``: where an image can have several classes."""
    return [Majority(), NearestImage()] if several else [Majority(), PixelRegression(), NearestImage()]


class PixelRegression:
    """Logistic regression over all pixels, scaled alike."""

    name = "logistic regression"

    def __init__(self) -> None:
        self.classes: tuple[Label, ...] = ()
        self.about = ""

    def fit(self, train: Labelled, valid: Labelled) -> Self:
        both = both_parts(train, valid)
        if both.labels is None or both.several:
            raise DataError("logistic regression needs one class an image.")
        self.classes = both.classes
        if len(self.classes) < 2:
            raise DataError("all items are of one class: there is nothing to tell apart.")
        pixels, codes = _flat(both.items), both.codes()
        self._scale = float(np.abs(pixels).max()) or 1.0
        pixels = pixels / self._scale
        few = slice(0, len(train), max(1, len(train) // CHOOSE_FROM))
        scores = []
        for strength in STRENGTHS:
            model = _regression(strength).fit(pixels[: len(train)][few], codes[: len(train)][few])
            said = [self.classes[k] for k in model.predict(pixels[len(train) :])]
            scores.append(MEASURES["accuracy"](Predictions.of(valid, said, classes=self.classes)))
        strength = STRENGTHS[int(np.argmax(scores))]
        model = _regression(strength).fit(pixels, codes)
        self._weights = np.zeros((len(self.classes), pixels.shape[1]))
        self._bias = np.zeros(len(self.classes))
        # Of two classes there is one plane: the other has zeros.
        places = model.classes_[1:] if len(model.coef_) == 1 else model.classes_
        self._weights[places], self._bias[places] = model.coef_, model.intercept_
        self.about = (
            f"Over {pixels.shape[1]:,} pixels; C = {strength:g} of {STRENGTHS[0]:g} to {STRENGTHS[-1]:g}, chosen on "
            f"the validation part{'' if few.step == 1 else f' with every {few.step}th image of the training part'}."
        )
        return self

    def predict(self, items: Sequence[Any]) -> tuple[list[Label], Floats | None]:
        values = _flat(items) / self._scale @ self._weights.T + self._bias
        sure = scaled(values.astype(np.float64), 1.0, several=False)
        return [self.classes[k] for k in sure.argmax(1)], sure

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What `from_arrays` makes the fitted baseline of again."""
        header = json.dumps({"classes": self.classes, "about": self.about, "scale": self._scale})
        return {
            "header": np.frombuffer(header.encode(), np.uint8), "weights": self._weights.astype(np.float32),
            "bias": self._bias,
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """From arrays in which anything may stand: ValueError, TypeError or KeyError for what is no baseline."""
        header = json.loads(arrays["header"].tobytes())
        made = cls()
        made.classes, made.about, made._scale = tuple(header["classes"]), str(header["about"]), float(header["scale"])
        made._weights, made._bias = arrays["weights"], arrays["bias"]
        if made._weights.ndim != 2 or len(made._weights) != len(made.classes) != 0 or made._bias.ndim != 1:
            raise ValueError("its weights do not fit its classes")
        return made


class NearestImage:
    """The class of the training image with the least squared differences."""

    name = "nearest neighbour"

    def __init__(self) -> None:
        self.classes: tuple[Label, ...] = ()
        self.about = "By the Euclidean distance between the pixels."

    def fit(self, train: Labelled, valid: Labelled) -> Self:
        both = both_parts(train, valid)
        self.classes = both.classes
        self._known, self._codes = np.asarray(both.items), both.codes()
        return self

    def predict(self, items: Sequence[Any]) -> tuple[list[Label], Floats | None]:
        if not len(items):
            return [], None
        nearest = pairwise_distances_argmin(_flat(items), _flat(self._known))
        return labels_of(self._codes[nearest], self.classes), None

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What `from_arrays` makes the fitted baseline of again; nothing if there is too much of it."""
        if self._known.size > MOST_KEPT:
            return {}
        header = np.frombuffer(json.dumps({"classes": self.classes}).encode(), np.uint8)
        return {"header": header, "known": self._known, "codes": self._codes}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """From arrays in which anything may stand: ValueError, TypeError or KeyError for what is no baseline."""
        made = cls()
        made.classes = tuple(json.loads(arrays["header"].tobytes())["classes"])
        made._known, made._codes = arrays["known"], arrays["codes"]
        if made._known.ndim != 3 or len(made._codes) != len(made._known) or not len(made._known):
            raise ValueError("its images do not fit their classes")
        labels_of(made._codes, made.classes)
        return made


def _regression(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=ITERATIONS)


def _flat(items: Sequence[Any] | npt.NDArray[Any]) -> Pixels:
    images = np.asarray(items)
    return images.reshape(len(images), -1).astype(np.float32)
