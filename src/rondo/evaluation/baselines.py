"""What a classifier must beat to be worth its name: no look at the input, and no sense of order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from rondo.errors import DataError
from rondo.evaluation.metrics import accuracy

Array = npt.NDArray[Any]
Part = tuple[Array, Array]
"""Inputs (N, features) and classes (N,)."""


def majority(train: npt.ArrayLike, test: npt.ArrayLike) -> float:
    """The accuracy, on ``test``, of always saying the most frequent class of ``train``."""
    classes, counts = np.unique(np.asarray(train), return_counts=True)
    if not len(classes):
        raise DataError("there is no most frequent class of nothing.")
    return accuracy(np.full_like(np.asarray(test), classes[counts.argmax()]), test)


STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
"""What `logistic_regression` tries as the inverse of its regularisation."""


def logistic_regression(train: Part, valid: Part, test: Part) -> float:
    """The accuracy of logistic regression, its regularisation chosen on ``valid``.

    Inputs are scaled by the training part. The chosen one is then fitted on both parts: that is what
    someone would do who wanted the best from it.
    """
    scores = [accuracy(_fitted(train, strength).predict(valid[0]), valid[1]) for strength in STRENGTHS]
    both = np.concatenate([train[0], valid[0]]), np.concatenate([train[1], valid[1]])
    return accuracy(_fitted(both, STRENGTHS[int(np.argmax(scores))]).predict(test[0]), test[1])


def _fitted(part: Part, strength: float) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000)).fit(*part)
